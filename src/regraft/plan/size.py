"""How large the data set is, in 0..1."""

import numpy as np
from numpy.typing import NDArray

LARGE = 0.5
"""From this `size_of` on a set counts as large (about 4,500 images)."""


def size_of(counts: NDArray[np.intp]) -> float:
    """Size in 0..1: 0 at 200 images, 1 at 100,000, linear in the logarithm between.

    Images beyond a hundred times the median class do not count: ten thousand images of a thousand
    kinds are a small set. From the middle on, about 4,500 images, a set is called large; what
    training may win is another question (`regraft.plan.gain`).
    """
    images = min(float(counts.sum()), 100.0 * float(np.median(counts)))
    return float(np.clip(np.log(max(images, 1.0) / 200) / np.log(100_000 / 200), 0, 1))
