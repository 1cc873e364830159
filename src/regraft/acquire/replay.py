"""What choosing would have saved on the images that have labels: tried there, against chance.

Some of the labelled images are taken to be all there are, some to be a pool without labels, and
the rest to judge: from the pool as many are taken as the person asks for now, in proportion, once
chosen and once drawn at random.
"""

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.acquire.selection import doubt_of, metric_of, unsure_first
from regraft.heads.ridge import STRENGTHS, Floats, one_core_each
from regraft.metrics import fit_temperature, softmax

TURNS, ENOUGH = (8, 32), 6_000
"""Times that the labelled images are parted anew, at least and at most; together the turns see
about so many images."""

DRAWS = 3
"""Times that chance draws in each turn."""

START, POOL = 0.3, 0.4
"""Shares of the images that have labels at first, and that are the pool; the rest judge."""

LEAST = 0.2
"""Images added in a replay for each that has a label, at least: what one or two of them change is
lost in the noise."""

FEWEST = 40
"""Labelled images, and four a class, below which a replay says nothing."""


@dataclass(frozen=True)
class Replay:
    """What choosing won on the labelled images.

    Accuracies are in 0..1, means over the turns. ``error`` is the standard error of ``gain``, what
    the chosen ones are better than as many at random, from turn to turn.
    """

    start: int
    added: int
    before: float
    chosen: float
    random: float
    gain: float
    error: float
    same_as: float | None
    """As many drawn at random would have done the same; None where the whole pool would not."""
    pool: int

    @property
    def saved(self) -> float | None:
        """The share of labels that choosing saves, in 0..1; below 0 where it costs some."""
        return None if self.same_as is None else 1 - self.added / max(self.same_as, 1e-9)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return asdict(self) | {"saved": self.saved}


def replayed(
    features: NDArray[np.floating],
    widths: tuple[int, ...],
    labels: NDArray[np.intp],
    groups: NDArray[np.intp],
    *,
    share: float,
    seed: int = 0,
) -> Replay | None:
    """Try the choice on labelled images: features ``[n, P]``, labels and groups ``[n]``.

    ``widths``: of the taps that the features are of. Images of one group (of one capture) stay
    together. ``share``: images to be labelled now, for each that is labelled (at least
    :data:`LEAST`). None where there are too few images to tell (:data:`FEWEST`).
    """
    classes = np.unique(labels)
    if len(np.unique(groups)) < max(FEWEST, 4 * len(classes)) or len(classes) < 2:
        return None
    groups = np.unique(groups, return_inverse=True)[1]
    x, y = metric_of(features, widths)(features), np.searchsorted(classes, labels)
    world = _World(x, y, len(classes))
    count = int(np.clip(ENOUGH // len(y), *TURNS))
    seeds = [np.random.default_rng([seed, turn]) for turn in range(count)]
    with one_core_each() as pool:
        turns = list(pool.map(lambda random: _turn(world, groups, share, random), seeds))
    before, chosen, random, whole = np.mean([turn[:4] for turn in turns], axis=0)
    start, added, whole_pool = (
        round(float(n)) for n in np.mean([turn[4:] for turn in turns], axis=0)
    )
    gains = np.array([turn[1] - turn[2] for turn in turns])
    return Replay(
        start=start,
        added=added,
        before=float(before),
        chosen=float(chosen),
        random=float(random),
        gain=float(gains.mean()),
        error=float(gains.std(ddof=1) / len(gains) ** 0.5),
        same_as=_needed([(0, before), (added, random), (whole_pool, whole)], float(chosen)),
        pool=whole_pool,
    )


Rows = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class _World:
    x: Floats
    y: Rows
    classes: int

    def head(self, rows: Rows) -> tuple[Floats, Floats]:
        """Fit a ridge head on some images, at the penalty that leaving one out finds best."""
        targets = np.eye(self.classes, dtype=np.float32)[self.y[rows]]
        bias = targets.mean(0)
        values, vectors = np.linalg.eigh(self.x[rows] @ self.x[rows].T)
        turned, best = vectors.T @ (targets - bias), (np.inf, np.empty(0), 1.0)
        for strength in STRENGTHS:
            inverse = 1 / (np.maximum(values, 0) + strength)
            dual = vectors @ (inverse[:, None] * turned)
            own = np.square(vectors) @ inverse
            left_out = targets - dual / own[:, None]
            heat = fit_temperature(left_out, self.y[rows])
            its = softmax(left_out, heat)[np.arange(len(rows)), self.y[rows]]
            surprise = float(-np.log(np.maximum(its, 1e-9)).mean())
            if surprise < best[0]:
                best = surprise, dual / heat, heat
        return (self.x[rows].T @ best[1]).astype(np.float32), (bias / best[2]).astype(np.float32)

    def logits(self, head: tuple[Floats, Floats], rows: Rows) -> Floats:
        logits: Floats = self.x[rows] @ head[0] + head[1]
        return logits

    def accuracy(self, rows: Rows, judges: Rows) -> float:
        right = self.logits(self.head(rows), judges).argmax(1) == self.y[judges]
        return float(right.mean())


def _turn(
    world: _World, groups: Rows, share: float, random: np.random.Generator
) -> tuple[float, ...]:
    """Return the accuracies before, chosen, at random, of the whole pool, and three counts."""
    start, pool, judges = _parted(world.y, groups, random)
    added = int(np.clip(round(max(share, LEAST) * len(start)), 1, max(1, len(pool) // 2)))
    head = world.head(start)
    doubt = doubt_of(softmax(world.logits(head, pool)))
    picked = pool[unsure_first(doubt, world.x[pool], world.x[start], added)]
    drawn = [random.permutation(pool)[:added] for _ in range(DRAWS)]
    before = float((world.logits(head, judges).argmax(1) == world.y[judges]).mean())
    return (
        before,
        world.accuracy(np.concatenate([start, picked]), judges),
        float(np.mean([world.accuracy(np.concatenate([start, d]), judges) for d in drawn])),
        world.accuracy(np.concatenate([start, pool]), judges),
        len(start),
        added,
        len(pool),
    )


def _parted(labels: Rows, groups: Rows, random: np.random.Generator) -> tuple[Rows, Rows, Rows]:
    """Part the images into those that have labels, the pool and the judges; each class has some.

    Groups are numbered from 0 on, and stay whole.
    """
    turn = random.permutation(int(groups.max()) + 1)[groups]
    first = [groups[labels == c][turn[labels == c].argmin()] for c in np.unique(labels)]
    turn[np.isin(groups, first)] = -1  # one of each class begins
    place = np.empty(len(labels))
    place[np.argsort(turn, kind="stable")] = np.arange(len(labels)) / len(labels)
    least = np.full(int(groups.max()) + 1, np.inf)
    np.minimum.at(least, groups, place)
    place = least[groups]
    start, pool = place < START, (place >= START) & (place < START + POOL)
    return np.flatnonzero(start), np.flatnonzero(pool), np.flatnonzero(~start & ~pool)


def _needed(points: list[tuple[int, float]], accuracy: float) -> float | None:
    """Return how many images at random lead there, by straight lines between what was tried."""
    for (a, low), (b, high) in pairwise(points):
        if accuracy <= high:
            return float(a + (b - a) * max(accuracy - low, 0.0) / max(high - low, 1e-9))
    return None
