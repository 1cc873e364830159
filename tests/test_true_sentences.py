"""Sentences that are true of the run: what each page must and must not say in a situation.

The table :data:`SAID` is meant to be read: a situation, its pages, what must (not) stand there.
"""

import io
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import regraft
from regraft.cli import tables
from regraft.errors import UsageError
from regraft.metrics import score
from regraft.networks.changes import Change
from regraft.plan import wording
from regraft.plan.choices import Choices
from regraft.plan.definition import Plan, Ran
from regraft.plan.evidence import Evidence
from regraft.plan.recipes import images_shown
from regraft.report import page as page_of
from regraft.results import card
from regraft.results.folder import metrics_of
from regraft.results.result import Result
from regraft.results.tables import Predictions
from regraft.run import budget
from regraft.run.execute import _as_it_ended
from reported import Reader
from smallrace import images, race, recipe
from test_plan import BACKBONE, evidence_telling, plan_of

CLASSES = ("ant", "bee", "wasp")
LAST = len(BACKBONE.stages) - 1


@cache
def evidence() -> Evidence:
    return evidence_telling(LAST)


def ran(name: str, epochs: int | None) -> Ran:
    case = {"frozen": 1, "fine-tuned": 3, "from scratch": 4}[name]
    return Ran(name, case, 0.9, (0.8, 0.95), 0.1, 9, "a note", handed_over=True, epochs=epochs)


def trained(name: str = "fine-tuned", epochs: int = 3, **facts: Any) -> Plan:
    """A RUN in which this candidate was handed over, after so many epochs of training."""
    case, init = (3, None) if name == "fine-tuned" else (4, "random")
    found = replace(evidence(), **facts)
    plan = plan_of(found, Choices(case=case, init=init), validation=20)  # type: ignore[arg-type]
    won = ran(name, epochs)
    return replace(plan, ran=(replace(ran("frozen", None), handed_over=False), won), why="So.")


def frozen(**facts: Any) -> Plan:
    return plan_of(replace(evidence(), **facts))


def by_loss() -> Plan:
    """The last stage alone is read, by its squared error; an earlier one tells more."""
    book = evidence_telling(LAST, average=False)
    (first, *others), chosen = book.probes, book.probes[book.chosen]
    first = replace(first, accuracy=0.868, loss=chosen.loss + 0.1)
    mine = [replace(one, accuracy=0.737) if one is chosen else one for one in others]
    mine = [replace(one, accuracy=min(one.accuracy, 0.737)) for one in mine]
    return plan_of(replace(book, probes=(first, *mine)))


def alike() -> Plan:
    """An earlier stage is read, and every depth tells the same share of the images."""
    same = tuple(replace(one, accuracy=0.9) for one in evidence().probes)
    return frozen(probes=same, chosen=0, similarity=0.7)


def figures(right: int = 4, **more: Any) -> dict[str, Any]:
    """The figures of five images, so many of them right."""
    truth = np.array([0, 0, 1, 1, 2])
    said = [label if i < right else (label + 1) % 3 for i, label in enumerate(truth)]
    seconds = {"audit": 1.0, "probe": 2.0, "fit": 3.0, "evaluate": 4.0, "total": 11.0}
    found = metrics_of(
        score(np.eye(3)[said] * 0.7 + 0.1, truth, CLASSES).to_json(),
        proof="held out",
        case=1,
        taps=(LAST,),
        seconds=seconds,
        engine="openvino-bf16",
        images_per_second=310.0,
    )
    return found | {"images_from_cache": 3} | more


def without(last: dict[str, Any]) -> dict[str, Any]:
    """The figures of the same images but the last: no wasp is left, which ``last`` says."""
    found = figures(3)
    return found | {"per_class": found["per_class"] | {"wasp": {"n": 0} | last}}


NOTHING = dict.fromkeys(("precision", "recall", "f1", "recall_interval"))
ZEROS = dict.fromkeys(("precision", "recall", "f1"), 0.0) | {"recall_interval": [0.0, 1.0]}

# ---- pages


def on_terminal(plan: Plan, metrics: dict[str, Any]) -> str:
    out = Console(file=io.StringIO(), width=300)
    metrics = {**metrics, "candidates": [{"seconds": 1.0} for _ in plan.ran]}
    kinds = [Change("kept" if plan.case == 3 else "frozen", "stage0", 613_232)]
    if plan.case == 4:
        kinds = [Change("reinitialised", "stage0", 613_232)]
    changes = [_as_it_ended(change, plan) for change in kinds]
    tables.show_result(out, plan, metrics, changes, "cost")
    return out.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def on_plan(plan: Plan, metrics: dict[str, Any]) -> str:
    out = Console(file=io.StringIO(), width=300)
    out.print(tables._curve(plan), *tables._reason_lines(plan), plan.title, sep="\n")
    return out.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def on_card(plan: Plan, metrics: dict[str, Any]) -> str:
    return card.model_card(plan, metrics)


def on_report(plan: Plan, metrics: dict[str, Any]) -> str:
    truth = np.array([0, 0, 1, 1, 2])
    found = Predictions([f"{i}.png" for i in truth], truth, np.eye(3)[truth] * 0.7 + 0.1)
    told = metrics | {"candidates": []}
    with TemporaryDirectory() as cache:
        result = Result(plan, CLASSES, told, {}, (), found, (), (), Path(cache), pytest.fail)
        return Reader(page_of(result, on_card(plan, metrics), heat_maps=False)).text


def on_drawing(plan: Plan, metrics: dict[str, Any]) -> str:
    return f"{(drawn := regraft.draw(plan))}\n{drawn._repr_html_()}"


Page = Callable[[Plan, dict[str, Any]], str]
EVERY: tuple[Page, ...] = (on_terminal, on_card, on_report, on_drawing)

# ---- the table: situation, pages, what must stand there, what must not

STILL = trained(epochs=0)
STILL_RANDOM = trained("from scratch", epochs=0)
SCRATCH = trained("from scratch")
LOW: dict[str, Any] = {"expected": 0.99, "expected_interval": (0.97, 1.0)}
HIGH: dict[str, Any] = {"expected": 0.05, "expected_interval": (0.01, 0.1)}
LARGE = frozen(size=0.8, expected=0.99, images=8_000)
ASKED = plan_of(replace(evidence(), similarity=0.2), Choices(case=1))
FAR = frozen(similarity=0.2)

SAID: dict[str, tuple[Plan, dict[str, Any], tuple[Page, ...], str, str]] = {
    "no epoch was better: nothing was trained": (
        *(STILL, figures(), EVERY),
        "no epoch (of training )?was better than the start",
        r"[Tt]rained from|613,232 trained on|train the network from|from the pretrained weights:",
    ),
    "no epoch was better: the stages are drawn frozen": (
        *(STILL, figures(), (on_drawing,)),
        "pretrained, frozen",
        "pretrained, trained",
    ),
    "no epoch was better: all parameters are the pretrained ones": (
        *(STILL, figures(), (on_terminal,)),
        r"parameters: 613,232 frozen",
        "613,232 trained",
    ),
    "no epoch was better, from random weights": (
        *(STILL_RANDOM, figures(), EVERY),
        "no epoch (of training )?was better than the start",
        "Trained from random|trained from random|train the network from",
    ),
    "trained": (trained(), figures(), (on_card,), "Trained from the pretrained weights", "Fine-t"),
    "trained, on the terminal": (
        *(trained(), figures(), (on_terminal,)),
        r"parameters: 613,232 trained on",
        "no epoch",
    ),
    "trained from scratch: nothing is of the pretrained network": (
        *(SCRATCH, figures(), (on_card,)),
        "none of its pretrained weights(.|\n)*its pretrained weights, licence MIT, are not in here",
        "frozen stages see|network trained on some photos|The kept stages are",
    ),
    "trained from scratch, not from either": (
        *(SCRATCH, figures(), (on_terminal, on_report, on_drawing)),
        "from random weights",
        "or from random ones",
    ),
    "less than expected": (
        *(frozen(**LOW), figures(1), (on_terminal, on_card, on_report)),
        "less than expected: cross-validation on the training images led to expect 99.0%",
        "more than expected",
    ),
    "more than expected": (
        *(frozen(**HIGH), figures(), (on_terminal, on_card, on_report)),
        "more than expected",
        "less than expected",
    ),
    "as expected": (
        *(frozen(expected_interval=(0.5, 1.0)), figures(), (on_terminal, on_card, on_report)),
        "80.0%",
        "than expected",
    ),
    "a trained network that beats the frozen one's expectation is no surprise": (
        *(trained(**HIGH), figures(), (on_terminal, on_card, on_report)),
        "80.0%",
        "than expected",
    ),
    "another depth tells more": (
        *(by_loss(), figures(), (on_plan, on_card, on_report)),
        r"stage0 tells more of the images \(86.8%\) than last, which is read \(73.7%\): "
        "the squared error of the scores decides",
        "fits best",
    ),
    "the most accurate depth is read": (
        *(frozen(), figures(), (on_plan, on_card, on_report)),
        "last",
        "tells more of the images",
    ),
    "a large set is no small one": (
        *(LARGE, figures(), (on_plan, on_card, on_report)),
        "large",
        "A small set overfits",
    ),
    "what was asked for did not follow from the figures": (
        *(ASKED, figures(), (on_terminal, on_report, on_drawing)),
        "kept whole as was asked",
        "still helps|does clearly better|nothing simpler",
    ),
    "different images, and the last stage counts": (
        *(FAR, figures(), EVERY),
        "[Yy]et the last stage counts",
        "still helps",
    ),
    "an earlier stage is read that tells no more than the last": (
        *(alike(), figures(), (on_terminal, on_report, on_drawing)),
        "yet an earlier stage fits as well",
        "an earlier stage does better|the best single stage",
    ),
    "nothing was missed": (
        *(frozen(), figures(5), (on_terminal, on_card)),
        "100.0%",
        "weakest",
    ),
    "a class without a held-out image": (
        *(frozen(), without(NOTHING), (on_terminal, on_card, on_report)),
        "[Nn]o held-out image, so nothing known, of: wasp"
        r"|finds wasp is not known: no held-out(.|\n)*wasp \| – \| no held-out image \| – \| 0 \|"
        "|wasp *no held-out image",
        r"of 0|wasp 0%|wasp *0\.0%|nan%|None%|wasp *None",
    ),
    "a class without a held-out image, in a RUN of an earlier version": (
        *(frozen(), without(ZEROS), (on_terminal, on_card, on_report)),
        "no held-out image",
        r"of 0|wasp 0%|wasp[ |]*0\.0%",
    ),
    "a class that is never named has no precision": (
        *(frozen(), figures(4), (on_card,)),
        r"wasp \| – \| 0\.0% \|",
        "no held-out image",
    ),
    "a budget was overrun": (
        *(frozen(), figures(budget=10.0, over_budget=1.0), (on_terminal, on_report)),
        "The budget of 10 s was overrun: the run took 11.0 s",
        "was kept",
    ),
    "a budget was kept": (
        *(frozen(), figures(budget=20.0, over_budget=0.0), (on_terminal, on_report)),
        "11",
        "overrun",
    ),
    "a speed is the engine's, and says so": (
        *(frozen(), figures(), (on_report,)),
        "openvino-bf16 runs the network at 310 images/s there, reading and decoding them not "
        "counted; 3 images were known to the cache",
        "310 images/s on",
    ),
    "the parts of the time are all of it": (
        *(frozen(), figures(), (on_terminal, on_report)),
        "all else 1",
        "choosing an engine",
    ),
}


@pytest.mark.parametrize(
    ("situation", "page"),
    [
        pytest.param(name, page, id=f"{name}[{page.__name__}]")
        for name, (_, _, pages, _, _) in SAID.items()
        for page in pages
    ],
)
def test_a_page_says_what_is_true_of_the_run(situation: str, page: Page) -> None:
    plan, metrics, _, must, must_not = SAID[situation]
    said = page(plan, metrics)
    assert re.search(must, said), said
    assert not re.search(must_not, said), said


# ---- what looking took


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (
            {"recalled": 900, "choosing": 6.2},
            "looking at the images took 3.1 s: 1,123 images, 900 of them from the cache; "
            "openvino-bf16 runs 310 images/s here; choosing that engine took 6.2 s before",
        ),
        (
            {"recalled": 1_123},
            "looking at the images took 3.1 s: 1,123 images, all of them from the cache; "
            "openvino-bf16 runs 310 images/s here",
        ),
        (
            {"engine": ""},
            "looking at the images took 3.1 s: 1,123 images, none of them from the cache",
        ),
    ],
    ids=["some of them cached", "all of them cached", "no engine"],
)
def test_looking_is_told_apart_from_the_cache_and_from_choosing(
    facts: dict[str, Any], said: str
) -> None:
    usual: dict[str, Any] = {"images": 1_123, "recalled": 0, "seconds": 3.1, "choosing": 0.0}
    usual |= {"engine": "openvino-bf16", "speed": 310.0}
    assert wording.looking(**(usual | facts)) == said


# ---- how long it can still take, and what cannot be kept


def test_what_is_left_at_most_counts_all_rates_and_the_second_training(tmp_path: Path) -> None:
    rows: list[Any] = []
    race(tmp_path, on_event=rows.append, later=1_000)
    first, some = rows[0], images()
    after = images_shown(recipe(), len(some.train), len(some.val)) - len(some.train) + 1_000
    assert first.left >= first.seconds / len(some.train) * after * 0.999
    assert rows[-1].left >= rows[-1].seconds / len(some.items) * 1_000 * 0.999


@pytest.mark.parametrize(
    ("gone", "done", "words"),
    [
        (4.9, 10, ""),
        (6.0, 300, "looking at 300 of 10,000 images has taken 6 s(.|\n)*at least 220 s"),
        (6.0, 10_000, "looking at the 10,000 images has taken 6 s(.|\n)*at least 7 s"),
    ],
    ids=["in time", "on the way", "at the end"],
)
def test_a_budget_that_looking_uses_up_is_an_error(gone: float, done: int, words: str) -> None:
    if not words:
        budget.check(5.0, gone, done, 10_000)
        return
    with pytest.raises(UsageError) as refused:
        budget.check(5.0, gone, done, 10_000)
    said = "\n".join([str(refused.value), *refused.value.problems])
    assert re.search(words, said), said
    assert "the same command goes on from there" in said


# ---- what pages say that belong to no run


HOME = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    ("file", "must", "must_not"),
    [
        (
            "src/regraft/serve/page.html",
            "regraft fit DATA --add corrections.csv --out better",
            "regraft fit --add",
        ),
        ("README.md", r"model.score\(others, truth\)", r"model.score\(paths"),
        ("README.md", "`propose`, `apply`, `fit`", "The same in Python"),
        ("CHANGELOG.md", "in Python `propose`, `apply`, `fit`, `load`", "the same verbs in Python"),
        (
            "src/regraft/diagram/words.py",
            "the more images",
            "So many images can|gave no good model",
        ),
    ],
)
def test_a_page_of_no_run_promises_what_there_is(file: str, must: str, must_not: str) -> None:
    text = (HOME / file).read_text("utf-8")
    assert re.search(must, text)
    assert not re.search(must_not, text)
