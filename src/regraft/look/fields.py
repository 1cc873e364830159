"""Receptive fields: which pixels a unit can see, computed from the network itself.

A pixel belongs to a unit's field where the gradient of its values to the pixel is not zero. One
image and one channel would hide part of it (a ReLU that is off, a maximum that lies elsewhere), so
the values of all channels are summed under random signs, on several images of noise.

In a network of convolutions and pooling the field moves by the same number of pixels from unit to
unit, so five units of a map tell all: the two at either end give the borders and the step, and
the middle one checks that it is so. Where it is not (attention within shifted windows, say), each
unit that is asked for is looked at by itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from regraft.backbones import Stage
from regraft.data.images.view import Shape
from regraft.look.maps import Cells, cells, flat
from regraft.networks.copies import duplicate
from regraft.networks.trunk import Trunk

NOISES = 2  # images of noise
_GAIN = 2.0**40  # of the gradient, so that what is far from the middle does not vanish in float32
_NOTHING = 1e-30  # of the strongest: attention that is masked out leaves less than this

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in px; right and bottom are the first pixels outside."""


@dataclass(frozen=True)
class Axis:
    """The fields along one side of the image, of ``size`` px.

    ``end`` is where the field of the first unit ends, ``start`` where that of the last begins,
    ``step`` the distance from one unit's to the next's.
    """

    size: int
    units: int
    start: int
    end: int
    step: int

    def span(self, unit: int) -> tuple[int, int]:
        """First pixel of a unit's field and first pixel after it, within the image."""
        start = self.start - self.step * (self.units - 1 - unit) if self.start else 0
        end = self.end + self.step * unit if self.end < self.size else self.size
        return max(start, 0), min(end, self.size)

    @property
    def extent(self) -> int | None:
        """Px of a field that no border cuts; None where the borders hide it."""
        if self.units < 2 or not self.start or self.end >= self.size:
            return None
        return self.end - (self.start - self.step * (self.units - 1))


@dataclass(frozen=True)
class Field:
    """The receptive fields of one stage's units.

    ``regular``: whether they move evenly; ``own`` holds those looked at one by one where not.
    """

    rows: Axis
    columns: Axis
    cells: Cells
    regular: bool
    own: dict[int, Box]
    channels: int = 3
    """Of the image."""

    @property
    def whole(self) -> bool:
        """Whether every unit sees the whole image."""
        return all(axis.start == 0 and axis.end == axis.size for axis in (self.rows, self.columns))

    def box(self, place: int) -> Box:
        """Return what the unit at a place sees.

        Raises:
            KeyError: the fields are not regular, and this unit was not looked at.
        """
        if not self.regular:
            return self.own[place]
        row, column = self.cells.at(place)
        (top, bottom), (left, right) = self.rows.span(row), self.columns.span(column)
        return left, top, right, bottom

    def cell(self, place: int) -> Box:
        """Return the unit's own share of the image, were it cut into a cell for each place."""
        row, column = self.cells.at(place)
        high, wide = self.rows.size / self.cells.rows, self.columns.size / self.cells.columns
        left, top = round(column * wide), round(row * high)
        return left, top, round((column + 1) * wide), round((row + 1) * high)


def measure(trunk: Trunk, stages: Sequence[Stage], shape: Shape, seed: int = 0) -> list[Field]:
    """Return the fields of every stage of an unpooled trunk, for images of a shape."""
    trunk = duplicate(trunk).requires_grad_(False)
    with torch.no_grad():
        values = trunk(_noise(1, shape, seed))
    layouts = [cells(value, stage) for value, stage in zip(values, stages, strict=True)]
    found = _boxes(trunk, stages, [_ends(layout) for layout in layouts], shape, seed)
    near = [
        []
        if all(box == (0, 0, shape[1], shape[0]) for box in some.values())
        else _next_to_ends(layout)
        for layout, some in zip(layouts, found, strict=True)
    ]
    if any(near):
        more = _boxes(trunk, stages, near, shape, seed)
        found = [some | others for some, others in zip(found, more, strict=True)]
    return [_field(layout, some, shape) for layout, some in zip(layouts, found, strict=True)]


def look_closer(
    trunk: Trunk, stage: Stage, field: Field, places: Sequence[int], seed: int = 0
) -> Field:
    """Return an irregular field with the boxes of these places; a regular one as it is.

    ``trunk`` is an unpooled one that reads this stage alone.
    """
    if field.regular:
        return field
    frozen = duplicate(trunk).requires_grad_(False)
    shape = (field.rows.size, field.columns.size, field.channels)
    own: dict[int, Box] = {}
    for some in (places[n : n + 4] for n in range(0, len(places), 4)):
        own |= _boxes(frozen, [stage], [some], shape, seed)[0]
    return replace(field, own=own)


def _boxes(
    trunk: Trunk,
    stages: Sequence[Stage],
    places: Sequence[Sequence[int]],
    shape: Shape,
    seed: int,
) -> list[dict[int, Box]]:
    """Return what these places of each stage see: the least box around pixels with a gradient.

    Each image of a batch asks for another place, so that one way back through the network serves
    them all.
    """
    seen = [torch.zeros(len(some), *shape[:2], dtype=torch.bool) for some in places]
    batch = max(len(some) for some in places)
    for draw in range(NOISES):
        x = _noise(batch, shape, seed + draw).requires_grad_()
        with sdpa_kernel(SDPBackend.MATH):
            values = trunk(x)
            for depth, (value, stage) in enumerate(zip(values, stages, strict=True)):
                if not seen[depth].all():
                    seen[depth] |= _touched(value, stage, places[depth], x, seed + draw)
    return [
        dict(zip(some, map(_around, masks), strict=True))
        for some, masks in zip(places, seen, strict=True)
    ]


def _touched(value: Tensor, stage: Stage, places: Sequence[int], x: Tensor, seed: int) -> Tensor:
    """Which pixels ``[places, S, S]`` a change of would change the units at these places."""
    units = flat(value, stage)[torch.arange(len(places)), torch.tensor(places)]
    signs = torch.randn(units.shape, generator=torch.Generator().manual_seed(seed))
    (gradient,) = torch.autograd.grad((units * signs).sum() * _GAIN, x, retain_graph=True)
    size = gradient[: len(places)].abs().amax(1)
    return size > _NOTHING * size.amax((1, 2), keepdim=True)


def _noise(count: int, shape: Shape, seed: int) -> Tensor:
    """Normalised pixels that look like nothing; channels last, which convolves faster."""
    high, wide, channels = shape
    x = torch.randn(count, channels, high, wide, generator=torch.Generator().manual_seed(seed))
    return x.contiguous(memory_format=torch.channels_last)


def _around(mask: Tensor) -> Box:
    """Return the smallest box around what is true; an empty one where nothing is."""
    rows, columns = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
    if not len(rows):
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _ends(layout: Cells) -> list[int]:
    """First, middle and last unit along the diagonal of a map."""
    row, column = layout.rows - 1, layout.columns - 1
    return _places(layout, [(0, 0), (row // 2, column // 2), (row, column)])


def _next_to_ends(layout: Cells) -> list[int]:
    """Second and last but one."""
    row, column = layout.rows - 1, layout.columns - 1
    second, before = (min(1, row), min(1, column)), (max(row - 1, 0), max(column - 1, 0))
    return _places(layout, [second, before])


def _places(layout: Cells, units: Sequence[tuple[int, int]]) -> list[int]:
    return list(dict.fromkeys(row * layout.columns + column for row, column in units))


def _field(layout: Cells, boxes: Mapping[int, Box], shape: Shape) -> Field:
    """Return the rule that the units at the ends follow, if the middle one follows it too."""
    ends = [boxes[place] for place in (_ends(layout)[0], _ends(layout)[-1])]
    near = [boxes.get(place, ends[0]) for place in _next_to_ends(layout)]
    if len(near) == 1:  # one unit, or two that are next to each other
        near = [near[0], near[0]]
    columns = _axis([(box[0], box[2]) for box in (*ends, *near)], layout.columns, shape[1])
    rows = _axis([(box[1], box[3]) for box in (*ends, *near)], layout.rows, shape[0])
    field = Field(rows, columns, layout, True, {}, shape[2])
    even = all(field.box(place) == box for place, box in boxes.items())
    return replace(field, regular=even)


def _axis(spans: Sequence[tuple[int, int]], units: int, size: int) -> Axis:
    first, last, second, before = spans
    step = max(second[1] - first[1], last[0] - before[0]) if units > 1 else 0
    return Axis(size, units, start=last[0], end=first[1], step=step)
