"""What the frozen network already knows about the new images, measured.

Arrays in, :class:`Evidence` out: how large the set is, how similar to the source, how well a probe
does at every depth, which depths to read, and how accurate that should be on images never seen.
Every accuracy here is cross-validated on the training images; the held-out ones are not read.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regraft.data.splits import folds
from regraft.errors import DataError
from regraft.heads.ridge import STRENGTHS, Taps, cross_validate
from regraft.metrics import fit_temperature, paired, share_interval
from regraft.plan.similarity import SIMILAR, similarity_of

LARGE = 0.5
"""From this :attr:`Evidence.size` on a set counts as large (about 4,500 images)."""

SAMPLE = 10_000
"""At most so many images choose the depths; the head is then fitted on all of them."""


@dataclass(frozen=True)
class Probe:
    """A linear head on some depths, cross-validated. ``loss`` is the mean squared error."""

    taps: Taps
    accuracy: float
    interval: tuple[float, float]
    loss: float
    excess: float
    """Mean loss above the best probe's, image by image."""
    excess_error: float
    """Standard error of ``excess``."""
    strength: float


@dataclass(frozen=True)
class Evidence:
    """The measured facts that decide the case."""

    images: int
    classes: tuple[str, ...]
    per_class: tuple[int, ...]
    size: float
    similarity: float
    guess: float
    """Accuracy of always naming the commonest class."""
    probes: tuple[Probe, ...]
    """One a depth first, in order of depth, then those that read several."""
    chosen: int
    """Index into ``probes``."""
    expected: float
    """Accuracy of the whole procedure, choice included, on images it did not see."""
    expected_interval: tuple[float, float]
    neighbours: float
    """Leave-one-out accuracy of the five nearest neighbours at the last depth."""
    shift: tuple[float, ...] | None
    """Distance of the channels from the source's at each stage that has batch norm."""
    temperature: float
    folds: int
    sampled: int
    """Images that chose the depths (all of them unless the set is very large)."""
    whole: int | None = None
    """Index into ``probes`` of what is read where the whole network is kept, as to train it; none
    where the last stage is to be cut off."""
    whole_temperature: float = 1.0
    """Of a head that reads that."""

    def temperature_of(self, taps: Taps) -> float:
        """Return the temperature of a head on some depths."""
        if self.whole is not None and self.probes[self.whole].taps == taps:
            return self.whole_temperature
        return self.temperature

    @property
    def depths(self) -> tuple[Probe, ...]:
        """The probes that read one depth each, nearest the image first."""
        return tuple(probe for probe in self.probes if len(probe.taps) == 1)

    @property
    def headroom(self) -> float:
        """The share of images the frozen network is expected to get wrong: what is left to win."""
        return 1.0 - self.expected

    @property
    def large(self) -> bool:
        """Whether the set counts as large."""
        return self.size >= LARGE

    @property
    def similar(self) -> bool:
        """Whether the set counts as similar to the source."""
        return self.similarity >= SIMILAR


def gather(
    features: NDArray[np.float16],
    widths: Sequence[int],
    labels: NDArray[np.intp],
    classes: Sequence[str],
    groups: NDArray[np.intp],
    *,
    candidates: Sequence[Taps],
    seed: int,
    shift: Sequence[float] | None = None,
    weighting: str = "none",
) -> Evidence:
    """Measure the training images: features ``[n, sum(widths)]``, labels and groups ``[n]``.

    The probes of single depths are always measured, for they are the depth curve;
    ``candidates`` are the taps the choice is among.
    """
    depths = [(d,) for d in range(len(widths))]
    tried = depths + [taps for taps in candidates if taps not in depths]
    keep = sample(labels, len(classes), seed)
    x, y, group = features[keep], labels[keep], groups[keep]
    fold = folds(y, group, fold_count(group), seed)
    scores = cross_validate(x, widths, y, len(classes), fold, tried, STRENGTHS, weighting)
    loss, right = _judge(scores, y, len(classes))
    counts = np.bincount(labels, minlength=len(classes))
    guess = float(counts.max() / counts.sum())
    probes = _probes(loss, right, tried, group)
    curve = [probe.accuracy for probe in probes[: len(widths)]]
    similarity = similarity_of(curve, guess, shift, len(keep))
    ordered = _by_similarity(candidates, len(widths) - 1, similarity)
    allowed = [tried.index(taps) for taps in ordered]
    chosen, strength = choose(loss, tried, allowed)
    kept = [c for c in allowed if tried[c][-1] == len(widths) - 1]
    whole, its_strength = choose(loss, tried, kept) if kept else (None, 0)
    nested = _nested(loss, right, fold, tried, allowed)
    return Evidence(
        images=len(labels),
        classes=tuple(classes),
        per_class=tuple(int(count) for count in counts),
        size=size_of(counts),
        similarity=similarity,
        guess=guess,
        probes=probes,
        chosen=chosen,
        expected=float(nested.mean()),
        expected_interval=share_interval(nested, group),
        neighbours=neighbours(x[:, -widths[-1] :], y, group),
        shift=None if shift is None else tuple(shift),
        temperature=fit_temperature(scores[chosen, strength].astype(np.float32), y),
        folds=int(fold.max()) + 1,
        sampled=len(keep),
        whole=whole,
        whole_temperature=(
            1.0
            if whole is None
            else fit_temperature(scores[whole, its_strength].astype(np.float32), y)
        ),
    )


def rightness(
    features: NDArray[np.float16],
    widths: Sequence[int],
    labels: NDArray[np.intp],
    groups: NDArray[np.intp],
    *,
    candidates: Sequence[Taps],
    seed: int,
) -> NDArray[np.bool_]:
    """Which images the whole procedure of :func:`gather` gets right, ``[n]`` (a sample of many)."""
    classes = int(labels.max()) + 1
    keep = sample(labels, classes, seed)
    x, y, group = features[keep], labels[keep], groups[keep]
    fold = folds(y, group, fold_count(group), seed)
    scores = cross_validate(x, widths, y, classes, fold, candidates, STRENGTHS, "none")
    loss, right = _judge(scores, y, classes)
    return _nested(loss, right, fold, candidates, range(len(candidates)))


def candidates_of(depths: int, *, cut: int | None = None, several: bool = True) -> list[Taps]:
    """Return the taps to choose among, simplest first.

    One depth is simpler than several, and a later one (less is thrown away) than an earlier one.
    Several are the upper half, the middle half, all of the depths and all but the last; of single
    depths and such windows the best cross-validated one lay, over thirteen sets, above the best
    single depth. With a ``cut`` that depth is the deepest in all of them.
    """
    if cut is None:
        single: list[Taps] = [(depth,) for depth in reversed(range(depths))]
        half, start = depths // 2, 3 * depths // 8
        windows = [(depths - half, depths), (start, start + half), (0, depths), (0, depths - 1)]
    else:
        single = [(cut,)]
        half = (cut + 1) // 2
        # up to the last depth these are windows that are tried without a cut too
        windows = [(half if cut < depths - 1 else depths - half, cut + 1), (0, cut + 1)]
    wide = dict.fromkeys(tuple(range(a, b)) for a, b in windows if b - a > 1)
    return single + (list(wide) if several else [])


def choose(
    loss: NDArray[np.float32], tried: Sequence[Taps], allowed: Sequence[int]
) -> tuple[int, int]:
    """Return the simplest allowed candidate within a standard error of the best, and its strength.

    ``loss`` is ``[candidates, strengths, images]``; ``allowed`` runs from simple to complex. The
    error is that of the *paired* difference, image by image, which is several times smaller than
    that of an accuracy (the one-standard-error rule of Breiman et al., *Classification and
    Regression Trees*, 1984, on paired losses).
    """
    strength = loss.mean(2).argmin(1)
    own = loss[np.arange(len(tried)), strength]
    best = min(allowed, key=lambda c: float(own[c].mean()))
    for c in allowed:
        excess, error = paired(own[c], own[best])
        if excess <= error:
            return c, int(strength[c])
    return best, int(strength[best])


def size_of(counts: NDArray[np.intp]) -> float:
    """Size in 0..1: 0 at 200 images, 1 at 100,000, linear in the logarithm between.

    Images beyond a hundred times the median class do not count: ten thousand images of a thousand
    kinds are a small set. From the middle on, about 4,500 images, training the whole network is
    tried even for little to win; before, only where there is much (:mod:`regraft.plan.decide`).
    """
    images = min(float(counts.sum()), 100.0 * float(np.median(counts)))
    return float(np.clip(np.log(max(images, 1.0) / 200) / np.log(100_000 / 200), 0, 1))


def neighbours(
    x: NDArray[np.float16], labels: NDArray[np.intp], groups: NDArray[np.intp], k: int = 5
) -> float:
    """Accuracy of the ``k`` nearest neighbours by cosine, own group left out (2,000 images)."""
    x, labels, groups = x[:2000].astype(np.float32), labels[:2000], groups[:2000]
    x = x - x.mean(0)
    x /= np.linalg.norm(x, axis=1, keepdims=True) + 1e-12
    near = x @ x.T
    near[groups[:, None] == groups[None, :]] = -np.inf
    k = min(k, len(x) - 1)
    nearest = np.argpartition(-near, k - 1, axis=1)[:, :k]
    weight = np.exp(np.take_along_axis(near, nearest, 1))
    votes = np.zeros((len(x), int(labels.max()) + 1), np.float32)
    np.add.at(votes, (np.arange(len(x))[:, None], labels[nearest]), weight)
    return float((votes.argmax(1) == labels).mean())


def fold_count(groups: NDArray[np.intp]) -> int:
    """Five folds; three from 2,500 images on, where the noise of three is small enough.

    Raises:
        DataError: fewer than two different pictures.
    """
    different = len(np.unique(groups))
    if different < 2:
        raise DataError("Cross-validation needs two different pictures to train on, got one.")
    return min(different, 5 if len(groups) < 2500 else 3)


def sample(labels: NDArray[np.intp], classes: int, seed: int) -> NDArray[np.intp]:
    """Positions of the images that choose the depths: all, or a random part of a very large set.

    So the scores of all candidates stay below about 250 MB whatever the number of classes.
    """
    most = min(SAMPLE, max(2_000, 2_000_000 // classes))
    if len(labels) <= most:
        return np.arange(len(labels))
    picked = np.random.default_rng(seed).permutation(len(labels))[:most]
    return np.sort(picked)


def _judge(
    scores: NDArray[np.float16], labels: NDArray[np.intp], classes: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Squared error and rightness, ``[candidates, strengths, n]`` each."""
    loss = np.empty(scores.shape[:3], np.float32)
    right = np.empty(scores.shape[:3], np.bool_)
    targets = np.eye(classes, dtype=np.float32)[labels]
    for c, of_candidate in enumerate(scores):
        for s, score in enumerate(of_candidate):
            loss[c, s] = np.square(score.astype(np.float32) - targets).sum(1)
            right[c, s] = score.argmax(1) == labels
    return loss, right


def _by_similarity(candidates: Sequence[Taps], last: int, similarity: float) -> list[Taps]:
    """Single depths as they come; of the windows, first those that the similarity speaks for.

    Similar images: those that keep the last stage; different ones: those that cut it off.
    """
    similar = similarity >= SIMILAR
    return sorted(
        candidates, key=lambda taps: len(taps) > 1 and 1 + ((taps[-1] == last) != similar)
    )


def _nested(
    loss: NDArray[np.float32],
    right: NDArray[np.bool_],
    fold: NDArray[np.intp],
    tried: Sequence[Taps],
    allowed: Sequence[int],
) -> NDArray[np.bool_]:
    """Rightness ``[n]`` where each fold is judged by the choice the *other* folds made.

    Choosing and judging on the same folds flatters the winner; this takes that away at no cost
    (compare Tsamardinos et al., *Bootstrapping the out-of-sample predictions*, 2018).
    """
    honest = np.empty(len(fold), np.bool_)
    for f in range(int(fold.max()) + 1):
        c, s = choose(loss[:, :, fold != f], tried, allowed)
        honest[fold == f] = right[c, s, fold == f]
    return honest


def _probes(
    loss: NDArray[np.float32],
    right: NDArray[np.bool_],
    tried: Sequence[Taps],
    groups: NDArray[np.intp],
) -> tuple[Probe, ...]:
    """Each candidate at its own best strength, compared with the best of them."""
    strength = loss.mean(2).argmin(1)
    own = loss[np.arange(len(tried)), strength]
    best = own[int(own.mean(1).argmin())]
    probes = []
    for c, taps in enumerate(tried):
        hits = right[c, strength[c]]
        excess, error = paired(own[c], best)
        interval = share_interval(hits, groups)
        mean, loss_of = float(hits.mean()), float(own[c].mean())
        penalty = STRENGTHS[int(strength[c])]
        probes.append(Probe(taps, mean, interval, loss_of, excess, error, penalty))
    return tuple(probes)
