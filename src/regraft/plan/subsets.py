"""The new layer on part of the training images: what the learning curve is drawn through.

In cross-validation the images that a fold leaves in are thinned to an eighth, a quarter and a half
of each class, and those left out are judged each time. The subsets of a draw lie within each other,
and all shares are judged on the same images, so their differences carry little noise.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from regraft.data.splits import folds
from regraft.heads.average import Part, average_by
from regraft.heads.ridge import columns, one_core_each
from regraft.plan.evidence import Gathered, fold_count

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
) -> Subsets:
    """Judge the new layer, made of ``parts``, on shares of the images that evidence was of.

    ``features`` ``[n, sum(widths)]``, ``labels`` and ``groups`` ``[n]`` are those that the evidence
    was ``gathered`` from, by the same ``seed``. What it says of all images is the last share.
    """
    keep, classes = gathered.images, len(gathered.evidence.classes)
    y, group = labels[keep], groups[keep]
    fold = folds(y, group, fold_count(group), seed)
    shares = [
        share for share in DRAWS if share * len(y) * (1 - 1 / (fold.max() + 1)) >= FEWEST * classes
    ]
    images = np.zeros(len(shares) + 1)
    wrong = np.zeros((len(y), len(shares) + 1))
    images[-1] = len(y) * fold.max() / (fold.max() + 1)
    wrong[:, -1] = gathered.shares.argmax(1) != y
    with one_core_each() as pool:
        for f in range(fold.max() + 1):
            inside, outside = np.flatnonzero(fold != f), np.flatnonzero(fold == f)
            held_out = features[keep[outside]]
            for draw in range(max(DRAWS.values())):
                rank = ranks(y[inside], group[inside], np.random.default_rng((seed, f, draw)))
                for s, share in enumerate(shares):
                    if draw >= DRAWS[share]:
                        continue
                    some = inside[within(rank, y[inside], share)]
                    head = average_by(
                        pool, features, widths, y[some], classes, parts, weighting, keep[some]
                    )
                    said = head.logits(held_out[:, columns(widths, head.taps)]).argmax(1)
                    wrong[outside, s] += (said != y[outside]) / DRAWS[share]
                    images[s] += len(some) / DRAWS[share] / (fold.max() + 1)
    return Subsets(images, wrong, np.array([*(DRAWS[share] for share in shares), 1]), y, group)


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
