"""Small pictures for a page: cut out, enlarged, encoded as data URIs."""

import base64
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from PIL import Image, ImageDraw

from regraft.data.images import in_colour
from regraft.distributed import cores
from regraft.features.engines.base import Pixels
from regraft.look.fields import Box, Field
from regraft.look.patches import Channel, Patch
from regraft.look.sample import Sample

SIDE = 96
"""Px of the longer side of a patch in the page; smaller ones are stored as they are."""

COARSE = 32
"""Patches of up to so many px are enlarged by the browser, pixel by pixel."""


@dataclass(frozen=True)
class Shown:
    """One picture of a page. ``coarse``: its pixels are to be seen as squares."""

    uri: str
    alt: str
    coarse: bool


def uri(image: Image.Image, kind: str) -> str:
    """Return a picture as a data URI."""
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=80)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def pixels(square: Pixels, alt: str) -> Shown:
    """Return a few pixels as they are, such as a kernel's."""
    return Shown(uri(Image.fromarray(in_colour(square)), "PNG"), alt, True)


def whole(square: Pixels, alt: str, side: int = SIDE) -> Shown:
    """Return a whole picture."""
    return cut(square, (0, 0, square.shape[1], square.shape[0]), None, alt, side)


def cut(square: Pixels, box: Box, cell: Box | None, alt: str, side: int = SIDE) -> Shown:
    """Return a part of a picture; a ``cell`` in it, in px of the whole picture, is framed."""
    image = Image.fromarray(in_colour(square)).crop(box)
    if max(image.size) <= COARSE and cell is None:
        return Shown(uri(image, "PNG"), alt, True)
    scale = side / max(image.size)
    wide, high = (max(round(length * scale), 1) for length in image.size)
    image = image.resize((wide, high), Image.Resampling.LANCZOS)
    if cell is not None:
        left, top = box[:2]
        corners = [(x - o) * scale for x, o in zip(cell, (left, top, left, top), strict=True)]
        _frame(image, corners)
    return Shown(uri(image, "WEBP"), alt, False)


def _frame(image: Image.Image, corners: Sequence[float]) -> None:
    """Draw a white frame within a black one, to be seen on anything."""
    left, top, right, bottom = (round(x) for x in corners)
    draw = ImageDraw.Draw(image)
    draw.rectangle((left - 1, top - 1, right, bottom), outline="black")
    draw.rectangle((left, top, max(right - 1, left), max(bottom - 1, top)), outline="white")


def patches(
    sample: Sample, stages: Sequence[tuple[Field, Sequence[Channel]]]
) -> list[list[list[Shown]]]:
    """Return the patches of every stage's channels; each image is decoded once.

    Where a field is more than half as wide or as high as the image, the unit's own place is framed
    in it.
    """
    asked: dict[int, list[tuple[tuple[int, int, int], Field, Patch]]] = {}
    for s, (field, channels) in enumerate(stages):
        for c, channel in enumerate(channels):
            for p, patch in enumerate(channel.patches):
                asked.setdefault(patch.image, []).append(((s, c, p), field, patch))

    def of_image(image: int) -> list[tuple[tuple[int, int, int], Shown]]:
        square = sample.square(image)
        return [(key, _patch(sample, square, field, patch)) for key, field, patch in asked[image]]

    with ThreadPoolExecutor(cores()) as pool:
        made = dict(pair for some in pool.map(of_image, sorted(asked)) for pair in some)
    return [
        [[made[s, c, p] for p in range(len(channel.patches))] for c, channel in enumerate(channels)]
        for s, (_, channels) in enumerate(stages)
    ]


def _patch(sample: Sample, square: Pixels, field: Field, patch: Patch) -> Shown:
    box = field.box(patch.place)
    left, top, right, bottom = box
    item = sample.items[patch.image]
    size = max(field.rows.size, field.columns.size)
    large = 2 * max(right - left, bottom - top) > size
    cell = field.cell(patch.place) if large and field.cells.count > 1 else None
    where = f"px {left} to {right} across, {top} to {bottom} down"
    return cut(square, box, cell, f"{item.label}: {item.path}, {where}; value {patch.value:.3g}")
