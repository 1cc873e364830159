"""The plane of the four cases in a terminal: side by side, or in a narrow one under each other."""

import textwrap
from collections.abc import Sequence
from itertools import zip_longest

from rich.text import Text

from regraft.diagram import words
from regraft.diagram.grouping import grouped
from regraft.diagram.scene import Block, Scene
from regraft.diagram.sizes import share_of
from regraft.diagram.terminal import FILLS, STYLES, fill, key_of

BEFORE, CELL = 12, 31
FULL = BEFORE + 2 * CELL + 3
"""Columns of what similar means, and of a quarter; with the line between two it is 77 wide."""
MOST = 5
"""Blocks in a line: before the cut, or three there and four after it."""
CELLS = 4
"""Of the largest block that is kept; what is removed takes one."""


def quarters_text(scenes: Sequence[Scene], width: int = FULL) -> Text:
    """Return the cases 1 to 4 of one network as quarters: size across, similarity up.

    Args:
        scenes: one for each case.
        width: columns there are; with fewer than 77 the cases stand under each other.
    """
    of = {scene.case: scene for scene in scenes}
    legend = key_of(scenes, min(width, FULL))
    if width < FULL:
        parts = [Text("\n").join([*_quarter(of[case], width), Text()]) for case in sorted(of)]
        halves = (*words.SMALL_OR_LARGE, *words.SIMILAR_OR_NOT)
        lines = [one for name, said in halves for one in _wrapped(f"{name}: {said}", width)]
        return Text("\n").join([*parts, *lines, Text(), legend])
    blank = " " * BEFORE
    rows: list[Text] = []
    for down, (name, example) in enumerate(words.SIMILAR_OR_NOT):
        before = [Text(f"{name:<{BEFORE}}", "bold"), *_wrapped(example, BEFORE - 1)]
        left, right = (_quarter(of[case], CELL) for case in _row(down))
        for cells in zip_longest(before, left, right, fillvalue=Text()):
            rows.append(_joined(*cells))
        rows.append(Text(f"{blank}{'─' * CELL}─┼─{'─' * (CELL - 1)}" if not down else ""))
    for small, large in zip(*words.SMALL_OR_LARGE, strict=True):
        rows.append(Text(f"{blank}{small:<{CELL}}   {large}"))
    return Text("\n").join([*rows, Text(), legend])


def _row(down: int) -> list[int]:
    """Return the cases of a row, small before large."""
    return sorted(case for case, place in words.QUARTERS.items() if place[1] == down)


def _joined(before: Text, left: Text, right: Text) -> Text:
    line = Text()
    for part, room in ((before, BEFORE), (left, CELL)):
        line.append_text(part)
        line.append(" " * (room - len(part)))
    line.append(" │ ").append_text(right)
    line.rstrip()
    return line


def _wrapped(text: str, width: int) -> list[Text]:
    return [Text(line) for line in textwrap.wrap(text, width)]


def _quarter(scene: Scene, width: int) -> list[Text]:
    """Its name, its network in a line, what is done."""
    title = Text(words.quarter_title(scene.case), "bold")
    return [title, _network(scene), *_wrapped(words.SURGERY[scene.case], width)]


def _network(scene: Scene) -> Text:
    """Return the stages as bars side by side, the cut, the new layer, and what is dropped."""
    kept = grouped(scene.kept, MOST - 2 if scene.removed else MOST)
    removed = len(grouped(scene.removed, MOST - 1)) + scene.head
    parts = [_bar(block, scene) for block in kept]
    parts += [Text("✂", "bold red"), Text(FILLS["new"] * 2, STYLES["new"])]
    parts += [Text(FILLS["removed"], STYLES["removed"])] * removed
    return Text(" ").join(parts)


def _bar(block: Block, scene: Scene) -> Text:
    shares = [share_of(stage, scene.size) for stage in block.stages]
    cells = 1 if block.kind == "vector" else max(round(CELLS * max(shares)), 1)
    cells = max(cells, 2) if block.fate == "either" else cells
    return Text(fill(block.fate, cells), STYLES[block.fate])
