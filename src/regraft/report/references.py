"""Sets that were measured, as points to compare a new one with.

Images and similarity of thirteen public sets under EfficientNet-Lite0, at most 400 images a class:
the table *Similarity* of ``docs/benchmarks.md``, made by ``bench/bench_similarity.py``.
"""

from typing import Final, NamedTuple


class Reference(NamedTuple):
    """One set that was measured."""

    name: str
    images: int
    similarity: float


NETWORK: Final = "efficientnet-lite0"
"""The backbone they were measured under; another one sees other similarities."""

REFERENCES: Final = (
    Reference("hymenoptera", 318, 0.82),
    Reference("flowers5", 1198, 0.78),
    Reference("clothing", 670, 0.69),
    Reference("dtd10", 190, 0.66),
    Reference("weather", 878, 0.66),
    Reference("tiny_dogs6", 1920, 0.60),
    Reference("rsscn7_satellite", 154, 0.55),
    Reference("sign_digits", 800, 0.48),
    Reference("fashion_mnist", 3200, 0.47),
    Reference("chest_xray", 640, 0.46),
    Reference("cifar10", 3200, 0.41),
    Reference("mnist", 3200, 0.38),
    Reference("spoken_digit_spectrograms", 800, 0.29),
)
