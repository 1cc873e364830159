"""What training the network may win over the frozen one, in points of accuracy.

The model stands in ``gain.json``: linear in three facts, fitted over sets, sizes and networks by
``bench/fit_gain.py``. The more images there are and the less they are like the source, the more is
won; and less where the last stage's channels vary unlike before, as they do of a few kinds of what
the source knows (dogs alone). Of twenty facts that the pass gives for nothing the others added
nothing for sets that were left out: headroom, the shape of the depth curve, the slope of the
learning curve, nearest neighbours (``docs/benchmarks.md``).
"""

import json
from collections.abc import Sequence
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

FACTS = ("logarithm of the images", "similarity", "distance of the last stage")
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
        """Whether another draw of the images may well say the opposite of `worth`."""
        return abs(min(self.points - WORTH, self.low)) < 0.005

    def __str__(self) -> str:
        return f"{100 * self.points:.1f} points ({100 * self.low:.1f} to {100 * self.high:.1f})"

    @property
    def said(self) -> str:
        """It in words that are true of a loss too."""
        return f"win {self}" if self.points > 0 else f"win nothing ({self})"


@cache
def model() -> dict[str, Any]:
    """Return the fitted coefficients, and how many rows and sets they are of."""
    found: dict[str, Any] = json.loads(files("regraft.plan").joinpath("gain.json").read_text())
    return found


def facts_of(
    images: int, similarity: float | None, shift: Sequence[float] | None
) -> tuple[float | None, ...]:
    """Return the numbers that the model goes by; None for one that is not known.

    The distance is that of the last stage that has batch norm.
    """
    return log(min(max(images, LEAST), MOST)), similarity, shift[-1] if shift else None


def expected_gain(
    images: int,
    similarity: float,
    shift: Sequence[float] | None = None,
    headroom: float = 1.0,
) -> Gain:
    """Return what training may win on so many training images.

    Args:
        images: how many there are to train on, those that validate included.
        similarity: to the source, in 0..1.
        shift: distance of each stage's channel statistics from the source's; where there is none
            (no batch norm) the number of images alone says what is won, and little of it.
        headroom: the share that the frozen network gets wrong; no more than that can be won.
    """
    known = model()
    found = facts_of(images, similarity if shift else None, shift)
    facts = zip(known["slopes"], found, known["usual"], strict=True)
    said = known["intercept"] + sum(
        slope * (usual if fact is None else fact) for slope, fact, usual in facts
    )
    spread, points = known["spread" if shift else "spread_by_images"], min(said, headroom)
    return Gain(points, points - spread, min(points + spread, headroom), spread)


def gain_of(evidence: Evidence) -> Gain:
    """Return what training the network may win on images that were looked at."""
    return expected_gain(evidence.images, evidence.similarity, evidence.shift, evidence.headroom)


def worth_training(evidence: Evidence, budget: float | None = None) -> bool:
    """Return whether training the network may win enough for its time.

    Not where the frozen network tells nothing: then the labels are the likeliest fault. What it
    wins was measured of one label an image only: of several labels and of numbers it is tried where
    a person has said how much time there is, and validation images decide.
    """
    if evidence.answer is not None:
        return budget is not None and evidence.learnt and evidence.headroom > WORTH_A_BUDGET
    return evidence.learnt and pays(gain_of(evidence), budget)


def pays(gain: Gain, budget: float | None) -> bool:
    """Return whether a gain is worth the time, unasked or within what a person has allowed."""
    return gain.worth if budget is None else gain.points > WORTH_A_BUDGET


def asked(choices: Choices) -> bool:
    """Return whether a person asked for the network to be trained."""
    return choices.case in (3, 4) or choices.trainable_from is not None
