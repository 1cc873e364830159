"""How much each head counts in the average that the new layer is, by cross-validation alone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from regraft.heads.average import Part, union
from regraft.heads.ridge import STRENGTHS, Taps
from regraft.metrics import fit_temperature, fit_temperatures, paired, softmax

ENOUGH = 500_000
"""Scores that a head's temperature is found by, at most: it is one number."""

LEAST = 0.005
"""A head whose share would be smaller is left out."""

CUT = 0.2
"""Stages at the end go where the heads that read them count no more than that in all. It cost 0.05
points on average; to go by the loss with and without them cost 0.2 to 0.3, and changed with the
seed of the folds (``docs/benchmarks.md``)."""

UNSURE = (0.1, 0.3)
"""Between these shares another draw of the images may cut where this one does not, or the other way
round: both are as good (0.01 to 0.1 points apart). A judgement."""


@dataclass(frozen=True, eq=False)
class Judged:
    """Heads on the training images, each scored by the folds that did not see them.

    ``scores`` ``[heads, strengths, n, C]`` as `regraft.heads.ridge.cross_validate` gives
    them, ``loss`` (squared error), ``surprise`` (log loss at the head's own temperature), ``right``
    and ``square`` (mean square of the centred scores) ``[heads, strengths, n]``.
    """

    tried: Sequence[Taps]
    labels: NDArray[np.intp]
    scores: NDArray[np.float16]
    loss: NDArray[np.float32]
    surprise: NDArray[np.float32]
    right: NDArray[np.bool_]
    square: NDArray[np.float32]
    strengths: Sequence[float] = STRENGTHS


def judged(tried: Sequence[Taps], scores: NDArray[np.float16], labels: NDArray[np.intp]) -> Judged:
    """Return the heads with what each image says of them."""
    loss, surprise = np.empty((2, *scores.shape[:3]), np.float32)
    right = np.empty(scores.shape[:3], np.bool_)
    square = np.empty(scores.shape[:3], np.float32)
    targets = np.eye(scores.shape[3], dtype=np.float32)[labels]
    some = slice(None, None, max(1, len(labels) * scores.shape[3] // ENOUGH))
    for c, of_candidate in enumerate(scores):
        heats = fit_temperatures(of_candidate[:, some], labels[some])
        for s, few in enumerate(of_candidate):
            score = few.astype(np.float32)
            loss[c, s] = np.square(score - targets).sum(1)
            right[c, s] = score.argmax(1) == labels
            square[c, s] = score.var(1)
            its = softmax(score, heats[s])[np.arange(len(labels)), labels]
            surprise[c, s] = -np.log(np.maximum(its, 1e-9))
    return Judged(tried, labels, scores, loss, surprise, right, square)


def averaged(
    found: Judged, allowed: Sequence[int], images: NDArray[np.bool_] | slice = slice(None)
) -> tuple[Part, ...]:
    """Return the average of the allowed heads, each at its best penalty, by what some images say.

    The share of a head is ``exp(-z)``: ``z`` is by how many standard errors its log loss lies above
    the least one, image by image. So where the images can tell the heads apart few of them count,
    and where they cannot all do. The scores of each are divided by their own spread before.
    """
    rows = list(allowed)
    loss = found.surprise[rows][:, :, images]
    best = loss.mean(2).argmin(1)
    own = loss[np.arange(len(rows)), best]
    least = own[int(own.mean(1).argmin())]
    raw = np.exp([-_above(each, least) for each in own])
    raw[raw < LEAST * raw.sum()] = 0.0
    share = raw / raw.sum()
    alone = int((share > 0).sum()) == 1
    return tuple(
        Part(
            found.tried[c],
            found.strengths[best[row]],
            float(share[row]),
            1.0 if alone else float(found.square[c, best[row], images].mean()) ** 0.5 or 1.0,
        )
        for row, c in enumerate(rows)
        if share[row] > 0
    )


def _above(own: NDArray[np.float32], least: NDArray[np.float32]) -> float:
    """By how many standard errors a loss lies above the least one."""
    excess, error = paired(own, least)
    if error > 0:
        return excess / error
    return float("inf") if excess > 0 else 0.0


def logits_of(
    found: Judged, parts: Sequence[Part], images: NDArray[np.bool_] | slice = slice(None)
) -> NDArray[np.float32]:
    """Return what the average says of some images, ``[n, C]``, by folds that did not see them."""
    total: NDArray[np.float32] | None = None
    for part in parts:
        c, s = found.tried.index(part.taps), found.strengths.index(part.strength)
        one = found.scores[c, s, images].astype(np.float32) * np.float32(part.weight / part.scale)
        total = one if total is None else total + one
    assert total is not None, "an average has at least one part"
    return total


@dataclass(frozen=True)
class Made:
    """What the new layer is an average of; each with at least one part."""

    chosen: tuple[Part, ...]
    whole: tuple[Part, ...] | None
    """The same where the last stage is kept; none where it is asked to go."""
    cut: tuple[Part, ...] | None
    """The same without the last stage; none where it is asked to stay."""
    tail: float = 0.0
    """Share of the heads that read the last stage, or where it is cut off, what is."""


def chosen_of(
    found: Judged,
    allowed: Sequence[int],
    images: NDArray[np.bool_] | slice = slice(None),
    *,
    average: bool = True,
    end: int | None = None,
) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """Return the average of all allowed heads, and what of it makes the new layer.

    By some of the images; ``end``: the depth that the layer has to read as its last, where that was
    asked for.
    """
    make = averaged if average else chosen_alone
    full = make(found, allowed, images)
    if end is None:
        return full, shortened(full) if average else full
    if union(full)[-1] != end:
        full = make(found, [c for c in allowed if found.tried[c][-1] == end], images)
    return full, full


def made_of(
    found: Judged,
    allowed: Sequence[int],
    last: int,
    *,
    average: bool = True,
    end: int | None = None,
) -> Made:
    """Return what the new layer is made of, and would be; ``last``: the network's last depth."""
    make = averaged if average else chosen_alone
    full, chosen = chosen_of(found, allowed, average=average, end=end)
    if end is not None:
        return Made(full, full if end == last else None, full if end < last else None)
    kept = union(chosen)[-1]
    tail = sum(part.weight for part in full if part.taps[-1] > min(kept, last - 1))
    if kept == last:
        without = [c for c in allowed if found.tried[c][-1] < last]
        return Made(chosen, chosen, make(found, without) if without else None, tail)
    keeping = [c for c in allowed if found.tried[c][-1] == last]
    whole = full if union(full)[-1] == last else make(found, keeping) if keeping else None
    return Made(chosen, whole, chosen, tail)


def shortened(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """Return the average without the heads that read stages at the end which hardly count."""
    for depth in union(parts):
        kept = [part for part in parts if part.taps[-1] <= depth]
        share = sum(part.weight for part in kept)
        if share >= 1 - CUT:
            break
    if len(kept) == len(parts):
        return parts
    if len(kept) == 1:
        return (Part(kept[0].taps, kept[0].strength, 1.0, 1.0),)
    return tuple(replace(part, weight=part.weight / share) for part in kept)


def errors_of(logits: NDArray[np.float32], labels: NDArray[np.intp]) -> NDArray[np.float32]:
    """Squared error of the calibrated probabilities of each image, ``[n]``."""
    shares = softmax(logits, fit_temperature(logits, labels))
    targets = np.eye(logits.shape[1], dtype=np.float32)[labels]
    errors: NDArray[np.float32] = np.square(shares - targets).sum(1).astype(np.float32)
    return errors


def chosen_alone(
    found: Judged, allowed: Sequence[int], images: NDArray[np.bool_] | slice = slice(None)
) -> tuple[Part, ...]:
    """Return the one head that the textbook reads."""
    c, s = choose(found.loss[:, :, images], found.tried, allowed)
    return (Part(found.tried[c], found.strengths[s], 1.0, 1.0),)


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


def nested(
    found: Judged,
    fold: NDArray[np.intp],
    allowed: Sequence[int],
    *,
    average: bool,
    end: int | None,
) -> NDArray[np.float32]:
    """Probabilities ``[n, C]`` where each fold is judged by what the *other* folds made.

    Choosing and judging on the same folds flatters what is chosen; this takes that away at no cost
    (compare Tsamardinos et al., *Bootstrapping the out-of-sample predictions*, 2018).
    """
    honest = np.empty((len(fold), found.scores.shape[-1]), np.float32)
    for f in range(int(fold.max()) + 1):
        out = fold == f
        _, parts = chosen_of(found, allowed, ~out, average=average, end=end)
        heat = fit_temperature(logits_of(found, parts, ~out), found.labels[~out])
        honest[out] = softmax(logits_of(found, parts, out), heat)
    return honest
