"""Evidence -> Plan: the case that follows from size, similarity and what training may win."""

from collections.abc import Sequence
from dataclasses import replace

from regraft.backbones import Backbone
from regraft.data.splits import EACH_ONCE
from regraft.errors import UsageError
from regraft.heads.ridge import Taps
from regraft.plan.choices import Choices, depth_of
from regraft.plan.definition import Alternative, Plan
from regraft.plan.evidence import Evidence, Probe
from regraft.plan.gain import UNASKED, asked, gain_of, worth_training
from regraft.plan.naming import frozen_case, probe_named
from regraft.plan.reasons import reasons_of
from regraft.plan.recipes import (
    NEVER,
    Init,
    Training,
    Weighting,
    textbook,
    tuned,
    weighting_of,
    within,
)

SCRATCH = 10_000
"""Training images from which random weights are tried where the set is different (He et al. 2019:
from scratch ties at best, from ten thousand images on)."""


def decide(
    *,
    dataset: str,
    fingerprint: str,
    backbone: Backbone,
    evidence: Evidence,
    choices: Choices,
    mirror: bool,
    weighting: str,
    split: str,
    train: int,
    test: int,
    left_out: int,
    validation: int = 0,
    speed: float | None = None,
    among: Sequence[Taps] = (),
) -> Plan:
    """Return the plan that follows from the evidence and a person's choices.

    ``speed``: images/s of training, needed where its time is bounded; ``among``: the taps that the
    evidence chose among. Where ``split`` holds each image out once, no network is trained.
    """
    chosen = evidence.probes[evidence.chosen]
    frozen = frozen_case(backbone, chosen.taps)
    indicated = case_of(backbone, evidence, choices)
    trainings = trainings_of(backbone, evidence, choices)
    if split == EACH_ONCE:
        indicated, trainings = frozen, ()
    if asked(choices):  # then it goes to its end, whatever it wins
        trainings = tuple(replace(one, hopeless=NEVER) for one in trainings)
    wanted, limit = trainings, limit_of(choices)
    if limit is not None and speed is not None and trainings:
        trainings = _affordable(trainings, train, limit, speed, choices)
        indicated = indicated if trainings else frozen
    return Plan(
        dataset=dataset,
        fingerprint=fingerprint,
        backbone=backbone,
        evidence=evidence,
        case=indicated,
        indicated=indicated,
        taps=chosen.taps,
        strength=chosen.strength,
        recipe=choices.recipe,
        weighting=weighting,
        mirror=mirror,
        seed=choices.seed,
        test_fraction=choices.test_fraction,
        split=split,
        train=train,
        test=test,
        left_out=left_out,
        reasons=reasons_of(backbone, evidence, indicated, choices, wanted, trainings),
        alternatives=_alternatives(backbone, evidence),
        overrides=choices.named(),
        trainings=trainings,
        validation=validation if trainings else 0,
        insists=bool(trainings) and asked(choices),
        budget=choices.budget,
        group_by=choices.group_by or "",
        near_copies=choices.near_copies,
        among=tuple(among),
        gain=None
        if choices.recipe == "textbook" or evidence.answer is not None
        else gain_of(evidence),
        limit=limit if choices.budget is None and trainings else None,
        path_column=choices.path_column or "",
        label_column=choices.label_column or "",
    )


def limit_of(choices: Choices) -> float | None:
    """Return the seconds that training may take: a budget's, or the most that nobody asked for."""
    return UNASKED if choices.budget is None and not asked(choices) else choices.budget


def case_of(backbone: Backbone, evidence: Evidence, choices: Choices) -> int:
    """Return the case that is aimed at: the one asked for, else what the evidence says."""
    if isinstance(choices.case, int):
        return choices.case
    if choices.trainable_from is not None:
        return 3
    if choices.case is None and choices.cut is None and is_tried(evidence, choices):
        return 3 if evidence.similar else 4
    return frozen_case(backbone, evidence.probes[evidence.chosen].taps)


def is_tried(evidence: Evidence, choices: Choices) -> bool:
    """Return whether training is tried unasked: by the table of cases, or by what it may win."""
    if choices.recipe == "textbook":
        return evidence.large
    return worth_training(evidence, choices.budget)


def trainings_of(backbone: Backbone, evidence: Evidence, choices: Choices) -> tuple[Training, ...]:
    """Return the recipes of cases 3 and 4; none in cases 1 and 2.

    Whether the tuned one mirrors images is asked when it is clear that it runs (`mirrored`).
    """
    case = case_of(backbone, evidence, choices)
    if case not in (3, 4):
        return ()
    pretrained = () if choices.init == "random" else ("pretrained",)
    far = case == 4 and (asked(choices) or evidence.images >= SCRATCH)
    inits: tuple[Init, ...] = (*pretrained, *(("random",) if far else ()))
    if choices.init == "pretrained":
        inits = ("pretrained",)
    return tuple(_recipe(backbone, evidence, choices, init) for init in inits)


def mirrored(plan: Plan) -> Plan:
    """Return the plan whose trainings mirror images."""
    return replace(plan, trainings=tuple(replace(one, mirror=True) for one in plan.trainings))


def _recipe(backbone: Backbone, evidence: Evidence, choices: Choices, init: Init) -> Training:
    weighting = _weighting(evidence, choices)
    if choices.recipe == "textbook":
        book = textbook(backbone, init=init, images=evidence.images, weighting=weighting)
        asked_for = choices.learning_rate
        return book if asked_for is None else replace(book, rates=(asked_for,))
    best = evidence.probes[evidence.chosen if evidence.whole is None else evidence.whole]
    start = choices.trainable_from
    return tuned(
        backbone,
        init=init,
        taps=best.taps,
        images=evidence.images,
        mirror=False,
        weighting=weighting,
        rate=choices.learning_rate,
        trainable_from=None if start is None else _stage(backbone, start),
    )


def _stage(backbone: Backbone, name: str) -> str:
    return backbone.stages[depth_of(backbone, name, "--trainable-from")].name


def _weighting(evidence: Evidence, choices: Choices) -> Weighting:
    if choices.class_weights == "sampling":  # which training can do, and a fitted head cannot
        return "sampling"
    return weighting_of(evidence.per_class, choices.class_weights)  # type: ignore[return-value]


def _affordable(
    trainings: tuple[Training, ...], images: int, limit: float, speed: float, choices: Choices
) -> tuple[Training, ...]:
    """Return what fits into so many seconds at the measured speed.

    Unasked, one that has fewer than half of its epochs left is left out: it would not win much.

    Raises:
        UsageError: training was asked for, and not one epoch fits.
    """
    seconds = 0.8 * limit / len(trainings)  # the rest: looking, judging, writing
    fitting = [within(one, images, seconds, speed) for one in trainings]
    if choices.budget is None:
        pairs = zip(fitting, trainings, strict=True)
        return tuple(one for one, full in pairs if one and 2 * one.epochs >= full.epochs)
    if None in fitting and asked(choices):
        raise UsageError(
            f"A budget of {limit:g} s is too short to train the network.",
            [
                f"One epoch of {images:,} images takes about {images / speed:.0f} s at the "
                f"{speed:.0f} images/s measured here; give at least "
                f"{1.25 * len(trainings) * images / speed + 1:.0f} s, or leave out --case.",
            ],
        )
    return tuple(one for one in fitting if one is not None)


def _alternatives(backbone: Backbone, evidence: Evidence) -> tuple[Alternative, ...]:
    others = [probe for i, probe in enumerate(evidence.probes) if i != evidence.chosen]
    return tuple(alternative(backbone, evidence, probe) for probe in others)


def alternative(backbone: Backbone, evidence: Evidence, probe: Probe) -> Alternative:
    """Return a probe of the evidence as something that could be done."""
    width = sum(backbone.stages[depth].channels for depth in probe.taps)
    kept = backbone.parameters_to[probe.taps[-1]] + (width + 1) * len(evidence.classes)
    name = probe_named(backbone, probe)
    case = frozen_case(backbone, probe.taps)
    return Alternative(name, case, probe.taps, probe.accuracy, probe.interval, kept)
