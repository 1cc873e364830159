"""Fit linear heads on frozen features.

A head is one fully connected layer: ridge regression from standardised features to one-hot
targets (or to several labels, or a number), which is fitted in closed form. On ten to fifty images
a class it is as accurate as multinomial logistic regression, or better (``docs/benchmarks.md``),
and every strength of the penalty comes from one product of the features with themselves.

Features are pooled after every stage and lie side by side: ``features`` is ``[n, sum(widths)]``
and *depth* ``d`` owns ``widths[d]`` columns. A head reads one depth or several (its *taps*).
Each depth is standardised channel by channel and scaled to a variance of 1 in all, so that a depth
of 1,280 channels does not drown one of 16; one penalty then suits every depth. In these units the
best penalty hardly depends on the number of images, so the grid is short.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Taps: TypeAlias = tuple[int, ...]
Real = TypeVar("Real", np.float32, np.float64)

STRENGTHS: tuple[float, ...] = (0.1, 0.3, 1.0, 3.0)
"""L2 penalties tried. On ten sets at 10, 50 and 300 images a class the best lay in 0.1 to 1, and on
thirteen a grid from 0.03 to 10 led to the same heads."""

FLOOR = 0.3
"""Added to a channel's standard deviation, as a share of its depth's: a channel that hardly varies
says little, and has to stay quiet. On thirteen sets under three networks that won 0.7 points at
five images a class, 0.25 at twenty and nothing at a hundred over a floor of 0.001."""


ABREAST = 12_500_000
"""Values of features, of all fits together, up to which they go side by side, see `side_by_side`:
50 MB in float32, of which a fit holds three or four times as much. On two cores that are 3,000
images with 2,048 values each."""


@dataclass(frozen=True)
class Head:
    """A fully connected layer over the pooled features of its taps, standardisation folded in.

    ``weight`` is ``[classes, sum of the taps' widths]``, ``bias`` ``[classes]``.
    """

    taps: Taps
    weight: Floats
    bias: Floats

    def logits(self, features: NDArray[np.floating]) -> Floats:
        """Scores ``[n, classes]`` of features ``[n, sum of the taps' widths]``."""
        logits: Floats = features.astype(np.float32, copy=False) @ self.weight.T + self.bias
        return logits

    def logits_of(
        self, features: NDArray[np.floating], widths: Sequence[int], rows: NDArray[np.intp]
    ) -> Floats:
        """Scores ``[len(rows), classes]`` of some rows of features ``[n, sum(widths)]``.

        Block by block, so that of many images no copy is made.
        """
        logits = np.empty((len(rows), len(self.bias)), np.float32)
        for start in range(0, len(rows), 4096):
            block = features[rows[start : start + 4096]]
            logits[start : start + 4096] = self.logits(of_taps(block, widths, self.taps))
        return logits

    def scaled(self, temperature: float) -> "Head":
        """Return the head whose logits are divided by ``temperature``.

        Same decisions, calibrated.
        """
        factor = np.float32(1.0 / temperature)
        return Head(self.taps, self.weight * factor, self.bias * factor)

    def adjusted(self, slopes: Sequence[float], offsets: Sequence[float]) -> "Head":
        """Return the head whose logits ``s`` are ``slope * s + offset``, each output by its own."""
        slope, offset = np.asarray(slopes, np.float32), np.asarray(offsets, np.float32)
        return Head(self.taps, self.weight * slope[:, None], self.bias * slope + offset)


def columns(widths: Sequence[int], taps: Taps) -> NDArray[np.intp]:
    """Return the columns of ``features`` that the taps own, in the order of the taps."""
    starts = np.concatenate([[0], np.cumsum(widths)])
    return np.concatenate([np.arange(starts[d], starts[d + 1]) for d in taps])


def targets_of(labels: NDArray[Any], classes: int) -> Floats:
    """Return what a head is fitted to, ``[n, C]``: one-hot labels, or targets as they are.

    ``labels``: places of the classes ``[n]``, or targets ``[n, C]`` (several labels, numbers).
    """
    return labels if labels.ndim == 2 else np.eye(classes, dtype=np.float32)[labels]


def class_weights(labels: NDArray[Any], classes: int, how: str) -> Floats:
    """Return the weight of each image, mean 1. ``balanced``: every class weighs the same in all.

    Targets ``[n, C]`` are of no class, and weigh the same.
    """
    if how == "none" or labels.ndim == 2:
        return np.ones(len(labels), np.float32)
    counts = np.bincount(labels, minlength=classes)
    weights = 1.0 / np.maximum(counts, 1)[labels]
    even: Floats = (weights / weights.mean()).astype(np.float32)
    return even


def cross_validate(
    features: NDArray[np.float16],
    widths: Sequence[int],
    labels: NDArray[Any],
    classes: int,
    folds: NDArray[np.intp],
    candidates: Sequence[Taps],
    strengths: Sequence[float] = STRENGTHS,
    weighting: str = "none",
) -> NDArray[np.float16]:
    """Scores of each image by heads that did not see its fold.

    Standardisation, too, is learnt without the fold. Returns
    ``[candidates, strengths, n, classes]`` (float16: a score lies near 0..1).
    """
    scores = np.zeros((len(candidates), len(strengths), len(labels), classes), np.float16)

    def judge(fold: int, pool: ThreadPoolExecutor) -> None:
        inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        y, weights = labels[inside], class_weights(labels[inside], classes, weighting)
        z, mean, scale = standardise(features[inside].astype(np.float32), widths, weights)
        held_out = (features[outside].astype(np.float32) - mean) * scale
        gram_of = products(weighted(z, weights), widths, candidates, pool)

        def score(c: int) -> None:
            own, penalties = columns(widths, candidates[c]), spread(strengths, candidates[c])
            layers = solve(z[:, own], y, classes, weights, penalties, gram_of(candidates[c]))
            for s, (weight, bias) in enumerate(layers):
                scores[c, s, outside] = held_out[:, own] @ weight + bias

        widest_first = sorted(range(len(candidates)), key=lambda c: -len(candidates[c]))
        list(pool.map(score, widest_first))  # done before the next fold begins

    with side_by_side(len(labels) * sum(widths)) as (each, inner):
        list(each(lambda fold: judge(fold, inner), range(folds.max() + 1)))
    return scores


def products(
    x: Floats, widths: Sequence[int], candidates: Sequence[Taps], pool: ThreadPoolExecutor
) -> Callable[[Taps], Floats]:
    """Return the products of ``x`` ``[n, sum(widths)]`` with itself that the candidates need.

    The windows overlap, so everything is computed once, depth by depth: ``x x'`` of several depths
    is the sum of theirs, ``x' x`` is made of the blocks of each pair. Of the latter the upper
    triangle is left undefined.
    """
    dual = {taps for taps in candidates if _dual(len(x), sum(widths[d] for d in taps))}
    kernels = sorted({(d, d) for taps in dual for d in taps})
    primal = set(candidates) - dual
    blocks = sorted({(a, b) for taps in primal for a in taps for b in taps if a >= b})

    def kernel(pair: tuple[int, int]) -> Floats:
        own = of_taps(x, widths, pair[:1])
        product: Floats = own @ own.T
        return product

    def block(pair: tuple[int, int]) -> Floats:
        product: Floats = of_taps(x, widths, pair[:1]).T @ of_taps(x, widths, pair[1:])
        return product

    kernel_of = dict(zip(kernels, pool.map(kernel, kernels), strict=True))
    block_of = dict(zip(blocks, pool.map(block, blocks), strict=True))

    def product(taps: Taps) -> Floats:
        if taps in dual:
            total: Floats = np.add.reduce([kernel_of[d, d] for d in taps])
            return total
        ends = np.cumsum([0, *(widths[d] for d in taps)])
        gram = np.zeros((ends[-1], ends[-1]), np.float32)
        for row, a in enumerate(taps):
            for column, b in enumerate(taps[: row + 1]):
                rows, columns = slice(*ends[row : row + 2]), slice(*ends[column : column + 2])
                gram[rows, columns] = block_of[a, b]
        return gram

    return product


def _dual(images: int, width: int) -> bool:
    """Return whether to go through ``x x'`` rather than ``x' x``, which candidates can share."""
    return images < 0.9 * width


@contextmanager
def one_core_each() -> Iterator[ThreadPoolExecutor]:
    """Threads over the candidates, with one core for the linear algebra of each.

    Threads inside a factorisation of a few hundred rows wait for each other more than they work:
    where another program keeps a core busy, one took a hundred times as long.
    """
    import scipy.linalg  # noqa: F401  (its BLAS is its own, and can be limited once it is loaded)
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        yield pool


class InTurn(ThreadPoolExecutor):
    """What stands in for threads where those are at other work: it maps one after the other."""

    def map(self, fn: Callable[..., Any], *iterables: Iterable[Any], **_: Any) -> Iterator[Any]:
        """Return what ``fn`` makes of each, when it is asked for."""
        return map(fn, *iterables)


Each: TypeAlias = Callable[..., Iterator[Any]]
"""What maps a function over what is to be fitted on."""


@contextmanager
def side_by_side(values: int) -> Iterator[tuple[Each, ThreadPoolExecutor]]:
    """Return what maps over fits on so many values each, and the threads that each may use.

    As long as those of one on every core are at most :data:`ABREAST` they go side by side, each in
    one thread; what is larger, takes memory and is worth parting goes one after the other in all.
    """
    with one_core_each() as pool:
        few = values * (os.cpu_count() or 1) <= ABREAST
        yield (pool.map, InTurn()) if few else (map, pool)


def fit(
    features: NDArray[np.float16],
    widths: Sequence[int],
    labels: NDArray[Any],
    classes: int,
    taps: Taps,
    strength: float,
    weighting: str = "none",
    rows: NDArray[np.intp] | None = None,
) -> Head:
    """Fit one head on all the features given, or on the ``rows`` of them that ``labels`` are of."""
    x = as_float32(features, widths, taps, rows)
    weights = class_weights(labels, classes, weighting)
    z, mean, scale = standardise(x, [widths[d] for d in taps], weights)
    [(weight, bias)] = solve(z, labels, classes, weights, spread([strength], taps))
    weight *= scale[:, None]
    return Head(taps, np.ascontiguousarray(weight.T), bias - mean @ weight)


def of_taps(features: NDArray[Any], widths: Sequence[int], taps: Taps) -> NDArray[Any]:
    """Return the columns of the taps.

    Where they lie side by side a view, to spare large sets a copy.
    """
    return features[:, _columns_or_slice(widths, taps)]


def _columns_or_slice(widths: Sequence[int], taps: Taps) -> NDArray[np.intp] | slice:
    """Return the columns of the taps; a slice where they lie side by side."""
    own = columns(widths, taps)
    adjacent = len(own) == own[-1] - own[0] + 1
    return slice(int(own[0]), int(own[-1]) + 1) if adjacent else own


def as_float32(
    features: NDArray[np.float16],
    widths: Sequence[int],
    taps: Taps,
    rows: NDArray[np.intp] | None = None,
) -> Floats:
    """Return the columns of the taps in float32, of all images or some ``rows``.

    Block by block, so that no copy of them in float16 lies between, nor one of the other rows.
    """
    own = _columns_or_slice(widths, taps)
    if isinstance(own, slice):  # a view, so that only these columns of the rows are read
        features, own = features[:, own], slice(None)
    count, width = len(features) if rows is None else len(rows), sum(widths[tap] for tap in taps)
    x = np.empty((count, width), np.float32)
    for start in range(0, count, 4096):
        some = slice(start, start + 4096)
        x[some] = features[some if rows is None else rows[some]][:, own]
    return x


def spread(strengths: Sequence[float], taps: Taps) -> list[float]:
    """Return penalties that grow with the taps, as if each depth were divided by their number."""
    return [strength * len(taps) for strength in strengths]


def solve(
    z: Floats,
    labels: NDArray[Any],
    classes: int,
    weights: Floats,
    strengths: Sequence[float],
    gram: Floats | None = None,
) -> list[tuple[Floats, Floats]]:
    """Ridge regression to the targets with a free intercept, for every strength.

    ``z`` ``[n, width]`` is standardised. Minimises ``sum_i w_i |y_i - W z_i - b|^2 + strength
    |W|^2`` (Hastie, Tibshirani, Friedman, *The Elements of Statistical Learning*, 3.4.1) through
    whichever of ``z z'`` and ``z' z`` is smaller (``gram``, where it is known already; its lower
    triangle is read). Returns ``(weight [width, classes], bias [classes])`` for each strength.
    """
    targets = targets_of(labels, classes)
    bias = (weights / weights.sum()) @ targets
    root = np.sqrt(weights)[:, None]
    x, y = weighted(z, weights), (targets - bias) * root
    dual = _dual(*x.shape)
    if gram is None:
        gram = x @ x.T if dual else x.T @ x
    found = penalised(gram, y if dual else x.T @ y, strengths)
    return [(x.T @ one if dual else one, bias) for one in found]


def penalised(
    gram: NDArray[Real], right: NDArray[Real], strengths: Sequence[float]
) -> Iterator[NDArray[Real]]:
    """Solve ``(gram + strength) weight = right`` for every strength, by Cholesky.

    Of ``gram`` the lower triangle is read.
    """
    from scipy.linalg import cho_factor, cho_solve

    for strength in strengths:
        firm = gram.copy()
        firm.flat[:: len(gram) + 1] += firm.dtype.type(strength)
        factor = cho_factor(firm, lower=True, overwrite_a=True, check_finite=False)
        solved: NDArray[Real] = cho_solve(factor, right, check_finite=False)
        yield solved


def weighted(z: Floats, weights: Floats) -> Floats:
    """Each row times the root of its weight; ``z`` itself, not a copy, where all weigh the same."""
    return z if (weights == 1).all() else z * np.sqrt(weights)[:, None]


def standardise(x: Floats, widths: Sequence[int], weights: Floats) -> tuple[Floats, Floats, Floats]:
    """``(z, mean, scale)`` with ``z = (x - mean) * scale`` made in place of ``x`` ``[n, width]``.

    Every channel gets mean 0 and a variance that is the smaller the less it varies (:data:`FLOOR`);
    the variances of a depth add up to 1, so that every depth weighs the same.
    """
    share = weights / weights.sum()
    mean = share @ x
    x -= mean
    blocks = [slice(start, start + 4096) for start in range(0, len(x), 4096)]
    variance = np.sum([share[rows] @ np.square(x[rows]) for rows in blocks], axis=0)
    scale = scale_of(variance, widths).astype(np.float32)
    x *= scale
    return x, mean, scale


def scale_of(variance: NDArray[np.floating], widths: Sequence[int]) -> NDArray[np.float64]:
    """Return what each channel ``[sum(widths)]`` is multiplied by, see `standardise`."""
    depth = np.repeat(np.arange(len(widths)), widths)
    of_depth = np.sqrt(np.bincount(depth, variance) / widths)[depth]
    deviation = np.sqrt(variance) + FLOOR * of_depth + 1e-8
    total = np.bincount(depth, variance / np.square(deviation), len(widths))[depth]
    scale: NDArray[np.float64] = 1.0 / (deviation * np.sqrt(total + 1e-12))
    return scale
