"""What is the same within rounding: another batch, engine or processor, a pass that went on.

``docs/reproducible.md`` says what is the same bit for bit; tests hold that with ``==``. All else is
held to this.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

FLOAT32 = 1e-5
"""Of the largest feature: what sums in another order leave in float32 after many layers."""

FLOAT16 = 2e-3
"""The same for features as they are stored: two steps of float16 more."""

BFLOAT16 = 0.05
"""Of probabilities, between engines of which one may calculate in bfloat16."""

SHARES = 1e-3
"""Of probabilities, which are made from stored features, by the same engine."""


def same_within_rounding(a: ArrayLike, b: ArrayLike, error: float = SHARES) -> bool:
    """Whether two arrays are the same but for ``error``, as a share of the largest number.

    Raises:
        AssertionError: their shapes differ, or they do; with the largest difference.
    """
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    assert x.shape == y.shape, f"shapes {x.shape} and {y.shape}"
    size, off = _largest(y), _largest(x - y)
    assert np.array_equal(np.isnan(x), np.isnan(y)), "numbers that are missing in one only"
    assert off <= error * max(size, np.finfo(np.float64).tiny), f"{off:.3g} of {size:.3g}"
    return True


def _largest(x: Any) -> float:
    return float(np.nanmax(np.abs(x), initial=0.0))
