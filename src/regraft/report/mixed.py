"""Which classes are taken for which, with the photos of each cell of the table."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from regraft.report.pictures import Album, Shot, shots_of
from regraft.results.tables import Predictions, written

SHOTS = 72
"""Photos of cells that are shown."""

IN_WRONG, IN_RIGHT = 6, 2
"""Of one cell, at most: of mistakes, and of right predictions."""

NAMED = 8
"""Photos of a cell that are named, where they are not shown; predictions.csv has all."""

CELLS = 800
"""Cells that can be opened: of more, those with the most images."""


@dataclass(frozen=True)
class PhotoCell:
    """The images of one class that were taken for one class."""

    truth: int
    prediction: int
    n: int
    of: int
    """Images of the true class."""
    shots: Sequence[Shot] = ()
    paths: Sequence[str] = ()
    more: int = 0
    """Images that are neither shown nor named."""

    @property
    def anchor(self) -> str:
        """Where on the page its images are."""
        return f"cell-{self.truth + 1}-{self.prediction + 1}"

    @property
    def right(self) -> bool:
        """Whether it lies on the diagonal."""
        return self.truth == self.prediction


def cells(
    found: Predictions,
    classes: Sequence[str],
    album: Album,
    *,
    mistakes: int | None = None,
    part: int = 1,
) -> list[PhotoCell]:
    """Return the cells with their images, mistakes first, those with the most images first.

    Each cell is given its surest photo before one is given a second one, until as many are shown
    as there may be.

    Args:
        found: the held-out images.
        classes: their names.
        album: shows the photos, as long as there is room.
        mistakes: only so many, and none on the diagonal; None for all.
        part: the page may have only this part of what it usually has.
    """
    rows: dict[tuple[int, int], list[int]] = defaultdict(list)
    for row in (-found.confidence).argsort(kind="stable").tolist():
        rows[int(found.truth[row]), int(found.best[row])].append(row)
    of = np.bincount(found.truth, minlength=len(classes)).tolist()
    made = [PhotoCell(t, p, len(inside), of[t]) for (t, p), inside in rows.items()]
    made = [one for one in made if mistakes is None or not one.right]
    made = sorted(made, key=lambda one: _place(one, classes))
    made = made[: CELLS // part if mistakes is None else mistakes]
    turns = sorted(
        (turn, place)
        for place, one in enumerate(made)
        for turn in range(min(one.n, IN_RIGHT if one.right else IN_WRONG))
    )
    taken = [
        (place, rows[made[place].truth, made[place].prediction][turn]) for turn, place in turns
    ]
    taken = taken[: SHOTS // part]
    shown = album.show(shots_of(found, classes, np.array([row for _, row in taken], np.intp)))
    seen: dict[int, list[Shot]] = defaultdict(list)
    for (place, _), shot in zip(taken, shown, strict=True):
        if shot.uri:
            seen[place].append(shot)
    return [
        _filled(one, seen[place], rows[one.truth, one.prediction], found.paths, NAMED // part)
        for place, one in enumerate(made)
    ]


def _place(cell: PhotoCell, classes: Sequence[str]) -> tuple[bool, int, float, str, str]:
    """Return what cells are sorted by, as `regraft.report.charts.confusion.pairs` are."""
    names = classes[cell.truth], classes[cell.prediction]
    return cell.right, -cell.n, -cell.n / cell.of, *names


def _filled(
    cell: PhotoCell, shots: Sequence[Shot], rows: Sequence[int], paths: Sequence[str], most: int
) -> PhotoCell:
    there = {shot.row for shot in shots}
    rest = [row for row in rows if row not in there]
    names = [written(paths[row]) for row in rest[:most]]
    return replace(cell, shots=shots, paths=names, more=max(len(rest) - most, 0))
