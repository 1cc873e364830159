"""Images as points on a plane, coloured by class, mistakes and suspects marked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from regraft.report.charts.frame import LETTER, Box, Frame, meet, short, svg

NAMED = 40
"""Up to so many classes their names stand in the picture."""

LETTERS = 60
"""Of a path or name that a pointer is shown, at most."""

GOLDEN = 137.508
"""Degrees from a colour to the next, so that any number of them lie apart."""


@dataclass(frozen=True)
class Dot:
    """An image: where it lies, and what is to be said of it.

    ``anchor``: where it is shown; ``cell``: else its place among the small pictures.
    """

    x: float
    y: float
    label: int
    path: str
    taken_for: str = ""
    suspect: str = ""
    """What it looks like, if its label looks wrong."""
    anchor: str = ""
    cell: int | None = None


def chart(points: Sequence[Dot], classes: Sequence[str]) -> str:
    """Return the plane; what is marked lies above the rest."""
    xs, ys = [one.x for one in points], [one.y for one in points]
    frame = Frame(_ends(xs), _ends(ys), wide=640, high=520, left=14, right=14, foot=14)
    order = sorted(points, key=lambda one: (bool(one.suspect), bool(one.taken_for)))
    parts = [_point(frame, one, classes) for one in order]
    if len(classes) <= NAMED:
        parts += _names(frame, points, classes)
    counts = (
        len(points),
        sum(bool(p.taken_for) for p in points),
        sum(bool(p.suspect) for p in points),
    )
    said = "{:,} images by likeness; {:,} taken for another class, {:,} suspects.".format(*counts)
    return svg(frame, said, parts, "landscape")


def colour(label: int) -> str:
    """Return a class's colour, which is seen on light and on dark."""
    return f"hsl({round(label * GOLDEN + 210) % 360} 62% {(48, 60, 40)[label // 8 % 3]}%)"


def _ends(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    edge = 0.03 * ((high - low) or 1.0)
    return low - edge, high + edge


def _point(frame: Frame, one: Dot, classes: Sequence[str]) -> str:
    x, y = frame.x(one.x), frame.y(one.y)
    said = [short(one.path, LETTERS), f"labelled {short(classes[one.label], LETTERS)}"]
    said += [f"taken for {short(one.taken_for, LETTERS)}"] if one.taken_for else []
    said += [f"looks like {short(one.suspect, LETTERS)}"] if one.suspect else []
    inside = f"<title>{escape(', '.join(said))}</title>"
    mark = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{colour(one.label)}"/>'
    if one.taken_for:
        mark += f'<path class="cross" d="M{x - 6:.1f} {y - 6:.1f}l12 12m0 -12l-12 12"/>'
    if one.suspect:
        mark += f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="10"/>'
    if one.anchor:
        return f'<a class="point" href="#{one.anchor}">{inside}{mark}</a>'
    cell = "" if one.cell is None else f' data-cell="{one.cell}"'
    return f'<g class="point"{cell}>{inside}{mark}</g>'


def _names(frame: Frame, points: Sequence[Dot], classes: Sequence[str]) -> list[str]:
    """Return each class's name amid its points, or a little above or below where one is already."""
    taken: list[Box] = []
    found = []
    for label, (x, y) in _middles(frame, points).items():
        words = short(classes[label], 24)
        half = LETTER * 1.1 * len(words) / 2
        x = min(max(x, half + 4), frame.wide - half - 4)
        for up in (0, -18, 18, -36, 36):
            box = (x - half, y + up - 12, x + half, y + up + 4)
            if not any(meet(box, other) for other in taken):
                taken.append(box)
                found.append(
                    f'<text class="class" x="{x:.1f}" y="{y + up:.1f}" text-anchor="middle">'
                    f"{escape(words)}</text>"
                )
                break
    return found


def _middles(frame: Frame, points: Sequence[Dot]) -> Mapping[int, NDArray[np.float64]]:
    """Return the median place of each class, those with the most images first."""
    places: dict[int, list[tuple[float, float]]] = {}
    for one in points:
        places.setdefault(one.label, []).append((frame.x(one.x), frame.y(one.y)))
    order = sorted(places, key=lambda label: (-len(places[label]), label))
    return {label: np.median(np.array(places[label]), axis=0) for label in order}
