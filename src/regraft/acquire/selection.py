"""Which images to label next: those that the head is unsure of, spread over the features.

Arrays in, an order out; numpy and scipy alone. The head is taken to be a ridge regression in the
space of its standardised features, of which a Gaussian process is the same thing: it says for every
image how much is not known there yet, and how much of that a label elsewhere takes away.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from regraft.heads.ridge import Floats, standardise

SPREAD = 2.0
"""Power of the share of the unknown that the images before have left. With 0 it is doubt alone,
which at five images a class won nothing over chance; 1, 2 and 4 were about equally good
(``docs/benchmarks.md``)."""

NOISE = 0.3
"""What a label's own noise is, and the penalty: the middle of those that heads are fitted with."""

NEAR = 1_000
"""Labelled images that tell what is known already, at most."""

MOST = 4_000
"""Images among which the order is sought, at most; of more the least sure ones."""

TINY = 1e-6
"""What is not known of an image at least, beside a variance of 1 in all."""


class Metric(NamedTuple):
    """How features are compared: ``mean`` and ``scale`` of each, ``[P]``."""

    mean: Floats
    scale: Floats

    def __call__(self, features: NDArray[np.floating]) -> Floats:
        """Return features ``[n, P]`` standardised; products of them are similarities."""
        z: Floats = (features.astype(np.float32) - self.mean) * self.scale
        return z


def metric_of(features: NDArray[np.floating], widths: tuple[int, ...]) -> Metric:
    """Return the space of features ``[n, P]`` whose taps have these ``widths``.

    Each tap's variances add up to 1, and all of them do, whatever the number of taps.
    """
    x = features.astype(np.float32)
    _, mean, scale = standardise(x, widths, np.ones(len(x), np.float32))
    return Metric(mean, scale / np.float32(len(widths) ** 0.5))


def doubt_of(shares: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return how unsure the head is, ``[n]``: what the likeliest class leaves to all others."""
    doubt: NDArray[np.float64] = 1.0 - np.asarray(shares, np.float64).max(1)
    return doubt


def unsure_first(
    doubt: NDArray[np.floating], pool: Floats, labelled: Floats, count: int
) -> NDArray[np.intp]:
    """Return ``count`` places of the pool, in the order in which to label them.

    One after the other the image is taken whose ``doubt``, times the share of what was not known
    about it that those before have left (:data:`SPREAD`), is largest. So of images that are alike
    one comes first, and the others when little else is left. What was not known is the variance of
    a Gaussian process with the linear kernel, after the labelled images and then after each that
    was taken (C. E. Rasmussen and C. K. I. Williams, *Gaussian Processes for Machine Learning*,
    2006, 2.2); the share of it, not itself, since images that are far from all others are not
    better to have.

    Args:
        doubt: ``[n]``, in 0..1.
        pool: features ``[n, P]`` in a `Metric`.
        labelled: those of labelled images ``[m, P]``.
        count: how many, at most n.
    """
    some = np.sort(np.argsort(-doubt, kind="stable")[: max(MOST, count)])
    unsure, x, known = doubt[some], pool[some], _known(pool[some], labelled[:NEAR])
    first = np.maximum(np.square(x).sum(1) - np.square(known).sum(1), TINY)
    left, taken, order = first.copy(), np.empty((count, len(some)), np.float32), list[int]()
    for place in range(count):
        worth = unsure * (np.maximum(left, 0) / first) ** SPREAD
        worth[order] = -1.0
        best = int(worth.argmax())
        shared = x @ x[best] - known @ known[best] - taken[:place].T @ taken[:place, best]
        taken[place] = shared / np.sqrt(max(float(left[best]), 0.0) + NOISE)
        left -= np.square(taken[place])
        order.append(best)
    return some[order]


def _known(pool: Floats, labelled: Floats) -> Floats:
    """Return ``[n, m]`` whose products are what labelled images tell of each pair of the pool."""
    from scipy.linalg import cholesky, solve_triangular

    kernel = labelled @ labelled.T
    kernel.flat[:: len(kernel) + 1] += np.float32(NOISE)
    root = cholesky(kernel, lower=True, check_finite=False)
    known: Floats = solve_triangular(root, labelled @ pool.T, lower=True, check_finite=False).T
    return known
