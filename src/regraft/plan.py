"""Evidence -> Plan: which of the four cases it is, and what will be done.

A :class:`Plan` is data. :meth:`Plan.steps` lists what it does; explaining it and performing it both
walk that list, so the explanation cannot say anything else than what happens.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from regraft.backbones import Backbone
from regraft.errors import UsageError
from regraft.evidence import LARGE, SIMILAR, Evidence, Probe, candidates_of
from regraft.heads import Taps

VERSION = 1
"""Of the plan's JSON. A reader refuses any other."""

Recipe = Literal["tuned", "textbook"]
StepKind = Literal["load", "cut", "freeze", "head", "fit", "calibrate", "evaluate"]


@dataclass(frozen=True)
class Reason:
    """Why the plan is as it is: a rule, the fact it was applied to, where the rule comes from."""

    rule: str
    fact: str
    source: str


@dataclass(frozen=True)
class Alternative:
    """Something else that could be done, with its cross-validated accuracy."""

    name: str
    case: int
    taps: Taps
    accuracy: float
    interval: tuple[float, float]
    parameters: int
    """Of the network that would be kept, the new layer included."""


@dataclass(frozen=True)
class Step:
    """One thing the plan does, as a sentence and as the kind that performs it."""

    kind: StepKind
    sentence: str


@dataclass(frozen=True)
class Plan:
    """What regraft will do with a data set and a backbone, and why.

    Holds no clock, device or absolute path: the same images, backbone and seed give the same plan.
    """

    dataset: str
    fingerprint: str
    backbone: Backbone
    evidence: Evidence
    case: int
    """The case that is applied: 1 or 2."""
    indicated: int
    """The case that size and headroom point to: 1 to 4."""
    taps: Taps
    strength: float
    recipe: Recipe
    weighting: str
    """``none`` or ``balanced``."""
    mirror: bool
    """Whether the head is also fitted on the mirrored images."""
    seed: int
    test_fraction: float | None
    split: str
    """Where the held-out images come from: ``test``, ``val`` or ``held out``."""
    train: int
    test: int
    left_out: int
    reasons: tuple[Reason, ...]
    alternatives: tuple[Alternative, ...]
    overrides: tuple[str, ...]
    data: str = ""
    """Where the images are, relative to the file the plan is written to."""
    version: int = VERSION

    @property
    def cut(self) -> int:
        """Depth of the deepest stage kept."""
        return self.taps[-1]

    @property
    def kept(self) -> tuple[str, ...]:
        """Names of the stages kept, all of them frozen."""
        return tuple(stage.name for stage in self.backbone.stages[: self.cut + 1])

    @property
    def dropped(self) -> tuple[str, ...]:
        """Names of the stages that are removed."""
        return tuple(stage.name for stage in self.backbone.stages[self.cut + 1 :])

    @property
    def inputs(self) -> int:
        """Width of the new layer's input."""
        return sum(self.backbone.stages[depth].channels for depth in self.taps)

    @property
    def title(self) -> str:
        """The case in a sentence."""
        size = "large" if self.evidence.large else "small"
        likeness = "similar to" if self.evidence.similar else "different from"
        usual = (self.case == 1) == self.evidence.similar
        yet = "the last stage still helps" if self.case == 1 else "an earlier stage does better"
        but = "" if usual else f", yet {yet}"
        return f"Case {self.case}: {size} set, {likeness} the source{but}: {SURGERY[self.case]}"

    def steps(self) -> tuple[Step, ...]:
        """What is done, in order. Both the explanation and the run walk this list."""
        return _steps(self)

    def explain(self) -> str:
        """The plan in plain sentences."""
        lines = [f"{self.title}."]
        lines += [f"{n}. {step.sentence}" for n, step in enumerate(self.steps(), 1)]
        lines += ["Because:"]
        lines += [f"- {reason.rule} {reason.fact} [{reason.source}]" for reason in self.reasons]
        return "\n".join(lines)


SURGERY: Mapping[int, str] = {
    1: "keep the whole network frozen, fit a new last layer",
    2: "cut after an earlier stage, keep what is before it frozen, fit a new layer there",
}


@dataclass(frozen=True)
class Choices:
    """What a person overrules; everything else is decided from the evidence."""

    case: int | None = None
    cut: str | None = None
    recipe: Recipe = "tuned"
    weighting: str = "auto"
    seed: int = 0
    test_fraction: float | None = None

    def named(self) -> tuple[str, ...]:
        """The choices that differ from the defaults, as they would be typed."""
        spelled = {
            "--case": self.case,
            "--cut": self.cut,
            "--recipe": None if self.recipe == "tuned" else self.recipe,
            "--class-weights": None if self.weighting == "auto" else self.weighting,
        }
        return tuple(f"{flag} {value}" for flag, value in spelled.items() if value is not None)


def candidates(backbone: Backbone, choices: Choices) -> list[Taps]:
    """The taps the evidence may choose among under a person's choices.

    Raises:
        UsageError: a case or cut that does not exist, or that exclude each other.
    """
    last = len(backbone.stages) - 1
    if choices.case not in (None, 1, 2, 3, 4):
        raise UsageError(f"--case must be 1, 2, 3 or 4, got {choices.case}.")
    cut = None if choices.cut is None else depth_of(backbone, choices.cut)
    several = choices.recipe == "tuned"
    if choices.case in (1, 3, 4):
        if cut not in (None, last):
            raise UsageError(
                f"--case {choices.case} keeps the whole network, --cut {choices.cut} does not.",
                ["Leave out one of the two: a cut before the last stage is case 2."],
            )
        cut = last
    if choices.case == 2 and cut == last:
        raise UsageError(
            f"--case 2 cuts before the last stage, --cut {choices.cut} is the last stage.",
            ["Leave out one of the two, or name an earlier stage."],
        )
    if choices.case == 2 and cut is None:
        return candidates_of(last, several=several)
    return candidates_of(last + 1, cut=cut, several=several)


def depth_of(backbone: Backbone, name: str) -> int:
    """The depth of a stage given by its name or number.

    Raises:
        UsageError: no such stage; lists those there are.
    """
    names = [stage.name for stage in backbone.stages]
    if name in names:
        return names.index(name)
    if name.isdigit() and int(name) < len(names):
        return int(name)
    raise UsageError(
        f"--cut must name a stage of {backbone.name}, got {name!r}.",
        [f"Its stages are {', '.join(names)} (or 0 to {len(names) - 1})."],
    )


def weighting_of(counts: Sequence[int], choice: str) -> str:
    """``auto`` weighs the classes evenly when the largest has five times the smallest."""
    if choice != "auto":
        return choice
    return "balanced" if max(counts) >= 5 * max(min(counts), 1) else "none"


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
) -> Plan:
    """The plan that follows from the evidence and a person's choices."""
    chosen = evidence.probes[evidence.chosen]
    last = len(backbone.stages) - 1
    frozen_case = 1 if chosen.taps[-1] == last else 2
    indicated = choices.case or _indicated(evidence, frozen_case)
    return Plan(
        dataset=dataset,
        fingerprint=fingerprint,
        backbone=backbone,
        evidence=evidence,
        case=frozen_case,
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
        reasons=_reasons(backbone, evidence, frozen_case, indicated, choices),
        alternatives=_alternatives(backbone, evidence),
        overrides=choices.named(),
    )


def _indicated(evidence: Evidence, frozen_case: int) -> int:
    """Cases 3 and 4 need a large set *and* something left to win by training the network."""
    if evidence.large and evidence.headroom >= 0.02:
        return 3 if evidence.similar else 4
    return frozen_case


def _reasons(
    backbone: Backbone, evidence: Evidence, case: int, indicated: int, choices: Choices
) -> tuple[Reason, ...]:
    reasons = [_size_reason(evidence), _similarity_reason(backbone, evidence)]
    reasons.append(_cut_reason(backbone, evidence))
    if indicated in (3, 4) and choices.case is None:
        reasons.append(_headroom_reason(evidence, case, indicated))
    if choices.named():
        fact = f"Asked for: {', '.join(choices.named())}."
        reasons.append(Reason("What a person asks for overrules the evidence.", fact, "you"))
    return tuple(reasons)


def _size_reason(evidence: Evidence) -> Reason:
    word = "large" if evidence.large else "small"
    few, many = min(evidence.per_class), max(evidence.per_class)
    spread = f"{few}" if few == many else f"{few} to {many}"
    return Reason(
        "A small set overfits a large network, so its trunk stays frozen.",
        f"{evidence.images:,} training images, {spread} a class: {word} "
        f"(size {evidence.size:.2f}, large from {LARGE}).",
        "measured; the line: docs/benchmarks.md",
    )


def _similarity_reason(backbone: Backbone, evidence: Evidence) -> Reason:
    word = "similar to" if evidence.similar else "different from"
    last = evidence.depths[-1]
    best = max(evidence.depths, key=lambda probe: probe.accuracy)
    where = backbone.stages[best.taps[0]].name
    peak = (
        "and no earlier stage does better"
        if best is last
        else f"the best single stage, {where}, tells {best.accuracy:.1%}"
    )
    still = ""
    if not evidence.similar and evidence.probes[evidence.chosen].taps[-1] == last.taps[0]:
        still = " They look different, yet the last stage still helps, so nothing is cut off."
    return Reason(
        "Stages near the end are specific to the source; where they still tell the classes apart "
        "the new images are similar to it.",
        f"The last stage tells {last.accuracy:.1%} of the images, {peak}: {word} "
        f"{backbone.source} (similarity {evidence.similarity:.2f}, similar from {SIMILAR}).{still}",
        "measured; Yosinski et al. 2014",
    )


def _cut_reason(backbone: Backbone, evidence: Evidence) -> Reason:
    chosen = evidence.probes[evidence.chosen]
    best = min(evidence.probes, key=lambda probe: probe.loss)
    fact = f"Reading {stages_named(backbone, chosen.taps)} tells {chosen.accuracy:.1%}"
    if chosen is best:
        fact += ", and nothing simpler comes within one standard error of it."
    else:
        fact += (
            f"; {stages_named(backbone, best.taps)} fits best ({best.accuracy:.1%}), but the "
            "difference is within one standard error."
        )
    rule = "Of the depths that do equally well, the simplest is read."
    return Reason(rule, fact, f"measured, {evidence.folds}-fold cross-validation")


def _headroom_reason(evidence: Evidence, case: int, indicated: int) -> Reason:
    return Reason(
        "With many images and something left to win, training the whole network pays.",
        f"The frozen network is expected to miss {evidence.headroom:.1%}, so this is case "
        f"{indicated}; this version of regraft does not train the network yet and applies the best "
        f"frozen case, case {case}.",
        "measured; Kornblith et al. 2019",
    )


def _alternatives(backbone: Backbone, evidence: Evidence) -> tuple[Alternative, ...]:
    others = [probe for i, probe in enumerate(evidence.probes) if i != evidence.chosen]
    return tuple(alternative(backbone, evidence, probe) for probe in others)


def alternative(backbone: Backbone, evidence: Evidence, probe: Probe) -> Alternative:
    """A probe of the evidence as something that could be done."""
    last = len(backbone.stages) - 1
    width = sum(backbone.stages[depth].channels for depth in probe.taps)
    kept = backbone.parameters_to[probe.taps[-1]] + (width + 1) * len(evidence.classes)
    name = stages_named(backbone, probe.taps)
    case = 1 if probe.taps[-1] == last else 2
    return Alternative(name, case, probe.taps, probe.accuracy, probe.interval, kept)


def stages_named(backbone: Backbone, taps: Taps) -> str:
    """Taps in words: ``stage 3``, ``stage 3 to stage 6``."""
    first, last = backbone.stages[taps[0]].name, backbone.stages[taps[-1]].name
    return first if len(taps) == 1 else f"{first} to {last}"


def _steps(plan: Plan) -> tuple[Step, ...]:
    backbone, cut = plan.backbone, plan.backbone.stages[plan.cut].name
    count = len(plan.evidence.classes)
    reads = stages_named(backbone, plan.taps)
    dropped = (
        f"drop {', '.join(plan.dropped)} and the old head"
        if plan.dropped
        else ("drop the old head")
    )
    start = (
        "from random weights, by gradient descent"
        if plan.recipe == "textbook"
        else f"by ridge regression (strength {plan.strength:g}) on the cached features"
    )
    views = " and their mirror images" if plan.mirror else ""
    weighed = ", every class weighing the same" if plan.weighting == "balanced" else ""
    steps = [
        Step("load", f"Take {backbone.name}, trained on {backbone.source}."),
        Step("cut", f"Cut it after {cut}: {dropped}."),
        Step("freeze", f"Freeze all that is kept: {', '.join(plan.kept)}."),
        Step("head", f"Put a new fully connected layer on {reads}: {plan.inputs} to {count}."),
        Step("fit", f"Fit that layer {start}, on {plan.train:,} images{views}{weighed}."),
    ]
    if plan.recipe == "tuned":
        steps.append(Step("calibrate", "Set its temperature on the cross-validated predictions."))
    if plan.test:
        steps.append(Step("evaluate", f"Judge it once on the {plan.test:,} held-out images."))
    return tuple(steps)


def with_data(plan: Plan, data: str) -> Plan:
    """The plan with the place of its images, relative to the file it is written to."""
    return dataclasses.replace(plan, data=data)
