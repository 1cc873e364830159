"""Probabilities and true labels in, scores with intervals out.

Plain numpy: scikit-learn, against which the tests check every figure, takes longer to import than
a small test set takes to score.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Interval = tuple[float, float]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BINS = 15  # of the calibration error, as in the paper that made it known
TOGETHER = 100_000  # logits whose temperatures are sought side by side: some MB
REACH = 1000.0  # how far the temperature may be from the logits' own size, either way


@dataclass(frozen=True)
class ClassScores:
    """How one class fared on its ``n`` held-out images.

    A figure that nothing is known of is None: all of them where the class has no image, and
    precision where it is never predicted. (RUNs of earlier versions have 0 there.)
    """

    precision: float | None
    recall: float | None
    f1: float | None
    n: int
    recall_interval: Interval | None


@dataclass(frozen=True)
class Scores:
    """What a classifier got on ``n`` held-out images; the fields are explained in `score`."""

    accuracy: float
    accuracy_interval: Interval
    balanced_accuracy: float
    log_loss: float
    ece: float
    n: int
    captures: int
    guess: float
    per_class: dict[str, ClassScores]
    confusion: list[list[int]]

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts, lists, ints and floats, as ``json.dumps`` takes them."""
        data = asdict(self)
        data["accuracy_interval"] = list(self.accuracy_interval)
        for each in data["per_class"].values():
            bounds = each["recall_interval"]
            each["recall_interval"] = None if bounds is None else list(bounds)
        return data


def score(
    probabilities: ArrayLike,
    truth: ArrayLike,
    classes: Sequence[str],
    groups: ArrayLike | None = None,
) -> Scores:
    """Score predicted probabilities against the truth.

    * ``accuracy`` with its 95 % `share_interval`; the prediction is the likeliest class, the
      first of equals.
    * ``captures``: how many independent captures the images are, which the intervals count.
    * ``balanced_accuracy``: mean recall of the classes that have an image.
    * ``log_loss``: mean of -ln p(true class), in nats; p is held away from 0 by float64's epsilon.
    * ``ece``: see `calibration_error`.
    * ``guess``: accuracy of always naming the commonest class.
    * ``confusion``: images by true class (row) and predicted class (column).

    Args:
        probabilities: float [n, C], rows that sum to 1.
        truth: int [n], columns of ``probabilities``.
        classes: C names, in the order of the columns.
        groups: int [n], the same for images of one capture, part or person; every image is a
            capture of its own where None.

    Raises:
        ValueError: shapes that do not fit each other, no image, rows that are no probabilities.

    """
    p, y = _checked(probabilities, truth, len(classes))
    group = np.arange(y.size) if groups is None else np.asarray(groups)
    hit = p.argmax(1) == y
    confusion = _confusion(p.argmax(1), y, len(classes))
    right, counts = confusion.diagonal(), confusion.sum(1)
    return Scores(
        accuracy=float(right.sum() / y.size),
        accuracy_interval=share_interval(hit, group),
        balanced_accuracy=float((right[counts > 0] / counts[counts > 0]).mean()),
        log_loss=log_loss(p, y),
        ece=calibration_error(p, y),
        n=int(y.size),
        captures=len(np.unique(group)),
        guess=float(counts.max() / y.size),
        per_class=_per_class(confusion, classes, hit, y, group),
        confusion=confusion.tolist(),
    )


def share_interval(right: ArrayLike, groups: ArrayLike) -> Interval:
    """95 % interval of the share of ``right`` images (bools [n]), counting captures, not files.

    Images of one group (int [n]) say much the same. So the interval is that of `wilson` for
    ``p (1 - p) / v`` images, ``v`` being the variance of the share over whole groups, and never for
    more than there are groups: with many alike images that one is the safer bound.

    Source: the linearised variance of a ratio, W. G. Cochran, Sampling Techniques (1977), 6.4; the
    effective number of images, L. Kish, Survey Sampling (1965), 8.2.
    """
    x, group = np.asarray(right, dtype=bool), np.unique(groups, return_inverse=True)[1]
    count = int(group.max()) + 1 if x.size else 0
    if count in (0, x.size):
        return wilson(int(x.sum()), x.size)
    p = float(x.mean())
    apart = np.bincount(group, weights=x - p)
    variance = float((apart**2).sum()) / x.size**2 * count / max(count - 1, 1)
    alone = p * (1 - p)
    return wilson(p * (n := min(alone / variance, count) if variance else count), n)


def paired(own: NDArray[Any], other: NDArray[Any]) -> tuple[float, float]:
    """Mean of ``own - other`` ``[n]``, image by image, and its standard error."""
    difference = own - other
    return float(difference.mean()), float(difference.std() / np.sqrt(max(len(difference) - 1, 1)))


def signal_of(predicted: NDArray[np.intp], labels: NDArray[np.intp], classes: int) -> float:
    """Return the standard errors of the mean recall above that of predictions that know no image.

    Those name class ``c`` with the share ``q_c`` that it was predicted with, whatever the image, so
    that its recall over ``n_c`` images has the mean ``q_c`` and the variance ``q_c (1 - q_c) /
    n_c``, and the mean recall of ``k`` classes has the mean ``1 / k``. Not the accuracy: where one
    class is rare, naming the other is hard to beat, and says nothing. 0 where one class alone is
    predicted.
    """
    count = np.maximum(np.bincount(labels, minlength=classes), 1)
    hits = np.bincount(labels[predicted == labels], minlength=classes)
    share = np.bincount(predicted, minlength=classes) / len(predicted)
    error = float(np.sqrt((share * (1 - share) / count).sum())) / classes
    return (float((hits / count).mean()) - 1 / classes) / error if error else 0.0


def auroc(known: ArrayLike, strange: ArrayLike) -> float:
    """Area under the ROC curve: the chance that a known image ``[n]`` scores above a strange one.

    Of ``[m]``; ties count half. By ranks (Mann and Whitney 1947). 0.5 where there is none of
    either.
    """
    own, others = np.sort(np.asarray(known, float)), np.asarray(strange, float)
    if not own.size or not others.size:
        return 0.5
    below, upto = (np.searchsorted(own, others, side) for side in ("left", "right"))
    return float(1 - (below + upto).mean() / (2 * own.size))


def wilson(right: float, n: float, confidence: float = 0.95) -> Interval:
    """Score interval of a proportion, ``right`` of ``n``; (0, 1) where ``n`` is 0.

    With z the normal quantile and p = right / n, the bounds are
    (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n).

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference,
    JASA 22 (1927) 209-212; recommended for small n by Brown, Cai and DasGupta, Interval estimation
    for a binomial proportion, Statistical Science 16 (2001) 101-133.
    """
    if n == 0:
        return 0.0, 1.0
    p, z2 = right / n, _quantile(confidence) ** 2
    middle = p + z2 / (2 * n)
    reach = math.sqrt(z2 * (p * (1 - p) / n + z2 / (4 * n * n)))
    low, high = (middle - reach) / (1 + z2 / n), (middle + reach) / (1 + z2 / n)
    # The ends are exact where all or none are right; arithmetic alone misses them by an ulp.
    return (0.0 if right == 0 else low), (1.0 if right >= n else high)


def log_loss(probabilities: ArrayLike, truth: ArrayLike) -> float:
    """Mean of -ln p(true class) over the images, in nats."""
    p, y = np.asarray(probabilities, dtype=np.float64), np.asarray(truth, dtype=np.int64)
    picked = p[np.arange(y.size), y]
    return float(-np.log(np.maximum(picked, np.finfo(np.float64).eps)).mean())


def squared_error(probabilities: ArrayLike, truth: ArrayLike) -> float:
    """Mean squared distance of probabilities ``[n, C]`` from the truth ``[n]`` (Brier 1950)."""
    p, y = np.asarray(probabilities), np.asarray(truth)
    return float(np.square(p - np.eye(p.shape[1])[y]).sum(1).mean())


def calibration_error(probabilities: ArrayLike, truth: ArrayLike, bins: int = BINS) -> float:
    """Return the expected calibration error: how far confidence is from accuracy, on average.

    The confidence of an image is its largest probability. Images are put in ``bins`` bins
    ((m-1)/bins, m/bins] of confidence, and ECE = Σ over bins of |B|/n · |accuracy(B) -
    confidence(B)|.

    Source: Guo, Pleiss, Sun and Weinberger, On calibration of modern neural networks, ICML 2017
    (arXiv:1706.04599), equation 3, with its 15 bins; first by Naeini, Cooper and Hauskrecht, AAAI
    2015.
    """
    p, y = np.asarray(probabilities, dtype=np.float64), np.asarray(truth, dtype=np.int64)
    return gap_of(p.max(1), p.argmax(1) == y, bins)


def gap_of(shares: Floats, right: NDArray[np.bool_], bins: int = BINS) -> float:
    """Return how far probabilities ``[n]`` are from the share that is right, on average.

    Over the bins of `bin_of`; of several labels an image every answer is one of ``n``.
    """
    gaps = np.bincount(bin_of(shares, bins), weights=right - shares, minlength=bins)
    return float(np.abs(gaps).sum() / len(shares))


def bin_of(shares: Floats, bins: int = BINS) -> Ints:
    """Return which bin each probability lies in, ``[n]``: the m-th is ((m-1)/bins, m/bins]."""
    return np.clip(np.ceil(shares * bins).astype(np.int64) - 1, 0, bins - 1)


def softmax(logits: ArrayLike, temperature: float = 1.0) -> Floats:
    """Probabilities [n, C] of ``logits`` [n, C] divided by the temperature."""
    z = np.asarray(logits, dtype=np.float64) / temperature
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def fit_temperature(logits: ArrayLike, truth: ArrayLike) -> float:
    """Return the temperature T at which softmax(logits / T) has the least log loss.

    Temperature scaling is from Guo et al. 2017 (see `calibration_error`). Give it logits of images
    that the head was not fitted on, from cross-validation for example.

    The loss is that of a target slightly softened: the true class gets 1 - e, the others share
    e = 1/(n+2). Without it n images that are all right ask for T = 0, full certainty; with it they
    ask for the (n+1)/(n+2) of Laplace's rule of succession, as Platt does for two classes
    (Probabilistic outputs for support vector machines, 1999). Over n images of which k are wrong it
    counts as one more wrong.

    In 1/T the loss is convex, so its slope has one zero, found by Newton's method kept inside a
    bracket.

    Args:
        logits: float [n, C] with C at least 2.
        truth: int [n].

    Returns:
        T, between a thousandth and a thousand times the logits' root mean square about each row's
        mean, so that it follows their scale; 1.0 where they are all alike.

    Raises:
        ValueError: shapes that do not fit each other, no image, logits that are not finite.

    """
    return float(fit_temperatures(np.asarray(logits)[None], truth)[0])


def fit_temperatures(logits: ArrayLike, truth: ArrayLike) -> Floats:
    """Return what `fit_temperature` says of each of several logits ``[k, n, C]`` of some images.

    Of small sets they are found side by side: that takes about as long as one of them.
    """
    each, found = np.asarray(logits), []
    for start in range(0, len(each), lot := max(1, TOGETHER // max(1, each[:1].size))):
        some = each[start : start + lot]
        z, y = _checked_shapes(np.concatenate(some), np.tile(truth, len(some)))
        found.append(_temperatures(z.reshape(some.shape), y[: some.shape[1]]))
    return np.concatenate(found)


def _temperatures(z: Floats, y: Ints) -> Floats:
    """Temperatures [k] of logits [k, n, C]."""
    z = z - z.mean(2, keepdims=True)
    size = np.sqrt((z * z).mean((1, 2)))
    z /= np.where(size > 0, size, 1.0)[:, None, None]
    target = _softened_mean(z, y)
    below, square = z - z.max(2, keepdims=True), z * z

    def slope(inverse: Floats) -> tuple[Floats, Floats]:
        p = np.exp(below * inverse[:, None, None])
        p /= p.sum(2, keepdims=True)
        mean = (p * z).sum(2)
        return mean.mean(1) - target, ((p * square).sum(2) - mean**2).mean(1)

    return np.where(size > 0, size / _zeros_of_rising(slope, 1 / REACH, REACH, len(z)), 1.0)


def _softened_mean(z: Floats, y: Ints) -> Floats:
    """Mean over the images of the logit expected under the softened target; rows of z sum to 0."""
    _, n, count = z.shape
    e = 1 / (n + 2)
    true = z[:, np.arange(n), y]
    return np.asarray(((1 - e) * true - e * true / (count - 1)).mean(1))


def _zeros_of_rising(
    f: Callable[[Floats], tuple[Floats, Floats]], least: float, most: float, count: int
) -> Floats:
    """Zeros of ``count`` rising functions given with their derivatives; the bound where none is.

    Newton's step where it stays inside the bracket, else its (geometric) middle. A step too small
    to matter is the last, wherever it leads: at the zero, rounding decides which side it is on.
    """
    low, high = np.full(count, least), np.full(count, most)
    above, under = f(low)[0] >= 0, f(high)[0] <= 0
    x = np.where(above, low, np.where(under, high, np.sqrt(low * high)))
    done = above | under
    for _ in range(100):
        if done.all():
            break
        value, rise = f(x)
        low, high = np.where(value > 0, low, x), np.where(value > 0, x, high)
        step = x - np.divide(value, rise, out=np.full(count, -np.inf), where=rise > 0)
        new = np.where((low < step) & (step < high), step, np.sqrt(low * high))
        done |= np.minimum(np.abs(step - x), np.abs(new - x)) <= 1e-9 * x
        x = np.where(done, x, new)
    return x


def _per_class(
    confusion: Ints, classes: Sequence[str], hit: NDArray[np.bool_], truth: Ints, group: Ints
) -> dict[str, ClassScores]:
    right, true, predicted = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    return {
        name: ClassScores(
            precision=float(right[c] / predicted[c]) if predicted[c] else None,
            recall=float(right[c] / true[c]),
            f1=float(2 * right[c] / (true[c] + predicted[c])),
            n=int(true[c]),
            recall_interval=share_interval(hit[truth == c], group[truth == c]),
        )
        if true[c]
        else ClassScores(None, None, None, 0, None)
        for c, name in enumerate(classes)
    }


def _confusion(predicted: Ints, truth: Ints, count: int) -> Ints:
    cells = np.bincount(truth * count + predicted, minlength=count * count)
    return cells.reshape(count, count)


def _checked(probabilities: ArrayLike, truth: ArrayLike, count: int) -> tuple[Floats, Ints]:
    p, y = _checked_shapes(probabilities, truth)
    if p.shape[1] != count:
        raise ValueError(
            f"probabilities must have a column for each of {count} classes, got {p.shape}"
        )
    if p.min() < 0 or np.abs(p.sum(1) - 1).max() > 1e-3:
        raise ValueError("each row of probabilities must be positive and sum to 1")
    return p, y


def _checked_shapes(values: ArrayLike, truth: ArrayLike) -> tuple[Floats, Ints]:
    x, y = np.asarray(values, dtype=np.float64), np.asarray(truth)
    if x.ndim != 2 or x.shape[0] == 0 or x.shape[1] < 2:
        raise ValueError(f"must be [n, C] with n >= 1 and C >= 2, got shape {x.shape}")
    if y.shape != x.shape[:1] or not np.issubdtype(y.dtype, np.integer):
        raise ValueError(f"truth must be {x.shape[0]} integers, got {y.dtype} {y.shape}")
    if y.min() < 0 or y.max() >= x.shape[1]:
        raise ValueError(f"truth must be from 0 to {x.shape[1] - 1}, got {y.min()} to {y.max()}")
    if not np.isfinite(x).all():
        raise ValueError("must be finite, got nan or inf")
    return x, y.astype(np.int64)


def _quantile(confidence: float) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2)
