"""Whether an image is like the training images at all: what a run finds of it, for its result."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.data.splits import EACH_ONCE
from regraft.distributed import on_rank_zero
from regraft.features.cache.products import recalled
from regraft.heads.known import LIMIT, SCORES, Known, known_of
from regraft.heads.ridge import Head, InTurn, columns
from regraft.plan.definition import Plan
from regraft.plan.unknown import (
    Judgement,
    Stranger,
    TapFeatures,
    by_probability,
    judge,
    sample,
    turns_of,
)
from regraft.results.result import Result
from regraft.results.tables import written
from regraft.run.added import added
from regraft.run.measure import Measured
from regraft.run.proof import calibrated, head_on

_LOT = 4096  # images whose features are copied at once
MANY = 10_000
"""Held-out images from which on they are judged many at once."""
SHOWN = 12
"""Held-out images that are named, the least known first."""


def with_unknown(
    result: Result, measured: Measured, validated: NDArray[np.floating[Any]] | None = None
) -> Result:
    """Return the result with the tensors ``known.*`` and with ``metrics["unknown"]``.

    Of a frozen network it is judged by cross-validation of training images. ``validated``: of a
    trained one, whose features have seen these, the probabilities ``[n, C]`` of its validation
    images; they are all that there is.
    """
    start = time.perf_counter()
    tensors, told = on_rank_zero(lambda: _found(result, measured, validated))
    whole = replace(result, tensors={**result.tensors, **tensors})
    return added(whole, start, unknown=told)


def _found(
    result: Result, measured: Measured, validated: NDArray[np.floating[Any]] | None
) -> tuple[Mapping[str, NDArray[Any]], dict[str, object]]:
    plan, found = result.plan, result.predictions
    assert found is not None, "a result that was just made has its predictions"
    sides = measured.parted(plan.split).split
    if validated is not None:
        known = by_probability(validated)
        logits = np.log(np.maximum(found.probabilities, 1e-30)).astype(np.float32)
        held, beliefs = sides.test, known.belief(np.zeros((len(logits), 0)), logits)
        return known.tensors(), _told(result, measured, known, None, held, beliefs)
    rows = sides.train[sample(measured.labels[sides.train], plan.seed)]
    judgement = _recalled(plan, measured, rows)
    known = judgement.known
    if plan.split == EACH_ONCE:
        held, beliefs = rows, judgement.beliefs
    else:
        held = sides.test
        beliefs = _of_held_out(result, measured, known, held)
    return known.tensors(), _told(result, measured, known, judgement, held, beliefs)


def _of_held_out(
    result: Result, measured: Measured, known: Known, held: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return the beliefs in the held-out images, of at most :data:`MANY` from the cache."""
    if len(held) > MANY:
        return _believed(result, measured, known, held)
    head, tensors = result.head, sorted(known.tensors().items())
    taps = result.plan.taps, result.plan.backbone.widths
    inputs = (taps, tensors, head.weight, head.bias, measured.features[held])

    def make() -> dict[str, NDArray[Any]]:
        return {"beliefs": _believed(result, measured, known, held)}

    return recalled(measured.cache, "beliefs", inputs, make)["beliefs"]


def _believed(
    result: Result, measured: Measured, known: Known, held: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return the beliefs; of very many images only in those that are named to the last bit.

    One by one, as `Known.belief` is exact, 200,000 images take three minutes.
    """

    def beliefs(rows: NDArray[np.intp], *, at_once: bool) -> NDArray[np.float64]:
        own = measured.features[rows][:, columns(result.plan.backbone.widths, result.plan.taps)]
        return known.belief(own, result.head.logits(own), at_once=at_once)

    many = len(held) > MANY
    lots = np.split(held, range(_LOT, len(held), _LOT))
    found = np.concatenate([beliefs(lot, at_once=many) for lot in lots])
    if many:
        least = np.argsort(found, kind="stable")[: 2 * SHOWN]
        found[least] = beliefs(held[least], at_once=False)
    return found


def _recalled(plan: Plan, measured: Measured, rows: NDArray[np.intp]) -> Judgement:
    """Return what `judged` does, from the cache where it is known."""
    widths = [plan.backbone.widths[tap] for tap in plan.taps]
    mirrored = measured.mirrored[rows] if plan.mirror and measured.mirrored is not None else None
    images = (measured.features[rows], mirrored, measured.labels[rows], measured.audit.groups[rows])
    how = (plan.recipe, plan.case, plan.parts, plan.weighting, plan.seed, plan.evidence.temperature)
    inputs = (plan.backbone.widths, plan.taps, len(measured.classes), images, how)

    def make() -> dict[str, NDArray[Any]]:
        found = judged(plan, measured, rows)
        strangers = np.array([(c, *one) for c, one in found.left_out.items()]).reshape(-1, 4)
        return found.known.tensors() | {"beliefs": found.beliefs, "left_out": strangers}

    kept = dict(recalled(measured.cache, "unknown", inputs, make))
    beliefs, strangers = kept.pop("beliefs"), kept.pop("left_out")
    known = known_of(kept, widths)
    assert known is not None, "a judgement has what tells it"
    left_out = {int(c): Stranger(float(a), float(p), int(n)) for c, a, p, n in strangers}
    return Judgement(known, beliefs, left_out)


def judged(plan: Plan, measured: Measured, rows: NDArray[np.intp]) -> Judgement:
    """Judge what tells some of the training images from others, by a plan's own heads."""
    labels, groups = measured.labels[rows], measured.audit.groups[rows]
    widths = plan.backbone.widths

    def fit(some: NDArray[np.intp]) -> Head:
        head = head_on(plan, measured, rows[some], plan.parts, InTurn())  # threads are at work
        return calibrated(plan, head, plan.evidence)

    images = TapFeatures(
        measured.features[rows][:, columns(widths, plan.taps)].astype(np.float32),
        tuple(widths[tap] for tap in plan.taps),
        labels,
        turns_of(labels, groups, plan.seed),
    )
    return judge(images, fit, plan.seed)


def _told(
    result: Result,
    measured: Measured,
    known: Known,
    judgement: Judgement | None,
    held: NDArray[np.intp],
    beliefs: NDArray[np.float64],
) -> dict[str, object]:
    """Return ``metrics["unknown"]``."""
    weights = known.scaling[2]
    first = np.argsort(beliefs, kind="stable")[:SHOWN]
    left_out = judgement.left_out if judgement else {}
    return {
        "weights": {name: float(w) for name, w in zip(SCORES, weights, strict=True) if w},
        "limit": LIMIT,
        "own": len(known.own),
        "kept": float((beliefs > LIMIT).mean()),
        "images": len(held),
        "auroc": float(np.mean([one.auroc for one in left_out.values()])) if left_out else None,
        "accepted": _mean([(one.accepted, one.n) for one in left_out.values()]),
        "left_out": {measured.classes[c]: one._asdict() for c, one in left_out.items()},
        "bytes": sum(tensor.nbytes for tensor in known.tensors().values()),
        "least": [
            {
                "path": written(item.path),
                "label": item.label,
                "belief": float(beliefs[n]),
            }
            for n in first.tolist()
            for item in [measured.dataset.items[measured.audit.kept[held[n]]]]
        ],
    }


def _mean(pairs: list[tuple[float, int]]) -> float | None:
    """Return the mean of shares, each of so many images; None where there are none."""
    return sum(share * n for share, n in pairs) / sum(n for _, n in pairs) if pairs else None
