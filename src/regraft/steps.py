"""What each kind of step does, and the Result that comes of them."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from regraft import anatomy, heads
from regraft.anatomy import Anatomy
from regraft.changes import Change, Kind
from regraft.engines import trunks
from regraft.evaluate import score, softmax
from regraft.heads import Head
from regraft.measure import Measured
from regraft.plan import Plan, StepKind
from regraft.predict import Result
from regraft.result import Predictions, metrics_of
from regraft.textbook import fit_textbook

if TYPE_CHECKING:
    from torch import nn


@dataclass
class Work:
    """What a run has in hand between its steps."""

    plan: Plan
    measured: Measured
    anatomy: Anatomy | None = None
    tensors: dict[str, NDArray[Any]] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    head: Head | None = None
    probabilities: NDArray[np.floating[Any]] | None = None
    log: list[dict[str, object]] = field(default_factory=list)

    def needed_head(self) -> Head:
        """The head, which the step before has made."""
        assert self.head is not None, "the head is fitted before it is used"
        return self.head


def _load_backbone(work: Work) -> None:
    """Take the weights: those kept beside the converted trunk, else from the network itself."""
    network = work.measured.network
    home = trunks.home(work.measured.cache, network.backbone)
    work.anatomy = anatomy.recall(home)
    if work.anatomy is None:
        work.anatomy = anatomy.take_apart(network.build(), network.backbone)
        anatomy.keep(home, work.anatomy)


def _cut(work: Work) -> None:
    """Keep what the taps need; the rest is gone."""
    assert work.anatomy is not None, "the weights are loaded before they are cut"
    work.tensors |= work.anatomy.cut(work.plan.taps)
    work.changes += _changed(work, "dropped")


def _freeze(work: Work) -> None:
    """Nothing of the trunk is trained: the head is fitted on features that are computed already."""
    work.changes += _changed(work, "frozen")


def _changed(work: Work, kind: Kind) -> list[Change]:
    assert work.anatomy is not None, "the weights are loaded before they are cut or frozen"
    changes = work.anatomy.changes(work.plan.backbone, work.plan.taps)
    return [change for change in changes if change.kind == kind]


def _add_head(work: Work) -> None:
    outputs = len(work.measured.classes)
    work.changes.append(Change("added", "head", (work.plan.inputs + 1) * outputs))


def _fit_head(work: Work) -> None:
    """Fit the new layer on the cached features of the training images."""
    plan, measured = work.plan, work.measured
    x, y, rows = measured.features, measured.labels[measured.split.train], measured.split.train
    if plan.mirror and measured.mirrored is not None:
        x, y = np.concatenate([x[rows], measured.mirrored[rows]]), np.concatenate([y, y])
        rows = np.arange(len(y))
    widths, classes = plan.backbone.widths, len(measured.classes)
    if plan.recipe == "textbook":
        work.head = fit_textbook(
            x[rows], widths, y, classes, plan.taps, seed=plan.seed, weighting=plan.weighting
        )
    else:
        work.head = heads.fit(x, widths, y, classes, plan.taps, plan.strength, plan.weighting, rows)


def _calibrate(work: Work) -> None:
    """Divide the logits by the temperature that cross-validation found."""
    work.head = work.needed_head().scaled(work.plan.evidence.temperature)


def _evaluate(work: Work) -> None:
    """Read the held-out images, for the first and only time."""
    plan, measured = work.plan, work.measured
    own = heads.columns(plan.backbone.widths, plan.taps)
    held_out = measured.features[measured.split.test][:, own]
    work.probabilities = softmax(work.needed_head().logits(held_out))


PERFORM: Mapping[StepKind, Callable[[Work], None]] = {
    "load": _load_backbone,
    "cut": _cut,
    "freeze": _freeze,
    "head": _add_head,
    "fit": _fit_head,
    "calibrate": _calibrate,
    "evaluate": _evaluate,
}


def result_of(work: Work) -> Result:
    """The result of a run whose steps are all done."""
    plan, measured, head = work.plan, work.measured, work.needed_head()
    assert work.probabilities is not None, "a plan ends with the held-out images"
    truth = measured.labels[measured.split.test]
    paths = [measured.dataset.items[measured.audit.kept[i]].path for i in measured.split.test]
    scores = score(work.probabilities, truth, measured.classes)
    network = measured.network

    def trunk() -> "nn.Module":
        from regraft import networks

        return networks.trunk(network.build(), network.backbone, plan.taps)

    return Result(
        plan=plan,
        classes=measured.classes,
        metrics=metrics_of(
            scores,
            case=plan.case,
            taps=plan.taps,
            seconds=_seconds(work),
            engine=measured.engine,
            images_per_second=measured.images_per_second,
        ),
        tensors=work.tensors | {"head.weight": head.weight, "head.bias": head.bias},
        changes=tuple(work.changes),
        predictions=Predictions(paths, truth, work.probabilities),
        log=tuple(work.log),
        audit=tuple((left.path, left.reason, left.detail) for left in measured.audit.left_out),
        cache=measured.cache,
        trunk=trunk,
    )


def _seconds(work: Work) -> dict[str, float]:
    """Seconds by part; ``fit`` is everything between the probe and the held-out images."""
    spent = {str(row["step"]): float(str(row["seconds"])) for row in work.log}
    evaluate = spent.pop("evaluate", 0.0)
    parts = {**work.measured.seconds, "fit": sum(spent.values()), "evaluate": evaluate}
    return {**parts, "total": time.perf_counter() - work.measured.started}
