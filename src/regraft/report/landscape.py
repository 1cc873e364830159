"""The map of a run's images: which the page shows, what is marked, and why there may be none."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from regraft.errors import RunError
from regraft.features.cache.products import remembering
from regraft.report import nearby
from regraft.report.charts.landscape import Dot, chart
from regraft.report.thumbnails import Sprite
from regraft.results.labelled import Labelled, read_labelled
from regraft.results.result import Result
from regraft.results.tables import written

FEWEST = 8
"""Images below which a map shows nothing."""


@dataclass(frozen=True)
class Landscape:
    """The map, or in ``problem`` why there is none. ``of``: images that it could have shown."""

    chart: str = ""
    n: int = 0
    of: int = 0
    agreement: float = 0.0
    """Share of an image's five nearest on the map that are of its class."""
    chance: float = 0.0
    """The same where images lie at random."""
    suspects: int = 0
    small: Sprite = field(default_factory=Sprite)
    """Pictures of dots whose photos the page does not show."""
    problem: str = ""


def landscape(
    result: Result,
    anchors: Mapping[str, str],
    part: int = 1,
    small: Callable[[Sequence[str]], Sprite] = lambda paths: Sprite(),
) -> Landscape:
    """Draw the map of what is kept of the labelled images.

    Args:
        result: its features lie in its folder, or in memory where it was just made.
        anchors: where on the page an image is shown, by its path.
        part: the page may have only this part of what it usually has.
        small: gives small pictures of images by their paths, those that come first at least.
    """
    try:
        kept = kept_of(result)
    except RunError as error:
        return Landscape(problem=f"{error.headline} {' '.join(error.problems[:1])}")
    names = kept.names() if kept is not None else None
    if kept is None or names is None:
        return Landscape(
            problem="There is no map of the images: this run was made by a version that did not "
            "keep what it needs. Made anew, it has one."
        )
    if len(names) < FEWEST:
        return Landscape(problem=f"There is no map of so few images as {len(names)}.")
    suspects = {one.path: one.suggestion for one in result.suspects}
    wrong = _wrong(result)
    rows = _some([name in suspects or name in wrong for name in names], nearby.MOST // part)
    labels = kept.labels[rows]
    places = remembering(result.cache, nearby.plane)(kept.features[rows])
    unseen = [names[row] for row in rows.tolist() if names[row] not in anchors]
    drawn = small(sorted(unseen, key=lambda name: name not in suspects and name not in wrong))
    points = [
        Dot(
            x=float(places[n, 0]),
            y=float(places[n, 1]),
            label=int(labels[n]),
            path=names[row],
            taken_for=wrong.get(names[row], ""),
            suspect=suspects.get(names[row], ""),
            anchor=anchors.get(names[row], ""),
            cell=drawn.cells.get(names[row]),
        )
        for n, row in enumerate(rows.tolist())
    ]
    return Landscape(
        chart(points, result.classes),
        len(points),
        len(names),
        nearby.agreement(places, labels),
        float((np.bincount(labels) / len(labels)) @ (np.bincount(labels) / len(labels))),
        sum(bool(one.suspect) for one in points),
        drawn,
    )


def kept_of(result: Result) -> Labelled | None:
    """Return what a run keeps of its labelled images; None in one that keeps nothing.

    Raises:
        RunError: it is damaged.
    """
    if result.labelled is not None or result.folder is None:
        return result.labelled
    return read_labelled(result.folder, result.plan.inputs, len(result.classes))


def _wrong(result: Result) -> dict[str, str]:
    """Return what held-out images are taken for that are taken for something else."""
    found = result.predictions
    assert found is not None, "a run that is written or read for its page has its predictions"
    rows = np.flatnonzero(found.best != found.truth).tolist()
    return {written(found.paths[row]): result.classes[found.best[row]] for row in rows}


def _some(marked: list[bool], most: int) -> NDArray[np.intp]:
    """Return rows, at most so many: half may be what is marked, the rest is spread evenly."""
    first = np.flatnonzero(marked)[: most // 2]
    rest = np.setdiff1d(np.arange(len(marked)), first)
    room = most - len(first)
    if len(rest) > room:
        rest = rest[np.linspace(0, len(rest) - 1, room).astype(np.intp)]
    return np.sort(np.concatenate([first, rest]))
