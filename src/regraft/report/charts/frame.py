"""Charts as SVG that takes the page's colours: a frame with axes, and what is drawn into it.

Every text goes through `text`, which escapes it.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

LETTER = 7.0  # px, a letter's usual width at the charts' size of 13 px
Interval = tuple[float, float]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Frame:
    """Where a chart's figures lie, in px of its own; ``xs`` and ``ys`` are the ends of the axes."""

    xs: Interval
    ys: Interval
    wide: float = 460
    high: float = 300
    left: float = 62
    right: float = 14
    top: float = 14
    foot: float = 46

    def x(self, value: float) -> float:
        """Px from the left."""
        return _between(self.xs, value, self.left, self.wide - self.right)

    def y(self, value: float) -> float:
        """Px from the top."""
        return _between(self.ys, value, self.high - self.foot, self.top)

    @property
    def floor(self) -> float:
        """Px from the top of the lower axis."""
        return self.high - self.foot


def _between(ends: Interval, value: float, low: float, high: float) -> float:
    share = (value - ends[0]) / ((ends[1] - ends[0]) or 1.0)
    return low + (high - low) * share


def svg(frame: Frame, title: str, parts: Sequence[str], how: str = "") -> str:
    """Return the chart; ``title`` says in words what it shows, ``how`` is a class more of it."""
    style, box = f"chart {how}".rstrip(), f"0 0 {frame.wide:g} {frame.high:g}"
    return (
        f'<svg class="{style}" viewBox="{box}" role="img" '
        f'aria-label="{escape(title)}"><title>{escape(title)}</title>{"".join(parts)}</svg>'
    )


def text(x: float, y: float, words: str, how: str = "", anchor: str = "middle") -> str:
    """Words at a place; ``how`` is their class."""
    style = f' class="{how}"' if how else ""
    return f'<text{style} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def turned(x: float, y: float, words: str, degrees: int = 38) -> str:
    """Words that rise to a place from its lower left."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="end" '
        f'transform="rotate(-{degrees} {x:.1f} {y:.1f})">{escape(words)}</text>'
    )


def upright(frame: Frame, words: str) -> str:
    """Return what the axis at the left means, from below to above along it."""
    middle = (frame.top + frame.floor) / 2
    return (
        f'<text class="axis" x="13" y="{middle:.1f}" text-anchor="middle" '
        f'transform="rotate(-90 13 {middle:.1f})">{escape(words)}</text>'
    )


def line(x1: float, y1: float, x2: float, y2: float, how: str) -> str:
    """Return a straight line."""
    return f'<line class="{how}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def rules(frame: Frame, values: Sequence[float], label: Callable[[float], str]) -> list[str]:
    """Return a line across at each value, with its label at the left."""
    found = []
    for value in values:
        y = frame.y(value)
        found.append(line(frame.left, y, frame.wide - frame.right, y, "grid"))
        found.append(text(frame.left - 6, y + 4.5, label(value), anchor="end"))
    return found


def path(frame: Frame, points: Sequence[tuple[float, float]], how: str) -> str:
    """Return a line through points."""
    places = "L".join(f"{frame.x(x):.1f} {frame.y(y):.1f}" for x, y in points)
    return f'<path class="line {how}" d="M{places}"/>' if places else ""


def band(frame: Frame, xs: Sequence[float], intervals: Sequence[Interval], how: str = "t0") -> str:
    """Return the area between the ends of intervals."""
    upper = [
        f"{frame.x(x):.1f} {frame.y(high):.1f}" for x, (_, high) in zip(xs, intervals, strict=True)
    ]
    lower = [
        f"{frame.x(x):.1f} {frame.y(low):.1f}" for x, (low, _) in zip(xs, intervals, strict=True)
    ]
    return f'<path class="band {how}" d="M{"L".join([*upper, *reversed(lower)])}Z"/>'


def dot(x: float, y: float, how: str, size: float = 4, title: str = "") -> str:
    """Return a round mark; ``title`` shows where a pointer rests on it."""
    inside = f"<title>{escape(title)}</title>" if title else ""
    return f'<circle class="mark {how}" cx="{x:.1f}" cy="{y:.1f}" r="{size:g}">{inside}</circle>'


def ticks(low: float, high: float) -> tuple[float, ...]:
    """Round values from ``low`` to ``high`` or beyond, three to eight of them."""
    span = max(high - low, 1e-9)
    size = 10.0 ** math.floor(math.log10(span / 6))
    step = next(s * size for s in (1, 2, 5, 10, 20) if span / (s * size) <= 6)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(round(n * step, 9) for n in range(first, last + 1))


def short(name: str, most: int = 18) -> str:
    """Return a name of at most so many letters; of a longer one the beginning and the end."""
    half = (most - 1) // 2
    return name if len(name) <= most else f"{name[:half]}…{name[-half:]}"


def names(
    frame: Frame,
    places: Sequence[tuple[tuple[float, float], str]],
    taken: Sequence[Box],
    lines: Sequence[Box] = (),
) -> list[str]:
    """Return each point's name at a place around it that is free, on a line if it must.

    A name for which there is no room is left out, and the pointer shows it; but the first, that of
    what the chart is of, is always there. ``taken``: what is in the way.
    """
    taken = [around(x, y) for (x, y), _ in places] + [*taken]
    found = list[str]()
    for n, (point, words) in enumerate(places):
        wide = (9.3 if n == 0 else 6.3) * len(words)
        reaches = (12, 20, 34) if n == 0 else (8,)
        boxes = [box for reach in reaches for box in _beside(point, wide, reach)]
        others = [box for box in taken if box != around(*point)]
        free = [
            box
            for barred in ([*others, *lines], others, *([[]] if n == 0 else []))
            for box in boxes
            if _inside(box, frame) and not any(meet(box, other) for other in barred)
        ]
        if free:
            taken.append(free[0])
            how = "own" if n == 0 else "ref"
            found.append(text(free[0][0], free[0][3] - 3, words, how, "start"))
    return found


def around(x: float, y: float) -> Box:
    """Return what a mark takes."""
    return x - 6, y - 6, x + 6, y + 6


def _beside(point: tuple[float, float], wide: float, reach: float) -> Iterator[Box]:
    """Boxes for a name around a point, the best first."""
    x, y = point
    ups = (-reach - 2, reach + 11)
    bases = [(x + reach, y + 4.5), (x - reach - wide, y + 4.5)]
    bases += [(x + aside, y + up) for aside in (-wide / 2, 5, -wide - 5) for up in ups]
    for left, base in bases:
        yield left, base - 11, left + wide, base + 3


def _inside(box: Box, frame: Frame) -> bool:
    right = frame.wide - frame.right
    return (
        frame.left <= box[0] and box[2] <= right and frame.top <= box[1] and box[3] <= frame.floor
    )


def meet(one: Box, other: Box) -> bool:
    """Return whether two boxes overlap."""
    apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
    return not apart
