"""What training the network may win over the frozen one, in points of accuracy.

The model stands in ``gain.json``: linear in the logarithm of the number of images and in the
similarity, fitted over sets, sizes and networks by ``bench/fit_gain.py``. Of the facts that the
pass gives for nothing these two told most of sets that were left out; the shape of the depth curve,
the slope of the learning curve and the nearest neighbours added nothing (``docs/benchmarks.md``).
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import log
from typing import Any

from regraft.plan.choices import Choices
from regraft.plan.evidence import Evidence

WORTH = 0.02
"""Expected gain above which the network is trained unasked, if its lower end is above 0 too."""

WORTH_A_BUDGET = 0.01
"""The same where a person has said how much time there is."""

UNASKED = 600.0
"""Seconds that a training nobody asked for may take at most."""

FACTS = ("logarithm of the images", "similarity")
"""What the model goes by."""

LEAST, MOST = 40, 10_000
"""Images between which the model was fitted, or a little beyond; past these it says the same."""


@dataclass(frozen=True)
class Gain:
    """Accuracy that training is expected to add to the frozen network's, as a share.

    ``low`` and ``high``: where it lies two times in three; ``spread``: half of that, the standard
    deviation of what was won on sets that the model had not seen.
    """

    points: float
    low: float
    high: float
    spread: float

    @property
    def worth(self) -> bool:
        """Whether it is enough to train unasked."""
        return self.points > WORTH and self.low > 0.0

    @property
    def near(self) -> bool:
        """Whether another draw of the images may well say the opposite of :attr:`worth`."""
        return abs(min(self.points - WORTH, self.low)) < 0.005

    def __str__(self) -> str:
        return f"{100 * self.points:.1f} points ({100 * self.low:.1f} to {100 * self.high:.1f})"


@cache
def model() -> dict[str, Any]:
    """Return the fitted coefficients, and how many rows and sets they are of."""
    found: dict[str, Any] = json.loads(files("regraft.plan").joinpath("gain.json").read_text())
    return found


def facts_of(images: int, similarity: float) -> tuple[float, ...]:
    """Return the numbers that the model goes by."""
    return log(min(max(images, LEAST), MOST)), similarity


def expected_gain(images: int, similarity: float, headroom: float = 1.0) -> Gain:
    """Return what training may win on so many training images.

    Args:
        images: how many there are to train on, those that validate included.
        similarity: to the source, in 0..1.
        headroom: the share that the frozen network gets wrong; no more than that can be won.
    """
    known = model()
    facts = zip(known["slopes"], facts_of(images, similarity), strict=True)
    said = known["intercept"] + sum(slope * fact for slope, fact in facts)
    spread, points = known["spread"], min(said, headroom)
    return Gain(points, points - spread, min(points + spread, headroom), spread)


def gain_of(evidence: Evidence) -> Gain:
    """Return what training the network may win on images that were looked at."""
    return expected_gain(evidence.images, evidence.similarity, evidence.headroom)


def worth_training(evidence: Evidence, budget: float | None = None) -> bool:
    """Return whether training the network may win enough for its time.

    Not where the frozen network tells nothing: then the labels are the likeliest fault.
    """
    return evidence.learnt and pays(gain_of(evidence), budget)


def pays(gain: Gain, budget: float | None) -> bool:
    """Return whether a gain is worth the time, unasked or within what a person has allowed."""
    return gain.worth if budget is None else gain.points > WORTH_A_BUDGET


def asked(choices: Choices) -> bool:
    """Return whether a person asked for the network to be trained."""
    return choices.case in (3, 4) or choices.trainable_from is not None
