"""What is said of several labels and of numbers: in plans, results, predictions and refusals."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import regraft
import targets
from regraft.cli import predicted
from regraft.cli.predicted import Tally
from regraft.cli.terminal import _epoch_line
from regraft.compare import side_by_side
from regraft.compare.comparison import _gain
from regraft.data.kinds import Kind
from regraft.errors import UsageError
from regraft.heads.tasks import task_of
from regraft.heads.tasks.words import words_by, words_of
from regraft.plan import kind_wording
from regraft.plan.choices import Choices, candidates
from regraft.plan.definition import Plan
from regraft.plan.events import Epoch
from regraft.plan.evidence import Evidence
from regraft.plan.evidence_of_targets import gather_targets
from regraft.results.load import load
from regraft.results.prediction import Prediction
from regraft.run.measure import measure
from regraft.run.pretrained import open_network
from test_plan import BACKBONE, plan_of

SEVERAL = (
    Prediction("a.png", (("x", 0.9), ("y", 0.3), ("z", 0.2)), labels=("x", "z")),
    Prediction("b.png", (("x", 0.1),), labels=()),
    Prediction("c.png", problem="is no image"),
)
NUMBERS = (
    Prediction("a.png", value=12.25, interval=(10.0, 14.5)),
    Prediction("c.png", problem="is no image"),
)


def evidence_of(kind: str, n: int = 240, *, average: bool = True, noise: float = 1.0) -> Evidence:
    """Evidence of features of which the second depth tells three labels, or a number."""
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(n, 3))
    features = rng.normal(0, noise, (n, 32))
    features[:, 8:16] += hidden @ rng.normal(0, 1.5, (3, 8))
    values = (hidden > 0.7) if kind == "several" else hidden[:, :1]
    task = task_of(kind)
    return gather_targets(
        task,
        features.astype(np.float16),
        BACKBONE.widths,
        values.astype(np.float32),
        ("ant", "bee", "wasp") if kind == "several" else ("age",),
        np.zeros(n, np.intp),
        np.arange(n),
        candidates=candidates(BACKBONE, Choices()),
        seed=0,
        shift=(0.1, 0.4, 1.3, 1.7),
        units=(30.0, 10.0),
        average=average,
    ).evidence


def planned(kind: str, choices: Choices | None = None, **evidence: object) -> Plan:
    found = replace(evidence_of(kind), **evidence)  # type: ignore[arg-type]
    return plan_of(found, choices, validation=30, speed=1e9 if choices and choices.budget else None)


@pytest.mark.parametrize("kind", ["several", "number"])
def test_the_explanation_reads_as_it_did(kind: str, golden: Callable[[str, str], None]) -> None:
    """Changed on purpose? Write it anew with --golden, and read it."""
    text = planned(kind).explain() + "\n"
    assert "accuracy" not in text
    assert "class" not in text
    assert "temperature" not in text
    golden(f"explain-{kind}.txt", text)


@pytest.mark.parametrize(
    ("average", "choices", "said"),
    [
        (True, Choices(), "given from a probability of its own on, half of its best F1"),
        (False, Choices(recipe="textbook"), "A label is given from a probability of 50% on."),
        (False, Choices(recipe="textbook", case=3), "; it is given from a probability of 50% on."),
    ],
    ids=["tuned", "textbook", "textbook, trained"],
)
def test_a_plan_says_from_where_on_a_label_is_given(
    average: bool, choices: Choices, said: str
) -> None:
    found = evidence_of("several", average=average)
    plan = plan_of(found, choices, validation=30)
    assert plan.explain().count("is given from") == 1
    assert said in plan.explain()
    assert found.answer is not None
    assert ({*found.answer.thresholds} == {0.5}) is ("50%" in said)


@pytest.mark.parametrize(
    ("choices", "evidence", "said"),
    [
        (None, {}, "Nobody asked for it, so it stays frozen; --case 3 trains it, --budget 10m"),
        (Choices(budget=900), {}, "There is time for it, so this is case 4: validation images"),
        (Choices(budget=900), {"signal": 0.1}, "What tells nothing when frozen is not trained"),
        (Choices(budget=900), {"expected": 0.999}, "The frozen network reaches"),
        (Choices(case=3), {}, "Asked for: --case 3."),
    ],
)
@pytest.mark.parametrize("kind", ["several", "number"])
def test_a_plan_says_why_it_trains_or_not(
    kind: str, choices: Choices | None, evidence: dict[str, float], said: str
) -> None:
    plan = planned(kind, choices, **evidence)
    assert said in " ".join(reason.fact for reason in plan.reasons)
    rule = "What training wins is known of one label an image"
    told = [reason for reason in plan.reasons if reason.rule.startswith(rule)]
    assert len(told) == (choices is None or choices.case is None)
    assert bool(plan.trainings) == said.startswith(("There", "Asked"))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("several", "a mean average precision of 10.0%; giving all images the same probabilities"),
        ("number", "an R2 of −0.020; always naming the mean reaches 0.000. Either the numbers"),
    ],
)
def test_nothing_is_learnt_of_what_cannot_be_told(kind: str, said: str) -> None:
    expected = {"several": 0.1, "number": -0.02}[kind]
    plan = planned(kind, signal=0.1, expected=expected)
    assert said in " ".join(reason.fact for reason in plan.reasons)


def test_values_are_told_as_their_measure_is() -> None:
    assert words_of("several").got(0.8312) == "mean average precision 83.1%"
    assert words_of("number").got(-0.8312) == "R2 −0.831"
    assert words_of("number").told(-0.0001) == "0.000"
    assert words_by(None).got(0.5) == "accuracy 50.0%"
    assert words_by("R2") is words_of("number")


def test_an_epoch_is_told_by_its_measure() -> None:
    row = Epoch(
        what="fine-tuned", epoch=1, of=2, loss=0.5, seconds=1.0, rate=0.1, images_per_second=1.0,
        validation_accuracy=0.25, measure="R2",
    )  # fmt: skip
    assert "validation R2 0.250" in _epoch_line(row, 0.0)
    assert "validation accuracy 25.0%" in _epoch_line(replace(row, measure=None), 0.0)


@pytest.mark.parametrize("kind", ["several", "number"])
def test_a_result_shows_its_own_measure(kind: str, request: pytest.FixtureRequest) -> None:
    result = load(request.getfixturevalue(f"{kind}_run"))
    words = words_of(kind)
    got = words.told(result.metrics[words.key])
    for shown in (repr(result), str(result), result._repr_html_(), repr(result.plan)):
        assert words.measure in shown
        assert "accuracy" not in shown
        assert "classes" not in shown
    assert got in str(result)
    assert got in result._repr_html_()
    said = " ".join(kind_wording.scores(result.plan, result.metrics))
    assert words.got(result.metrics[words.key]) in said
    assert result.plan._repr_html_().count(words.measure)


# --- predictions ---------------------------------------------------------------------------------


def rows(lots: Sequence[Prediction], top: int, kind: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO("".join(predicted.texts("csv", [lots], top, kind)))))


def test_labels_are_joined_in_a_table() -> None:
    assert rows(SEVERAL, 1, "several") == [
        ["path", "label", "probabilities", "problem"],
        ["a.png", "x|z", "0.900000|0.200000", ""],
        ["b.png", "", "", ""],
        ["c.png", "", "", "is no image"],
    ]
    head, first, _, broken = rows(SEVERAL, 2, "several")
    assert head == [
        "path",
        "label",
        "probabilities",
        "label_1",
        "confidence_1",
        "label_2",
        "confidence_2",
        "problem",
    ]
    assert first[3:7] == ["x", "0.900000", "y", "0.300000"]
    assert (broken[-1], len(broken)) == ("is no image", len(head))


def test_a_number_has_its_interval_in_a_table() -> None:
    assert rows(NUMBERS, 1, "number") == [
        ["path", "value", "low", "high", "problem"],
        ["a.png", "12.25", "10", "14.5", ""],
        ["c.png", "", "", "", "is no image"],
    ]


def test_rows_of_json_have_the_fields_of_their_kind() -> None:
    found = json.loads("".join(predicted.texts("json", [SEVERAL], 1, "several")))
    top = [{"label": label, "confidence": share} for label, share in SEVERAL[0].top]
    assert found == [
        {"path": "a.png", "labels": ["x", "z"], "top": top},
        {"path": "b.png", "labels": [], "top": [{"label": "x", "confidence": 0.1}]},
        {"path": "c.png", "problem": "is no image"},
    ]
    found = json.loads("".join(predicted.texts("json", [NUMBERS], 1, "number")))
    assert found[0] == {"path": "a.png", "value": 12.25, "interval": [10.0, 14.5]}


@pytest.mark.parametrize(
    ("lot", "kind", "lines"),
    [
        (SEVERAL, "several", ["a.png x 90.0%", "y 30.0% not given: below its threshold",
                              "z 20.0%", "b.png x 10.0% not given: below its threshold"]),
        (NUMBERS, "number", ["a.png 12.25 10 to 14.5"]),
    ],
)  # fmt: skip
def test_a_terminal_shows_them(
    lot: Sequence[Prediction], kind: str, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    predicted.show([lot], kind, "age")
    head, *found = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert found == lines
    assert head == {"several": "image label probability", "number": "image age 95%"}[kind]


def test_many_predictions_are_summed_up() -> None:
    tally = Tally("several")
    tally.add(SEVERAL)
    assert tally.said() == ["2 images: 1 x, 1 z.", "1 of them have none of the labels."]
    tally = Tally("number")
    tally.add([*NUMBERS, Prediction("d.png", value=-3.0, interval=(-5.0, -1.0))])
    assert tally.said() == ["2 images: from -3 to 12.25."]
    assert Tally("several").said() == []


def test_what_is_given_is_named_with_its_probability(several_run: Path) -> None:
    result = load(several_run)
    files = [targets.marked(seed, targets.labels_of(seed)) for seed in range(9)]
    found = result.predict(files)
    shares = result.predict_proba(files)
    assert any(len(one.labels or ()) > 1 for one in found)
    for one, row in zip(found, shares, strict=True):
        told = dict(one.top)
        assert set(one.labels or ()) <= set(told)
        assert [told[name] for name in told] == sorted(told.values(), reverse=True)
        for name, share in told.items():
            assert share == pytest.approx(row[result.classes.index(name)])


def test_a_copy_goes_to_each_of_its_labels(tmp_path: Path) -> None:
    from regraft.cli.sort_into import NONE, sorting

    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"x")
    with sorting(tmp_path / "sorted") as put:
        for one in SEVERAL:
            put(replace(one, path=str(tmp_path / one.path)))
    found = sorted(
        str(path.relative_to(tmp_path / "sorted")) for path in (tmp_path / "sorted").rglob("*.png")
    )
    assert found == [f"{NONE}/b.png", "x/a.png", "z/a.png"]


# --- refusals ------------------------------------------------------------------------------------


def ranked(kind: Kind, run: Path) -> None:
    folder = run.parent / ("marks" if kind == "several" else "shades")
    regraft.rank(targets.dataset_of(folder, kind), ["demonstration"])


def chosen(kind: Kind, run: Path) -> None:
    folder = run.parent / ("marks" if kind == "several" else "shades")
    regraft.propose(targets.dataset_of(folder, kind), "auto")


def asked_next(kind: Kind, run: Path) -> None:
    regraft.next_to_label(run, [run / "report.html"])


def sorted_in(kind: Kind, run: Path) -> None:
    from regraft.cli.predict import run_predict

    run_predict(
        run, [str(run / "report.html")], top=1, network=None, as_csv=False, as_json=False,
        folder=run.parent / "sorted",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("does", "kind", "said"),
    [
        (ranked, "several", "ranked by accuracy, and in 'marks' an image has several labels."),
        (ranked, "number", "an image has a number."),
        (chosen, "several", "regraft plan DATA --backbone NAME says what to expect of it."),
        (asked_next, "several", "the table has those of each image: regraft predict RUN POOL"),
        (asked_next, "number", "the doubt between classes, and in"),
        (sorted_in, "number", "tells a number (level)."),
    ],
)
def test_what_is_for_classes_alone_says_so(
    does: Callable[[Kind, Path], None], kind: Kind, said: str, request: pytest.FixtureRequest
) -> None:
    run = request.getfixturevalue(f"{kind}_run")
    with pytest.raises(UsageError) as caught:
        does(kind, run)
    assert said in str(caught.value)


# --- compare -------------------------------------------------------------------------------------


def test_less_squared_error_is_better() -> None:
    near, far = np.linspace(0, 1, 40), np.linspace(1, 2, 40)
    assert [_gain(near, far), _gain(far, near), _gain(near, near)] == [1, -1, 0]
    noisy = near + np.resize([0.1, -0.1], 40)
    assert _gain(noisy, near) == 0


@pytest.mark.parametrize("kind", ["several", "number"])
def test_the_frozen_cases_are_compared_by_the_measure(
    kind: Kind, request: pytest.FixtureRequest
) -> None:
    run = request.getfixturevalue(f"{kind}_run")
    folder = run.parent / ("marks" if kind == "several" else "shades")
    measured = measure(targets.dataset_of(folder, kind), open_network("demonstration"), Choices())
    found = side_by_side(measured, Choices(), quick=True)
    metrics, words = load(run).metrics, words_of(kind)
    own = next(one for one in found.cases if one.case == found.chosen)
    assert found.kind == kind
    assert own.accuracy == pytest.approx(metrics[words.key])
    assert words.tells(own.accuracy) in found.verdict
    key = "f1" if kind == "several" else "mean_absolute_error"
    assert own.figures[key] == pytest.approx(metrics[key])
    shown = found._repr_html_() + str(found)
    assert words.told(own.accuracy) in shown
    from regraft.report import of_comparison

    page = of_comparison(json.loads(json.dumps(found.to_json())))
    assert words.told(own.accuracy) in page
    assert "accuracy" not in page.lower().split("<h1>")[1].replace('id="accuracy"', "")
