"""A number an image: judged by R2, told with an interval."""

from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from regraft.heads.tasks.task import Floats, Kind, Labels, OutputScale, Task

SURE: Final = 0.95
"""Share of new images whose number is to lie in the interval that is told."""


class Number(Task):
    """Each image has a number; ``labels`` ``[n, 1]``, in standard deviations about their mean."""

    kind: ClassVar[Kind] = "number"

    def shares(self, logits: Floats) -> Floats:
        """Return the outputs as they are: they are the number."""
        return np.asarray(logits, np.float64)

    def calibration(self, outputs: Floats, labels: Labels) -> OutputScale:
        """Return one that changes nothing: least squares is calibrated."""
        return OutputScale(np.ones(1), np.zeros(1))

    def losses(self, shares: Floats, labels: Labels) -> Floats:
        """Return the squared error."""
        return np.asarray(np.square(shares - labels).sum(1))

    def merit(self, shares: Floats, labels: Labels) -> float:
        """Return R2: 1 less the squared errors as a share of those of always naming the mean."""
        about = float(np.square(labels - labels.mean(0)).sum())
        return 1.0 - float(np.square(shares - labels).sum()) / about if about else 0.0


def half_width(errors: Floats, share: float = SURE) -> float:
    """Return how far from the number told the true one lies at most, of ``share`` of new images.

    ``errors`` ``[n]`` are those of images that were not fitted on: the ``ceil((n + 1) share)``-th
    smallest absolute one (split conformal prediction: Papadopoulos et al. 2002; Lei et al., JASA
    113, 2018); the largest where there are too few to tell.
    """
    size = np.sort(np.abs(np.asarray(errors, np.float64).ravel()))
    place = min(int(np.ceil((len(size) + 1) * share)), len(size)) - 1
    return float(size[place]) if len(size) else 0.0


def score_number(
    told: Floats, truth: Floats, half: float, groups: NDArray[Any], usual: float
) -> dict[str, Any]:
    """Score numbers ``[n]`` against the true ones, in their own unit.

    * ``r2`` with its 95 % interval over ``captures``; 0 is always naming the mean of the held-out
      images, and worse than that is below 0.
    * ``mean_absolute_error``, ``median_absolute_error``, ``root_mean_squared_error``.
    * ``guess``: mean absolute error of always naming ``usual``, the mean of the training images.
    * ``half_width`` of the interval that is told, and ``covered``: the share of the held-out images
      whose number lies in it.
    """
    own, true = (np.asarray(one, np.float64).reshape(-1, 1) for one in (told, truth))
    off, task = np.abs(own - true), Number()
    return {
        "r2": task.merit(own, true),
        "r2_interval": list(task.interval(own, true, groups)),
        "mean_absolute_error": float(off.mean()),
        "median_absolute_error": float(np.median(off)),
        "root_mean_squared_error": float(np.sqrt(np.square(off).mean())),
        "guess": float(np.abs(true - usual).mean()),
        "half_width": half,
        "covered": float((off <= half).mean()),
        "n": len(true),
        "captures": len(np.unique(groups)),
    }
