"""Evidence where each image has several labels, or a number: the same facts, by other measures.

The heads are the same ridge regressions, to other targets, and they are averaged by the same rule:
each counts by how many standard errors its squared error lies above the least. What `gather` says
by accuracy is said by the task's own measure (`regraft.heads.tasks`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from regraft.data.splits import folds
from regraft.heads.average import Part, union
from regraft.heads.ridge import STRENGTHS, Taps, cross_validate
from regraft.heads.tasks import AnswerRule, Task
from regraft.heads.tasks.number import half_width
from regraft.heads.tasks.several import thresholds_of
from regraft.metrics import paired
from regraft.plan.averaging import Judged, chosen_of, logits_of, made_of
from regraft.plan.evidence import Evidence, Gathered, Probe, fold_count, sample
from regraft.plan.neighbours import near_mean
from regraft.plan.similarity import similarity_of
from regraft.plan.size import size_of

FINER: Final = (0.001, 0.003, 0.01, 0.03, *STRENGTHS)
"""L2 penalties that are tried for a number, of which an image may tell nearly all."""

LEAST: Final = 1_000
"""Images that are cross-validated at least, however many labels there are."""


def gather_targets(
    task: Task,
    features: NDArray[np.float16],
    widths: Sequence[int],
    targets: NDArray[np.float32],
    names: Sequence[str],
    strata: NDArray[np.intp],
    groups: NDArray[np.intp],
    *,
    candidates: Sequence[Taps],
    seed: int,
    units: tuple[float, float] = (0.0, 1.0),
    shift: Sequence[float] | None = None,
    average: bool = True,
    end: int | None = None,
    rows: NDArray[np.intp] | None = None,
) -> Gathered:
    """Measure the training images as `regraft.plan.evidence.gather` does, by a task's measure.

    ``targets`` ``[n, K]`` have ``names``; ``strata`` ``[n]`` are what the folds keep even;
    ``units``: mean and standard deviation of a number, in which its targets are.
    """
    depths = [(d,) for d in range(len(widths))]
    tried = depths + [taps for taps in candidates if taps not in depths]
    keep = sample(targets, len(names), seed, least=LEAST)
    y, group = targets[keep], groups[keep]
    x = features[keep if rows is None else rows[keep]]
    fold = folds(strata[keep], group, fold_count(group), seed)
    strengths = FINER if task.kind == "number" else STRENGTHS
    scores = cross_validate(x, widths, y, len(names), fold, tried, strengths, "none")
    found = _judged(tried, scores, y, strengths)
    single = tuple(_probes(task, found, y, group))
    allowed = [tried.index(taps) for taps in candidates]
    made = made_of(found, allowed, len(widths) - 1, average=average, end=end)
    mixed = [made.chosen, *(other for other in (made.whole, made.cut) if other is not None)]
    probes = (*single, *_averages(task, found, y, dict.fromkeys(mixed), group))
    places = {probe.made_of: place for place, probe in enumerate(probes)}
    shares = _nested(task, found, y, fold, allowed, average=average, end=end)
    expected = task.merit(shares, y)
    interval = task.interval(shares, y, group)
    counts = _counts(task, targets)
    guess = float((counts / len(targets)).mean()) if task.kind == "several" else 0.0
    error = max((interval[1] - interval[0]) / 3.92, 1e-9)
    near = near_mean(x[:, -widths[-1] :], y, group)
    evidence = Evidence(
        images=len(targets),
        classes=tuple(names),
        per_class=tuple(int(count) for count in counts),
        size=size_of(np.array([len(targets)])),
        similarity=similarity_of(
            [max(probe.accuracy, 0.0) for probe in single[: len(widths)]], guess, shift, len(keep)
        ),
        guess=guess,
        probes=probes,
        chosen=places[made.chosen],
        expected=expected,
        expected_interval=interval,
        neighbours=task.merit(near, y[: len(near)]),
        shift=None if shift is None else tuple(shift),
        temperature=1.0,
        folds=int(fold.max()) + 1,
        sampled=len(keep),
        whole=None if made.whole is None else places[made.whole],
        signal=(expected - guess) / error,
        averages=average,
        end=end,
        tail=made.tail,
        cut=None if made.cut is None else places[made.cut],
        answer=_answer(task, found, y, made.chosen, made.whole, shares, units, average=average),
    )
    return Gathered(evidence, keep, shares.astype(np.float32))


def _counts(task: Task, targets: NDArray[np.float32]) -> NDArray[np.intp]:
    """Images of each label; of a number, all."""
    if task.kind == "number":
        return np.array([len(targets)])
    found: NDArray[np.intp] = (targets > 0).sum(0)
    return found


def _judged(
    tried: Sequence[Taps],
    scores: NDArray[np.float16],
    targets: NDArray[np.float32],
    strengths: Sequence[float],
) -> Judged:
    """Return the heads with the squared error of each image, by which they are averaged."""
    loss = np.empty(scores.shape[:3], np.float32)
    for c, of_candidate in enumerate(scores):
        for s, one in enumerate(of_candidate):
            loss[c, s] = np.square(one.astype(np.float32) - targets).sum(1)
    same = np.broadcast_to(np.float32(1), loss.shape)
    hits = np.broadcast_to(np.bool_(False), loss.shape)
    none = np.zeros(len(targets), np.intp)
    return Judged(tried, none, scores, loss, loss, hits, same, tuple(strengths))


def _probes(
    task: Task, found: Judged, targets: NDArray[np.float32], groups: NDArray[np.intp]
) -> Iterator[Probe]:
    """Each candidate at its own best strength, compared with the best of them."""
    strength = found.loss.mean(2).argmin(1)
    own = found.loss[np.arange(len(found.tried)), strength]
    best = own[int(own.mean(1).argmin())]
    for c, taps in enumerate(found.tried):
        said = found.scores[c, strength[c]].astype(np.float32)
        excess, error = paired(own[c], best)
        yield Probe(
            taps,
            task.merit(said, targets),
            task.interval(said, targets, groups),
            float(own[c].mean()),
            excess,
            error,
            found.strengths[int(strength[c])],
        )


def _averages(
    task: Task,
    found: Judged,
    targets: NDArray[np.float32],
    made: Iterable[tuple[Part, ...]],
    groups: NDArray[np.intp],
) -> Iterator[Probe]:
    """Each average of more than one head, compared with the first of them."""
    first: NDArray[Any] | None = None
    for parts in made:
        outputs = logits_of(found, parts)
        shares = task.shares(task.calibration(outputs, targets)(outputs))
        own = task.losses(shares, targets)
        first = own if first is None else first
        if len(parts) == 1:
            continue
        excess, error = paired(own, first)
        yield Probe(
            union(parts),
            task.merit(shares, targets),
            task.interval(shares, targets, groups),
            float(own.mean()),
            excess,
            error,
            max(parts, key=lambda part: part.weight).strength,
            parts,
        )


def _nested(
    task: Task,
    found: Judged,
    targets: NDArray[np.float32],
    fold: NDArray[np.intp],
    allowed: Sequence[int],
    *,
    average: bool,
    end: int | None,
) -> NDArray[np.float64]:
    """Answers ``[n, K]`` where each fold is judged by what the *other* folds made."""
    honest = np.empty(targets.shape)
    for f in range(int(fold.max()) + 1):
        out = fold == f
        _, parts = chosen_of(found, allowed, ~out, average=average, end=end)
        calibration = task.calibration(logits_of(found, parts, ~out), targets[~out])
        honest[out] = task.shares(calibration(logits_of(found, parts, out)))
    return honest


def _answer(
    task: Task,
    found: Judged,
    targets: NDArray[np.float32],
    chosen: tuple[Part, ...],
    whole: tuple[Part, ...] | None,
    shares: NDArray[np.float64],
    units: tuple[float, float],
    *,
    average: bool,
) -> AnswerRule:
    """How the outputs of what was chosen become answers; ``shares`` are the honest ones.

    The thresholds that they lead to are those of calibrated probabilities. The textbook's layer,
    for which one head is chosen and no ``average`` made, is not calibrated: its labels are given
    from a half on.
    """

    def calibration(parts: tuple[Part, ...]) -> tuple[tuple[float, ...], tuple[float, ...]]:
        slopes, offsets = task.calibration(logits_of(found, parts), targets)
        return tuple(slopes.tolist()), tuple(offsets.tolist())

    answer = AnswerRule(task.kind, *calibration(chosen), *(calibration(whole) if whole else ()))
    if task.kind == "several":
        best = thresholds_of(shares, targets).tolist() if average else [0.5] * targets.shape[1]
        return replace(answer, thresholds=tuple(best))
    mean, spread = units
    half = half_width(shares - targets) * spread
    return replace(answer, half_width=half, mean=mean, spread=spread)
