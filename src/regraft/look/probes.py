"""How well a linear head on each stage tells a task's classes: the curves of the chart."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from regraft.data.splits import folds
from regraft.features.engines.base import Floats
from regraft.heads.ridge import columns, cross_validate
from regraft.metrics import wilson
from regraft.plan.evidence import fold_count

SURE = 1.96
"""Standard errors that make a 95 % interval."""


@dataclass(frozen=True, eq=False)
class Curve:
    """What linear heads on single stages got, cross-validated.

    ``right`` ``[stages, n]``: whether each image was told by a head that had not seen it.
    ``chance``: accuracy of always naming the commonest class.
    """

    right: NDArray[np.bool_]
    chance: float

    @cached_property
    def accuracies(self) -> list[float]:
        """Accuracy at each stage."""
        return [float(hits.mean()) for hits in self.right]

    @cached_property
    def intervals(self) -> list[tuple[float, float]]:
        """Their 95 % intervals."""
        return [wilson(int(hits.sum()), len(hits)) for hits in self.right]

    @cached_property
    def peak(self) -> int:
        """The stage with the highest accuracy, the first of equals."""
        return int(np.argmax(self.accuracies))

    @cached_property
    def plateau(self) -> list[int]:
        """The stages that do as well as the best one, within the noise of these images."""
        return [
            stage
            for stage in range(len(self.right))
            if gap(self.right[self.peak], self.right[stage])[1] <= 0
        ]

    @property
    def told(self) -> bool:
        """Whether the best stage does better than chance, beyond noise."""
        return self.intervals[self.peak][0] > self.chance


def gap(better: NDArray[np.bool_], worse: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Difference of two accuracies on the same images, and its 95 % interval.

    The error is that of the paired differences, image by image.
    """
    difference = better.astype(np.float64) - worse
    error = SURE * float(difference.std(ddof=1)) / np.sqrt(len(difference))
    mean = float(difference.mean())
    return mean, mean - error, mean + error


def probe(
    rows: Floats,
    widths: Sequence[int],
    labels: NDArray[np.intp],
    groups: NDArray[np.int64],
    seed: int,
) -> Curve:
    """Fit heads on each stage of ``rows`` ``[n, sum(widths)]`` and judge them on other images.

    Ridge regression in five folds; its penalty is the one with the least squared error.
    """
    classes = int(labels.max()) + 1
    fold = folds(labels, groups, fold_count(groups), seed)
    single = [(depth,) for depth in range(len(widths))]
    scores = cross_validate(comparable(rows, widths), widths, labels, classes, fold, single)
    targets = np.eye(classes, dtype=np.float32)[labels]
    right = []
    for of_depth in scores.astype(np.float32):
        best = np.square(of_depth - targets).sum(2).mean(1).argmin()
        right.append(of_depth[best].argmax(1) == labels)
    return Curve(np.stack(right), float(np.bincount(labels).max() / len(labels)))


def comparable(rows: Floats, widths: Sequence[int]) -> NDArray[np.float16]:
    """Return the same values around 0, each stage at its own scale, so that float16 holds them.

    Random weights may give very small or large ones. No label is used, and the heads standardise
    each channel anyway.
    """
    made = np.zeros(rows.shape, np.float16)
    for depth in range(len(widths)):
        own = columns(widths, (depth,))
        some = rows[:, own].astype(np.float64)
        some -= some.mean(0)
        made[:, own] = (some / max(float(some.std()), 1e-300)).clip(-6e4, 6e4)
    return made
