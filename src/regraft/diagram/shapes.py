"""What a drawing is made of: outlines, labels, and groups of them with a tooltip."""

from dataclasses import dataclass
from math import floor
from typing import Literal

from regraft.diagram.letters import width_of

Anchor = Literal["start", "middle", "end"]
Box = tuple[float, float, float, float]
"""Left, top, right and bottom."""
Point = tuple[float, float]


@dataclass(frozen=True)
class Outline:
    """A path; ``style`` names classes of the style sheet."""

    d: str
    style: str


@dataclass(frozen=True)
class Label:
    """A line of text at a baseline; ``style`` names classes of the style sheet."""

    x: float
    y: float
    text: str
    size: float
    style: str = ""
    anchor: Anchor = "middle"

    @property
    def bold(self) -> bool:
        """Whether it is set bold."""
        return "bold" in self.style.split()

    @property
    def box(self) -> Box:
        """The room it takes, estimated from its letters."""
        width = width_of(self.text, self.size, self.bold)
        left = self.x - {"start": 0.0, "middle": 0.5, "end": 1.0}[self.anchor] * width
        return left, self.y - 0.76 * self.size, left + width, self.y + 0.22 * self.size


@dataclass(frozen=True)
class Solid:
    """A thing that stands in the picture, with what a pointer on it tells."""

    box: Box
    tooltip: str
    outlines: tuple[Outline, ...]


Item = Outline | Label | Solid


@dataclass(frozen=True)
class Drawing:
    """A picture of ``width`` times ``height`` units, in the order in which it is painted."""

    width: float
    height: float
    items: tuple[Item, ...]

    @property
    def labels(self) -> tuple[Label, ...]:
        """All that is written."""
        return tuple(item for item in self.items if isinstance(item, Label))

    @property
    def solids(self) -> tuple[Solid, ...]:
        """All that stands in it."""
        return tuple(item for item in self.items if isinstance(item, Solid))


def number(value: float) -> str:
    """Return a coordinate, to a tenth, in as few letters as can be."""
    tenths = floor(value * 10 + 0.5)
    return f"{tenths // 10}" if tenths % 10 == 0 else f"{tenths / 10:.1f}"


def polygon(*points: Point) -> str:
    """Return the path around some points."""
    return "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points) + "Z"


def line(*points: Point) -> str:
    """Return the path along some points."""
    return "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points)


def rectangle(left: float, top: float, right: float, bottom: float) -> str:
    """Return the path around a box."""
    return polygon((left, top), (right, top), (right, bottom), (left, bottom))


def rounded(left: float, top: float, right: float, bottom: float, radius: float) -> str:
    """Return the path around a box with round corners."""
    r = number(radius)
    across, down = number(right - left - 2 * radius), number(bottom - top - 2 * radius)
    corner = f"a{r} {r} 0 0 1"
    return (
        f"M{number(left + radius)} {number(top)}h{across}{corner} {r} {r}v{down}{corner} -{r} {r}"
        f"h-{across}{corner} -{r} -{r}v-{down}{corner} {r} -{r}Z"
    )


def circle(x: float, y: float, radius: float) -> str:
    """Return the path around a circle."""
    return ellipse(x, y, radius, radius)


def ellipse(x: float, y: float, wide: float, tall: float) -> str:
    """Return the path around an ellipse, given half of its width and of its height."""
    half = f"a{number(wide)} {number(tall)} 0 1 1"
    return (
        f"M{number(x - wide)} {number(y)}{half} {number(2 * wide)} 0{half} -{number(2 * wide)} 0Z"
    )
