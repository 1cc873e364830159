"""Average linear heads: a weighted sum of linear heads on parts of the features is one on all.

Picking one of several heads by cross-validation loses two to four points on sets of a few images a
class against the best of them, for what is compared differs by less than its noise; their average
loses a fraction of that (``docs/benchmarks.md``). It is still one fully connected layer, and costs
nothing more at inference.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.heads.moments import BLOCK, FeatureSums, moments
from regraft.heads.ridge import (
    Floats,
    Head,
    Taps,
    as_float32,
    class_weights,
    columns,
    of_taps,
    one_core_each,
    penalised,
    products,
    solve,
    spread,
    standardise,
    weighted,
)

IN_MEMORY = 20_000
"""From more images on a head is fitted from sums over blocks of them (`regraft.heads.moments`)."""


@dataclass(frozen=True)
class Part:
    """A ridge head in an average: the depths it reads, its penalty and how much it counts."""

    taps: Taps
    strength: float
    weight: float
    """Its share in the average; the parts' shares add up to 1."""
    scale: float
    """What its scores are divided by before: their own spread, so that all speak equally loud."""


def union(parts: Sequence[Part]) -> Taps:
    """Return the depths that an average of these reads."""
    return tuple(sorted({tap for part in parts for tap in part.taps}))


def stage_weights(parts: Sequence[Part]) -> dict[int, float]:
    """Return how much each depth counts: the shares of the heads, parted evenly over their taps."""
    found = dict.fromkeys(union(parts), 0.0)
    for part in parts:
        for tap in part.taps:
            found[tap] += part.weight / len(part.taps)
    return found


def fit_average(
    features: NDArray[np.float16],
    widths: Sequence[int],
    labels: NDArray[Any],
    classes: int,
    parts: Sequence[Part],
    weighting: str = "none",
    rows: NDArray[np.intp] | None = None,
    pool: ThreadPoolExecutor | None = None,
) -> Head:
    """Fit every part on all the features given, or on the ``rows`` of them, and average them.

    Args:
        features: pooled after every stage, side by side, ``[n, sum(widths)]``.
        widths: of every depth.
        labels: of the rows that are fitted on: places of the classes, or targets ``[n, C]``.
        classes: how many there are.
        parts: what is averaged.
        weighting: of the images, as `regraft.heads.ridge.class_weights` takes it.
        rows: those that are fitted on; all where None.
        pool: threads of `regraft.heads.ridge.one_core_each` that are there already, for many
            small fits.
    """
    taps = union(parts)
    count = len(features) if rows is None else len(rows)
    if count > IN_MEMORY:
        return _streamed(features, widths, labels, classes, parts, weighting, rows)
    x = as_float32(features, widths, taps, rows)
    own, weights = [widths[d] for d in taps], class_weights(labels, classes, weighting)
    z, mean, scale = standardise(x, own, weights)
    places = {part.taps: tuple(taps.index(d) for d in part.taps) for part in parts}
    weight, bias = np.zeros((sum(own), classes), np.float32), np.zeros(classes, np.float32)
    with one_core_each() if pool is None else nullcontext(pool) as threads:
        gram_of = products(weighted(z, weights), own, list(places.values()), threads)

        def layer(read: Taps) -> tuple[Floats, Floats]:
            """Return the sum of the heads that read the same."""
            mine, some = places[read], [part for part in parts if part.taps == read]
            penalties = spread([part.strength for part in some], mine)
            seen = of_taps(z, own, mine)
            made = solve(seen, labels, classes, weights, penalties, gram_of(mine))
            shares = [np.float32(part.weight / part.scale) for part in some]
            its = np.add.reduce([s * w for s, (w, _) in zip(shares, made, strict=True)])
            return its, np.add.reduce([s * b for s, (_, b) in zip(shares, made, strict=True)])

        for read, (its, offset) in zip(places, threads.map(layer, places), strict=True):
            weight[columns(own, places[read])] += its
            bias += offset
    weight *= scale[:, None]
    return Head(taps, np.ascontiguousarray(weight.T), bias - mean @ weight)


def _streamed(
    features: NDArray[np.float16],
    widths: Sequence[int],
    labels: NDArray[Any],
    classes: int,
    parts: Sequence[Part],
    weighting: str,
    rows: NDArray[np.intp] | None,
) -> Head:
    """Fit the same without a copy of the features, from their sums."""
    taps = union(parts)
    own, weights = [widths[d] for d in taps], class_weights(labels, classes, weighting)

    def blocks() -> Iterator[tuple[NDArray[np.floating], NDArray[Any], Floats]]:
        for start in range(0, len(labels), BLOCK):
            some = slice(start, start + BLOCK)
            block = features[some if rows is None else rows[some]]
            yield of_taps(block, widths, taps), labels[some], weights[some]

    return averaged_of(moments(blocks(), classes), own, taps, parts)


def averaged_of(sums: FeatureSums, own: Sequence[int], taps: Taps, parts: Sequence[Part]) -> Head:
    """Return the average of the parts from sums over the features of the taps, ``own`` wide."""
    made = sums.standardised(own)
    weight, bias = np.zeros(made.right.shape), np.zeros(len(made.bias))
    for part in parts:
        places = tuple(taps.index(d) for d in part.taps)
        mine = columns(own, places)
        gram, right = made.gram[np.ix_(mine, mine)], made.right[mine]
        [layer] = penalised(gram, right, spread([part.strength], places))
        weight[mine] += part.weight / part.scale * layer
        bias += part.weight / part.scale * made.bias
    weight *= made.scale[:, None]
    offset = bias - made.mean @ weight
    return Head(taps, np.ascontiguousarray(weight.T, np.float32), offset.astype(np.float32))
