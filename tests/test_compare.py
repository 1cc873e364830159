"""All four cases side by side, with a small seeded network."""

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import regraft
import smallnet
from command import Regraft, cli, own_log
from pictures import lay_out
from regraft.compare import Comparison, Outcome, cases, check, compare, side_by_side
from regraft.compare.comparison import verdict
from regraft.errors import RunError, UsageError
from regraft.finetune import Trained
from regraft.plan.choices import Choices
from regraft.plan.decide import SCRATCH
from regraft.plan.definition import Plan
from regraft.plan.recipes import images_shown
from regraft.results.files import COMPARISON, PAGE
from regraft.run import api, measure
from regraft.run.draft import draft
from regraft.run.measure import Measured
from regraft.run.pretrained import Pretrained
from regraft.run.selection import Candidate
from reported import Reader
from scenes import each, scenes

__all__ = ["cli", "own_log"]  # fixtures

CHOICES = Choices(seed=3)


def network() -> Pretrained:
    return Pretrained(smallnet.record(), smallnet.small)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = scenes(each(10, "train/")) | scenes(each(5, "test/"), first=50)
    return lay_out(tmp_path_factory.mktemp("data") / "scenes", files)


@pytest.fixture(scope="module")
def measured(data: Path) -> Measured:
    return measure.measure(regraft.Dataset.open(data), network(), CHOICES)


@pytest.fixture(scope="module")
def aims(measured: Measured) -> Plan:
    return draft(measured, CHOICES)


@pytest.fixture(scope="module")
def found(measured: Measured) -> Comparison:
    return side_by_side(measured, CHOICES)


def outcome(case: int, accuracy: float = 0.5, brief: str = "") -> Outcome:
    figures = (accuracy, (0.0, 1.0), accuracy, 0.1, 0.1, None, 1, 1.0, 1.0, "torch-fp32")
    return Outcome(case, "frozen", (0,), *figures, brief, "reads one")


# ---- what each case gets


def test_all_four_cases_run_on_the_same_images(found: Comparison) -> None:
    assert [one.case for one in found.cases] == [1, 2, 3, 4]
    assert (found.train, found.test, found.omitted) == (30, 15, ())
    for one in found.cases:
        low, high = one.accuracy_interval
        assert low <= one.accuracy <= high
        assert (one.accuracy * found.test) % 1 == pytest.approx(0, abs=1e-9)
        assert (one.validation_accuracy or 0.0) * 6 % 1 == pytest.approx(0, abs=1e-9)
        assert min(one.images_per_second, one.seconds, one.log_loss or 0.0) > 0
        assert one.engine
    last = len(smallnet.record().stages) - 1
    assert [one.taps[-1] == last for one in found.cases] == [True, False, True, True]
    assert found.cases[1].parameters < found.cases[0].parameters


def test_the_chosen_case_gets_what_fit_gets(
    found: Comparison, measured: Measured, aims: Plan
) -> None:
    assert (found.chosen, found.indicated) == (aims.case, aims.indicated)
    [own] = [one for one in found.cases if one.case == found.chosen]
    metrics = api.perform(aims, measured).metrics
    for name in ("accuracy", "log_loss", "ece", "balanced_accuracy"):
        assert getattr(own, name) == metrics[name]
    assert own.taps == aims.taps


def test_where_fit_trains_the_chosen_case_is_what_it_hands_over(
    measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regraft.plan.gain.WORTH", -1.0)
    sure = {"slopes": [0.0] * 3, "usual": [0.0] * 3, "intercept": 0.3, "spread": 0.01}
    sure["spread_by_images"] = 0.01
    monkeypatch.setattr("regraft.plan.gain.model", lambda: sure)
    monkeypatch.setattr("regraft.compare.cases.FEW", 0)
    monkeypatch.setattr("regraft.plan.recipes.epochs_for", lambda *_: 2)
    monkeypatch.setattr("regraft.plan.recipes.RATES", (1e-3,))
    monkeypatch.setattr("regraft.plan.recipes.REFIT", 0)
    aims = draft(measured, CHOICES)
    assert aims.indicated in (3, 4)
    result = api.perform(aims, measured)
    found = side_by_side(measured, CHOICES)
    [own] = [one for one in found.cases if one.case == found.chosen]
    assert (own.accuracy, own.log_loss) == (result.metrics["accuracy"], result.metrics["log_loss"])
    assert (found.chosen in (3, 4)) == (result.plan.ran[0].handed_over is False)
    assert [bool(one.brief) for one in found.cases] == [False, False, False, True]


def test_a_case_gets_what_fit_gets_that_is_asked_for_it(measured: Measured, aims: Plan) -> None:
    plans, _ = cases.trained_plans(measured, CHOICES, aims, quick=False)
    asked = [draft(measured, replace(CHOICES, case=3))]
    asked += [draft(measured, replace(CHOICES, case=4, init="random"))]
    assert [plan.trainings for plan in plans] == [plan.trainings for plan in asked]
    assert [plan.validation for plan in plans] == [plan.validation for plan in asked]


@pytest.mark.parametrize("case", [3, 4])
def test_a_case_gives_the_network_that_fit_gives_bit_for_bit(
    case: int, measured: Measured, aims: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the frozen network would be cut, and another head be read and calibrated."""
    monkeypatch.setattr("regraft.plan.recipes.epochs_for", lambda *_: 1)
    monkeypatch.setattr("regraft.plan.recipes.REFIT", 0)
    choices = replace(CHOICES, learning_rate=1e-3)
    every = draft(measured, replace(choices, learning_rate=None)).evidence
    assert every.cut is not None
    evidence = replace(every, chosen=every.cut, temperature=0.7)
    taps = evidence.probes[every.cut].taps
    aims = replace(aims, taps=taps, evidence=evidence, case=2, indicated=2)
    plans, _ = cases.trained_plans(measured, choices, aims, quick=False)
    [plan] = [plan for plan in plans if plan.case == case]
    own = cases.performed(plan, measured, lambda row: None).entries[-1].trained
    asked = replace(choices, case=case, init="random" if case == 4 else None)
    fitted = api.perform(draft(measured, asked), measured).tensors
    assert own is not None
    assert own.state.keys() == fitted.keys()
    for name, tensor in own.state.items():
        np.testing.assert_array_equal(tensor, fitted[name], err_msg=name)


def test_held_out_images_do_not_matter_for_what_is_chosen(
    found: Comparison, measured: Measured
) -> None:
    labels = measured.labels.copy()
    labels[measured.split.test] = (labels[measured.split.test] + 1) % 3
    other = side_by_side(replace(measured, labels=labels), CHOICES, quick=True)
    assert other.chosen == found.chosen
    assert [one.accuracy for one in other.cases] != [one.accuracy for one in found.cases[:2]]


# ---- what is absurd, and what fits into the time


@pytest.mark.parametrize(
    ("case", "images", "makes_sense"),
    [
        (1, 1, True),
        (2, 1, True),
        (3, cases.FEW - 1, False),
        (3, cases.FEW, True),
        (4, cases.FEW, False),
        (4, SCRATCH, True),
    ],
)
def test_absurd(case: int, images: int, makes_sense: bool) -> None:
    assert (cases.absurd(case, images) == "") is makes_sense
    assert (cases.absurd(case, images, worth=True) == "") is (makes_sense or case == 3)


def test_an_absurd_case_is_trained_briefly_and_says_so(found: Comparison) -> None:
    assert [bool(one.brief) for one in found.cases] == [False, False, True, True]
    assert all("30 images are few" in one.brief for one in found.cases[2:])
    assert all(f"of {cases.BRIEF}" in one.note for one in found.cases[2:])
    assert "Case 3 and case 4 were trained briefly" in found.verdict
    rates = [one.note.partition(",")[0] for one in found.cases[2:]]
    assert rates == ["rate 0.001", "rate 0.003"], "the surest from either start"


def test_quick_leaves_out_what_is_absurd_and_says_why(measured: Measured) -> None:
    quick = side_by_side(measured, CHOICES, quick=True)
    assert [one.case for one in quick.cases] == [1, 2]
    assert [one.case for one in quick.omitted] == [3, 4]
    assert all("30 images are few" in one.why for one in quick.omitted)


def test_a_budget_that_is_gone_leaves_the_frozen_cases(measured: Measured) -> None:
    found = side_by_side(measured, replace(CHOICES, budget=1e-3))
    assert [one.case for one in found.cases] == [1, 2]
    assert all("not one epoch" in one.why for one in found.omitted)


def test_the_time_that_is_left_is_parted(
    measured: Measured, aims: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans, _ = cases.trained_plans(measured, CHOICES, aims, quick=False)
    monkeypatch.setattr(cases, "training_speed", lambda *_: 1000.0)
    monkeypatch.setattr("regraft.compare.cases.time.perf_counter", lambda: measured.started + 2)
    first, second = (
        cases.in_time(some, measured, budget=3.0) for some in (plans, plans[1:])
    )  # a second is left, in which a thousand images are shown
    assert first is not None
    assert second is not None
    assert first.budget is not None
    assert 2 < first.budget < 3
    for plan, least, most in ((first, 0, 600), (second, 600, 1000)):
        assert least < images_shown(plan.trainings[0], plan.train) < most
    ample = cases.in_time(plans, measured, budget=60.0)
    assert ample is not None
    assert ample.trainings == plans[0].trainings


def test_without_images_to_validate_with_nothing_is_trained(tmp_path: Path) -> None:
    files = scenes(each(2, "train/")) | scenes(each(2, "test/"), first=50)
    found = compare(lay_out(tmp_path / "few", files), network(), choices=CHOICES)
    assert [one.case for one in found.omitted] == [3, 4]
    assert all("validate" in one.why for one in found.omitted)
    assert [one.validation_accuracy for one in found.cases] == [None, None]


# ---- which case is handed over


def entry(case: int, right: Sequence[bool]) -> Candidate:
    """An entry that gets these of the validation images right; the truth is 0 everywhere."""
    shares = np.array([[0.9, 0.1] if hit else [0.1, 0.9] for hit in right])
    trained = None if case < 3 else Trained(1, 1, 0, shares, {}, (), (), 0, 0, "", 0, "")
    return Candidate(str(case), case, (0,), shares, 0.0, None, trained)


@pytest.mark.parametrize(
    ("tuned", "scratch", "chosen"),
    [(8, 8, 1), (8, 16, 4), (16, 8, 3), (16, 20, 3)],
)
def test_fit_hands_over_what_validation_bears_out(
    measured: Measured, aims: Plan, tuned: int, scratch: int, chosen: int
) -> None:
    """Random weights are tried only where the fine-tuned network has not beaten the frozen one."""
    last = len(aims.backbone.stages) - 1
    plans, _ = cases.trained_plans(measured, CHOICES, aims, quick=False)
    both = replace(aims, taps=(last,), trainings=tuple(plan.trainings[0] for plan in plans))
    frozen = entry(1, [n < 8 for n in range(20)])
    done = [
        cases.Done(outcome(case), np.ones(3, bool), entries, np.zeros(20, np.intp))
        for case, entries in (
            (1, [frozen]),
            (3, [frozen, entry(3, [n < tuned for n in range(20)])]),
            (4, [frozen, entry(4, [n < scratch for n in range(20)])]),
        )
    ]
    assert cases.handed_over(done, both) == chosen
    assert cases.handed_over(done, replace(both, trainings=())) == 1


# ---- the verdict


def hits(count: int, of: int = 20) -> np.ndarray:
    return np.arange(of) < count


def test_the_verdict_tells_noise_from_more() -> None:
    some = [outcome(1, 0.5), outcome(2, 0.5), outcome(3, 0.9), outcome(4, 0.1, "few")]
    said = verdict(some, [hits(10), hits(10), hits(18), hits(2)], chosen=1)
    assert said == (
        "Case 1, which fit hands over, gets 50.0% of 20 held-out images right; case 3 (90.0%) is "
        "better by more than noise; case 2 (50.0%) is within noise of it; case 4 (10.0%) is worse "
        "by more than noise. Case 4 was trained briefly, and may have more in it."
    )


def test_noise_is_one_standard_error_of_the_paired_difference() -> None:
    random = np.random.default_rng(5)
    some = [outcome(1), outcome(2)]
    words = {-1: "worse by", 0: "within noise", 1: "better by"}
    for _ in range(200):
        n = int(random.integers(2, 40))
        one, other = random.random((2, n)) < random.random((2, 1))
        difference = other.astype(float) - one
        mean, error = difference.mean(), difference.std() / np.sqrt(n - 1)
        sign = 0 if abs(mean) <= error + 1e-9 else int(np.sign(mean))
        assert words[sign] in verdict(some, [one, other], chosen=1)


# ---- the folder


def test_the_folder_holds_the_comparison(found: Comparison, tmp_path: Path) -> None:
    found.save(tmp_path / "deep" / "cmp")
    assert sorted(os.listdir(tmp_path / "deep" / "cmp")) == [COMPARISON, PAGE]
    document = json.loads((tmp_path / "deep" / "cmp" / COMPARISON).read_text("utf-8"))
    assert document == json.loads(json.dumps(found.to_json()))
    assert {"cases", "chosen", "verdict"} <= document.keys()
    figures = {"case", "accuracy", "accuracy_interval", "log_loss", "ece", "parameters"}
    assert all(
        figures | {"seconds", "images_per_second"} <= one.keys() for one in document["cases"]
    )


def test_only_an_earlier_comparison_is_replaced(found: Comparison, tmp_path: Path) -> None:
    out = tmp_path / "cmp"
    out.mkdir()
    found.save(out)  # an empty folder is taken
    with pytest.raises(RunError, match="--overwrite"):
        check(CHOICES, out)
    replace(found, seed=9).save(out, overwrite=True)
    assert json.loads((out / COMPARISON).read_text("utf-8"))["seed"] == 9
    (out / "mine.txt").write_text("mine")
    for place in (out, lay_out(tmp_path / "photos", {"a.jpg": b"a"}), out / "mine.txt"):
        with pytest.raises(RunError):
            check(CHOICES, place, overwrite=True)
        with pytest.raises(RunError):
            found.save(place, overwrite=True)
    assert sorted(os.listdir(out)) == [COMPARISON, "mine.txt", PAGE]
    assert os.listdir(tmp_path / "photos") == ["a.jpg"]


@pytest.mark.parametrize(
    "choices",
    [
        Choices(case=1),
        Choices(cut="2"),
        Choices(case=4, init="random"),
        Choices(trainable_from="2"),
    ],
)
def test_one_case_is_not_compared(choices: Choices) -> None:
    with pytest.raises(UsageError, match="every case"):
        compare("nowhere", choices=choices)


def test_several_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="one process"):
        compare("nowhere")


# ---- the command


@pytest.fixture
def small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regraft.cli.plan.network_for", lambda *_, **__: network())


@pytest.mark.usefixtures("small_network")
def test_the_command_shows_the_cases_and_says_where(
    cli: Regraft, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regraft.compare.cases.BRIEF", 1)
    said = cli("compare", data, "--out", tmp_path / "cmp", "--seed", 3)
    assert said.code == 0
    for words in ("accuracy", "img/s", "fine-tuned", "*", "→", "trained briefly"):
        assert words in said.out
    assert "right" in said.out
    assert f"Written to {tmp_path / 'cmp'}" in said.err
    assert f"{tmp_path / 'cmp' / 'report.html'} shows it" in said.err
    command = f"`regraft fit {data} -b small --seed 3 --case N --out RUN`"
    assert command in said.err
    assert "epoch   1 of 1" in said.err
    assert os.listdir(tmp_path) == ["cmp"]


@pytest.mark.usefixtures("small_network")
def test_json_is_one_document_and_what_is_written(cli: Regraft, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "cmp"
    said = cli("compare", data, "--out", out, "--quick", "--json")
    assert said.code == 0
    assert said.json == json.loads((out / COMPARISON).read_text("utf-8"))
    assert f"regraft compare {data} -b" in Reader((out / PAGE).read_text("utf-8")).text
    said = cli("compare", data, "--out", out, "--quick")
    assert (said.code, said.out) == (1, "")
    assert "--overwrite" in said.err
    assert cli("compare", data, "--out", out, "--quick", "--overwrite").code == 0


@pytest.mark.parametrize("words", [("--budget", "soon"), ("--budget", "-1"), ("--case", "1")])
def test_wrong_usage(cli: Regraft, data: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    said = cli("compare", data, "--out", tmp_path / "cmp", *words)
    assert (said.code, said.out) == (2, "")
    assert os.listdir(tmp_path) == []


def test_a_comparison_remembers_what_was_asked_for(measured: Measured) -> None:
    asked = replace(CHOICES, class_weights="none", test_fraction=0.25)
    found = side_by_side(measured, asked, quick=True)
    assert found.options == ("--class-weights none", "--test-fraction 0.25", "--quick")
