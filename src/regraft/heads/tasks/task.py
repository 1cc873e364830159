"""What a task is: from the new layer's outputs to an answer, and how good that is."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from regraft.data.kinds import Kind as Kind
from regraft.heads.tasks.words import Words, words_of

Floats: TypeAlias = NDArray[np.floating[Any]]
Labels: TypeAlias = NDArray[Any]
"""Places of the classes ``[n]``; of several labels and of numbers targets ``[n, K]``."""

BLOCKS = 20
"""Parts that are left out in turn to find the error of a measure that is no mean."""


class OutputScale(NamedTuple):
    """What is done to the outputs ``[n, K]`` of a head: ``slopes * outputs + offsets``, ``[K]``."""

    slopes: Floats
    offsets: Floats

    def __call__(self, outputs: Floats) -> Floats:
        """Return the calibrated outputs."""
        return outputs.astype(np.float64) * self.slopes + self.offsets


class Task(ABC):
    """One kind of question. ``shares`` are its answers ``[n, K]``: probabilities, or the number."""

    kind: ClassVar[Kind]

    @property
    def words(self) -> Words:
        """Its measure in words; 1 is perfect, 0 or little what is got without the image."""
        return words_of(self.kind)

    @abstractmethod
    def shares(self, logits: Floats) -> Floats:
        """Return the answers ``[n, K]`` that calibrated outputs ``[n, K]`` mean."""

    @abstractmethod
    def calibration(self, outputs: Floats, labels: Labels) -> OutputScale:
        """Return what makes of outputs those of which ``shares`` are calibrated.

        ``outputs`` ``[n, K]`` are those of images that the head was not fitted on.
        """

    @abstractmethod
    def losses(self, shares: Floats, labels: Labels) -> Floats:
        """Return the squared error of each image's answer, ``[n]``."""

    @abstractmethod
    def merit(self, shares: Floats, labels: Labels) -> float:
        """Return the measure of answers."""

    def interval(self, shares: Floats, labels: Labels, groups: NDArray[Any]) -> tuple[float, float]:
        """Return the 95 % interval of the measure; images of one group count together."""
        found = jackknife(lambda rows: self.merit(shares[rows], labels[rows]), groups)
        middle = self.merit(shares, labels)
        return middle - 1.96 * found, min(middle + 1.96 * found, 1.0)


def jackknife(measure: Callable[[NDArray[np.intp]], float], groups: NDArray[Any]) -> float:
    """Return the standard error of a measure of images, each of its groups in one part.

    ``measure`` takes rows. The groups are dealt into :data:`BLOCKS` parts, each is left out in
    turn, and the spread of what the others give tells the error (the delete-a-group jackknife:
    P. S. Kott, Journal of Official Statistics 17, 2001). 0 for fewer than two groups.
    """
    part = parts_of(groups)
    count = int(part.max()) + 1
    return spread_of([measure(np.flatnonzero(part != n)) for n in range(count)]) if count > 1 else 0


def parts_of(groups: NDArray[Any]) -> NDArray[np.intp]:
    """Return in which part each image is, ``[n]``: at most :data:`BLOCKS`, of whole groups."""
    group = np.unique(groups, return_inverse=True)[1]
    count = int(group.max()) + 1
    found: NDArray[np.intp] = np.random.default_rng(0).permutation(count)[group] % BLOCKS
    return found


def spread_of(found: Sequence[float]) -> float:
    """Return the standard error that a measure has, which gave this with each part left out."""
    each, count = np.asarray(found), len(found)
    return float(np.sqrt((count - 1) / count * np.square(each - each.mean()).sum()))
