"""How images of none of the classes are told from the others: what says it, and how well it does.

Each class in turn is left out, some at a time, and so is a fold of the others: heads that saw
neither say how well each score of `regraft.heads.known` tells the two apart. Those are near
strangers. Quite other pictures are not at hand, so what two of the scores count is the same for
every set; it was found on thirteen sets, each judged by the others (``bench/bench_unknown.py``).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from regraft.data.splits import folds
from regraft.heads.known import LIMIT, Known, Space, combined, ranked, scores_of, some, space_of
from regraft.heads.ridge import Head, one_core_each
from regraft.metrics import auroc

MOST = 600
"""Images, at most, that the scores are judged on, and that a space is fitted to."""

TURNS, FEW = (20, 10), 300
"""Parts of the images that are scored in turn by what is fitted to the others: of few, and of more
than that. What is fitted to fewer knows its own images less well, so that more than 95 % are kept:
with five parts 97.5 % were."""

PARTS = 5
"""Parts of the classes that are strangers in turn."""

WEIGHTS = (0.25, 0.9, 0.6, 0.3)
"""What each score counts at most. ``bench/bench_unknown.py`` with ``--weights`` finds them."""

UNTOLD = 0.65
"""The area under the curve that a score is taken to have where no class can be left out."""

POINTS = 1000
"""Own images, at most, whose sums are kept: as many of them, evenly, from lowest to highest."""

Labels = NDArray[np.intp]
Scores = NDArray[np.float64]
Fit = Callable[[NDArray[np.intp]], Head]
"""A calibrated head on some of the images, by their positions; it has an output for every class,
also for one of which none is there."""


@dataclass(frozen=True, eq=False)
class TapFeatures:
    """Training images as the new layer sees them.

    ``features`` ``[n, P]`` of the taps, whose ``widths`` these are, best in float32, for every turn
    reads them; ``labels`` ``[n]``; ``folds`` ``[n]``, of which a group of images is in one alone.
    """

    features: NDArray[np.floating[Any]]
    widths: tuple[int, ...]
    labels: Labels
    folds: Labels

    def scored(self, fit: Fit, rows: Labels, *others: Labels) -> list[Scores]:
        """Return the scores ``[m, 4]`` of other images by what is fitted to ``rows``."""
        head, space = fit(rows), self.space(rows)
        there = np.unique(self.labels[rows])
        head = Head(head.taps, head.weight[there], head.bias[there])
        return [
            scores_of(space, self.features[some], head.logits(self.features[some]))
            for some in others
        ]

    def space(self, rows: Labels) -> Space:
        """Return the space of some of them."""
        return space_of(self.features[rows], self.widths, self.labels[rows])


class Stranger(NamedTuple):
    """A class as a stranger: how well it is told from others, and how often it passes for one."""

    auroc: float
    accepted: float
    n: int


@dataclass(frozen=True, eq=False)
class Judgement:
    """What tells own images from others.

    ``known``: of a head on all of the images; ``beliefs`` ``[n]``: of each image by what did not
    see it; ``left_out``: by class; empty where none could be left out.
    """

    known: Known
    beliefs: NDArray[np.float64]
    left_out: Mapping[int, Stranger]


class Turn(NamedTuple):
    """Scores of own images and of strangers ``[m, 4]``, and these' classes."""

    own: Scores
    strangers: Scores
    classes: Labels


@dataclass(frozen=True, eq=False)
class Tried:
    """The scores of own images ``[n, 4]`` by what had not seen them, the turns, and the space."""

    scores: Scores
    turns: Sequence[Turn]
    space: Space


def judge(images: TapFeatures, fit: Fit, seed: int) -> Judgement:
    """Find out what tells own images from others, and how well."""
    return decided(tried(images, fit, seed))


def tried(images: TapFeatures, fit: Fit, seed: int) -> Tried:
    """Score each image by what has not seen it, and classes as strangers."""
    scores = np.empty((len(images.labels), len(WEIGHTS)))
    with one_core_each() as pool:
        outs = [np.flatnonzero(images.folds == fold) for fold in np.unique(images.folds)]
        rest = [np.flatnonzero(images.folds != fold) for fold in np.unique(images.folds)]
        made = pool.map(lambda some, out: images.scored(fit, some, out)[0], rest, outs)
        for out, found in zip(outs, made, strict=True):
            scores[out] = found
        turns = list(pool.map(lambda some: _turn(images, fit, *some), _parts(images, seed)))
        return Tried(scores, turns, images.space(np.arange(len(images.labels))))


def decided(found: Tried, most: Sequence[float] = WEIGHTS) -> Judgement:
    """Weigh the scores, by at most ``most`` each, and judge what comes of it."""
    scores = found.scores
    scaling = np.stack([scores.mean(0), _spread(scores), np.asarray(most) * tells(found.turns)])
    own = combined(scores, scaling)
    known = Known(found.space, scaling, points(own))
    return Judgement(known, ranked(own, np.sort(own)), _left_out(found.turns, scaling))


def by_probability(shares: NDArray[np.floating]) -> Known:
    """Return what tells it by the largest probability, of own images ``[n, C]`` not trained on."""
    best = np.asarray(shares, np.float64).max(1)
    scaling = np.array([[best.mean(), 0, 0, 0], [max(best.std(), 1e-12), 1, 1, 1], [1, 0, 0, 0]])
    return Known(None, scaling, points((best - scaling[0, 0]) / scaling[1, 0]))


def tells(turns: Sequence[Turn]) -> NDArray[np.float64]:
    """Return how much of its most each score counts ``[4]``, in 0..1.

    Those of the head as much as they tell classes that were left out; the others tell quite other
    pictures too, and count the same everywhere.
    """
    told = [
        [auroc(own, strange) for own, strange in zip(turn.own.T, turn.strangers.T, strict=True)]
        for turn in turns
    ]
    area = np.mean(told, axis=0) if told else np.full(len(WEIGHTS), UNTOLD)
    found: NDArray[np.float64] = np.clip(2 * area - 1, 0, 1)
    found[2:] = 1
    return found


def points(own: Scores) -> Scores:
    """Return at most :data:`POINTS` of the sums of own images, in rising order."""
    if len(own) <= POINTS:
        return np.sort(own)
    return np.quantile(own, (np.arange(POINTS) + 0.5) / POINTS)


def _parts(images: TapFeatures, seed: int) -> Iterator[tuple[Labels, Labels, Labels]]:
    """Leave classes out, a part of them at a time; none where fewer than two would stay.

    Gives positions: what is fitted to, own images that are judged, and strangers.
    """
    names = np.random.default_rng(seed).permutation(np.unique(images.labels))
    parts = min(PARTS, int(images.folds.max()) + 1, len(names))
    for turn in range(parts if len(names) > 2 else 0):
        strange, out = np.isin(images.labels, names[turn::parts]), images.folds % parts == turn
        inside, own = (np.flatnonzero(~strange & side) for side in (~out, out))
        if len(np.unique(images.labels[inside])) > 1 and len(own):
            yield inside, own, np.flatnonzero(strange)


def _turn(images: TapFeatures, fit: Fit, inside: Labels, own: Labels, strange: Labels) -> Turn:
    ours, theirs = images.scored(fit, inside, own, strange)
    return Turn(ours, theirs, images.labels[strange])


def _left_out(turns: Sequence[Turn], scaling: NDArray[np.float64]) -> dict[int, Stranger]:
    """Judge the classes; they pass by the own images of all turns, for one turn has few."""
    sums = [combined(turn.own, scaling) for turn in turns]
    found, every = {}, np.sort(np.concatenate([np.empty(0), *sums]))
    for turn, own in zip(turns, sums, strict=True):
        strangers = combined(turn.strangers, scaling)
        beliefs = ranked(strangers, every)
        for name in np.unique(turn.classes):
            its = turn.classes == name
            passed = float((beliefs[its] > LIMIT).mean())
            found[int(name)] = Stranger(auroc(own, strangers[its]), passed, int(its.sum()))
    return dict(sorted(found.items()))


def _spread(scores: Scores) -> NDArray[np.float64]:
    spread = scores.std(0)
    return np.where(spread > 1e-9, spread, 1.0)


def turns_of(labels: Labels, groups: Labels, seed: int) -> Labels:
    """Return the turn ``[n]`` in which each image is scored; those of a group are in one."""
    count = TURNS[len(labels) > FEW]
    return folds(labels, groups, min(count, len(np.unique(groups))), seed)


def sample(labels: Labels, seed: int) -> Labels:
    """Return the images that it is judged on: at most :data:`MOST`, of each class its share."""
    order = np.random.default_rng(seed).permutation(len(labels))
    return order[some(labels[order], MOST)]
