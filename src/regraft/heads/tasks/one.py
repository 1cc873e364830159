"""One label an image: probabilities of the classes, judged by accuracy."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from regraft.heads.tasks.task import Floats, Kind, Labels, OutputScale, Task
from regraft.metrics import fit_temperature, share_interval, softmax


class OneLabel(Task):
    """Each image is of one class; ``labels`` are places of the classes ``[n]``."""

    kind: ClassVar[Kind] = "one"

    def shares(self, logits: Floats) -> Floats:
        """Return probabilities that add up to 1."""
        return softmax(logits)

    def calibration(self, outputs: Floats, labels: Labels) -> OutputScale:
        """Return one temperature for all classes."""
        slope = 1.0 / fit_temperature(outputs, labels)
        return OutputScale(np.full(outputs.shape[1], slope), np.zeros(outputs.shape[1]))

    def losses(self, shares: Floats, labels: Labels) -> Floats:
        """Return the squared distance from the one-hot truth."""
        return np.asarray(np.square(shares - np.eye(shares.shape[1])[labels]).sum(1))

    def merit(self, shares: Floats, labels: Labels) -> float:
        """Return the share of images whose likeliest class is theirs."""
        return float((shares.argmax(1) == labels).mean())

    def interval(self, shares: Floats, labels: Labels, groups: NDArray[Any]) -> tuple[float, float]:
        """Return that of a share."""
        return share_interval(shares.argmax(1) == labels, groups)
