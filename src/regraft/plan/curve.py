"""How many more images: the learning curve of the frozen network, and what it leads to expect.

The logarithm of the error falls along a straight line in the logarithm of the images (a power law),
but by less with each doubling. How steep such lines are, how they flatten and how far they miss was
fitted on other sets by ``bench/bench_curve.py`` and stands in ``curve.json``; the images at hand
say how steep their own is, as far as their noise lets them. A power law that goes on as it is was
too hopeful by a tenth to a half of the images needed (``docs/benchmarks.md``, "How many more").
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import exp, inf, log, log2, sqrt

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SURE = 1.645
"""Standard errors on either side of what 90 % of a normal distribution lie between."""

AHEAD = (1.0, 1.41, 2.0, 2.83, 4.0)
"""Multiples of today's images at which the accuracy is foretold."""

FARTHEST = 16.0
"""Multiple of today's images beyond which nothing is foretold; it was never measured so far."""

LEVEL = 100.0
"""Variance of the level before anything is known of it: as good as infinite."""


@dataclass(frozen=True)
class KnownCurves:
    """What is known of learning curves from other sets, in logarithms of the error.

    ``slope`` and ``spread``: by how much it falls at a doubling of today's images, and the standard
    deviation of that over sets; ``keeps``: the share of its slope that a curve keeps at the next
    doubling; ``drift``: standard deviation, for each doubling ahead, of what came otherwise;
    ``draw``: variance that the draw of ``n`` training images makes, times ``n``.
    """

    slope: float
    spread: float
    keeps: float
    drift: float
    draw: float
    sets: tuple[str, ...] = ()


@cache
def known() -> KnownCurves:
    """Return what ships with regraft."""
    found = json.loads(files("regraft.plan").joinpath("curve.json").read_text("utf-8"))
    return KnownCurves(**{**found, "sets": tuple(found["sets"])})


@dataclass(frozen=True, eq=False)
class Law:
    """The logarithm of the error against the doublings ``t`` from ``today``'s images on.

    It is ``level - slope * doublings(t)``; ``mean`` ``[2]`` and ``covariance`` ``[2, 2]`` are those
    of level and slope; what was measured ends at ``last`` doublings.
    """

    today: float
    mean: Floats
    covariance: Floats
    last: float
    prior: KnownCurves

    def row(self, t: float) -> Floats:
        """Return what level and slope count after ``t`` doublings, ``[2]``."""
        return np.array([1.0, -_doublings(t, self.prior.keeps)])

    def at(self, images: float) -> tuple[float, float]:
        """Return the mean and the standard error of the logarithm of the error."""
        t = log2(images / self.today)
        row = self.row(t)
        ahead = self.prior.drift * max(t - self.last, 0.0)
        return float(row @ self.mean), sqrt(float(row @ self.covariance @ row) + ahead**2)

    def accuracy(self, images: float) -> tuple[float, float, float]:
        """Return the accuracy to expect of so many images, and the ends of its 90 % interval."""
        mean, error = self.at(images)
        low, high = (1 - exp(min(mean + sign * SURE * error, 0.0)) for sign in (1, -1))
        return 1 - exp(min(mean, 0.0)), low, high

    def fall(self, images: float) -> tuple[float, float]:
        """Return by how much the logarithm falls from today on, and the standard error of that."""
        t = log2(images / self.today)
        row = self.row(t) - self.row(0.0)
        ahead = self.prior.drift * max(t, 0.0)
        return -float(row @ self.mean), sqrt(float(row @ self.covariance @ row) + ahead**2)

    def reaches(self, fall: float, side: float = 0.0) -> float:
        """Return the images at which the logarithm has fallen by so much.

        Infinitely many where that is beyond :data:`FARTHEST`. ``side``: standard errors by which
        it falls more than it is expected to.
        """
        low, high = 0.0, log2(FARTHEST)

        def short(t: float) -> bool:
            mean, error = self.fall(self.today * 2**t)
            return mean + side * error < fall

        if short(high):
            return inf
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if short(middle) else (low, middle)
        return float(self.today * 2**high)


def law(
    images: Floats,
    wrong: Floats,
    draws: NDArray[np.intp],
    today: float,
    prior: KnownCurves | None = None,
    *,
    sampled: bool = True,
) -> Law:
    """Fit the curve through what was measured.

    Args:
        images: that were learnt from, ascending ``[S]``.
        wrong: which images were then got wrong, ``[n, S]``, a share of the draws.
        draws: how often each number was drawn, ``[S]``.
        today: images that there are.
        prior: of other sets; the one that ships where None.
        sampled: whether the images that judge stand for others; else they are all that counts.

    Bayesian linear regression (C. M. Bishop, *Pattern Recognition and Machine Learning*, 3.3) of
    the logarithms, with the covariance of the errors over the images and the noise of the draws.
    """
    prior = known() if prior is None else prior
    n = len(wrong)
    error = np.minimum((wrong.sum(0) + 0.5) / (n + 1), 0.99)
    noise = np.diag(prior.draw / (draws * images))
    if sampled:
        over_images = np.atleast_2d(np.cov(wrong.T, bias=True))
        noise = noise + (over_images * n + 0.1) / (n + 1) / n / np.outer(error, error)
    t = np.log2(images / today)
    rows = np.stack([np.ones_like(t), [-_doublings(one, prior.keeps) for one in t]], 1)
    before = np.diag([LEVEL, prior.spread**2])
    expected = np.array([0.0, prior.slope])
    gain = before @ rows.T @ np.linalg.inv(rows @ before @ rows.T + noise)
    mean = expected + gain @ (np.log(error) - rows @ expected)
    return Law(today, mean, before - gain @ rows @ before, float(t[-1]), prior)


def _doublings(t: float, keeps: float) -> float:
    """``t`` doublings, those after today's counting less and those before it more."""
    return t if keeps == 1 else float((keeps**t - 1) / log(keeps))
