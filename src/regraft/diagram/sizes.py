"""How large a stage is drawn: heights follow the side of its map, widths its channels.

Both scales are bounded and never fall, so that maps of 7 to 224 cells and 3 to 2,048 channels stand
beside each other in one picture.
"""

from dataclasses import dataclass
from math import exp, log, log2

from regraft.backbones import Stage
from regraft.diagram.forms import Form
from regraft.diagram.scene import Block

SLOPE = 0.52
"""How far the back of a block is moved up, for how far it is moved aside."""

CURVE = 0.42
"""Heights are this power of the map's side: 7 of 224 cells are a quarter of the image's height."""

LEAST = 0.2
"""Of the image's height."""

CELLS = 4
"""Along a side of a square of tokens, as it is drawn."""

UNKNOWN = 0.25
"""The side of a map that is not known, as a share of the image's."""


@dataclass(frozen=True)
class Size:
    """Of the front of a block, and how far its back is moved aside and up; 0 for a bar."""

    width: float
    height: float
    aside: float = 0.0
    up: float = 0.0

    @property
    def across(self) -> float:
        """The whole width."""
        return self.width + self.aside

    @property
    def tall(self) -> float:
        """The whole height."""
        return self.height + self.up


def lean(columns: int) -> float:
    """Return how far backs are moved aside, as a share of the height.

    The fewer the columns, the more.
    """
    return min(max(1.8 / columns, 0.2), 0.36)


def image_size(form: Form, columns: int) -> Size:
    """Return the image: as high as there is room for, and of no width."""
    aside = lean(columns)
    height = (form.bottom - form.top) / (1 + aside * SLOPE)
    return Size(0.0, height, height * aside, height * aside * SLOPE)


def block_size(block: Block, side: int, form: Form, columns: int) -> Size:
    """Return a block of a network of so many columns, for images of so many px."""
    if block.kind == "vector":
        return bar_size(_mean([stage.channels for stage in block.stages]), form)
    image = image_size(form, columns)
    share = _mean([share_of(stage, side) for stage in block.stages])
    width = _mean([thickness(stage.channels, form) for stage in block.stages])
    width *= min(1 + 0.3 * (slices(block) - 1), 2.0) * min(max(8 / columns, 1.0), 1.5)
    return Size(width, image.height * share, image.aside * share, image.up * share)


def bar_size(outputs: float, form: Form) -> Size:
    """Return a fully connected layer of so many outputs."""
    share = 0.25 + 0.4 * _between(log2(max(outputs, 2) / 2) / log2(2048))
    return Size(form.bar, 0.84 * (form.bottom - form.top) * share)


def share_of(stage: Stage, side: int) -> float:
    """Height of a map as a share of the image's."""
    seen = stage.side / side if stage.side and side else UNKNOWN
    return max(float(min(seen, 1.0) ** CURVE), LEAST)


def thickness(channels: int, form: Form) -> float:
    """Width of a block of so many channels."""
    share = _between(log2(max(channels, 3) / 3) / log2(2048 / 3))
    return form.thin + (form.thick - form.thin) * share


def slices(block: Block) -> int:
    """As how many slices several stages or modules in one block are drawn."""
    return min(block.modules, 5)


def parted(size: Size, beside: int) -> tuple[Size, Size]:
    """Return a block of tokens in two: those beside the patches, and the patches under them.

    Both fit one above the other into the height of the block; a token is as high as a cell.
    """
    deep = min(beside, 2) / CELLS  # one, or several
    tall = max(0.9 * size.height - deep * size.up, 0.0) / (1 + 1 / CELLS)
    above = Size(size.width, tall / CELLS, deep * size.aside, deep * size.up)
    return above, Size(size.width, tall, size.aside, size.up)


def _between(share: float) -> float:
    return min(max(share, 0.0), 1.0)


def _mean(values: list[float] | list[int]) -> float:
    """Return the geometric mean."""
    return exp(sum(log(max(value, 1e-6)) for value in values) / len(values))
