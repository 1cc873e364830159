"""What more images would bring: the learning curve of a plan, ahead of today, and class by class.

Everything is of the frozen network and of images like those there are.
"""

from dataclasses import dataclass, replace
from math import inf, log

import numpy as np
from numpy.typing import NDArray

from regraft.metrics import Interval
from regraft.plan.curve import AHEAD, SURE, Law, law
from regraft.plan.evidence import Evidence
from regraft.plan.subsets import FEWEST, Subsets

SPAN = 0.8
"""Doublings that what was measured has to span, at least."""

GROUPS = 10
"""Groups that the images have to come in, at least; of fewer each fold is one draw, and no more."""

SEEN = 5
"""Images of a class from which on it is compared with others."""

CLASSES = 10
"""Classes that are kept, of many: those that probably want images most."""

TRIES = 2_000
"""Curves of each class that are drawn to say how probable it is that it wants images most."""

LIKELY = 0.1
"""Probability of wanting images most from which on a class is named. Said to be 42 % on average, it
was so in 34 %; of two classes it was no better than a guess, and none is named."""


@dataclass(frozen=True)
class Point:
    """Images that are learnt from, the accuracy then, and its 90 % interval."""

    images: int
    accuracy: float
    interval: Interval


@dataclass(frozen=True)
class ClassGain:
    """What twice as many images of everything would do for a class."""

    name: str
    images: int
    recall: float
    twice: float
    """Its recall with twice as many, and the 90 % interval of that."""
    interval: Interval
    most: float
    """Probability that no other class gains as much recall with each image of its own."""


@dataclass(frozen=True)
class LearningCurve:
    """The accuracy of the frozen network against the images that it learns from.

    All empty but ``untold`` where nothing can be told.
    """

    measured: tuple[Point, ...] = ()
    """On images that were not learnt from, the last one on all that cross-validation leaves in."""
    ahead: tuple[Point, ...] = ()
    """What to expect of today's images and up to four times as many."""
    half: int | None = None
    """Images for half of today's errors; None where 16 times as many are not enough."""
    half_interval: tuple[int | None, int | None] = (None, None)
    """90 %; None where that end is beyond 16 times as many."""
    classes: tuple[ClassGain, ...] = ()
    """Those that want images most; of more than ten the first ten."""
    untold: str = ""
    """Why nothing is told."""

    @property
    def today(self) -> Point:
        """The images there are."""
        return self.ahead[0]

    def times(self, many: int) -> Point:
        """Return what to expect of twice or four times as many images."""
        return next(p for p in self.ahead if p.images == many * self.today.images)

    @property
    def wants(self) -> tuple[ClassGain, ...]:
        """The classes that most likely want images most, three at most; none of two classes."""
        likely = [one for one in self.classes[:3] if one.most >= LIKELY]
        return tuple(likely) if len(self.classes) > 2 else ()


def learning_curve(evidence: Evidence, found: Subsets) -> LearningCurve:
    """Return what the head on part of the images leads to expect of more of them."""
    if untold := _untold(evidence, found):
        return LearningCurve(untold=untold)
    today = evidence.images
    own = law(found.images, found.wrong, found.draws, today)
    wrong = found.wrong[:, -1].sum()
    half, least, most = (_half(own, side) for side in (0.0, SURE, -SURE))
    return LearningCurve(
        measured=tuple(_measured(own, found, place) for place in range(len(found.images))),
        ahead=tuple(_ahead(own, round(many * today)) for many in AHEAD),
        half=half if wrong else None,
        half_interval=(least, most) if wrong else (None, None),
        classes=_classes(evidence, found),
    )


def _untold(evidence: Evidence, found: Subsets) -> str:
    """Why nothing can be told; '' where something can."""
    if not evidence.learnt:
        return "the network does no better than guessing, and more of the same would not either"
    groups = len(np.unique(found.groups))
    if groups < GROUPS:
        return f"the images come in {groups} groups that belong together, which are too few"
    if len(found.images) < 2:
        least = FEWEST * len(evidence.classes)
        return (
            f"half of the {found.images[-1]:,.0f} images that cross-validation leaves in are fewer "
            f"than {least:,}, {FEWEST} for each of {len(evidence.classes):,} classes"
        )
    if np.log2(found.images[-1] / found.images[0]) < SPAN:
        return "the images come in groups too large to leave some of them out"
    return ""


def _measured(own: Law, found: Subsets, place: int) -> Point:
    images = float(found.images[place])
    low, high = own.accuracy(images)[1:]
    return Point(round(images), float(1 - found.wrong[:, place].mean()), (low, high))


def _ahead(own: Law, images: int) -> Point:
    accuracy, low, high = own.accuracy(images)
    return Point(images, accuracy, (low, high))


def _law_of(usual: Law, evidence: Evidence, found: Subsets, c: int) -> Law:
    """Return the curve of a class: as steep as that of all of them, unless its own images differ.

    Of its recall; ``usual`` is the curve of all.
    """
    share = evidence.per_class[c] / evidence.images
    prior = replace(usual.prior, slope=float(usual.mean[1]))
    own = found.wrong[found.labels == c]
    return law(found.images * share, own, found.draws, evidence.images * share, prior)


def _drawn(own: Law, random: np.random.Generator) -> NDArray[np.float64]:
    """By how much the recall may grow where the images double, :data:`TRIES` times."""
    tried = random.multivariate_normal(own.mean, own.covariance, TRIES)
    now, then = (tried @ own.row(t) for t in (0.0, 1.0))
    then = then + own.prior.drift * (1 - own.last) * random.standard_normal(TRIES)
    gained: NDArray[np.float64] = np.exp(np.minimum(now, 0)) - np.exp(np.minimum(then, 0))
    return gained


def _gain(evidence: Evidence, c: int, own: Law, most: float) -> ClassGain:
    twice, *interval = own.accuracy(2 * own.today)
    recall = own.accuracy(own.today)[0]
    name, images = evidence.classes[c], evidence.per_class[c]
    return ClassGain(name, images, recall, twice, (interval[0], interval[1]), most)


def _half(own: Law, side: float) -> int | None:
    """Images for half of today's errors, where the curve falls by so many errors more."""
    images = own.reaches(log(2), side)
    return None if images == inf else round(images)


def _classes(evidence: Evidence, found: Subsets) -> tuple[ClassGain, ...]:
    """Those that want images most come first: by how much recall an image of theirs brings."""
    per_class = np.array(evidence.per_class)
    judged = np.bincount(found.labels, minlength=len(per_class))
    compared = np.flatnonzero(judged >= SEEN)
    if len(compared) < 2:
        return ()
    usual = law(found.images, found.wrong, found.draws, evidence.images)
    laws = [_law_of(usual, evidence, found, c) for c in compared.tolist()]
    random = np.random.default_rng(0)
    tried = np.stack([_drawn(one, random) for one in laws])
    gains = tried / per_class[compared][:, None]
    most = np.bincount(gains.argmax(0), minlength=len(compared)) / gains.shape[1]
    order = np.lexsort((-gains.mean(1), -most))[:CLASSES]
    return tuple(_gain(evidence, int(compared[n]), laws[n], float(most[n])) for n in order)
