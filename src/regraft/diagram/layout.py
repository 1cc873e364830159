"""Scene -> Drawing: everything that is painted, in one of the two arrangements."""

from collections.abc import Iterator
from itertools import groupby, pairwise

from regraft.diagram import parts, sentences, words
from regraft.diagram.forms import Form
from regraft.diagram.legend import legend
from regraft.diagram.letters import shorten, width_of, wrap
from regraft.diagram.places import (
    OFFCUT,
    PlacedBlock,
    Places,
    class_names,
    fan_width,
    heights,
    place,
    tray_lines,
)
from regraft.diagram.scene import Fate, Kind, Scene
from regraft.diagram.shapes import Drawing, Item, Label, Outline, Solid, circle, line, rounded
from regraft.diagram.sizes import Size, bar_size, image_size, parted, slices


def picture(scene: Scene, form: Form) -> Drawing:
    """Return the picture of one scene with its legend, in the units of the arrangement."""
    foot = form.height - form.foot
    entries = sentences.legend_of(scene)
    items = (*layout(scene, form), *legend(entries, form, foot))
    return Drawing(form.width, form.height, items)


def layout(scene: Scene, form: Form) -> tuple[Item, ...]:
    """Return the picture without ground and legend, in the units of the arrangement."""
    places = place(scene, form)
    return (
        *_heading(scene, form),
        *_image(scene, places, form),
        *_stages(places, form),
        *_arrows(scene, places, form),
        *_sees(scene, places, form),
        *(_cut(scene, places, form) if scene.new else ()),
        *_head(scene, places, form),
        *_tray(scene, places, form),
    )


def _heading(scene: Scene, form: Form) -> Iterator[Item]:
    left, room = form.margin, form.width - 2 * form.margin
    if scene.network:
        name = shorten(scene.network, room, form.eyebrow.size)
        yield Label(left, form.eyebrow.y, name, form.eyebrow.size, "quiet", "start")
    title = shorten(scene.title, room, form.title.size, bold=True)
    yield Label(left, form.title.y, title, form.title.size, "bold", "start")
    row = form.caption
    for i, text in enumerate(wrap(scene.caption, room, row.size, row.most)):
        yield Label(left, row.y + i * row.leading, text, row.size, "soft", "start")


def _image(scene: Scene, places: Places, form: Form) -> Iterator[Item]:
    size, left = image_size(form, places.columns), places.image.left
    box = (left, form.top, left + size.aside, form.bottom)
    cells = scene.patches
    while cells > form.patches:
        cells //= 2
    said = f", in {scene.patches} × {scene.patches} patches" if cells else ""
    drawn = parts.picture(left, form.axis, size, cells)
    yield Solid(box, f"image, {scene.sides} px{said}", drawn)
    yield Label(left, form.names.y, "image", form.names.size, "", "start")
    wide = f"{scene.sides} px" if form.detailed or scene.wide else f"{scene.size} px"
    yield Label(left, form.shapes.y, wide, form.shapes.size, "quiet", "start")


def _stages(places: Places, form: Form) -> Iterator[Item]:
    spelled = all(
        width_of(text, form.shapes.size) < placed.slot.width - 4
        for placed in places.kept
        for text in sentences.shape_lines(placed.block, form.detailed, spelled=True)
    )
    for placed in places.kept:
        yield from _stage(placed, form, spelled)


def _stage(placed: PlacedBlock, form: Form, spelled: bool) -> Iterator[Item]:
    block, slot, size = placed.block, placed.slot, placed.size
    left = slot.middle - size.across / 2
    yield Solid(
        _box(left, form.axis, size),
        sentences.block_sentence(block),
        parts.tokens(left, form.axis, size, block.fate, slices(block), block.beside)
        if block.beside
        else parts.solid(left, form.axis, size, block.fate, block.kind, slices(block)),
    )
    name = shorten(placed.name, slot.width - 2, form.names.size)
    yield Label(slot.middle, form.names.y, name, form.names.size, "name")
    for i, text in enumerate(sentences.shape_lines(block, form.detailed, spelled=spelled)):
        text = shorten(text, slot.width - 2, form.shapes.size)
        y = form.shapes.y + i * form.shapes.leading
        yield Label(slot.middle, y, text, form.shapes.size, "quiet")


def _arrows(scene: Scene, places: Places, form: Form) -> Iterator[Item]:
    """From the image through what is kept into the last layer."""
    edges = [(0.0, places.image.left + image_size(form, places.columns).aside)]
    edges += [_ends(placed) for placed in places.kept]
    if scene.new or scene.head:
        edges.append((_bar_left(scene, places, form), 0.0))
    pause = 0.22 * form.gap
    for (_, start), (end, _) in pairwise(edges):
        yield from parts.arrow(start + pause, end - pause, form.axis, 0.45 * form.gap)


def _sees(scene: Scene, places: Places, form: Form) -> Iterator[Item]:
    """Brackets under the stages, with what these tend to detect."""
    row, kept = form.sees, places.kept
    if all(placed.block.fate == "scratch" for placed in kept):
        text = words.ANEW_SHORT if form.short else words.ANEW
        yield from _bracket(kept[0].slot.left, kept[-1].slot.right, text, form)
        return
    room = places.image.width - 2
    for i, text in enumerate(wrap(words.HEDGE, room, row.size, row.most)):
        yield Label(form.margin, row.y + i * row.leading, text, row.size, "quiet italic", "start")
    texts = words.SEES_SHORT if form.short else words.SEES
    for sees, run in groupby(kept, key=lambda placed: placed.block.sees):
        standings = list(run)
        left, right = standings[0].slot.left, standings[-1].slot.right
        yield from _bracket(left, right, texts[sees], form)


def _bracket(left: float, right: float, text: str, form: Form) -> Iterator[Item]:
    row, inset = form.sees, 0.15 * form.gap + 1
    y, tick = form.bracket, 0.3 * form.names.size
    path = line(
        (left + inset, y - tick), (left + inset, y), (right - inset, y), (right - inset, y - tick)
    )
    yield Outline(path, "bracket")
    middle = (left + right) / 2
    for i, part in enumerate(wrap(text, right - left - 2, row.size, row.most)):
        yield Label(middle, row.y + i * row.leading, part, row.size, "soft italic")


def _cut(scene: Scene, places: Places, form: Form) -> Iterator[Item]:
    """Yield a dashed line with scissors at its top, and the name of the last stage before it."""
    x, unit = places.cut.middle, form.names.size / 6
    y = form.top - 2 * unit
    yield Outline(line((x, y + 12 * unit), (x, form.bottom)), "cut")
    yield from parts.scissors(x, y, unit)
    text = f"cut after {scene.cut}" if scene.removed else "cut"
    room = 2 * min(x - form.margin, form.width - form.margin - x)
    text = shorten(text, room, form.cut.size, bold=True)
    yield Label(x, form.cut.y, text, form.cut.size, "cutting bold")


def _head(scene: Scene, places: Places, form: Form) -> Iterator[Item]:
    """Yield the last layer and its classes."""
    if scene.new is None and not scene.head:
        return
    size, left = heights(scene, form), _bar_left(scene, places, form)
    fate: Fate = "new" if scene.new else "pretrained"
    outlines = parts.solid(left, form.axis, size, fate, "vector", 1)
    yield from _readings(scene, places, size, form)
    yield from _fan(scene, places, size, form)
    yield Solid(_box(left, form.axis, size), sentences.head_sentence(scene), outlines)
    yield from _head_labels(scene, places, form)


def _head_labels(scene: Scene, places: Places, form: Form) -> Iterator[Item]:
    slot, row, shapes = places.head, form.names, form.shapes
    name = "new layer" if scene.new else "head"
    yield Label(slot.middle, row.y, name, row.size, "strong" if scene.new else "")
    under = sentences.numbers(scene) or "its classes"
    yield Label(slot.middle, shapes.y, under, shapes.size, "quiet")


def _readings(scene: Scene, places: Places, size: Size, form: Form) -> Iterator[Item]:
    """Thin lines from the other stages that are read, over the rest into the new layer."""
    read = [placed for placed in places.kept[:-1] if placed.block.read]
    if not read:
        return
    x, y = _bar_left(scene, places, form) + form.bar / 2, form.rail
    end = form.axis - size.height / 2
    yield Outline(line((_back(read[0]), y), (x, y), (x, end)), "reads")
    for placed in read:
        top = _top(placed, form)
        yield Outline(line((_back(placed), y), (_back(placed), top)), "reads")
        yield Outline(circle(_back(placed), top, 0.13 * form.names.size), "tap")


def _top(placed: PlacedBlock, form: Form) -> float:
    """Where the upper edge of a stage is, or of its patches, which are what is read of tokens."""
    size, beside = placed.size, placed.block.beside
    patches = parted(size, beside)[1] if beside else size
    return form.axis + size.tall / 2 - patches.tall


def _back(placed: PlacedBlock) -> float:
    """Where a stage is read: the middle of its back edge, or past the tokens above its patches."""
    left, _ = _ends(placed)
    if placed.block.beside:
        return left + placed.size.width + 0.8 * placed.size.aside
    return left + placed.size.aside + placed.size.width / 2


def _fan(scene: Scene, places: Places, size: Size, form: Form) -> Iterator[Item]:
    """From the layer to a dot for each class, or for some of many."""
    count = scene.new.outputs if scene.new else form.classes + 1
    shown = min(count, form.classes)
    start = _bar_left(scene, places, form) + size.width
    x = start + form.fan
    tall = max(size.height, 4.2 * form.dot * shown)
    names = class_names(scene, form)
    for i in range(shown):
        y = form.axis + tall * ((i + 0.5) / shown - 0.5)
        skipped = count > shown and i == shown - 2
        if skipped:
            for step in (-1, 0, 1):
                yield Outline(circle(x, y + step * 1.5 * form.dot, 0.4 * form.dot), "tip")
            continue
        near = form.axis + size.height * ((i + 0.5) / shown - 0.5)
        yield Outline(line((start, near), (x - form.dot, y)), "flow thin")
        yield Outline(circle(x, y, form.dot), "class" if scene.new else "tip")
        if names:
            yield _class_label(names[i], x + 2.4 * form.dot, y, places, form)


def _class_label(name: str, x: float, y: float, places: Places, form: Form) -> Label:
    size = form.shapes.size
    text = shorten(name, places.head.right - x, size)
    return Label(x, y + 0.36 * size, text, size, "", "start")


def _tray(scene: Scene, places: Places, form: Form) -> Iterator[Item]:
    """Yield what was cut off, small and aside."""
    slot = places.tray
    if slot is None:
        return
    bar = bar_size(100, form)
    bar = Size(OFFCUT * bar.width, OFFCUT * bar.height)
    tall = max([bar.tall, *(placed.size.tall for placed in places.removed)]) / 2
    edge = tall + 0.6 * form.gap
    path = rounded(slot.left, form.axis - edge, slot.right, form.axis + edge, form.radius / 2)
    yield Outline(path, "tray")
    for placed in places.removed:
        said = sentences.block_sentence(placed.block)
        yield _offcut(placed.slot.left, placed.size, said, form)
    if places.old_head:
        yield _offcut(places.old_head.left, bar, "the old head; removed", form)
    for row, text in zip((form.names, form.shapes), tray_lines(scene, form), strict=True):
        if text:
            fitted = shorten(text, slot.width + form.gap, row.size)
            yield Label(slot.middle, row.y, fitted, row.size, "quiet")


def _offcut(left: float, size: Size, tooltip: str, form: Form) -> Solid:
    kind: Kind = "map" if size.aside else "vector"
    outlines = parts.solid(left, form.axis, size, "removed", kind, 1)
    return Solid(_box(left, form.axis, size), tooltip, outlines)


def _bar_left(scene: Scene, places: Places, form: Form) -> float:
    """Where the last layer begins: with its classes it stands in the middle of its slot."""
    return places.head.middle - fan_width(scene, form) / 2


def _ends(placed: PlacedBlock) -> tuple[float, float]:
    left = placed.slot.middle - placed.size.across / 2
    return left, left + placed.size.across


def _box(left: float, axis: float, size: Size) -> tuple[float, float, float, float]:
    return left, axis - size.tall / 2, left + size.across, axis + size.tall / 2
