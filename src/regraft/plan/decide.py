"""Evidence -> Plan: the case that follows from size, similarity and headroom, and the reasons."""

from collections.abc import Sequence
from dataclasses import replace

from regraft.backbones import Backbone
from regraft.data.splits import EACH_ONCE
from regraft.errors import UsageError
from regraft.heads.ridge import Taps
from regraft.plan.choices import Choices, depth_of
from regraft.plan.definition import (
    Alternative,
    Plan,
    Reason,
    frozen_case,
    stages_named,
    weighting_of,
)
from regraft.plan.evidence import LARGE, Evidence, Probe
from regraft.plan.recipes import Init, Training, Weighting, textbook, tuned, within
from regraft.plan.similarity import SIMILAR

HEADROOM = 0.02
"""Below this share of images left to be won, training the network is not tried on a large set."""

SMALL_HEADROOM = 0.05
"""Nor below this on a small one."""

FEWEST = 100
"""Training images below which the network is not trained unasked: ``docs/benchmarks.md``."""

FEWEST_SIMILAR = 1_000
"""The same where they are similar to the source: training won little with fewer, for its time."""

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
    keeps: bool = False,
    speed: float | None = None,
    among: Sequence[Taps] = (),
) -> Plan:
    """Return the plan that follows from the evidence and a person's choices.

    ``keeps``: whether a mirrored image stays of its class; ``speed``: images/s of training, needed
    under a budget; ``among``: the taps that the evidence chose among. Where ``split`` holds each
    image out once, no network is trained.
    """
    chosen = evidence.probes[evidence.chosen]
    frozen = frozen_case(backbone, chosen.taps)
    indicated = case_of(backbone, evidence, choices)
    trainings = trainings_of(backbone, evidence, choices, mirror=keeps)
    if split == EACH_ONCE:
        indicated, trainings = frozen, ()
    if choices.budget is not None and trainings:
        trainings = _affordable(trainings, train, choices, speed or 1.0)
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
        reasons=_reasons(backbone, evidence, frozen, indicated, choices),
        alternatives=_alternatives(backbone, evidence),
        overrides=choices.named(),
        trainings=trainings,
        validation=validation if trainings else 0,
        insists=bool(trainings) and asked(choices),
        budget=choices.budget,
        group_by=choices.group_by or "",
        near_copies=choices.near_copies,
        among=tuple(among),
    )


def case_of(backbone: Backbone, evidence: Evidence, choices: Choices) -> int:
    """Return the case that is aimed at: the one asked for, else what the evidence says."""
    if choices.case is not None:
        return choices.case
    if choices.trainable_from is not None:
        return 3
    if choices.cut is None and worth_training(evidence):
        return 3 if evidence.similar else 4
    return frozen_case(backbone, evidence.probes[evidence.chosen].taps)


def worth_training(evidence: Evidence) -> bool:
    """Return whether training the network may win enough to be tried unasked.

    On a large set where something is left to win; on a small one where the frozen network leaves
    much. On different images it won up to ten points at twenty images a class; on similar ones
    nothing with three hundred, and two to three points with a thousand (``docs/benchmarks.md``).
    """
    if evidence.large:
        return evidence.headroom >= HEADROOM
    return evidence.images >= fewest(evidence) and evidence.headroom >= SMALL_HEADROOM


def fewest(evidence: Evidence) -> int:
    """Training images from which a small set is trained on."""
    return FEWEST_SIMILAR if evidence.similar else FEWEST


def asked(choices: Choices) -> bool:
    """Return whether a person asked for the network to be trained."""
    return choices.case in (3, 4) or choices.trainable_from is not None


def trainings_of(
    backbone: Backbone, evidence: Evidence, choices: Choices, *, mirror: bool
) -> tuple[Training, ...]:
    """Return the recipes of cases 3 and 4; none in cases 1 and 2."""
    case = case_of(backbone, evidence, choices)
    if case not in (3, 4):
        return ()
    pretrained = () if choices.init == "random" else ("pretrained",)
    far = case == 4 and (asked(choices) or evidence.images >= SCRATCH)
    inits: tuple[Init, ...] = (*pretrained, *(("random",) if far else ()))
    if choices.init == "pretrained":
        inits = ("pretrained",)
    return tuple(_recipe(backbone, evidence, choices, init, mirror) for init in inits)


def _recipe(
    backbone: Backbone, evidence: Evidence, choices: Choices, init: Init, mirror: bool
) -> Training:
    weighting = _weighting(evidence, choices)
    if choices.recipe == "textbook":
        book = textbook(backbone, init=init, images=evidence.images, weighting=weighting)
        asked_for = choices.learning_rate
        return book if asked_for is None else replace(book, rates=(asked_for,))
    last = len(backbone.stages) - 1
    best = evidence.probes[evidence.chosen if evidence.whole is None else evidence.whole]
    if best.taps[-1] != last:  # evidence of an earlier version, or of a cut network
        whole = [probe for probe in evidence.probes if probe.taps[-1] == last]
        best = min(whole, key=lambda probe: probe.loss)
    start = choices.trainable_from
    return tuned(
        backbone,
        init=init,
        taps=best.taps,
        images=evidence.images,
        mirror=mirror,
        weighting=weighting,
        similar=evidence.similar,
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
    trainings: tuple[Training, ...], images: int, choices: Choices, speed: float
) -> tuple[Training, ...]:
    """Return what fits into the budget at the measured speed.

    Raises:
        UsageError: training was asked for, and not one epoch fits.
    """
    assert choices.budget is not None
    seconds = 0.8 * choices.budget / len(trainings)  # the rest: looking, judging, writing
    fitting = [within(one, images, seconds, speed) for one in trainings]
    if None in fitting and asked(choices):
        raise UsageError(
            f"A budget of {choices.budget:g} s is too short to train the network.",
            [
                f"One epoch of {images:,} images takes about {images / speed:.0f} s at the "
                f"{speed:.0f} images/s measured here; give at least "
                f"{1.25 * len(trainings) * images / speed + 1:.0f} s, or leave out --case.",
            ],
        )
    return tuple(one for one in fitting if one is not None)


def _reasons(
    backbone: Backbone, evidence: Evidence, case: int, indicated: int, choices: Choices
) -> tuple[Reason, ...]:
    free = choices.case is None and choices.cut is None and not asked(choices)
    reasons = [_size_reason(evidence, indicated)]
    reasons.append(_similarity_reason(backbone, evidence, free=free))
    reasons.append(_cut_reason(backbone, evidence, free=free))
    if free:
        trains = indicated in (3, 4)
        reasons.append(
            _headroom_reason(evidence, indicated) if trains else _frozen_reason(evidence, choices)
        )
    if choices.named():
        fact = f"Asked for: {', '.join(choices.named())}."
        reasons.append(Reason("What a person asks for overrules the evidence.", fact, "you"))
    return tuple(reasons)


def _size_reason(evidence: Evidence, indicated: int) -> Reason:
    word = "large" if evidence.large else "small"
    few, many = min(evidence.per_class), max(evidence.per_class)
    spread = f"{few}" if few == many else f"{few} to {many}"
    rule = (
        "A small set overfits a large network, so its trunk stays frozen."
        if indicated in (1, 2) and not evidence.large
        else "The larger the set, the less a network that is trained on it overfits."
    )
    return Reason(
        rule,
        f"{evidence.images:,} training images, {spread} a class: {word} "
        f"(size {evidence.size:.2f}, large from {LARGE}).",
        "measured; the line: docs/benchmarks.md",
    )


def _similarity_reason(backbone: Backbone, evidence: Evidence, *, free: bool) -> Reason:
    """``free``: whether the cut was left to the evidence."""
    word = "similar to" if evidence.similar else "different from"
    last = evidence.depths[-1]
    best = max(reversed(evidence.depths), key=lambda probe: probe.accuracy)
    where = backbone.stages[best.taps[0]].name
    peak = (
        "and no earlier stage does better"
        if best is last
        else f"the best single stage, {where}, tells {best.accuracy:.1%}"
    )
    found = (
        f"{word} {backbone.source} (similarity {evidence.similarity:.2f}, similar from {SIMILAR})"
    )
    tells = f"The last stage tells {last.accuracy:.1%} of the images, {peak}"
    still = ""
    whole = evidence.probes[evidence.chosen].taps[-1] == last.taps[0]
    if whole and free and not evidence.similar:
        still = " Yet no earlier cut does clearly better, so nothing is cut off."
    if evidence.shift:
        return Reason(
            "Batch norm remembers how the channels varied on the source; where they vary alike the "
            "new images are similar to it, however hard they are to tell apart.",
            f"By the channels of the later stages: {found}. {tells}.{still}",
            "measured; Li et al. 2016",
        )
    return Reason(
        "Stages near the end are specific to the source; where none before them tells the classes "
        "apart better the new images are similar to it.",
        f"{tells}: {found}.{still}",
        "measured; Yosinski et al. 2014",
    )


def _cut_reason(backbone: Backbone, evidence: Evidence, *, free: bool) -> Reason:
    """Return what the frozen network's new layer reads; ``free``: the evidence alone chose it."""
    chosen = evidence.probes[evidence.chosen]
    best = min(evidence.probes, key=lambda probe: probe.loss)
    fact = f"Reading {stages_named(backbone, chosen.taps)} tells {chosen.accuracy:.1%}"
    fits = f"{stages_named(backbone, best.taps)} fits best ({best.accuracy:.1%})"
    if not free and chosen.excess > chosen.excess_error:
        fact += f"; {fits}, but what was asked for leaves it out."
    elif chosen is not best:
        fact += f"; {fits}, but the difference is within one standard error."
    elif free:
        fact += (
            ", and by the squared error of the probabilities, which decides, nothing simpler comes "
            "within one standard error of it."
        )
    else:
        fact += ", and by the squared error of the probabilities, which decides, it fits best."
    rule = "Of the depths that do equally well, the simplest is read."
    return Reason(rule, fact, f"measured, {evidence.folds}-fold cross-validation")


def _headroom_reason(evidence: Evidence, indicated: int) -> Reason:
    many = "With many images and something left to win, training the whole network pays."
    kind = "similar to" if evidence.similar else "different from"
    few = (
        f"On images that are {kind} the source, training can pay on a small set too, from "
        f"{fewest(evidence):,} images on."
    )
    return Reason(
        many if evidence.large else few,
        f"The frozen network is expected to miss {evidence.headroom:.1%}, so this is case "
        f"{indicated}; the frozen network is kept where training does not beat it.",
        "measured; Kornblith et al. 2019",
    )


def _frozen_reason(evidence: Evidence, choices: Choices) -> Reason:
    """Why the network is not trained, and how it can be all the same."""
    least = HEADROOM if evidence.large else SMALL_HEADROOM
    if worth_training(evidence) and choices.budget is None:
        fact = "Without the fifth that would have to be held out to judge it, it is not worth it"
    elif worth_training(evidence):
        fact = "The budget does not last for one epoch of training"
    elif evidence.headroom < least:
        missed = f"{evidence.headroom:.1%} of the images"
        fact = f"The frozen network is expected to miss {missed}, less than {least:.0%}"
    else:
        kind = "similar" if evidence.similar else "different"
        fact = (
            f"{evidence.images:,} training images are fewer than the {fewest(evidence):,} from "
            f"which on that is so of {kind} images"
        )
    return Reason(
        "The whole network is trained where that may win enough for the time it takes.",
        f"{fact}, so it stays frozen; --case 3 trains it.",
        "measured; the lines: docs/benchmarks.md",
    )


def _alternatives(backbone: Backbone, evidence: Evidence) -> tuple[Alternative, ...]:
    others = [probe for i, probe in enumerate(evidence.probes) if i != evidence.chosen]
    return tuple(alternative(backbone, evidence, probe) for probe in others)


def alternative(backbone: Backbone, evidence: Evidence, probe: Probe) -> Alternative:
    """Return a probe of the evidence as something that could be done."""
    width = sum(backbone.stages[depth].channels for depth in probe.taps)
    kept = backbone.parameters_to[probe.taps[-1]] + (width + 1) * len(evidence.classes)
    name = stages_named(backbone, probe.taps)
    case = frozen_case(backbone, probe.taps)
    return Alternative(name, case, probe.taps, probe.accuracy, probe.interval, kept)
