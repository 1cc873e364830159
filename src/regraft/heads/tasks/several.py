"""Several labels an image: a probability for each label, judged by mean average precision."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from regraft.heads.tasks.task import Floats, Kind, Labels, OutputScale, Task, jackknife
from regraft.metrics import gap_of

PRIOR: Final = 1.0
"""How firmly the slope of a label's calibration is held to that of all: the precision of a normal
prior about it, for outputs of variance 1."""

MOST: Final = 250_000
"""Answers that are ranked at once, and that an interval is found from: of more labels a part tells
it."""


class SeveralLabels(Task):
    """Each image has any number of labels; ``labels`` are 0 and 1, ``[n, K]``."""

    kind: ClassVar[Kind] = "several"

    def shares(self, logits: Floats) -> Floats:
        """Return a probability for each label by itself."""
        from scipy.special import expit

        return np.asarray(expit(np.asarray(logits, np.float64)))

    def calibration(self, outputs: Floats, labels: Labels) -> OutputScale:
        """Return slope and offset of each label (Platt 1999, with his softened targets).

        The slopes are drawn to the middle one of all labels, which a label of a few images needs.
        None is below 0: a label that cross-validation cannot tell gets its share for every image.
        """
        s = outputs.astype(np.float64)
        mean, spread = s.mean(0), s.std(0)
        z = (s - mean) / np.where(spread > 0, spread, 1.0)
        there = labels.sum(0)
        high, low = (there + 1) / (there + 2), 1 / (len(labels) - there + 2)
        target = np.where(labels > 0, high, low)
        slope, offset = _logistic(z, target, 1.0)
        slope, offset = _logistic(z, target, float(np.median(slope)), (slope, offset))
        slope = np.where(spread > 0, np.maximum(slope, 0.0), 0.0)
        known = there / len(labels)
        flat = np.log((known + 0.5 / len(labels)) / (1 - known + 0.5 / len(labels)))
        offset = np.where(slope > 0, offset, flat)
        slope = slope / np.where(spread > 0, spread, 1.0)
        return OutputScale(slope, offset - slope * mean)

    def losses(self, shares: Floats, labels: Labels) -> Floats:
        """Return the squared error of all labels together."""
        return np.asarray(np.square(shares - labels).sum(1))

    def merit(self, shares: Floats, labels: Labels) -> float:
        """Return the mean average precision of the labels that an image has."""
        return _mean(average_precisions(shares, labels))

    def interval(self, shares: Floats, labels: Labels, groups: NDArray[Any]) -> tuple[float, float]:
        """Return the 95 % interval of the measure, of very many labels from a part of them."""
        middle = self.merit(shares, labels)
        count = max(1, MOST // len(shares))
        if count < shares.shape[1]:
            some = np.random.default_rng(0).permutation(shares.shape[1])[:count]
            shares, labels = shares[:, some], labels[:, some]
        ranked = Ranked.of(shares, labels)
        error = jackknife(lambda kept: _mean(ranked.precisions(kept)), groups)
        return max(middle - 1.96 * error, 0.0), min(middle + 1.96 * error, 1.0)


def _mean(precisions: Floats) -> float:
    """Return the mean over the labels that an image has; 0 where there is none."""
    known = precisions[~np.isnan(precisions)]
    return float(known.mean()) if len(known) else 0.0


def _logistic(
    z: Floats, target: Floats, prior: float, start: tuple[Floats, Floats] | None = None
) -> tuple[Floats, Floats]:
    """Slopes and offsets ``[K]`` of as many logistic regressions on one input each, by Newton.

    No step is longer than 2: where most targets are alike a whole one may lead far uphill.
    """
    from scipy.special import expit

    z, target = z.astype(np.float32), target.astype(np.float32)
    share = target.mean(0, dtype=np.float64)
    slope, offset = start or (np.full(z.shape[1], prior), np.log(share / (1 - share)))
    going = np.arange(z.shape[1])  # the labels that still move

    def total(values: Floats) -> Floats:
        found: Floats = values.sum(0, dtype=np.float64)
        return found

    for _ in range(50):
        x, y, a, b = z[:, going], target[:, going], slope[going], offset[going]
        p = expit(x * a.astype(np.float32) + b.astype(np.float32))
        off, w = p - y, p * (1 - p)
        g_a, g_b = total(off * x) + PRIOR * (a - prior), total(off)
        h_aa, h_ab, h_bb = total(w * x * x) + PRIOR, total(w * x), total(w) + 1e-9
        size = h_aa * h_bb - h_ab**2
        step_a, step_b = (h_bb * g_a - h_ab * g_b) / size, (h_aa * g_b - h_ab * g_a) / size
        far = np.maximum(np.abs(step_a), np.abs(step_b))
        share_of_step = np.minimum(1.0, 2.0 / np.maximum(far, 1e-9))
        slope[going], offset[going] = a - share_of_step * step_a, b - share_of_step * step_b
        going = going[far > 1e-4]
        if not len(going):
            break
    return slope, offset


def average_precisions(shares: Floats, labels: Labels) -> Floats:
    """Average precision of each label, ``[K]``; nan where no image has it.

    The sum over thresholds of precision times the gain in recall; equal shares are one threshold
    (as scikit-learn's ``average_precision_score``).
    """
    found, lot = np.empty(shares.shape[1]), max(1, MOST // max(1, len(shares)))
    for start in range(0, len(found), lot):
        some = slice(start, start + lot)
        found[some] = Ranked.of(shares[:, some], labels[:, some]).precisions()
    return found


@dataclass(frozen=True, eq=False)
class Ranked:
    """Images by each label's share, the highest first.

    ``order`` which image stands where, ``hits`` whether it has the label, ``last`` the last place
    with the same share, all ``[n, K]``.
    """

    order: NDArray[np.intp]
    hits: NDArray[np.bool_]
    last: NDArray[np.intp]

    @classmethod
    def of(cls, shares: Floats, labels: Labels) -> "Ranked":
        """Rank shares and labels ``[n, K]``."""
        order = np.argsort(-shares, axis=0, kind="stable")
        share = np.take_along_axis(shares, order, 0)
        ends = np.ones(shares.shape, bool)
        ends[:-1] = share[1:] != share[:-1]
        place = np.where(ends, np.arange(len(shares))[:, None], len(shares))
        last = np.minimum.accumulate(place[::-1], axis=0)[::-1]
        return cls(order, np.take_along_axis(labels > 0, order, 0), last)

    def precisions(self, rows: NDArray[np.intp] | None = None) -> Floats:
        """Average precision of each label over some images, or all; nan where none has it."""
        there = np.ones(self.order.shape, bool)
        if rows is not None:
            there = np.isin(np.arange(len(self.order)), rows)[self.order]
        own = self.hits & there
        share = np.cumsum(own, 0) / np.maximum(np.cumsum(there, 0), 1)
        at, count = np.take_along_axis(share, self.last, 0), own.sum(0)
        found: Floats = np.where(own, at, 0.0).sum(0) / np.where(count, count, np.nan)
        return found


def thresholds_of(shares: Floats, labels: Labels) -> Floats:
    """Return from which probability on each label is given, ``[K]``, so that its F1 is high.

    ``shares`` are those of images that were not fitted on. Of calibrated probabilities the best
    threshold is half of the F1 that it reaches (Lipton, Elkan and Naryanaswamy, *Optimal
    thresholding of classifiers to maximize F1 measure*, ECML 2014). That F1 a few images tell
    better than the place where they reach it: taking the place itself lost a point of F1
    (``docs/benchmarks.md``).
    """
    return np.array([_best_f1(p, y) / 2 for p, y in zip(shares.T, labels.T, strict=True)])


def _best_f1(shares: Floats, labels: Labels) -> float:
    """Return the highest F1 that a threshold reaches; of equal shares all are given or none."""
    order = np.argsort(-shares, kind="stable")
    p, hits = shares[order], np.cumsum(labels[order] > 0)
    if not len(hits) or not hits[-1]:
        return 1.0
    f1 = 2 * hits / (np.arange(1, len(p) + 1) + hits[-1])
    last = np.append(p[1:] != p[:-1], True)
    return float(f1[last].max())


def score_several(
    shares: Floats,
    labels: Labels,
    names: Sequence[str],
    thresholds: Floats,
    groups: NDArray[Any],
) -> dict[str, Any]:
    """Score probabilities ``[n, K]`` of labels against the truth, 0 and 1, ``[n, K]``.

    * ``mean_average_precision`` over the labels that an image has, with its 95 % interval over
      ``captures``; ``guess``: that of answers that know no image, the mean share of the labels.
    * ``f1``: mean over those labels at their thresholds; ``micro_f1``: of all answers together.
    * ``exact``: the share of images of which every label is right.
    * ``log_loss``: mean over all answers, in nats; ``ece``: how far probabilities are from shares.
    * ``per_label``: ``average_precision``, ``precision``, ``recall``, ``f1`` (None where nothing is
      known of it), ``n`` images that have it, ``threshold``.
    """
    truth, p = labels > 0, np.clip(np.asarray(shares, np.float64), 0.0, 1.0)
    given, count = p >= thresholds, truth.sum(0)
    right, named = (given & truth).sum(0), given.sum(0)
    ap, there = average_precisions(p, labels), count > 0
    f1 = 2 * right / np.maximum(named + count, 1)
    task = SeveralLabels()
    held = np.clip(p, 1e-12, 1 - 1e-12)

    def share(part: Any, of: Any) -> float | None:
        return float(part / of) if of else None

    return {
        "mean_average_precision": task.merit(p, labels),
        "mean_average_precision_interval": list(task.interval(p, labels, groups)),
        "f1": float(f1[there].mean()) if there.any() else 0.0,
        "micro_f1": float(2 * right.sum() / max(named.sum() + count.sum(), 1)),
        "exact": float((given == truth).all(1).mean()),
        "log_loss": float(-np.where(truth, np.log(held), np.log1p(-held)).mean()),
        "ece": gap_of(p.ravel(), truth.ravel()),
        "n": len(p),
        "captures": len(np.unique(groups)),
        "guess": float((count[there] / len(p)).mean()) if there.any() else 0.0,
        "per_label": {
            name: {
                "average_precision": float(ap[k]) if there[k] else None,
                "precision": share(right[k], named[k]),
                "recall": share(right[k], count[k]),
                "f1": float(f1[k]) if there[k] else None,
                "n": int(count[k]),
                "threshold": float(thresholds[k]),
            }
            for k, name in enumerate(names)
        },
    }
