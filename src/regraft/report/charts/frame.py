"""Charts as SVG that takes the page's colours: a frame with axes, and what is drawn into it.

Every text goes through :func:`text`, which escapes it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

LETTER = 7.0  # px, a letter's usual width at the charts' size of 13 px
Interval = tuple[float, float]


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
