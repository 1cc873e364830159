"""Scenes in a terminal: a row for each stage, its bar as wide as its map, from the image down."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rich.text import Text

from regraft.diagram import words
from regraft.diagram.grouping import grouped
from regraft.diagram.letters import stems
from regraft.diagram.scene import Block, Fate, Scene
from regraft.diagram.sentences import SHORT_FATES, legend_of, numbers, shape_text, stage_range
from regraft.diagram.sizes import share_of

MOST, MOST_REMOVED = 14, 6
GUTTER, FATE = 2, 7


@dataclass(frozen=True)
class RowWidths:
    """Of a row, beside its gutter and its fate. ``sees`` is 0 where there is no room for it."""

    name: int
    bar: int
    shape: int
    sees: int

    @property
    def wide(self) -> int:
        """All of them, with a blank between two."""
        return GUTTER + self.name + self.bar + self.shape + FATE + 3 + (self.sees and self.sees + 1)


FULL = RowWidths(13, 20, 14, 16)
WIDE = FULL.wide


def columns_of(width: int) -> RowWidths:
    """Return what fits: first what a stage sees goes, then cells of its bar."""
    if width >= WIDE:
        return FULL
    least = RowWidths(10, 4, 11, 0)
    more = min(max(width - least.wide, 0), FULL.bar - least.bar)
    return replace(least, bar=least.bar + more)


FILLS: dict[Fate, str] = {
    "pretrained": "█",
    "frozen": "▒",
    "trained": "▓",
    "either": "▓",
    "scratch": "░",
    "removed": "×",
    "new": "#",
}
"""Characters, not colours alone, tell the fates apart."""

STYLES: dict[Fate, str] = {
    "pretrained": "blue",
    "frozen": "cyan",
    "trained": "yellow",
    "either": "yellow",
    "scratch": "magenta",
    "removed": "dim",
    "new": "bold green",
}


def text(scene: Scene, width: int = WIDE) -> Text:
    """Return the picture of a scene, fewer than 80 columns wide; at least 38 are needed.

    Every stage is a row: its name, a bar as wide as its map and filled by its fate, cells and
    channels, the fate in a word, and what it tends to detect. The cut is a line across, and a line
    at the left runs from the stages that are read into the new layer where those are several.
    """
    columns = columns_of(width)
    return Text("\n").join([*_rows(scene, columns), Text(), key_of([scene], columns.wide)])


def key_of(scenes: Sequence[Scene], width: int = WIDE) -> Text:
    """Return the legend: filled cells and a word for each fate that occurs, broken into lines."""
    lines = [Text(" " * GUTTER)]
    for fate, said in legend_of(*scenes):
        entry = Text.assemble((FILLS[fate] * 2, STYLES[fate]), f" {said}   ")
        if len(lines[-1]) + len(entry.plain.rstrip()) > width:
            lines.append(Text(" " * GUTTER))
        lines[-1].append_text(entry)
    for line in lines:
        line.rstrip()
    return Text("\n").join(lines)


def _rows(scene: Scene, columns: RowWidths) -> Iterator[Text]:
    blocks, removed = grouped(scene.kept, MOST), grouped(scene.removed, MOST_REMOVED)
    names = _names([*blocks, *removed], columns.name)
    scratch = all(block.fate == "scratch" for block in blocks)
    hedge = "" if scratch else words.HEDGE
    yield _row(columns, "", "image", "·" * columns.bar, "dim", f"{scene.sides} px", "", hedge)
    for block, name, gutter, sees in zip(
        blocks, names, _gutters(blocks), _sees(blocks), strict=False
    ):
        yield _stage(columns, scene, block, name, gutter, sees)
    if scene.new:
        several = len([block for block in blocks if block.read]) > 1
        yield _cut(columns, scene, "│" if several else "")
        into = "└→" if several else ""
        new, told = numbers(scene), scene.new.told
        yield _row(columns, into, "new layer", "##", STYLES["new"], new, "new", told)
        for block, name in zip(removed, names[len(blocks) :], strict=True):
            yield _stage(columns, scene, block, name, "", "")
    if scene.head:
        fate: Fate = "removed" if scene.new else "pretrained"
        name = "old head" if scene.new else "head"
        yield _row(columns, "", name, fill(fate, 2), STYLES[fate], "", SHORT_FATES[fate], "")


def _names(blocks: Sequence[Block], room: int) -> list[str]:
    full = [stage_range(block.stages) for block in blocks]
    return full if all(len(name) <= room for name in full) else stems(full)


def _stage(
    columns: RowWidths, scene: Scene, block: Block, name: str, gutter: str, sees: str
) -> Text:
    side = share_of(block.stages[len(block.stages) // 2], scene.size)
    cells = 2 if block.kind == "vector" else max(round(columns.bar * side), 3)
    fate = SHORT_FATES[block.fate]
    filled = fill(block.fate, cells)
    shape = shape_text(block)
    if len(shape) > columns.shape and block.beside:
        shape = re.sub(r"\((.*)\+\d+\)", r"\1", shape)
    return _row(columns, gutter, name, filled, STYLES[block.fate], shape, fate, sees)


def fill(fate: Fate, cells: int) -> str:
    """Return a bar; one of either start is half the one and half the other."""
    if fate == "either":
        return FILLS["trained"] * (cells - cells // 2) + FILLS["scratch"] * (cells // 2)
    return FILLS[fate] * cells


def _gutters(blocks: list[Block]) -> list[str]:
    """Return a line at the left from the first stage that is read down to the new layer."""
    read = [block.read for block in blocks]
    if sum(read) < 2:
        return [""] * len(blocks)
    first = read.index(True)
    return [
        "" if i < first else "┌" if i == first else "├" if reads else "│"
        for i, reads in enumerate(read)
    ]


def _sees(blocks: list[Block]) -> list[str]:
    """Return what each tends to detect, said once for neighbours that are alike."""
    said = ["" if block.fate == "scratch" else words.SEES_SHORT[block.sees] for block in blocks]
    return ["" if i and text == said[i - 1] else text for i, text in enumerate(said)]


def _cut(columns: RowWidths, scene: Scene, gutter: str) -> Text:
    after = f" cut after {scene.cut} " if scene.removed else " cut "
    dashes = "- " * ((columns.wide - len(after)) // 2)
    half = len(dashes) // 4 * 2
    line = f"{dashes[:half]}✂{after}{dashes[half:]}"[GUTTER : columns.wide].rstrip()
    return Text.assemble((f"{gutter:<{GUTTER}}", "bold green"), (line, "bold red"))


def _row(
    columns: RowWidths,
    gutter: str,
    name: str,
    fill: str,
    style: str,
    shape: str,
    fate: str,
    sees: str,
) -> Text:
    row = Text.assemble(
        (f"{gutter:<{GUTTER}}", "bold green"),
        f"{_short(name, columns.name):<{columns.name}} ",
        (f"{fill:^{columns.bar}}", style),
        f" {_short(shape, columns.shape):<{columns.shape}} {fate:<{FATE}} ",
        (sees if columns.sees else "", "italic dim"),
    )
    row.rstrip()
    return row


def _short(name: str, room: int) -> str:
    """Return the name, with its middle left out where it is too long."""
    if len(name) <= room:
        return name
    head = room // 2
    return f"{name[:head]}…{name[len(name) - (room - head - 1) :]}"
