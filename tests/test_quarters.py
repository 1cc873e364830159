"""The lesson: the four cases as quarters, size across and similarity up, here and everywhere."""

import itertools
import re
from pathlib import Path

import pytest
from rich.console import Console

import regraft
from command import Regraft, cli, own_log
from drawn import RECORDS
from regraft import diagram
from regraft.cli import tables
from regraft.diagram import Scene, of_case, words
from regraft.diagram.forms import FORMS, NARROW, Form
from regraft.diagram.quarters import drawing_of
from regraft.plan.similarity import SIMILAR
from regraft.plan.size import LARGE
from regraft.report.charts.plane import QUARTERS
from test_diagram import overlap
from test_plan import evidence_telling

__all__ = ["cli", "own_log"]

HOME = Path(__file__).parents[1]
CUT = [name for name, record in RECORDS.items() if len(record.stages) > 1]

LITE_DROPPED = "blocks.3 blocks.4 blocks.5 blocks.6 last"


def cases(network: str) -> list[Scene]:
    return [of_case(RECORDS[network], case) for case in (1, 2, 3, 4)]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@pytest.mark.parametrize("network", CUT)
def test_nothing_overlaps_or_leaves_the_picture(network: str, form: Form) -> None:
    drawing = drawing_of(cases(network), form)
    texts = [(label.text, label.box) for label in drawing.labels]
    things = [(solid.tooltip, solid.box) for solid in drawing.solids]
    pairs = itertools.combinations([*texts, *things], 2)
    assert [(a, b) for (a, one), (b, other) in pairs if overlap(one, other)] == []
    edge = 0.3 * form.margin
    assert min(min(box[:2]) for _, box in texts + things) >= edge
    assert max(box[2] for _, box in texts + things) <= drawing.width - edge
    assert max(box[3] for _, box in texts + things) <= drawing.height - edge
    assert min(label.size for label in drawing.labels) >= (10 if form is NARROW else 13.5)


def test_both_arrangements_have_the_same_proportions() -> None:
    wide, narrow = (drawing_of(cases("demonstration"), form) for form in FORMS)
    assert wide.height / wide.width == narrow.height / narrow.width


@pytest.mark.parametrize(
    ("network", "kept", "dropped"),
    [
        ("demonstration", "conv1 conv2", "conv3 fc1 fc2"),
        ("efficientnet-lite0", "blocks.0 blocks.1 blocks.2", LITE_DROPPED),
        ("resnet50", "act1 layer1", "layer2 layer3 layer4"),
        ("vit_small_patch16_224", "blocks.0-2 blocks.3-5", "blocks.6-8 blocks.9-11 last"),
        ("Sequential", "1", "3"),
    ],
)  # fmt: skip
def test_case_2_keeps_the_first_layers(network: str, kept: str, dropped: str) -> None:
    scene = of_case(RECORDS[network], 2)
    assert [stage.name for block in scene.kept for stage in block.stages] == kept.split()
    assert [stage.name for block in scene.removed for stage in block.stages] == dropped.split()
    for form in FORMS:
        drawn = drawing_of(cases(network), form)
        assert [label.text for label in drawn.labels if "…" in label.text] == []
        said = [solid.tooltip for solid in drawn.solids]
        assert sum(text.endswith("removed") for text in said) >= 4 + 1  # the head, and what is cut
    assert "▒ ✂ ## × ×" in diagram.quarters_text(cases(network)).plain


def test_the_examples_are_those_of_the_four_cases() -> None:
    texts = " ".join(label.text for label in drawing_of(cases("resnet50"), FORMS[0]).labels)
    for said in ("two thousand", "a million", "wolves", "dogs", "flowers", "no successful model"):
        assert said in texts
    assert "as in case 3, or, when that gives no successful model, from random weights" in of_case(
        RECORDS["resnet50"], 4
    ).caption  # fmt: skip


def test_size_goes_across_and_similarity_up_everywhere() -> None:
    for form in FORMS:
        labels = drawing_of(cases("resnet50"), form).labels
        at = {label.text[:6]: (label.x, label.y) for label in labels if label.text[:5] == "Case "}
        assert at["Case 1"][0] == at["Case 2"][0] < at["Case 3"][0] == at["Case 4"][0]
        assert at["Case 1"][1] == at["Case 3"][1] < at["Case 2"][1] == at["Case 4"][1]
    assert {case: (1 if x else 0, 0 if y else 1) for case, x, y, _ in QUARTERS} == words.QUARTERS
    readme = (HOME / "README.md").read_text("utf-8")
    rows = r"^\|.*small.*large.*\n.*\n.*similar.*1: .*3: .*\n.*different.*2: .*4: "
    assert re.search(rows, readme, re.MULTILINE)


@pytest.mark.parametrize("case", words.QUARTERS)
def test_the_plan_in_the_terminal_lies_the_same_way(case: int) -> None:
    evidence = evidence_telling(1)
    console = Console(width=80, highlight=False)
    with console.capture() as capture:
        console.print(tables._plane(evidence))
    lines = capture.get().splitlines()
    middle = next(i for i, line in enumerate(lines) if "┼" in line)
    across = lines[middle].index("┼")
    row, column = next(
        (i, line.index(f"case {case}")) for i, line in enumerate(lines) if f"case {case}" in line
    )
    assert (column > across, row > middle) == tuple(map(bool, words.QUARTERS[case]))
    dot = next((i, line.index("●")) for i, line in enumerate(lines) if "●" in line)
    assert (dot[1] > across, dot[0] < middle) == (
        evidence.size >= LARGE,
        evidence.similarity >= SIMILAR,
    )


def test_the_command_draws_it(cli: Regraft, tmp_path: Path) -> None:
    said = cli("draw", "demonstration", "--lesson", "--out", tmp_path / "x.svg")
    assert (said.code, said.out) == (0, "")
    drawn = regraft.draw("demonstration", lesson=True)
    assert (tmp_path / "x.svg").read_text("utf-8") == drawn.svg()
    assert "Case 4: large, different" in cli("draw", "demonstration", "--lesson").out
    assert "Case 4: large, different" in drawn._repr_html_()
    assert diagram.quarters_text(drawn.scenes).plain == str(drawn)


@pytest.mark.parametrize("choice", [("--case", 1), ("--cut", "conv1"), ("--init", "random")])
def test_a_lesson_goes_with_no_choice(cli: Regraft, choice: tuple[object, ...]) -> None:
    said = cli("draw", "demonstration", "--lesson", *choice)
    assert said.code == 2
    assert f"goes without {choice[0]}" in said.err


@pytest.mark.parametrize("width", [40, 77])
@pytest.mark.parametrize("network", CUT)
def test_it_fits_its_terminal(network: str, width: int) -> None:
    lines = diagram.quarters_text(cases(network), width).plain.splitlines()
    assert max(map(len, lines)) <= width
    assert sum("Case " in line for line in lines) == (4 if width < 77 else 2)
