"""Sets that were measured, as points to compare a new one with.

Images and similarity of thirteen public sets under EfficientNet-Lite0 at its own size, at most 400
images a class: the section *Similarity* of ``docs/benchmarks.md``, all images of
``bench/bench_similarity.py``.
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
    Reference("tiny_dogs6", 2400, 0.76),
    Reference("hymenoptera", 245, 0.74),
    Reference("flowers5", 1048, 0.73),
    Reference("clothing", 720, 0.71),
    Reference("dtd10", 160, 0.67),
    Reference("cifar10", 3997, 0.62),
    Reference("rsscn7_satellite", 133, 0.60),
    Reference("weather", 766, 0.57),
    Reference("fashion_mnist", 2800, 0.41),
    Reference("chest_xray", 800, 0.32),
    Reference("sign_digits", 700, 0.25),
    Reference("spoken_digit_spectrograms", 700, 0.18),
    Reference("mnist", 3999, 0.11),
)
