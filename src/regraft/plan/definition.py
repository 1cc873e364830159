"""Evidence -> Plan: which of the four cases it is, and what will be done.

A `Plan` is data. `Plan.steps` lists what it does; explaining it and performing it both
walk that list, so the explanation cannot say anything else than what happens.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from regraft.backbones import Backbone
from regraft.data.audit import NearCopies
from regraft.data.splits import EACH_ONCE, FEW
from regraft.heads.average import Part
from regraft.heads.ridge import Taps
from regraft.heads.tasks.words import words_of
from regraft.plan.choices import Choices, Recipe
from regraft.plan.evidence import Evidence
from regraft.plan.gain import Gain
from regraft.plan.how_many import LearningCurve
from regraft.plan.naming import frozen_case, given_from, stages_named
from regraft.plan.ranked import Ranking
from regraft.plan.recipes import Init, Training
from regraft.plan.records import Alternative as Alternative
from regraft.plan.records import Ran as Ran

VERSION = 2
"""Of the plan's JSON. A reader refuses any other."""

StepKind = Literal[
    "load", "cut", "freeze", "head", "fit", "tune", "scratch", "choose", "calibrate", "evaluate"
]


@dataclass(frozen=True)
class Reason:
    """Why the plan is as it is: a rule, the fact it was applied to, where the rule comes from."""

    rule: str
    fact: str
    source: str
    once: int = 0
    """Images that decided how pictures are seen, once for all; cross-validation does not again."""


@dataclass(frozen=True)
class Step:
    """One thing the plan does, as a sentence and as the kind that performs it."""

    kind: StepKind
    sentence: str


@dataclass(frozen=True)
class Plan:
    """What regraft will do with a data set and a backbone, and why.

    Holds no clock, device or absolute path: the same images, backbone and seed give the same plan,
    but for the milliseconds of a ``ranking``.
    """

    dataset: str
    fingerprint: str
    backbone: Backbone
    evidence: Evidence
    case: int
    """1 to 4: in a plan the case that is aimed at, in a RUN that of what is handed over."""
    indicated: int
    """The case that was aimed at; a RUN's ``case`` is another where the frozen network won."""
    taps: Taps
    """Depths that the new layer reads; in a plan, that of the frozen network."""
    strength: float
    recipe: Recipe
    weighting: str
    """``none`` or ``balanced``."""
    mirror: bool
    """Whether the head is also fitted on the mirrored images."""
    seed: int
    test_fraction: float | None
    split: str
    """Where the held-out images come from: ``test``, ``val`` or ``held out`` by seed; or
    ``cross-validated``: every image is held out once, in turn."""
    train: int
    test: int
    left_out: int
    reasons: tuple[Reason, ...]
    alternatives: tuple[Alternative, ...]
    overrides: tuple[str, ...]
    trainings: tuple[Training, ...] = ()
    """How the network is trained, beside the frozen one: none in cases 1 and 2. The second one
    begins only where the first has not beaten the frozen network."""
    validation: int = 0
    """Training images that decide between the candidates."""
    insists: bool = False
    """Whether a trained network is handed over even where the frozen one does better."""
    budget: float | None = None
    """Seconds that the whole run may take."""
    ran: tuple[Ran, ...] = ()
    """In a RUN: the candidates, and what they scored."""
    why: str = ""
    """In a RUN: why that one of them was handed over."""
    data: str = ""
    """Where the images are, relative to the file the plan is written to."""
    version: int = VERSION
    engine: str = ""
    """What ran the frozen network, and so the very numbers that all else follows from."""
    among: tuple[Taps, ...] = ()
    """The depths that the choice was among; cross-validation chooses among them anew each time."""
    group_by: str = ""
    """What people know to belong together, where that was said."""
    near_copies: NearCopies = "group"
    """What is done with copies of one capture."""
    remarks: tuple[str, ...] = ()
    """What a person should know of the images, in sentences."""
    gain: Gain | None = None
    """What training the network was expected to win over the frozen one."""
    limit: float | None = None
    """Seconds that training may take at most, where nobody asked for it."""
    ranking: Ranking | None = None
    """The networks that it was chosen among, where it was; its times are those of one machine."""
    learning_curve: LearningCurve | None = None
    """What more images would bring the frozen network; None in plans that did not ask."""
    path_column: str = ""
    label_column: str = ""
    """The columns with paths and labels, where they were named."""

    @property
    def looked_at(self) -> Choices:
        """The choices by which the images are looked at: seed, share, groups, copies and view."""
        return Choices(
            seed=self.seed,
            test_fraction=self.test_fraction,
            group_by=self.group_by or None,
            near_copies=self.near_copies,
            view=self.backbone.view,
            path_column=self.path_column or None,
            label_column=self.label_column or None,
            labels="several"
            if self.kind == "several"
            else None
            if self.kind == "number"
            else "one",
            target="number" if self.kind == "number" else None,
        )

    @property
    def kind(self) -> str:
        """What is asked of an image: ``one`` label, ``several``, or a ``number``."""
        return self.evidence.kind

    @property
    def parts(self) -> tuple[Part, ...]:
        """The heads that the new layer fitted on the frozen network is the average of."""
        return self.evidence.parts_of(self.taps, self.strength)

    @property
    def cut(self) -> int:
        """Depth of the deepest stage kept."""
        return self.taps[-1]

    @property
    def kept(self) -> tuple[str, ...]:
        """Names of the stages kept."""
        return tuple(stage.name for stage in self.backbone.stages[: self.cut + 1])

    @property
    def dropped(self) -> tuple[str, ...]:
        """Names of the stages that are removed."""
        return tuple(stage.name for stage in self.backbone.stages[self.cut + 1 :])

    @property
    def frozen(self) -> tuple[str, ...]:
        """Names of the stages that are frozen: all that are kept, or those before the trained."""
        if self.case in (1, 2) or not self.trainings or self.unchanged == "pretrained":
            return self.kept
        return self.kept[: self.kept.index(self.trainings[0].trainable_from)]

    @property
    def proof(self) -> str:
        """How the result is proved: ``cross-validated``, ``held out``, or on its ``own test``."""
        return self.split if self.split in (EACH_ONCE, "held out") else "own test"

    @property
    def judged(self) -> str:
        """The images that the figures are of, in words."""
        return (
            "images that were each held out once" if self.split == EACH_ONCE else "held-out images"
        )

    @property
    def small(self) -> bool:
        """Whether a frozen network is proved by cross-validation, whatever else is tried."""
        few = self.split == "held out" and self.test_fraction is None and self.test < FEW
        return self.split == EACH_ONCE or few

    @property
    def start(self) -> Init | None:
        """In a RUN: what the training of the network that was handed over began from, if any."""
        starts: dict[str, Init] = {"fine-tuned": "pretrained", "from scratch": "random"}
        names = [ran.name for ran in self.ran if ran.handed_over]
        return starts.get(names[0]) if names else None

    @property
    def unchanged(self) -> Init | None:
        """In a RUN: the start that was handed over because no epoch of training was better."""
        still = any(ran.handed_over and ran.epochs == 0 for ran in self.ran)
        return self.start if still else None

    @property
    def inputs(self) -> int:
        """Width of the new layer's input."""
        return sum(self.backbone.stages[depth].channels for depth in self.taps)

    @property
    def pinned(self) -> str:
        """The engine, where a person chose it; else empty."""
        return self.engine if f"--engine {self.engine}" in self.overrides else ""

    def without_training(self) -> "Plan":
        """Return the same for the frozen network alone."""
        case = frozen_case(self.backbone, self.taps)
        return dataclasses.replace(
            self, case=case, indicated=case, trainings=(), validation=0, insists=False
        )

    @property
    def title(self) -> str:
        """The case in a sentence."""
        size = "large" if self.evidence.large else "small"
        likeness = "similar to" if self.evidence.similar else "different from"
        set_ = f"Case {self.case}: {size} set, {likeness} the source"
        if self.case in (3, 4):
            return f"{set_}: {_training_in_words(self)}"
        return f"{set_}{_although(self)}: {SURGERY[self.case]}"

    def steps(self) -> tuple[Step, ...]:
        """Return what is done, in order. Both the explanation and the run walk this list."""
        return _steps(self)

    def explain(self) -> str:
        """Return the plan in plain sentences."""
        lines = [f"{self.title}."]
        lines += [f"{n}. {step.sentence}" for n, step in enumerate(self.steps(), 1)]
        lines += ["Because:"]
        lines += [f"- {reason.rule} {reason.fact} [{reason.source}]" for reason in self.reasons]
        return "\n".join(lines)

    def __repr__(self) -> str:
        words, expected = words_of(self.kind), self.evidence.expected
        got = words.told(expected) if self.kind == "one" else words.got(expected)
        return f"Plan of {self.dataset!r}: {self.title}; {got} expected"

    def _repr_html_(self) -> str:
        """Show what is expected, the surgery, and why, in a notebook."""
        from regraft.diagram.planned import summary_of

        return summary_of(self)


def _training_in_words(plan: Plan) -> str:
    """Return what is done in cases 3 and 4; in a RUN, what came of it."""
    if plan.unchanged:
        return (
            f"new last layer, all other weights {STARTS[plan.unchanged]}, for no epoch of training "
            "was better than the start"
        )
    inits = {plan.start} if plan.start else {training.init for training in plan.trainings}
    start = {1: "random weights" if "random" in inits else "pretrained weights"}.get(
        len(inits), "pretrained weights, or from random ones"
    )
    return f"new last layer, train the network from {start}"


def _although(plan: Plan) -> str:
    """Why a frozen network is not cut as its similarity alone says, where it is not."""
    if (plan.case == 1) == plan.evidence.similar:
        return ""
    if any(one.startswith(("--case 3", "--case 4", "--trainable")) for one in plan.overrides):
        return ", kept whole for the training that was asked for"
    asked = [one for one in plan.overrides if one.startswith(("--case", "--cut"))]
    if asked not in ([], ["--case frozen"]):
        return f", {'kept whole' if plan.case == 1 else 'cut'} as was asked"
    evidence = plan.evidence
    whole = evidence.depths[-1] if evidence.whole is None else evidence.probes[evidence.whole]
    better = evidence.probes[evidence.chosen].accuracy > whole.accuracy
    word = "does better" if better else "fits as well"
    kept = "the last stage counts" if evidence.averages else "no earlier cut does clearly better"
    return f", yet {kept if plan.case == 1 else f'an earlier stage {word}'}"


STARTS: Mapping[str, str] = {
    "pretrained": "as they were pretrained",
    "random": "as they were drawn",
}

SURGERY: Mapping[int, str] = {
    1: "keep the whole network frozen, fit a new last layer",
    2: "cut after an earlier stage, keep what is before it frozen, fit a new layer there",
}


CALIBRATED: Mapping[str, str] = {
    "one": "Set its temperature on the {held} predictions.",
    "several": "Calibrate each label on the {held} predictions; it is given from {given}.",
    "number": "Tell an interval with each number that holds 95 of 100, by the errors in "
    "cross-validation.",
}


def _fitting(plan: Plan) -> str:
    """Return how the new layer of the frozen network comes about."""
    if plan.recipe == "textbook":
        return "from random weights, by gradient descent"
    heads = plan.parts
    if len(heads) == 1:
        return f"by ridge regression (strength {plan.strength:g}) on the cached features"
    return f"as the average of {len(heads)} ridge regressions on the cached features"


def _steps(plan: Plan) -> tuple[Step, ...]:
    backbone, cut = plan.backbone, plan.backbone.stages[plan.cut].name
    count = len(plan.evidence.classes)
    outputs = "one number" if plan.kind == "number" else f"{count}"
    reads = stages_named(backbone, plan.taps)
    stages = f"{', '.join(plan.dropped)} and " if plan.dropped else ""
    dropped = f"drop {stages}the old head"
    views = " and their mirror images" if plan.mirror else ""
    weighed = ", every class weighing the same" if plan.weighting == "balanced" else ""
    first = ", for a start" if plan.trainings else ""
    by = plan.engine and f"; {plan.engine} runs it"
    fitted = f"Fit that layer {_fitting(plan)}, on {plan.train:,} images{views}{weighed}."
    calibrates = plan.recipe == "tuned" or bool(plan.trainings)
    if plan.kind == "several" and not calibrates:
        fitted += f" A label is given from {given_from(plan.evidence)}."
    steps = [
        Step("load", f"Take {backbone.name}, trained on {backbone.source}{by}."),
        Step("cut", f"Cut it after {cut}: {dropped}."),
        Step("freeze", f"Freeze all that is kept{first}: {', '.join(plan.kept)}."),
        Step("head", f"Put a new fully connected layer on {reads}: {plan.inputs} to {outputs}."),
        Step("fit", fitted),
        *(_training_step(plan, number) for number in range(len(plan.trainings))),
    ]
    if plan.trainings:
        steps.append(Step("choose", _choosing(plan)))
    if calibrates:
        held = "validation" if plan.trainings else "cross-validated"
        said = CALIBRATED[plan.kind].format(held=held, given=given_from(plan.evidence))
        if plan.recipe == "textbook":
            said = f"Where the trained network is taken: {said[0].lower()}{said[1:]}"
        steps.append(Step("calibrate", said))
    if plan.test:
        steps.append(Step("evaluate", _judging(plan)))
    return tuple(steps)


def _judging(plan: Plan) -> str:
    turns = "choosing and fitting anew without it"
    if plan.split == EACH_ONCE:
        return f"Judge it by cross-validation: hold each of the {plan.test:,} images out, {turns}."
    once = f"Judge it once on the {plan.test:,} held-out images."
    if plan.trainings and plan.small and not plan.insists:
        every = f"all {plan.train + plan.test:,} images"
        once += f" The frozen network instead by holding each of {every} out, {turns}; its layer"
        once += " is then fitted on all of them."
    return once


def _training_step(plan: Plan, number: int) -> Step:
    training = plan.trainings[number]
    names = [stage.name for stage in plan.backbone.stages]
    from_here = names.index(training.trainable_from)
    what = "every stage" if from_here == 0 else f"{', '.join(names[from_here:])}"
    layer = "the fitted layer" if training.fitted else "a new layer of random weights"
    rates = ", ".join(f"{rate:g}" for rate in training.rates)
    race = (
        f"learning rates {rates} race and the best goes on"
        if len(training.rates) > 1
        else f"learning rate {rates}"
    )
    usual = f"{race}, up to {training.epochs} epochs"
    if training.init == "random":
        unless = (
            "If the trained network has not beaten the frozen one, train" if number else "Train"
        )
        return Step("scratch", f"{unless} the network from random weights: {usual}.")
    return Step("tune", f"Train {what} from the pretrained weights under {layer}: {usual}.")


def _choosing(plan: Plan) -> str:
    if plan.insists:
        return (
            "Hand over the trained network, as was asked, unless training comes to nothing, and "
            "say what the frozen one gets."
        )
    return (
        f"Hand over the trained network unless {plan.validation:,} validation images and what was "
        "expected of training, weighed by their errors, speak for the frozen one."
    )
