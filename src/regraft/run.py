"""Propose and apply: the whole run, top to bottom.

::

    images - Dataset - survey (one cached pass, every depth) - audit - split - Evidence - Plan
                                                            plan.steps() - Result - RUN folder

:func:`measure` looks at the images once, :func:`draft` decides, :func:`perform` walks the plan's
steps. :func:`propose`, :func:`apply` and :func:`fit` are these three put together.
"""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from regraft import heads, planfile
from regraft.changes import Change
from regraft.dataset import Dataset
from regraft.errors import PlanError
from regraft.evidence import Evidence, gather
from regraft.measure import Measured, Network, cache_folder, measure, open_network
from regraft.plan import Choices, Plan, Recipe, candidates, decide, weighting_of
from regraft.predict import Result
from regraft.result import check_destination, read_run
from regraft.splits import folds
from regraft.steps import PERFORM, Work, result_of

if TYPE_CHECKING:
    from torch import nn

DEFAULT = "efficientnet-lite0"

Data = str | os.PathLike[str] | Dataset


def propose(
    data: Data,
    backbone: str | Network = DEFAULT,
    *,
    weights: str | os.PathLike[str] | None = None,
    case: int | None = None,
    cut: str | None = None,
    recipe: Recipe = "tuned",
    class_weights: str = "auto",
    seed: int = 0,
    test_fraction: float | None = None,
    augment: bool = False,
    strict: bool = False,
    cache: str | os.PathLike[str] | None = None,
) -> Plan:
    """Measure the images, decide the case, and change nothing.

    Args:
        data: a folder, table or archive, or a :class:`regraft.Dataset`.
        backbone: a bundled backbone or any timm model by its name, or a :class:`Network`.
        weights: a file to read the backbone's weights from.
        case: overrule the case, 1 to 4.
        cut: overrule where to cut: a stage's name or number.
        recipe: ``tuned``, or ``textbook`` for just what the table of the four cases says.
        class_weights: ``auto``, ``none`` or ``balanced``.
        seed: of the split, the folds and the new layer.
        test_fraction: share held out where the data has no test split of its own (0.2).
        augment: try mirror images too, and keep them where they help.
        strict: let any image that has to be left out be an error.
        cache: the cache folder; the user's where None.

    Raises:
        DataError: the images cannot be used.
        BackboneError: there is no such network, or its weights cannot be had.
        UsageError: choices that contradict each other.
    """
    choices = Choices(case, cut, recipe, class_weights, seed, test_fraction)
    network = open_network(backbone, weights)
    measured = measure(
        Dataset.open(data), network, choices, augment=augment, strict=strict, cache=cache
    )
    return draft(measured, choices)


def apply(
    plan: Plan,
    data: Data,
    *,
    network: Network | None = None,
    weights: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    cache: str | os.PathLike[str] | None = None,
) -> Result:
    """Do what a plan says, and write the RUN folder ``out`` if one is named.

    Raises:
        PlanError: the plan was made for other images or another backbone.
        RunError: the folder cannot be written.
    """
    if out is not None:
        check_destination(Path(out), overwrite=overwrite)
    network = network or open_network(plan.backbone.name, weights)
    choices = Choices(seed=plan.seed, test_fraction=plan.test_fraction)
    measured = measure(Dataset.open(data), network, choices, augment=plan.mirror, cache=cache)
    check_plan(plan, measured)
    result = perform(plan, measured)
    if out is not None:
        result.save(out, overwrite=overwrite)
    return result


def fit(
    data: Data,
    backbone: str | Network = DEFAULT,
    *,
    choices: Choices | None = None,
    weights: str | os.PathLike[str] | None = None,
    augment: bool = False,
    strict: bool = False,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    cache: str | os.PathLike[str] | None = None,
) -> Result:
    """Propose and apply in one go, looking at the images once."""
    if out is not None:
        check_destination(Path(out), overwrite=overwrite)
    choices = choices or Choices()
    network = open_network(backbone, weights)
    measured = measure(
        Dataset.open(data), network, choices, augment=augment, strict=strict, cache=cache
    )
    result = perform(draft(measured, choices), measured)
    if out is not None:
        result.save(out, overwrite=overwrite)
    return result


def load(folder: str | os.PathLike[str], cache: str | os.PathLike[str] | None = None) -> Result:
    """A result from its RUN folder.

    Raises:
        RunError: there is none, or it is damaged; every problem is named.
        PlanError: its plan is damaged.
    """
    files = read_run(Path(folder))

    def trunk() -> "nn.Module":
        from regraft.surgery import restore

        return restore(files.config, files.tensors).trunk

    plan = planfile.loads(files.plan, f"{folder}/plan.json")
    return Result(
        plan=plan,
        classes=tuple(files.config["classes"]),
        metrics=files.metrics,
        tensors=files.tensors,
        changes=tuple(Change(**change) for change in files.config["surgery"]),
        predictions=None,
        log=(),
        audit=(),
        cache=cache_folder(cache),
        trunk=trunk,
        folder=Path(folder),
    )


def draft(measured: Measured, choices: Choices) -> Plan:
    """Decide: the evidence of the training images, and the plan that follows from it."""
    backbone, train = measured.network.backbone, measured.split.train
    labels = measured.labels[train]
    counts = np.bincount(labels, minlength=len(measured.classes))
    weighting = weighting_of([int(count) for count in counts], choices.weighting)
    evidence = gather(
        measured.features[train],
        backbone.widths,
        labels,
        measured.classes,
        measured.audit.groups[train],
        candidates=candidates(backbone, choices),
        seed=choices.seed,
        shift=measured.shift,
        weighting=weighting,
    )
    return decide(
        dataset=measured.dataset.name,
        fingerprint=measured.fingerprint,
        backbone=backbone,
        evidence=evidence,
        choices=choices,
        mirror=_mirror_helps(measured, evidence, weighting, choices.seed),
        weighting=weighting,
        split=measured.split.origin,
        train=len(train),
        test=len(measured.split.test),
        left_out=len(measured.audit.left_out),
    )


def check_plan(plan: Plan, measured: Measured) -> None:
    """Make sure that a plan was made for these images and this backbone.

    Raises:
        PlanError: it was not; every difference is named.
    """
    have, record = measured.network.backbone, plan.backbone
    problems = []
    if plan.fingerprint != measured.fingerprint:
        problems.append(
            f"The images differ: the plan's fingerprint is {plan.fingerprint[:12]}…, that of "
            f"{measured.dataset.name} is {measured.fingerprint[:12]}…."
        )
    if record.weights.sha256 != have.weights.sha256:
        problems.append(f"The weights of {have.name} are not those the plan was made with.")
    if record.stages != have.stages:
        problems.append(f"The stages of {have.name} are not those of the plan.")
    if tuple(plan.evidence.classes) != measured.classes:
        problems.append(f"The classes differ: the plan has {', '.join(plan.evidence.classes)}.")
    if problems:
        remedy = "Make the plan again: regraft plan DATA --out FILE."
        raise PlanError("The plan was made for something else.", [*problems, remedy])


def perform(plan: Plan, measured: Measured) -> Result:
    """Walk the plan's steps."""
    work = Work(plan, measured)
    for step in plan.steps():
        start = time.perf_counter()
        PERFORM[step.kind](work)
        work.log.append(
            {"step": step.kind, "what": step.sentence, "seconds": time.perf_counter() - start}
        )
    return result_of(work)


def _mirror_helps(measured: Measured, evidence: Evidence, weighting: str, seed: int) -> bool:
    """Whether mirrored training images lower the cross-validated loss by more than its error."""
    if measured.mirrored is None:
        return False
    train = measured.split.train
    x, y = measured.features[train], measured.labels[train]
    fold = folds(y, measured.audit.groups[train], evidence.folds, seed)
    chosen = evidence.probes[evidence.chosen]
    widths, classes = measured.network.backbone.widths, len(measured.classes)

    def losses(views: int) -> NDArray[np.floating[Any]]:
        both = [x, measured.mirrored[train]][:views]  # type: ignore[index]
        scores = heads.cross_validate(
            np.concatenate(both),
            widths,
            np.tile(y, views),
            classes,
            np.tile(fold, views),
            [chosen.taps],
            [chosen.strength],
            weighting,
        )[0, 0, : len(y)]
        loss: NDArray[np.float64] = np.square(scores - np.eye(classes)[y]).sum(1)
        return loss

    gain = losses(1) - losses(2)
    return bool(gain.mean() > gain.std() / np.sqrt(max(len(gain) - 1, 1)))
