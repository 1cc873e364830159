"""Where everything stands from left to right."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from regraft.diagram.forms import Form
from regraft.diagram.grouping import grouped
from regraft.diagram.letters import figures, stems, width_of
from regraft.diagram.scene import Block, Scene
from regraft.diagram.sentences import numbers, shape_lines, stage_range
from regraft.diagram.sizes import Size, bar_size, block_size
from regraft.diagram.words import SEES, SEES_SHORT

OFFCUT = 0.5
"""What is removed is drawn at this share of its size."""


@dataclass(frozen=True)
class Slot:
    """The room of one thing."""

    left: float
    width: float

    @property
    def middle(self) -> float:
        """Halfway between its ends."""
        return self.left + self.width / 2

    @property
    def right(self) -> float:
        """Its end."""
        return self.left + self.width


@dataclass(frozen=True)
class PlacedBlock:
    """A block in its place."""

    block: Block
    slot: Slot
    size: Size
    name: str


@dataclass(frozen=True)
class Places:
    """Where everything stands."""

    columns: int
    """How many columns the untouched network takes; cases of one network look alike."""
    image: Slot
    kept: tuple[PlacedBlock, ...]
    cut: Slot
    head: Slot
    """The last layer with its classes: the new one, in the untouched network the old one."""
    tray: Slot | None
    """What was cut off, if anything was."""
    removed: tuple[PlacedBlock, ...]
    old_head: Slot | None
    """The old head in the tray."""


def place(scene: Scene, form: Form) -> Places:
    """Put everything in its place: what is kept gets the room that the rest leaves."""
    columns = min(sum(len(block.stages) for block in scene.blocks), form.most)
    removed = grouped(scene.removed, form.most_removed)
    offcuts = [tray_size(block, scene, form, columns) for block in removed]
    tray = _tray_width(scene, offcuts, form)
    ends = [form.cutting if scene.new else form.gap, _head_width(scene, form), tray]
    room = form.width - 2 * form.margin - form.image - sum(ends)
    kept = _fitting(scene, room, form, columns)
    names = names_of(kept, room / len(kept) - 4, form)
    sizes = [block_size(block, scene.size, form, columns) for block in kept]
    widths = _shared(kept, sizes, names, room, form)
    lefts = _edges(form.margin, [form.image, *widths, *ends])
    slots = [Slot(left, width) for left, width in zip(lefts[1:], [*widths, *ends], strict=False)]
    placed = [PlacedBlock(*one) for one in zip(kept, slots, sizes, names, strict=False)]
    cut, head, last = slots[len(kept) :]
    slot = Slot(last.left + form.gap, last.width - form.gap) if tray else None
    offcut, old_head = _in_tray(scene, removed, offcuts, slot, form) if slot else ((), None)
    image = Slot(form.margin, form.image)
    return Places(columns, image, tuple(placed), cut, head, slot, offcut, old_head)


def tray_size(block: Block, scene: Scene, form: Form, columns: int) -> Size:
    """Return a block as it lies in the tray: small, and several stages no wider than one."""
    one = replace(block, stages=block.stages[len(block.stages) // 2 :][:1])
    size = block_size(one, scene.size, form, columns)
    return Size(*(OFFCUT * part for part in (size.width, size.height, size.aside, size.up)))


def _fitting(scene: Scene, room: float, form: Form, columns: int) -> list[Block]:
    """Return what is kept, in as many blocks as there is room for with their writing."""
    kept = grouped(scene.kept, form.most)
    for most in range(len(kept), 0, -1):
        kept = grouped(scene.kept, most)
        sizes = [block_size(block, scene.size, form, columns) for block in kept]
        if sum(_needs(kept, sizes, form)) <= room:
            break
    return kept


def _needs(blocks: Sequence[Block], sizes: Sequence[Size], form: Form) -> list[float]:
    """Return the least widths of the slots.

    Of the blocks themselves and of the numbers under them.
    """
    found = []
    for block, size in zip(blocks, sizes, strict=True):
        texts = shape_lines(block, form.detailed)
        written = max((width_of(text, form.shapes.size) for text in texts), default=0.0)
        name = min(width_of(stage_range(block.stages), form.names.size), 2.2 * form.names.size)
        found.append(max(size.across + form.gap, written + 4, name + 4))
    return found


def names_of(blocks: Sequence[Block], room: float, form: Form) -> list[str]:
    """Names of the blocks, without what they share at their beginning if they are too wide."""
    full = [stage_range(block.stages) for block in blocks]
    for names in (full, stems(full), figures(stems(full))):
        if all(width_of(name, form.names.size) <= room for name in names):
            return names
    return names


def _head_width(scene: Scene, form: Form) -> float:
    """Return the width of the last layer with its classes and what is written under them."""
    if scene.new is None and not scene.head:
        return 0.0
    written = [width_of("new layer", form.names.size), width_of(numbers(scene), form.shapes.size)]
    return max(*written, fan_width(scene, form)) + form.gap


def fan_width(scene: Scene, form: Form) -> float:
    """From the last layer to its classes and their names."""
    names = [width_of(name, form.shapes.size) for name in class_names(scene, form)]
    named = min(max(names) + 2 * form.dot, 0.13 * form.width) if names else 0.0
    return form.bar + form.fan + form.dot + named


def class_names(scene: Scene, form: Form) -> tuple[str, ...]:
    """Return the classes that are named beside their dots: all or none."""
    if scene.new is None or not form.detailed or len(scene.new.classes) > form.classes:
        return ()
    return scene.new.classes


def _tray_width(scene: Scene, offcuts: Sequence[Size], form: Form) -> float:
    if scene.new is None or not (offcuts or scene.head):
        return 0.0
    across = sum(size.across for size in offcuts) + (len(offcuts) + 2) * 0.6 * form.gap
    across += form.bar * OFFCUT if scene.head else 0.0
    lines = tray_lines(scene, form)
    written = max(width_of(text, form.names.size) for text in lines if text)
    return max(across, min(written, 0.14 * form.width)) + form.gap


def tray_lines(scene: Scene, form: Form) -> tuple[str, str]:
    """Return what is written under the tray."""
    if not scene.removed:
        return "old", "head"
    stages = tuple(stage for block in scene.removed for stage in block.stages)
    name = stage_range(stages)
    if width_of(name, form.names.size) > 0.14 * form.width:
        name = name[name.rfind(".", 0, name.find("–")) + 1 :]
    return name, ("+ old head" if form.detailed else "+ head") if scene.head else ""


def _shared(
    kept: Sequence[Block], sizes: Sequence[Size], names: Sequence[str], room: float, form: Form
) -> list[float]:
    """Widths of the slots: first what they need, then for words under them, the rest evenly."""
    widths = _needs(kept, sizes, form)
    written = [width_of(name, form.names.size) + 4 for name in names]
    for wish in (_captions(kept, form), written):
        widths = _towards(widths, wish, room)
    left = room - sum(widths)
    return [width + left / len(widths) for width in widths]


def _towards(widths: Sequence[float], wish: Sequence[float], room: float) -> list[float]:
    """Return the widths, grown towards what is wished as far as there is room."""
    more = [max(wished - width, 0.0) for width, wished in zip(widths, wish, strict=True)]
    if not any(more):
        return list(widths)
    share = min(1.0, max(room - sum(widths), 0.0) / sum(more))
    return [width + share * grown for width, grown in zip(widths, more, strict=True)]


def _captions(kept: Sequence[Block], form: Form) -> list[float]:
    """For each block its share of the longest word of the caption below it and its neighbours."""
    texts = SEES_SHORT if form.short else SEES
    together = Counter(block.sees for block in kept)
    return [
        (max(width_of(word, form.sees.size) for word in texts[block.sees].split()) + 4)
        / together[block.sees]
        for block in kept
    ]


def _edges(start: float, widths: Sequence[float]) -> list[float]:
    edges = [start]
    for width in widths:
        edges.append(edges[-1] + width)
    return edges


def _in_tray(
    scene: Scene, removed: Sequence[Block], sizes: Sequence[Size], slot: Slot, form: Form
) -> tuple[tuple[PlacedBlock, ...], Slot | None]:
    """Return the offcuts side by side in the middle of the tray, the old head last."""
    bar = [form.bar * OFFCUT] if scene.head else []
    widths = [*(size.across for size in sizes), *bar]
    between = min((slot.width - sum(widths)) / (len(widths) + 1), 2 * form.gap)
    start = slot.middle - (sum(widths) + between * (len(widths) - 1)) / 2
    lefts = _edges(start, [width + between for width in widths])
    placed = tuple(
        PlacedBlock(block, Slot(left, size.across), size, "")
        for block, left, size in zip(removed, lefts, sizes, strict=False)
    )
    return placed, Slot(lefts[len(removed)], bar[0]) if bar else None


def heights(scene: Scene, form: Form) -> Size:
    """Return the bar of the last layer; that of the source's classes is not known."""
    return bar_size(scene.new.outputs if scene.new else 100, form)
