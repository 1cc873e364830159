"""Which labels look wrong: what cross-validation says of each image, against the label it has.

Probabilities of images that were not seen, and their labels, in; how likely each label is wrong,
and how many are, out. Numpy alone.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from regraft.metrics import signal_of, softmax

WRONG = 0.5
"""A label looks wrong where that is more likely than that it is right."""

SURE = 4.0
"""Standard errors above chance from which on labels can be predicted at all. Labels that were drawn
at random came to 2 now and then."""

MOST = 0.5
"""From this share of wrong labels on they say too little of the classes to tell which they are."""

HEATS = tuple(float(heat) for heat in np.geomspace(0.125, 1.0, 19))
"""What the logits of calibrated probabilities are divided by. Wrong labels have made those less
sure than the network is of the others, so that it is 1 at most."""

ENOUGH = 500_000
"""Probabilities that the share of wrong labels is found by, at most: it is one number."""

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Suspect:
    """An image whose label looks wrong.

    ``belief``: the probability that the label is right, in 0..1; ``rank`` 1 is the least believed.
    """

    path: str
    label: str
    suggestion: str
    belief: float
    rank: int


class LabelErrors(NamedTuple):
    """What the labels of n images are worth.

    ``belief``: the probability that the label is right, ``[n]``; ``order``: the images from the
    least believed on, ``[n]``; ``wrong``: the first of these, which look wrong; ``expected``: how
    many are, in all; None where nothing can be told.
    """

    belief: NDArray[np.float64]
    order: NDArray[np.intp]
    wrong: NDArray[np.intp]
    expected: float | None


def label_errors(shares: Floats, labels: NDArray[np.intp]) -> LabelErrors:
    """Tell which labels look wrong, and how many are.

    A label is taken to be the image's class with probability ``1 - e`` and any of the others with
    ``e`` in all: where the network gives it ``s``, it is seen with ``(1 - e) s + e (1 - s) / (C -
    1)``, and wrong with the second part's share of that. The ``e`` that makes the labels, and one
    more that is wrong, most likely is found together with how sure the network is without the wrong
    ones. So the mistakes of a network that knows that it errs are not taken for wrong labels;
    confident learning, which counts images above the mean probability of a class, took them for
    that (``docs/benchmarks.md``).

    A class is what its labels say: where half of a class or more would look wrong, none of it is
    said to be, for it is the network that does not know the class. Nothing is told where the labels
    cannot be predicted at all, or :data:`MOST` of them seem wrong.

    Source: symmetric label noise, as in G. Patrini et al., Making deep neural networks robust to
    label noise, CVPR 2017 (arXiv:1609.03683); confident learning: C. G. Northcutt, L. Jiang and
    I. L. Chuang, JAIR 70 (2021), arXiv:1911.00068.

    Args:
        shares: calibrated probabilities ``[n, C]`` by a network that did not see the image.
        labels: ``[n]``, columns of ``shares``.
    """
    classes = shares.shape[1]
    logits = np.log(np.maximum(shares, 1e-12))
    share, heat = _noise(logits, labels)
    own = softmax(logits, heat)[np.arange(len(labels)), labels]
    other = (1 - own) / (classes - 1)
    belief = (1 - share) * own / ((1 - share) * own + share * other)
    order = np.lexsort((own, belief)).astype(np.intp)
    if share >= MOST or signal_of(shares.argmax(1), labels, classes) <= SURE:
        return LabelErrors(np.full(len(labels), np.nan), order, order[:0], None)
    doubted = belief < WRONG
    count = np.bincount(labels, minlength=classes)
    known = 2 * np.bincount(labels[doubted], minlength=classes) < count
    doubted &= known[labels]
    return LabelErrors(
        belief, order, order[doubted[order]], float((1 - belief)[known[labels]].sum())
    )


def _noise(logits: Floats, labels: NDArray[np.intp]) -> tuple[float, float]:
    """Return the share of wrong labels and the heat that make the labels most likely."""
    some = slice(None, None, max(1, logits.size // ENOUGH))
    z, y = logits[some], labels[some]
    rows, best = np.arange(len(y)), (-np.inf, 0.0, 1.0)
    for heat in HEATS:
        own = softmax(z, heat)[rows, y]
        other = (1 - own) / (z.shape[1] - 1)
        share = _share(own, other)
        likely = np.log(np.maximum((1 - share) * own + share * other, 1e-300)).sum()
        best = max(best, (float(likely + np.log(share)), share, heat))
    return best[1], best[2]


def _share(own: Floats, other: Floats) -> float:
    """Return the likeliest ``e`` in 0..1, by the images and one more whose label is wrong."""
    rise, low, high = other - own, 0.0, 1.0
    for _ in range(40):  # the slope falls in e
        middle = (low + high) / 2
        slope = float((rise / np.maximum(own + middle * rise, 1e-300)).sum()) + 1 / middle
        low, high = (middle, high) if slope > 0 else (low, middle)
    return low
