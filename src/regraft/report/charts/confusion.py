"""Which classes are taken for which: a table, a map, and the pairs that are mixed up most."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

TABLE = 40
"""Up to so many classes the confusion matrix is a table of names and numbers."""

MAP = 250
"""Up to so many it is a map; of more, only the pairs are shown."""

PAIRS = 15

STEPS = 8
"""Shades of the map."""

SIDE = 560.0
"""Px of the map's side."""

Matrix = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Cell:
    """A number in the table; ``share`` of its row, in %."""

    n: int
    share: int
    right: bool


def cells(matrix: Matrix) -> list[list[Cell]]:
    """Return the table, row by row."""
    return [
        [Cell(n, round(100 * n / max(sum(row), 1)), t == p) for p, n in enumerate(row)]
        for t, row in enumerate(matrix)
    ]


def pairs(matrix: Matrix, classes: Sequence[str]) -> list[tuple[str, str, int, int]]:
    """Return true class, predicted class, images, images of the true class; most images first."""
    wrong = [
        (classes[t], classes[p], n, sum(row))
        for t, row in enumerate(matrix)
        for p, n in enumerate(row)
        if n and t != p
    ]
    return sorted(wrong, key=lambda pair: (-pair[2], -pair[2] / pair[3], pair[0], pair[1]))


def chart(matrix: Matrix, classes: Sequence[str]) -> str:
    """Return the map: a square for each pair that occurs, darker the larger its share of the row.

    Squares of a shade are one path, so that a hundred classes take a few kilobytes.
    """
    count, left, top = len(classes), 46.0, 34.0
    unit = SIDE / count
    shades: dict[tuple[bool, int], list[str]] = {}
    for t, row in enumerate(matrix):
        for p, n in enumerate(row):
            if n:
                shade = max(-(-STEPS * n // sum(row)), 1)
                shades.setdefault((t == p, shade), []).append(_square(left, top, t, p, unit))
    parts = [
        f'<rect class="ground" x="{left:g}" y="{top:g}" width="{SIDE:g}" height="{SIDE:g}"/>',
        *_grid(count, unit, left, top),
        *(
            f'<path class="{"right" if right else "wrong"}" '
            f'fill-opacity="{0.12 + 0.88 * shade / STEPS:.2f}" d="{"".join(squares)}"/>'
            for (right, shade), squares in sorted(shades.items())
        ),
    ]
    title = (
        f"{count} classes: true class from above to below, predicted class from left to right, by "
        "the numbers of the table of classes. Right predictions lie on the diagonal."
    )
    return (
        f'<svg class="chart map" viewBox="0 0 {left + SIDE + 6:g} {top + SIDE + 6:g}" role="img" '
        f'aria-label="{escape(title)}"><title>{escape(title)}</title>{"".join(parts)}</svg>'
    )


def _square(left: float, top: float, row: int, column: int, unit: float) -> str:
    x, y = left + unit * column, top + unit * row
    side = max(unit * 0.94, 1.2)
    return f"M{x:.1f} {y:.1f}h{side:.1f}v{side:.1f}h-{side:.1f}z"


def _grid(count: int, unit: float, left: float, top: float) -> list[str]:
    """Lines and numbers at every fifth, tenth, twentieth or fiftieth class."""
    step = next(step for step in (1, 5, 10, 20, 50) if step * unit >= 20)
    found = []
    for number in sorted({1, *range(step, count + 1, step)}):
        middle = unit * (number - 0.5)
        label = f"{number}"
        found += [
            f'<text x="{left + middle:.1f}" y="{top - 8:g}" text-anchor="middle">{label}</text>',
            f'<text x="{left - 8:g}" y="{top + middle + 4:.1f}" text-anchor="end">{label}</text>',
            f'<path class="grid" d="M{left:g} {top + middle:.1f}h{SIDE:g}'
            f'M{left + middle:.1f} {top:g}v{SIDE:g}"/>',
        ]
    return found
