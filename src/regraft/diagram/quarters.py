"""The four cases as the quarters of one plane, size across and similarity up, a drawing in each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from regraft.diagram import parts, sentences, words
from regraft.diagram.forms import NARROW, WIDE, Form, Row
from regraft.diagram.grouping import grouped
from regraft.diagram.legend import legend
from regraft.diagram.letters import shorten, width_of, wrap
from regraft.diagram.places import names_of
from regraft.diagram.scene import Block, Fate, Kind, Scene
from regraft.diagram.shapes import Drawing, Item, Label, Outline, Solid, line, polygon
from regraft.diagram.sizes import Size, bar_size, block_size, image_size, slices

MOST_REMOVED = 4
OFFCUT = 0.65
"""What is removed is drawn at this share of its size."""


@dataclass(frozen=True)
class Board:
    """Where the plane lies in an arrangement, and what lies where in a quarter."""

    form: Form
    """Its blocks are as high as there is room for in a quarter."""
    height: float
    left: float
    """Where the quarters begin; what similar means stands before them."""
    top: float
    cell: float
    """Height of a quarter."""
    pad: float
    title: Row
    drawing: float
    """Where the drawing begins in its quarter."""
    said: Row
    axis: Row
    """What the halves of an axis are, the lines after the first one smaller."""

    @property
    def width(self) -> float:
        """Width of a quarter."""
        return (self.form.width - self.form.margin - self.left) / 2


BOARDS = {
    WIDE.name: Board(
        replace(
            WIDE,
            top=0,
            bottom=120,
            names=Row(196, 13.5),
            gap=8,
            thin=6,
            thick=24,
            bar=14,
            cutting=30,
        ),
        *(900, 170, 128, 300, 18),
        title=Row(34, 19),
        drawing=54,
        said=Row(232, 16, 22, 3),
        axis=Row(0, 16, 20, 6),
    ),
    NARROW.name: Board(
        replace(NARROW, top=0, bottom=48, gap=3, thin=2.5, thick=9, bar=5, cutting=11),
        *(360, 78, 50, 122, 6),
        title=Row(14, 11),
        drawing=20,
        said=Row(82, 10, 12, 4),
        axis=Row(0, 10, 12, 6),
    ),
}


def drawing_of(scenes: Sequence[Scene], form: Form) -> Drawing:
    """Return the plane with the cases 1 to 4 of one network, in one of the two arrangements."""
    board = BOARDS[form.name]
    items: list[Item] = [*_heading(scenes[0], form), *_axes(board)]
    for scene in scenes:
        across, down = words.QUARTERS[scene.case]
        left = board.left + across * board.width
        items += _quarter(scene, left, board.top + down * board.cell, board)
    items += legend(sentences.legend_of(*scenes), form, board.height - form.foot)
    return Drawing(form.width, board.height, tuple(items))


def _heading(scene: Scene, form: Form) -> Iterator[Item]:
    room = form.width - 2 * form.margin
    heading = words.QUARTERS_TITLE.format(scene.network)
    if width_of(heading, form.lesson.size, bold=True) > room:
        heading = shorten(scene.network, room, form.lesson.size, bold=True)
    yield Label(form.margin, form.lesson.y, heading, form.lesson.size, "bold", "start")
    row = form.caption
    below = wrap(words.QUARTERS_ABOUT, room, row.size, 1)[0]
    yield Label(form.margin, form.intro, below, row.size, "soft", "start")


def _axes(board: Board) -> Iterator[Item]:
    """Two arrows, the lines between the quarters, and what the halves are, with an example each."""
    form, row, tip = board.form, board.axis, 0.6 * board.axis.size
    right, floor = board.left + 2 * board.width, board.top + 2 * board.cell
    x, y = board.left + board.width, board.top + board.cell
    yield Outline(line((x, board.top), (x, floor)), "rule")
    yield Outline(line((board.left, y), (right, y)), "rule")
    yield Outline(line((board.left, board.top), (board.left, floor), (right, floor)), "flow")
    for at, side in (((board.left, board.top - tip), (0.5, 1)), ((right + tip, floor), (1, 0.5))):
        yield Outline(_tip(at, side, tip), "tip")
    room = board.left - form.margin - board.pad
    for i, (name, example) in enumerate(words.SIMILAR_OR_NOT):
        top = board.top + i * board.cell + row.size + board.pad
        yield Label(form.margin, top, name, row.size, "bold", "start")
        small = row.size if not form.detailed else 0.88 * row.size
        for n, text in enumerate(wrap(example, room, small, row.most), 1):
            yield Label(form.margin, top + n * row.leading, text, small, "soft", "start")
    for i, (name, example) in enumerate(words.SMALL_OR_LARGE):
        middle = board.left + (i + 0.5) * board.width
        yield Label(middle, floor + 1.3 * row.size, name, row.size, "bold")
        small = row.size if not form.detailed else 0.88 * row.size
        yield Label(middle, floor + 1.3 * row.size + row.leading, example, small, "soft")


def _tip(at: tuple[float, float], side: tuple[float, float], tip: float) -> str:
    """Return the head of an arrow that ends here, upwards or to the right."""
    x, y = at
    if side[1] == 1:
        return polygon((x, y), (x - 0.5 * tip, y + tip), (x + 0.5 * tip, y + tip))
    return polygon((x, y), (x - tip, y - 0.5 * tip), (x - tip, y + 0.5 * tip))


def _quarter(scene: Scene, left: float, top: float, board: Board) -> Iterator[Item]:
    """Yield the case's name, its surgery, and what is done in a sentence."""
    inside, room = left + board.pad, board.width - 2 * board.pad
    title = words.quarter_title(scene.case) if board.form.detailed else f"Case {scene.case}"
    yield Label(inside, top + board.title.y, title, board.title.size, "bold", "start")
    yield from _surgery(scene, inside, top, room, board)
    row = board.said
    for i, text in enumerate(wrap(words.SURGERY[scene.case], room, row.size, row.most)):
        yield Label(inside, top + row.y + i * row.leading, text, row.size, "soft", "start")


def _surgery(scene: Scene, left: float, top: float, room: float, board: Board) -> Iterator[Item]:
    """From the image through what is kept into the new layer, and aside what is cut off."""
    form = board.form
    axis, row = top + board.drawing + form.bottom / 2, top + form.names.y
    columns = max(8, min(sum(len(block.stages) for block in scene.blocks), form.most))
    image = image_size(form, columns)
    off = [_offcut(block, scene, form, columns) for block in grouped(scene.removed, MOST_REMOVED)]
    off += [_old_head(form)] if scene.head else []
    fixed = image.aside + form.cutting + form.bar + sum(size.across + form.gap for size, _ in off)
    kept, gap = _fitting(scene, room - fixed - form.cutting / 2, board, columns)
    x = left
    yield Solid(_box(x, axis, image), f"image, {scene.sides} px", parts.picture(x, axis, image))
    x += image.aside + gap
    names = _names([block for block, _ in kept], [size.across + gap for _, size in kept], form)
    for (block, size), name in zip(kept, names, strict=True):
        yield _stage(block, x, axis, size)
        if form.detailed:
            yield Label(x + size.across / 2, row, name, form.names.size, "quiet")
        x += size.across + gap
    x += (form.cutting - gap) / 2
    yield from _cut(x, top + board.drawing, form)
    x += form.cutting / 2
    bar = bar_size(scene.new.outputs if scene.new else 2, form)
    yield _bar(x, axis, bar, "new", sentences.head_sentence(scene))
    if form.detailed:
        yield Label(x + form.bar / 2, row, "new", form.names.size, "strong")
    x += form.bar + form.cutting / 2
    for size, tooltip in off:
        kind: Kind = "map" if size.aside else "vector"
        yield Solid(_box(x, axis, size), tooltip, parts.solid(x, axis, size, "removed", kind, 1))
        x += size.across + form.gap


def _cut(x: float, top: float, form: Form) -> Iterator[Outline]:
    unit = 0.8 * form.names.size / 6
    yield from parts.scissors(x, top, unit)
    yield Outline(line((x, top + 11 * unit), (x, top + form.bottom)), "cut")


def _offcut(block: Block, scene: Scene, form: Form, columns: int) -> tuple[Size, str]:
    """Return how large a block lies aside, several stages no wider than one, and what it was."""
    one = replace(block, stages=block.stages[len(block.stages) // 2 :][:1])
    return _aside(block_size(one, scene.size, form, columns)), sentences.block_sentence(block)


def _old_head(form: Form) -> tuple[Size, str]:
    return _aside(bar_size(100, form)), "the old head; removed"


def _aside(size: Size) -> Size:
    return Size(*(OFFCUT * part for part in (size.width, size.height, size.aside, size.up)))


def _names(blocks: Sequence[Block], rooms: Sequence[float], form: Form) -> list[str]:
    """Return what is written under the blocks, each in its room."""
    names = names_of(blocks, min(rooms), form)
    each = zip(names, rooms, strict=True)
    return [shorten(name, room, form.names.size) for name, room in each]


def _fitting(
    scene: Scene, room: float, board: Board, columns: int
) -> tuple[list[tuple[Block, Size]], float]:
    """Return what is kept in as many blocks as fit, and the room between two of them."""
    form = board.form
    least = form.gap * (2 if form.detailed else 1)
    for most in range(form.most, 0, -1):
        kept = grouped(scene.kept, most)
        sizes = [block_size(block, scene.size, form, columns) for block in kept]
        gap = (room - sum(size.across for size in sizes)) / (len(kept) + 1)
        if gap >= least:
            break
    return list(zip(kept, sizes, strict=True)), min(max(gap, form.gap), 4 * form.gap)


def _stage(block: Block, left: float, axis: float, size: Size) -> Solid:
    outlines = (
        parts.tokens(left, axis, size, block.fate, slices(block), block.beside)
        if block.beside
        else parts.solid(left, axis, size, block.fate, block.kind, slices(block))
    )
    return Solid(_box(left, axis, size), sentences.block_sentence(block), outlines)


def _bar(left: float, axis: float, size: Size, fate: Fate, tooltip: str) -> Solid:
    return Solid(_box(left, axis, size), tooltip, parts.solid(left, axis, size, fate, "vector", 1))


def _box(left: float, axis: float, size: Size) -> tuple[float, float, float, float]:
    return left, axis - size.tall / 2, left + size.across, axis + size.tall / 2
