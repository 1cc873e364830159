"""Draft: what was measured -> the evidence of the training images -> the plan."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from regraft.data.splits import EACH_ONCE, validation
from regraft.distributed import on_rank_zero
from regraft.features.cache.products import recalled
from regraft.plan.choices import Choices, candidates, end_of
from regraft.plan.decide import case_of, decide, limit_of, mirrored, trainings_of
from regraft.plan.definition import Plan, Reason
from regraft.plan.evidence import Evidence, Gathered
from regraft.plan.gain import asked, expected_gain, pays
from regraft.plan.how_many import LearningCurve, learning_curve
from regraft.plan.ranked import Ranking
from regraft.plan.recipes import weighting_of
from regraft.plan.similarity import similarity_of
from regraft.plan.subsets import Subsets, asked_of, subsets_of
from regraft.run import mirror
from regraft.run.evidence import evidence_of
from regraft.run.measure import Measured
from regraft.run.training_speed import training_speed


class Drafted(NamedTuple):
    """A plan, and what its evidence was gathered from: the training images' probabilities."""

    plan: Plan
    gathered: Gathered


def draft(measured: Measured, choices: Choices, *, trains: bool = True) -> Plan:
    """Return the plan alone; see `drafted`."""
    return drafted(measured, choices, trains=trains).plan


def proposed(measured: Measured, choices: Choices) -> Drafted:
    """Return what `drafted` does, and in the plan what more images would bring."""
    plan, gathered = drafted(measured, choices)
    if plan.evidence.answer is not None:  # the law of the curve is that of an accuracy
        return Drafted(plan, gathered)
    found = on_rank_zero(lambda: _learning_curve(plan, measured, gathered))
    return Drafted(replace(plan, learning_curve=found), gathered)


def _learning_curve(plan: Plan, measured: Measured, gathered: Gathered) -> LearningCurve:
    """Fit the plan's new layer on part of the training images, and say what more would bring."""
    train, evidence = measured.parted(plan.split).split.train, plan.evidence
    widths, parts = plan.backbone.widths, evidence.probes[evidence.chosen].made_of
    labels, groups = measured.labels[train], measured.audit.groups[train]

    def made() -> Mapping[str, NDArray[Any]]:
        return subsets_of(
            gathered,
            measured.features,
            widths,
            labels,
            groups,
            parts=parts,
            seed=plan.seed,
            weighting=plan.weighting,
            rows=train,
        )._asdict()

    some = measured.features[train[asked_of(gathered, len(train), plan.seed)]]
    inputs = (widths, some, labels, groups, gathered.shares, parts, plan.seed, plan.weighting)
    known = recalled(measured.cache, "subsets", inputs, made)
    return learning_curve(evidence, Subsets(**known))


def drafted(measured: Measured, choices: Choices, *, trains: bool = True) -> Drafted:
    """Decide: the evidence of the training images, and the plan; the first process does for all.

    Where nobody ``trains`` what the plan says, the speed of training is not measured.
    """
    plan, gathered = on_rank_zero(lambda: _draft(measured, choices, trains=trains))
    ranked = () if plan.ranking is None else (_network_reason(plan.ranking),)
    reasons = (*ranked, *plan.reasons, *measured.reasons)
    return Drafted(replace(plan, reasons=reasons), gathered)


def _network_reason(found: Ranking) -> Reason:
    return Reason(
        "The network is the one that does best on these images.",
        found.why,
        f"{len(found.rows)} networks side by side on up to {found.compared:,} training images",
    )


def _draft(measured: Measured, choices: Choices, *, trains: bool) -> Drafted:
    """Where the set is small it proves itself by cross-validation, unless it is trained on."""
    if measured.small is None:
        return _planned(measured, choices, trains=trains)
    if asked(choices) or _may_train(measured, choices):
        held_out = _planned(measured, choices, trains=trains)
        if held_out.plan.trainings:
            return held_out
    return _planned(measured.parted(EACH_ONCE), choices, trains=trains)


def _may_train(measured: Measured, choices: Choices) -> bool:
    """Return whether evidence that leaves a fifth out could speak for training."""
    if choices.case is not None or choices.cut is not None or choices.recipe == "textbook":
        return False  # so small a set is a small one for the textbook
    if not measured.shift:
        return True  # then the similarity is found with the evidence
    images = len(measured.split.train)
    similarity = similarity_of((), 0.0, measured.shift, images)
    return pays(expected_gain(images, similarity, measured.shift), choices.budget)


def _planned(measured: Measured, choices: Choices, *, trains: bool) -> Drafted:
    """Return the plan that follows from the images on the training side."""
    backbone, train = measured.network.backbone, measured.split.train
    even = measured.even[train]
    weighting = _weighting(measured, choices, train)
    gathered = gathered_on(measured, choices, train)
    evidence = gathered.evidence
    held = measured.split.origin != EACH_ONCE
    trains = trains and held and case_of(backbone, evidence, choices) in (3, 4)
    groups = measured.audit.groups[train]
    plan = decide(
        dataset=measured.dataset.name,
        fingerprint=measured.fingerprint,
        backbone=backbone,
        evidence=evidence,
        choices=choices,
        mirror=mirror.helps(measured, evidence, weighting, choices.seed),
        weighting=weighting,
        split=measured.split.origin,
        train=len(train),
        test=len(measured.split.test),
        left_out=len(measured.audit.left_out),
        validation=len(validation(even, groups, choices.seed)[1]) if trains else 0,
        speed=_speed(measured, evidence, choices) if trains and limit_of(choices) else None,
        among=candidates(backbone, choices),
    )
    if trains and plan.trainings and mirror.keeps(measured, evidence, weighting, choices.seed):
        plan = mirrored(plan)
    plan = replace(
        plan,
        engine=measured.engine,
        remarks=measured.audit.warnings,
        ranking=measured.network.ranking,
    )
    return Drafted(plan, gathered)


def gathered_on(
    measured: Measured,
    choices: Choices,
    rows: NDArray[np.intp],
    features: NDArray[np.float16] | None = None,
) -> Gathered:
    """Gather the evidence of some of the kept images.

    ``features`` ``[len(rows), sum(widths)]``: of these alone, where others than the measured ones.
    """
    backbone = measured.network.backbone
    return evidence_of(
        measured,
        rows,
        measured.features if features is None else features,
        candidates=candidates(backbone, choices),
        seed=choices.seed,
        shift=measured.shift,
        weighting=_weighting(measured, choices, rows),
        average=choices.recipe == "tuned",
        end=end_of(backbone, choices),
        picked=features is not None,
    )


def _weighting(measured: Measured, choices: Choices, rows: NDArray[np.intp]) -> str:
    if measured.labels.ndim == 2:
        return "none"
    counts = np.bincount(measured.labels[rows], minlength=len(measured.classes))
    return weighting_of([int(count) for count in counts], choices.class_weights)


def _speed(measured: Measured, evidence: Evidence, choices: Choices) -> float:
    """Images/s of training, measured on this machine (and remembered)."""
    recipes = trainings_of(measured.network.backbone, evidence, choices)
    return training_speed(measured, recipes[0])
