"""Whether training the network may win enough to be tried unasked."""

from regraft.plan.choices import Choices
from regraft.plan.evidence import Evidence

HEADROOM = 0.02
"""Below this share of images left to be won, training the network is not tried on a large set."""

SMALL_HEADROOM = 0.05
"""Nor below this on a small one."""

FEWEST = 100
"""Training images below which the network is not trained unasked: ``docs/benchmarks.md``."""

FEWEST_SIMILAR = 1_000
"""The same where they are similar to the source: training won little with fewer, for its time."""


def worth_training(evidence: Evidence) -> bool:
    """Return whether training the network may win enough to be tried unasked.

    On a large set where something is left to win; on a small one where the frozen network leaves
    much. On different images it won up to ten points at twenty images a class; on similar ones
    nothing with three hundred, and two to three points with a thousand (``docs/benchmarks.md``).
    """
    if not evidence.learnt:
        return False
    if evidence.large:
        return evidence.headroom >= HEADROOM
    return evidence.images >= fewest(evidence) and evidence.headroom >= SMALL_HEADROOM


def fewest(evidence: Evidence) -> int:
    """Training images from which a small set is trained on."""
    return FEWEST_SIMILAR if evidence.similar else FEWEST


def asked(choices: Choices) -> bool:
    """Return whether a person asked for the network to be trained."""
    return choices.case in (3, 4) or choices.trainable_from is not None
