"""The new layer on part of the training images: what the learning curve is drawn through.

In cross-validation the images that a fold leaves in are thinned to an eighth, a quarter and a half
of each class, and those left out are judged each time. The subsets of a draw lie within each other,
and all shares are judged on the same images, so their differences carry little noise.
"""

from collections.abc import Mapping, Sequence
from itertools import chain, product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from regraft.data.splits import folds
from regraft.heads.average import Part, fit_average, union
from regraft.heads.ridge import side_by_side
from regraft.plan.evidence import SAMPLE, Gathered, fold_count

DRAWS: Mapping[float, int] = {1 / 8: 4, 1 / 4: 2, 1 / 2: 1}
"""Shares of the images that each fold leaves in, and how often each is drawn: what is small is
noisy, and costs little."""

FEWEST = 2
"""Images a class, on average, from which on a share is looked at."""

Ints = NDArray[np.intp]


class Subsets(NamedTuple):
    """How many images each share left to learn from, and which images it then got wrong.

    ``images`` ``[S]``, ascending, the last of them all that cross-validation leaves in; ``wrong``
    ``[n, S]``, the share of the draws; ``draws`` ``[S]``; ``labels`` and ``groups`` ``[n]``.
    """

    images: NDArray[np.float64]
    wrong: NDArray[np.float64]
    draws: Ints
    labels: Ints
    groups: Ints


def subsets_of(
    gathered: Gathered,
    features: NDArray[np.float16],
    widths: Sequence[int],
    labels: Ints,
    groups: Ints,
    *,
    parts: Sequence[Part],
    seed: int,
    weighting: str = "none",
    rows: Ints | None = None,
) -> Subsets:
    """Judge the new layer, made of ``parts``, on shares of the images that evidence was of.

    ``features`` ``[n, sum(widths)]``, ``labels`` and ``groups`` ``[n]`` are those that the evidence
    was ``gathered`` from, by the same ``seed``. What it says of all images is the last share; where
    that was asked of fewer than could be, for there are very many classes, all are asked here.
    ``rows``: those of ``features`` that the labels are of; all where None.
    """
    keep, classes = asked_of(gathered, len(labels), seed), len(gathered.evidence.classes)
    known = keep is gathered.images
    y, group = labels[keep], groups[keep]
    place = keep if rows is None else rows[keep]
    fold = folds(y, group, fold_count(group), seed)
    count = int(fold.max()) + 1
    left_in = len(y) * (1 - 1 / count)
    shares = [share for share in DRAWS if share * left_in >= FEWEST * classes]
    shares += [] if known else [1.0]
    draws = np.array([DRAWS.get(share, 1) for share in shares], np.intp)
    images, wrong = np.zeros(len(shares)), np.zeros((len(y), len(shares)))
    most = int(left_in * max(shares, default=0)) * sum(widths[tap] for tap in union(parts))
    with side_by_side(most) as (each, inner):

        def judge(turn: tuple[int, int]) -> list[tuple[int, int, Ints, NDArray[np.bool_]]]:
            """Fit on each share that is drawn so often, and tell which images it gets wrong."""
            f, draw = turn
            inside, outside = np.flatnonzero(fold != f), np.flatnonzero(fold == f)
            rank = ranks(y[inside], group[inside], np.random.default_rng((seed, f, draw)))
            found = []
            for s in np.flatnonzero(draws > draw).tolist():
                some = inside[within(rank, y[inside], shares[s])]
                head = fit_average(
                    features, widths, y[some], classes, parts, weighting, place[some], inner
                )
                told = head.logits_of(features, widths, place[outside]).argmax(1)
                missed = told != y[outside]
                found.append((s, len(some), outside, missed))
            return found

        turns = list(product(range(count), range(max(draws, default=0))))
        for s, learnt, outside, missed in chain.from_iterable(each(judge, turns)):
            wrong[outside, s] += missed / draws[s]
            images[s] += learnt / draws[s] / count
    if known:
        images, draws = np.append(images, left_in), np.append(draws, 1)
        wrong = np.column_stack([wrong, gathered.shares.argmax(1) != y])
    return Subsets(images, wrong, draws, y, group)


def asked_of(gathered: Gathered, count: int, seed: int) -> Ints:
    """Return which of so many images are judged: those of the evidence, or more of them."""
    if len(gathered.images) == min(count, SAMPLE):
        return gathered.images
    # of very many classes only so many images could be scored by every head
    return np.sort(np.random.default_rng(seed).permutation(count)[:SAMPLE])


def ranks(labels: Ints, groups: Ints, random: np.random.Generator) -> NDArray[np.float64]:
    """Return where each image comes in a random order of its class, in 0..1, ``[n]``.

    Groups come together: at the middle of what they take, on average over their classes.
    """
    group = np.unique(groups, return_inverse=True)[1]
    order = np.lexsort((random.permutation(group.max() + 1)[group], labels))
    of_class, place = labels[order], np.arange(len(order))
    first = np.searchsorted(of_class, of_class)
    rank = np.empty(len(labels))
    rank[order] = (place - first + 0.5) / np.bincount(labels)[of_class]
    mean: NDArray[np.float64] = (np.bincount(group, rank) / np.bincount(group))[group]
    return mean


def within(rank: NDArray[np.float64], labels: Ints, share: float) -> Ints:
    """Return the images of the first ``share`` of each class, and at least its first ones."""
    least = np.full(labels.max() + 1, np.inf)
    np.minimum.at(least, labels, rank)
    return np.flatnonzero((rank <= share) | np.isin(rank, least))
