"""Tell an image like the training images from one of none of their classes.

Four scores, higher for what is known, of what the new layer reads and says:

- *probability*: the largest calibrated one (Hendrycks and Gimpel 2017, arXiv:1610.02136);
- *energy*: the logarithm of the summed exponentials of the logits (Liu et al. 2020,
  arXiv:2010.03759);
- *nearest*: the mean cosine to the five nearest training images, depth by depth;
- *mahalanobis*: the distance to the nearest class mean in units of the spread within classes, less
  that to the mean of all in units of the spread of all (Ren et al. 2021, arXiv:2106.09022).

The first two tell a class that is near the known ones, the others tell quite other pictures; their
weighted sum does both (``docs/benchmarks.md``). All of it is products of matrices, so that a model
can be exported with it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from regraft.heads.ridge import Floats, standardise

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

SCORES = ("probability", "energy", "nearest", "mahalanobis")
"""The names of the four, in their order."""

LIMIT = 0.05
"""An image whose belief is not above this is unknown: so 95 % of own images are known."""

EXEMPLARS = 256
"""Training images that are kept, at most, to look for the nearest ones among."""

RANK = 256
"""Directions, at most, along which spread is measured; what lies across them has one spread."""

NEAREST = 5
SHRINK = 0.1
"""How much of a covariance is taken to be the same in every direction."""

ARRAYS = ("mean", "scale", "basis", "within", "centres", "total", "rest", "exemplars")
"""Those of a space."""

PREFIX = "known."
"""What the names of the tensors begin with."""


@dataclass(frozen=True, eq=False)
class Space:
    """Where the training images lie among the features of the taps, P of them in all."""

    widths: tuple[int, ...]
    """Channels of each tap."""
    mean: Floats
    """[P], of the features."""
    scale: Floats
    """[P]; what features are multiplied by once the mean is off."""
    basis: Floats
    """[P, R], the directions along which the images spread most, orthonormal."""
    within: Floats
    """[R, R]; it turns their coordinates into units of the spread within classes."""
    centres: Floats
    """[C, R], the means of the classes in these units."""
    total: Floats
    """[R], one over the spread of all images along the directions."""
    rest: Floats
    """[1], what a squared distance across them counts."""
    exemplars: Floats
    """[M, P], some of the images; at each tap of length 1 / sqrt(taps)."""

    def nearest(self, x: Floats) -> Floats:
        """Return the mean cosine ``[n]`` of features ``[n, P]`` to the nearest exemplars."""
        near = directions(x, self.widths) @ self.exemplars.T
        count = min(NEAREST, near.shape[1])
        near.partition(near.shape[1] - count, axis=1)
        found: Floats = np.sort(near[:, near.shape[1] - count :], axis=1).mean(1)
        return found

    def mahalanobis(self, x: Floats) -> Floats:
        """Return minus the relative squared distance ``[n]`` of features ``[n, P]``."""
        z = (x - self.mean) * self.scale
        along = z @ self.basis
        across = np.maximum(np.square(z).sum(1) - np.square(along).sum(1), 0)
        own = along @ self.within
        distance = np.stack([np.square(own - centre).sum(1) for centre in self.centres], 1).min(1)
        overall = np.square(along * self.total).sum(1)
        relative: Floats = overall - distance - across * self.rest
        return relative


def scores_of(
    space: Space | None, features: NDArray[np.floating[Any]], logits: Floats
) -> NDArray[np.float64]:
    """Return the four scores ``[n, 4]`` of features ``[n, P]`` and logits ``[n, C]``.

    Without a space those that need one are 0.
    """
    x, found = features.astype(np.float32), np.zeros((len(features), len(SCORES)))
    best = logits.max(1, keepdims=True).astype(np.float64)
    summed = np.exp(logits - best).sum(1)
    found[:, 0], found[:, 1] = 1 / summed, best[:, 0] + np.log(summed)
    if space is not None:
        found[:, 2], found[:, 3] = space.nearest(x), space.mahalanobis(x)
    return found


def space_of(
    features: NDArray[np.floating[Any]],
    widths: Sequence[int],
    labels: NDArray[np.intp],
    rank: int = RANK,
    exemplars: int = EXEMPLARS,
) -> Space:
    """Fit the space to features of the taps ``[n, P]``, whose widths these are, and labels ``[n]``.

    ``exemplars`` are as many of each class as its share; the first of them, so that an order drawn
    at random draws them.
    """
    x = features.astype(np.float32)
    kept = directions(x[some(labels, exemplars)], widths)
    z, mean, scale = standardise(x, widths, np.ones(len(x), np.float32))
    n, width = z.shape
    names, y = np.unique(labels, return_inverse=True)
    wanted = min(rank, n - 1, width)
    basis: Floats
    along: Floats
    if n < width:
        spread, left = _largest(z @ z.T, wanted)
        length: Floats = np.sqrt(np.maximum(spread, np.float32(1e-12)))
        basis, along = z.T @ (left / length), left * length
    else:
        spread, basis = _largest(z.T @ z, wanted)
        along = z @ basis
    squares = float(np.square(z).sum(dtype=np.float64))
    solid = spread > 1e-6 * max(squares, 1e-12)
    variance, along = spread[solid] / max(n - 1, 1), along[:, solid]
    basis = np.ascontiguousarray(basis[:, solid])
    means = _means(z, y)
    between = float(np.bincount(y) @ np.square(means).sum(1, dtype=np.float64))
    freedom = max(n - len(names), 1)
    apart = along - _means(along, y)[y]
    covariance = apart.T @ apart / freedom
    whole = max(squares - between, 0.0) / freedom, squares / max(n - 1, 1)
    even = [max(each, 1e-6 * whole[1], 1e-12) / width for each in whole]
    across = max(width - len(variance), 1)
    rests = [
        ((1 - SHRINK) * max(of - told, 0) + SHRINK * each * across) / across
        for of, told, each in zip(whole, (covariance.trace(), variance.sum()), even, strict=True)
    ]
    values, vectors = np.linalg.eigh(covariance.astype(np.float64))
    shrunk = (1 - SHRINK) * np.maximum(values, 0) + SHRINK * even[0]
    within, kept_basis = (vectors / np.sqrt(shrunk)).astype(np.float32), _halved(basis)
    return Space(
        widths=tuple(widths),
        mean=mean.astype(np.float32),
        scale=scale,
        basis=kept_basis,
        within=within,
        centres=means @ kept_basis @ within,
        total=(1 / np.sqrt((1 - SHRINK) * variance + SHRINK * even[1])).astype(np.float32),
        rest=np.array([max(1 / rests[0] - 1 / rests[1], 0)], np.float32),
        exemplars=_halved(kept),
    )


def _means(x: Floats, y: NDArray[np.intp]) -> Floats:
    """Return the mean of each class ``[C, width]``; all of ``0..C-1`` are among ``y`` ``[n]``."""
    return np.stack([x[y == c].mean(0) for c in range(y.max() + 1)])


def _largest(symmetric: Floats, count: int) -> tuple[Floats, Floats]:
    """Return the largest eigenvalues ``[count]``, in rising order, and their vectors in columns.

    All of them by divide and conquer come sooner than a half of them one by one.
    """
    from scipy.linalg import eigh

    values, vectors = eigh(symmetric, driver="evd", check_finite=False)
    return values[len(values) - count :], vectors[:, len(values) - count :]


def directions(x: Floats, widths: Sequence[int]) -> Floats:
    """Return features ``[n, P]``, at each tap of length 1 / sqrt(taps): a product is a mean cosine.

    A tap where nothing is active stays so.
    """
    parts = np.split(x, np.cumsum(widths)[:-1], axis=1)
    lengths = [np.sqrt(np.square(part).sum(1, keepdims=True)) for part in parts]
    root = np.float32(np.sqrt(len(parts)))
    made = [part / (np.maximum(n, 1e-12) * root) for part, n in zip(parts, lengths, strict=True)]
    return np.concatenate(made, axis=1)


def some(labels: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    """Return positions of at most so many images, of each class its share, at least one."""
    if len(labels) <= most:
        return np.arange(len(labels))
    place = np.empty(len(labels))
    for c in np.unique(labels):
        own = np.flatnonzero(labels == c)
        place[own] = np.arange(len(own)) / len(own)
    return np.sort(np.argsort(place, kind="stable")[:most])


def _halved(x: Floats) -> Floats:
    """Return what is left of it in float16, as it will be read."""
    return x.astype(np.float16).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Known:
    """A space, how its scores are added, and those of own images that it did not see.

    Without a space the probability alone says it.
    """

    space: Space | None
    scaling: NDArray[np.float64]
    """[3, 4]: of each score the mean and the spread over own images, and its weight."""
    own: NDArray[np.float64]
    """[n], the sums of own images, held out, in rising order."""

    def belief(
        self, features: NDArray[np.floating[Any]], logits: Floats, *, at_once: bool = False
    ) -> NDArray[np.float64]:
        """Belief in each image ``[n]``, of features ``[n, P]`` and the head's logits ``[n, C]``.

        The share of own images, this one counted, that are no better known: a conformal p-value
        (Vovk, Gammerman and Shafer, *Algorithmic Learning in a Random World*, 2005). One image
        after the other: a product of matrices rounds otherwise for another number of rows. All
        ``at_once`` is several times as fast, and a belief may be another by a rank or two.
        """
        lots = [(features, logits)] if at_once else _one_by_one(features, logits)
        with _libraries().limit(limits=1, user_api="blas"):
            scores = [scores_of(self.space, *one) for one in lots]
        found = np.concatenate([np.empty((0, len(SCORES))), *scores])
        return ranked(combined(found, self.scaling), self.own)

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return it as arrays by name, as they are saved."""
        found: dict[str, NDArray[Any]] = {"scaling": self.scaling, "own": self.own}
        if self.space is not None:
            arrays = {name: getattr(self.space, name) for name in ARRAYS}
            halved = {name: arrays[name].astype(np.float16) for name in ("basis", "exemplars")}
            found |= arrays | halved
        return {PREFIX + name: array for name, array in found.items()}


@cache
def _libraries() -> "ThreadpoolController":
    """Find the libraries whose threads can be bounded; to look for them takes a millisecond."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def is_known(belief: float | None) -> bool | None:
    """Return whether an image is like the training images; None where there is no belief."""
    return None if belief is None else belief > LIMIT


def _one_by_one(
    features: NDArray[np.floating[Any]], logits: Floats
) -> Iterator[tuple[NDArray[np.floating[Any]], Floats]]:
    for n in range(len(features)):
        yield features[n : n + 1], logits[n : n + 1]


def ranked(sums: NDArray[np.float64], own: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the beliefs ``[n]`` of sums ``[n]`` among those of own images, in rising order."""
    below = np.searchsorted(own, sums, side="right")
    beliefs: NDArray[np.float64] = (1 + below) / (1 + len(own))
    return beliefs


def combined(scores: NDArray[np.float64], scaling: NDArray[Any]) -> NDArray[np.float64]:
    """Return the sums ``[n]`` of scores ``[n, 4]``, each in units of own images, weighted."""
    mean, spread, weight = scaling
    total: NDArray[np.float64] = ((scores - mean) / spread) @ weight
    return total


def known_of(tensors: Mapping[str, NDArray[Any]], widths: Sequence[int]) -> Known | None:
    """Read it back; None where a RUN has none. ``widths``: of the taps."""
    found = {n.removeprefix(PREFIX): t for n, t in tensors.items() if n.startswith(PREFIX)}
    if not found:
        return None
    arrays = {name: found[name].astype(np.float32) for name in ARRAYS if name in found}
    space = Space(tuple(widths), **arrays) if arrays else None
    return Known(space, found["scaling"], found["own"])
