"""Ridge heads of more images than memory holds, exactly: one pass over the features adds up all.

What ridge regression asks of the images are sums: of their weights, of the channels, of the
products of channels with each other and with the targets. They are added up block by block, so
memory does not grow with the images, and the sums of two machines add up to those of both. Every
choice of stages is a part of them, every penalty one more factorisation.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from regraft.heads.ridge import Floats, scale_of, targets_of

Doubles: TypeAlias = NDArray[np.float64]

BLOCK: Final = 2048
"""Images whose products are formed at once."""


@dataclass(eq=False)
class FeatureSums:
    """Sums over weighted images of features ``[d]`` less a ``pilot``, and of targets.

    Near a pilot (the mean of the first block) the sums are small beside their differences from it,
    and nothing is lost to rounding when the mean is taken out (Chan, Golub and LeVeque, *Algorithms
    for computing the sample variance*, The American Statistician 37, 1983).
    """

    pilot: Floats
    of_targets: Doubles
    """Sum of the targets ``[C]``: of one-hot ones the weight of each class."""
    first: Doubles
    """Sum of the channels ``[d]``."""
    second: Doubles
    """Sum of the channels' products ``[d, d]``; the lower triangle counts."""
    with_targets: Doubles
    """Sum of the channels times the targets ``[d, C]``."""
    weight: float = 0.0
    """Of all images."""

    def __add__(self, other: "FeatureSums") -> "FeatureSums":
        """Return the sums over the images of both, which have the same pilot."""
        if not np.array_equal(self.pilot, other.pilot):
            raise ValueError("sums about different pilots cannot be added")
        return FeatureSums(
            self.pilot,
            self.of_targets + other.of_targets,
            self.first + other.first,
            self.second + other.second,
            self.with_targets + other.with_targets,
            self.weight + other.weight,
        )

    @classmethod
    def none(cls, pilot: Floats, classes: int) -> "FeatureSums":
        """Return the sums over no image."""
        d = len(pilot)
        return cls(pilot, np.zeros(classes), np.zeros(d), np.zeros((d, d)), np.zeros((d, classes)))

    def take(self, features: NDArray[np.floating], labels: NDArray[Any], weights: Floats) -> None:
        """Add some images, in place."""
        from scipy.linalg.blas import dsyrk

        x, w = features.astype(np.float64) - self.pilot, weights.astype(np.float64)
        targets = w[:, None] * targets_of(labels, len(self.of_targets)).astype(np.float64)
        self.weight += float(w.sum())
        self.of_targets += targets.sum(0)
        self.first += w @ x
        self.with_targets += x.T @ targets
        if not (w == 1).all():
            x *= np.sqrt(w)[:, None]
        self.second += dsyrk(1.0, x.T, lower=1)  # x.T is in Fortran's order: no copy is made

    @property
    def mean(self) -> Doubles:
        """Of each channel, ``[d]``."""
        return self.pilot + self.first / self.weight

    @property
    def variance(self) -> Doubles:
        """Of each channel, ``[d]``."""
        off = self.first / self.weight
        return np.maximum(self.second.diagonal() / self.weight - off * off, 0.0)

    def standardised(self, widths: Sequence[int]) -> "Standardised":
        """Return what `regraft.heads.ridge.solve` needs of the standardised features."""
        scale = scale_of(self.variance, widths)
        off = self.first / np.sqrt(self.weight)
        gram = (self.second - np.outer(off, off)) * np.outer(scale, scale)
        share = self.of_targets / self.weight
        right = (self.with_targets - np.outer(self.first, share)) * scale[:, None]
        return Standardised(self.mean, scale, gram, right, share)


@dataclass(frozen=True, eq=False)
class Standardised:
    """Of standardised features: the products of channels, and of them with the targets' rest."""

    mean: Doubles
    scale: Doubles
    gram: Doubles
    right: Doubles
    bias: Doubles
    """Mean of each target: of one-hot ones the share of each class."""


def moments(
    blocks: Iterator[tuple[NDArray[np.floating], NDArray[Any], Floats]],
    classes: int,
    pilot: Floats | None = None,
) -> FeatureSums:
    """Add up blocks of features ``[b, d]``, labels ``[b]`` (or targets) and weights ``[b]``.

    ``pilot``: values near the means of the channels ``[d]``, the same for sums that are to be
    added; the mean of the first block where None.

    Raises:
        ValueError: there is no block.
    """
    total: FeatureSums | None = None
    for features, labels, weights in blocks:
        if total is None:
            near = features.astype(np.float32).mean(0) if pilot is None else pilot
            total = FeatureSums.none(near, classes)
        total.take(features, labels, weights)
    if total is None:
        raise ValueError("no image to fit a head on")
    return total
