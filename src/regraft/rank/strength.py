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

FOLDS = 2.0
"""Folds share most of what they were fitted on, so their errors are not those of so many images.

The variance of a cross-validated mean is about twice what counting says (Nadeau and Bengio 2003).
"""

FLOOR = 0.02
"""Accuracy by which a network does otherwise on new images of a set than cross-validation tells,
however many there are: 12 sets with 250 images and more."""

UNKNOWN = 0.1
"""The like of a network that is in no table, around the mean of those that are."""


@dataclass(frozen=True)
class Prior:
    """Accuracy that a network had above the reference on other sets, and how that varies."""

    ahead: float
    spread: float


@dataclass(frozen=True)
class Strength:
    """Accuracy that a network is held to have, but for what is common to all; its error."""

    mean: float
    error: float


@cache
def known() -> Mapping[str, Prior]:
    """Return what is known of networks from other sets, by the fingerprint of their weights."""
    text = files("regraft.rank").joinpath("prior.json").read_text("utf-8")
    return {
        one["sha256"]: Prior(one["ahead"], one["spread"]) for one in json.loads(text)["networks"]
    }


def strengths(
    entries: Sequence[Entry], priors: Mapping[str, Prior] | None = None
) -> dict[Entry, Strength]:
    """Return how well networks are held to do that were asked about the same images.

    Each network's mean probability is known but for its noise, and what it has above the others is
    known from other sets but for its spread there; the result is the posterior mean of the two
    normals, and the common level follows from both.
    """
    priors = known() if priors is None else priors
    seen = [entry.found for entry in entries]
    images = reduce(np.intersect1d, [one.images for one in seen])
    rows = [np.intersect1d(one.images, images, return_indices=True)[1] for one in seen]
    right = np.stack([one.right[at] for one, at in zip(seen, rows, strict=True)]).astype(float)
    told = np.array([one.belief[at].mean() for one, at in zip(seen, rows, strict=True)])
    noise = FOLDS * (right - right.mean(0)).var(1) / len(images) + FLOOR**2
    found = [priors.get(one.opened.backbone.weights.sha256) for one in entries]
    usual = float(np.mean([one.ahead for one in found if one])) if any(found) else 0.0
    ahead = np.array([usual if one is None else one.ahead for one in found])
    spread = np.array([UNKNOWN if one is None else one.spread for one in found]) ** 2
    mean, error = weighed(told, noise, ahead, spread)
    return {
        entry: Strength(float(at), float(one))
        for entry, at, one in zip(entries, mean, error, strict=True)
    }


def weighed(told: Floats, noise: Floats, ahead: Floats, spread: Floats) -> tuple[Floats, Floats]:
    """Weigh what was measured with what is known: posterior means ``[n]`` and their errors.

    ``told`` is the common level and what a network has above it, but for ``noise``; what it has is
    ``ahead``, but for ``spread``; both are variances.
    """
    weight = 1 / (spread + noise)
    level = (weight * (told - ahead)).sum() / weight.sum()
    precision = 1 / noise + 1 / spread
    return (told / noise + (level + ahead) / spread) / precision, precision**-0.5
