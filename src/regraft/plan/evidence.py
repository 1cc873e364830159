"""What the frozen network already knows about the new images, measured.

Arrays in, `Evidence` out: how large the set is, how similar to the source, how well a probe
does at every depth, which depths to read, and how accurate that should be on images never seen.
Every accuracy here is cross-validated on the training images; the held-out ones are not read.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from regraft.data.splits import folds
from regraft.errors import DataError
from regraft.heads.average import Part, stage_weights, union
from regraft.heads.ridge import STRENGTHS, Taps, cross_validate
from regraft.heads.tasks.answer import AnswerRule
from regraft.metrics import fit_temperature, paired, share_interval, signal_of
from regraft.plan.averaging import Judged, errors_of, judged, logits_of, made_of, nested
from regraft.plan.neighbours import neighbours
from regraft.plan.similarity import SIMILAR, similarity_of
from regraft.plan.size import LARGE, size_of

SIGNAL = 2.0
"""Standard errors from which on the network counts as telling the classes apart."""

SAMPLE = 10_000
"""At most so many images say how much each head counts; they are then fitted on all of them."""


@dataclass(frozen=True)
class Probe:
    """A linear head on some depths, or the average of several, cross-validated."""

    taps: Taps
    accuracy: float
    interval: tuple[float, float]
    loss: float
    """Mean squared error of the scores; of an average, of its calibrated probabilities."""
    excess: float
    """Mean loss above the best probe's, image by image; of an average, above the chosen one's."""
    excess_error: float
    """Standard error of ``excess``."""
    strength: float
    """The penalty; of an average, that of the head that counts most."""
    parts: tuple[Part, ...] = ()
    """What is averaged; none where it is one head."""

    @property
    def made_of(self) -> tuple[Part, ...]:
        """The heads it is made of: itself, where it is one."""
        return self.parts or (Part(self.taps, self.strength, 1.0, 1.0),)

    @property
    def weights(self) -> dict[int, float]:
        """How much each depth counts in it; 1 in all."""
        return stage_weights(self.made_of)


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
    signal: float | None = None
    """Standard errors by which the mean recall (else the measure) lies above that of guesses that
    know nothing of the image; None where it was not measured."""
    averages: bool = False
    """Whether heads are averaged; else one is chosen, as by the textbook and all older plans."""
    end: int | None = None
    """Depth that the kept network was asked to end at; none where that is free."""
    tail: float = 0.0
    """Share of the heads that read the last stage, or where it is cut off, what is."""
    cut: int | None = None
    """Index into ``probes`` of what is read where the last stage goes; none where it must stay."""
    answer: AnswerRule | None = None
    """Of several labels or a number; ``accuracy`` is then the measure of that task."""

    def is_whole(self, taps: Taps) -> bool:
        """Return whether a head on some depths is what is read where the whole network is kept."""
        return self.whole is not None and self.probes[self.whole].taps == taps

    def parts_of(self, taps: Taps, strength: float) -> tuple[Part, ...]:
        """Return the heads that make the new layer on some depths.

        Those of the evidence: of what was chosen, of the whole network, of a single head. A
        ``strength`` other than the chosen one's was edited, and is every head's.
        """
        chosen = self.probes[self.chosen]
        known = (chosen, *([] if self.whole is None else [self.probes[self.whole]]), *self.single)
        found = next((probe for probe in known if probe.taps == taps), None)
        if found is None:
            return (Part(taps, strength, 1.0, 1.0),)
        if strength == chosen.strength:
            return found.made_of
        return tuple(replace(part, strength=strength) for part in found.made_of)

    @property
    def depths(self) -> tuple[Probe, ...]:
        """The probes that read one depth each, nearest the image first."""
        return tuple(probe for probe in self.single if len(probe.taps) == 1)

    @property
    def learnt(self) -> bool:
        """Whether the frozen network tells the classes apart at all."""
        return self.signal is None or self.signal > SIGNAL

    @property
    def single(self) -> tuple[Probe, ...]:
        """The probes that are one head each."""
        return tuple(probe for probe in self.probes if not probe.parts)

    @property
    def kind(self) -> str:
        """What is asked of an image: ``one`` label, ``several``, or a ``number``."""
        return "one" if self.answer is None else self.answer.kind

    @property
    def headroom(self) -> float:
        """What is left to win: the share of images that the frozen network should get wrong."""
        return 1.0 - self.expected

    @property
    def large(self) -> bool:
        """Whether the set counts as large."""
        return self.size >= LARGE

    @property
    def similar(self) -> bool:
        """Whether the set counts as similar to the source."""
        return self.similarity >= SIMILAR


class Gathered(NamedTuple):
    """The evidence, and what the whole procedure says of images that it did not see.

    ``images``: which of the training images, ``[n]`` (a sample of many); ``shares``: their
    probabilities under cross-validation, ``[n, C]``.
    """

    evidence: Evidence
    images: NDArray[np.intp]
    shares: NDArray[np.float32]


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
    average: bool = True,
    end: int | None = None,
    rows: NDArray[np.intp] | None = None,
) -> Gathered:
    """Measure the training images: features ``[n, sum(widths)]``, labels and groups ``[n]``.

    ``rows``: those of ``features`` that the labels are of, all where None; so only what is read of
    a large set is copied.

    The probes of single depths are always measured, for they are the depth curve;
    ``candidates`` are the taps that heads are averaged of, or where not ``average`` (the textbook)
    those that one is chosen among. ``end``: the depth that the new layer has to end at, where that
    was asked for.
    """
    depths = [(d,) for d in range(len(widths))]
    tried = depths + [taps for taps in candidates if taps not in depths]
    keep, fold, found = _scored(
        features,
        widths,
        labels,
        len(classes),
        groups,
        tried,
        rows,
        seed=seed,
        weighting=weighting,
    )
    y, group = found.labels, groups[keep]
    last = features[keep if rows is None else rows[keep], -widths[-1] :]
    counts = np.bincount(labels, minlength=len(classes))
    guess = float(counts.max() / counts.sum())
    single = _probes(found, group, average=average)
    allowed = [tried.index(taps) for taps in candidates]
    made = made_of(found, allowed, len(widths) - 1, average=average, end=end)
    mixed = [made.chosen, *(other for other in (made.whole, made.cut) if other is not None)]
    probes = (*single, *_averages(found, dict.fromkeys(mixed), group))
    places = {probe.made_of: place for place, probe in enumerate(probes)}
    shares = nested(found, fold, allowed, average=average, end=end)
    likeliest = shares.argmax(1)
    right = likeliest == y
    heat = {parts: fit_temperature(logits_of(found, parts), y) for parts in dict.fromkeys(mixed)}
    evidence = Evidence(
        images=len(labels),
        classes=tuple(classes),
        per_class=tuple(int(count) for count in counts),
        size=size_of(counts),
        similarity=similarity_of(
            [probe.accuracy for probe in single[: len(widths)]], guess, shift, len(keep)
        ),
        guess=guess,
        probes=probes,
        chosen=places[made.chosen],
        expected=float(right.mean()),
        expected_interval=share_interval(right, group),
        neighbours=neighbours(last, y, group),
        shift=None if shift is None else tuple(shift),
        temperature=heat[made.chosen],
        folds=int(fold.max()) + 1,
        sampled=len(keep),
        whole=None if made.whole is None else places[made.whole],
        whole_temperature=1.0 if made.whole is None else heat[made.whole],
        signal=signal_of(likeliest, y, len(classes)),
        averages=average,
        end=end,
        tail=made.tail,
        cut=None if made.cut is None else places[made.cut],
    )
    return Gathered(evidence, keep, shares)


def rightness(
    features: NDArray[np.float16],
    widths: Sequence[int],
    labels: NDArray[np.intp],
    groups: NDArray[np.intp],
    *,
    candidates: Sequence[Taps],
    seed: int,
    weighting: str = "none",
    average: bool = True,
    end: int | None = None,
    rows: NDArray[np.intp] | None = None,
) -> NDArray[np.bool_]:
    """Which images the whole procedure of `gather` gets right, ``[n]`` (a sample of many)."""
    classes, allowed = int(labels.max()) + 1, range(len(candidates))
    _, fold, found = _scored(
        features, widths, labels, classes, groups, candidates, rows, seed=seed, weighting=weighting
    )
    shares = nested(found, fold, allowed, average=average, end=end)
    right: NDArray[np.bool_] = shares.argmax(1) == found.labels
    return right


def _scored(
    features: NDArray[np.float16],
    widths: Sequence[int],
    labels: NDArray[np.intp],
    classes: int,
    groups: NDArray[np.intp],
    tried: Sequence[Taps],
    rows: NDArray[np.intp] | None,
    *,
    seed: int,
    weighting: str,
) -> tuple[NDArray[np.intp], NDArray[np.intp], Judged]:
    """Cross-validate heads on a sample of the images: which these are, their folds, the heads."""
    keep = sample(labels, classes, seed)
    x, y, group = features[keep if rows is None else rows[keep]], labels[keep], groups[keep]
    fold = folds(y, group, fold_count(group), seed)
    scores = cross_validate(x, widths, y, classes, fold, tried, STRENGTHS, weighting)
    return keep, fold, judged(tried, scores, y)


def candidates_of(depths: int, *, cut: int | None = None, several: bool = True) -> list[Taps]:
    """Return the taps that heads are averaged of, or one is chosen among; simplest first.

    One depth is simpler than several, and a later one (less is thrown away) than an earlier one.
    Several are the upper half, the middle half, all of the depths and all but the last: over
    thirteen sets the best of all of them lay above the best single depth. With a ``cut`` that depth
    is the deepest in all of them.
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


def fold_count(groups: NDArray[np.intp]) -> int:
    """Five folds; three from 2,500 images on, where the noise of three is small enough.

    Raises:
        DataError: fewer than two different pictures.
    """
    different = len(np.unique(groups))
    if different < 2:
        raise DataError("Cross-validation needs two different pictures to train on, got one.")
    return min(different, 5 if len(groups) < 2500 else 3)


def sample(labels: NDArray[Any], classes: int, seed: int, least: int = 2_000) -> NDArray[np.intp]:
    """Positions of the images that choose the depths: all, or a random part of a very large set.

    So the scores of all candidates stay below about 250 MB, but where there are so many classes
    that the ``least`` images make more.
    """
    most = min(SAMPLE, max(least, 2_000_000 // classes))
    if len(labels) <= most:
        return np.arange(len(labels))
    picked = np.random.default_rng(seed).permutation(len(labels))[:most]
    return np.sort(picked)


def _probes(found: Judged, groups: NDArray[np.intp], *, average: bool) -> tuple[Probe, ...]:
    """Each candidate at its own best strength, compared with the best of them."""
    strength = (found.surprise if average else found.loss).mean(2).argmin(1)
    own = found.loss[np.arange(len(found.tried)), strength]
    best = own[int(own.mean(1).argmin())]
    probes = []
    for c, taps in enumerate(found.tried):
        hits = found.right[c, strength[c]]
        excess, error = paired(own[c], best)
        interval = share_interval(hits, groups)
        mean, loss_of = float(hits.mean()), float(own[c].mean())
        penalty = STRENGTHS[int(strength[c])]
        probes.append(Probe(taps, mean, interval, loss_of, excess, error, penalty))
    return tuple(probes)


def _averages(
    found: Judged, made: Iterable[tuple[Part, ...]], groups: NDArray[np.intp]
) -> Iterator[Probe]:
    """Each average of more than one head, compared with the first of them."""
    first: NDArray[np.float32] | None = None
    for parts in made:
        logits = logits_of(found, parts)
        own = errors_of(logits, found.labels)
        first = own if first is None else first
        if len(parts) == 1:
            continue
        hits = logits.argmax(1) == found.labels
        excess, error = paired(own, first)
        yield Probe(
            union(parts),
            float(hits.mean()),
            share_interval(hits, groups),
            float(own.mean()),
            excess,
            error,
            max(parts, key=lambda part: part.weight).strength,
            parts,
        )
