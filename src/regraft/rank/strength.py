"""How well a network is held to do: its probabilities on these images, weighed with other sets.

Counted right answers are noisy: on a hundred images two networks have to differ by five before that
says anything. The probability that cross-validation gives the right class tells the same from the
same images with six tenths of the noise, and how the networks do on other sets breaks what is left
of a tie (``docs/benchmarks.md``, "Which network"). Fitted by ``bench/bench_rank.py --write``.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from regraft.rank.ranking import Entry

Floats = NDArray[np.float64]

FLOOR = 0.01
"""By how much a network does otherwise on new images than these tell, however many they are."""

CERTAIN, MATTERS = 1.0, 0.005
"""Standard errors, and accuracy, that a network is held to be behind the best when it is dropped.

Two errors dropped hardly anybody, and half an error lost nothing more: who is nearly as good is
dropped too, and is no loss (``docs/benchmarks.md``)."""

UNKNOWN = 0.1
"""Spread of a network that is in no table, around the mean of those that are."""


@dataclass(frozen=True)
class Prior:
    """Accuracy that a network had above the reference on other sets, and how that varies."""

    ahead: float
    spread: float


@dataclass(frozen=True, eq=False)
class Strengths:
    """How well networks are held to do, and how surely: means ``[n]``, covariances ``[n, n]``."""

    entries: tuple[Entry, ...]
    means: Floats
    covariances: Floats

    def __contains__(self, entry: Entry) -> bool:
        return entry in self.entries

    def of(self, entry: Entry) -> float:
        """Return the probability of the right class that it is held to give, on average."""
        return float(self.means[self.entries.index(entry)])

    def gap(self, entry: Entry, other: Entry) -> tuple[float, float]:
        """Return by how much it is held to be better than another, and the error of that."""
        a, b = (self.entries.index(one) for one in (entry, other))
        both = self.covariances
        variance = both[a, a] + both[b, b] - 2 * both[a, b]
        return float(self.means[a] - self.means[b]), float(max(variance, 0.0) ** 0.5)


@cache
def known() -> Mapping[str, Prior]:
    """Return what is known of networks from other sets, by the fingerprint of their weights."""
    text = files("regraft.rank").joinpath("prior.json").read_text("utf-8")
    return {
        one["sha256"]: Prior(one["ahead"], one["spread"]) for one in json.loads(text)["networks"]
    }


def strengths(entries: Sequence[Entry], priors: Mapping[str, Prior] | None = None) -> Strengths:
    """Return how well networks are held to do that were asked about the same images."""
    priors = known() if priors is None else priors
    seen = [entry.found for entry in entries]
    images = reduce(np.intersect1d, [one.images for one in seen])
    rows = [np.intersect1d(one.images, images, return_indices=True)[1] for one in seen]
    belief = np.stack([one.belief[at] for one, at in zip(seen, rows, strict=True)]).astype(float)
    noise = np.cov(belief).reshape(len(seen), len(seen)) / len(images)
    found = [priors.get(one.opened.backbone.weights.sha256) for one in entries]
    usual = float(np.mean([one.ahead for one in found if one])) if any(found) else 0.0
    ahead = np.array([usual if one is None else one.ahead for one in found])
    spread = np.array([UNKNOWN if one is None else one.spread for one in found])
    means, covariances = weighed(
        belief.mean(1), noise + FLOOR**2 * np.eye(len(seen)), ahead, spread**2
    )
    return Strengths(tuple(entries), means, covariances)


def hopeless(held: Strengths, entry: Entry, best: Entry) -> bool:
    """Return whether a network is held to be so far behind that it is dropped."""
    behind, error = held.gap(best, entry)
    return behind > max(CERTAIN * error, MATTERS)


def weighed(told: Floats, noise: Floats, ahead: Floats, spread: Floats) -> tuple[Floats, Floats]:
    """Weigh what was measured with what is known: the posterior of normals.

    ``told`` ``[n]`` is a level that is common to all and what each has beside it, but for an error
    of covariance ``noise`` ``[n, n]``: networks share the hard images. What each has is ``ahead``,
    but for a variance ``spread``. The level is that of generalised least squares.

    Returns:
        Means ``[n]``, and the covariances of what each has beside the level.
    """
    both = np.linalg.inv(noise + np.diag(spread))
    rest = told - ahead
    level = float((both @ rest).sum() / both.sum())
    drawn = np.diag(spread) @ both
    mean = level + ahead + drawn @ (rest - level)
    return mean, np.diag(spread) - drawn @ np.diag(spread)
