"""What each kind of step does, and the Result that comes of them."""

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from regraft.data.splits import EACH_ONCE
from regraft.distributed import on_rank_zero
from regraft.features.engine_choice import Asked, same_engine
from regraft.features.engines import reference, store
from regraft.heads.ridge import Head
from regraft.networks import trunk_state
from regraft.networks.changes import Change, Kind
from regraft.networks.trunk_state import TrunkState
from regraft.plan.definition import Plan, StepKind
from regraft.plan.events import EpochProgress, Event, LogRow, Note, OnEvent, StepDone
from regraft.report import page
from regraft.results.folder import metrics_of
from regraft.results.result import Result, retrained
from regraft.run.fitted import fitted
from regraft.run.labelled import kept_of
from regraft.run.measure import Measured, part, speed_of
from regraft.run.proof import calibrated, each_held_out
from regraft.run.scoring import in_units, predictions_of, scored, truth_of, unit_head
from regraft.run.selection import (
    Candidate,
    ValidationSet,
    beats,
    frozen,
    record,
    select,
    trained,
)
from regraft.run.together import extract_together
from regraft.run.training_speed import training_speed

if TYPE_CHECKING:
    from torch import nn

CHOICE = 15.0
"""Seconds that the choice of a trained network's engine is taken to need where that of the backbone
is not remembered: it took 12 with EfficientNet-Lite0 on two busy cores."""


@dataclass
class RunState:
    """What a run has in hand between its steps."""

    plan: Plan
    measured: Measured
    place: Path | None = None
    """For checkpoints; where there is none a temporary one is made and removed."""
    on_event: OnEvent = lambda row: None
    trunk: TrunkState | None = None
    tensors: dict[str, NDArray[Any]] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    head: Head | None = None
    probabilities: NDArray[np.floating[Any]] | None = None
    log: list[LogRow] = field(default_factory=list)
    entries: list[Candidate] = field(default_factory=list)
    best: Candidate | None = None
    temporary: Path | None = None
    read: NDArray[np.float16] | None = None
    """Features of the held-out images by the trained network, at what its new layer reads."""
    engine: str = ""
    """What runs the trained network."""
    speed: float = 0.0
    """Images/s of the trained network's engine."""
    choosing: float = 0.0
    """Seconds that its choice took."""

    @cached_property
    def setting(self) -> ValidationSet:
        """What the candidates are held to."""
        if self.place is None:
            self.temporary = Path(tempfile.mkdtemp(prefix="regraft-"))
        return ValidationSet(
            self.plan,
            self.measured,
            self.place or self.temporary or Path(),
            time.monotonic() + self._left(),
            self.note,
        )

    def _left(self) -> float:
        """Seconds of the budget that training may take: the held-out images are judged after it.

        Judging is taken to be as slow as training, but for at most a fifth of the budget.
        """
        plan, measured = self.plan, self.measured
        if plan.budget is None:
            return float("inf") if plan.limit is None else plan.limit
        speed = training_speed(measured, plan.trainings[0])
        judging = min(plan.test / speed, 0.2 * plan.budget) + self.choice
        writing = 0.02 * plan.budget
        return plan.budget - judging - writing - (time.perf_counter() - measured.started)

    @cached_property
    def choice(self) -> float:
        """Seconds kept for the choice of a trained network's engine.

        What that of the backbone took; 0 where that is more than a tenth of what is left of the
        budget, and the choice is left out.
        """
        measured, budget = self.measured, self.plan.budget
        if budget is None:
            return CHOICE

        def needed() -> float:
            known = store.recall(store.home(measured.cache, self.plan.backbone))
            usual = known.seconds if known and known.seconds else CHOICE
            left = budget - (time.perf_counter() - measured.started)
            return usual if usual <= 0.1 * left else 0.0

        return on_rank_zero(needed)  # the clocks of processes differ

    @property
    def hands_over_trained(self) -> bool:
        """Whether a trained network has won; until the candidates have met, none has."""
        return self.best is not None and self.best.trained is not None

    def note(self, row: Event) -> None:
        """Log what happens in training, and pass it on; how far an epoch is goes by unlogged."""
        if not isinstance(row, EpochProgress):
            self.log.append(row)
        self.on_event(row)

    def needed_head(self) -> Head:
        """Return the head, which the step before has made."""
        assert self.head is not None, "the head is fitted before it is used"
        return self.head


def _load_backbone(work: RunState) -> None:
    """Take the weights: those kept beside the converted trunk, else from the network itself."""
    network = work.measured.network
    home = store.home(work.measured.cache, network.backbone)
    work.trunk = trunk_state.load(home)
    if work.trunk is None:
        work.trunk = trunk_state.of_module(network.build(), network.backbone)
        trunk_state.save(home, work.trunk)


def _cut(work: RunState) -> None:
    """Keep what the taps need; the rest is gone."""
    assert work.trunk is not None, "the weights are loaded before they are cut"
    work.tensors |= work.trunk.cut(work.plan.taps)
    work.changes += _changed(work, "dropped")


def _freeze(work: RunState) -> None:
    """Nothing of the trunk is trained: the head is fitted on features that are computed already."""
    work.changes += _changed(work, "frozen")


def _changed(work: RunState, kind: Kind) -> list[Change]:
    assert work.trunk is not None, "the weights are loaded before they are cut or frozen"
    changes = work.trunk.changes(work.plan.backbone, work.plan.taps)
    return [change for change in changes if change.kind == kind]


def _add_head(work: RunState) -> None:
    outputs = len(work.measured.classes)
    work.changes.append(Change("added", "head", (work.plan.inputs + 1) * outputs))


def _fit_head(work: RunState) -> None:
    """Fit the new layer on the cached features of the training images."""
    work.head = on_rank_zero(lambda: fitted(work.plan, work.measured))


def _train(work: RunState) -> None:
    """Train the network from its pretrained weights."""
    _enter(work, "pretrained")


def _train_from_scratch(work: RunState) -> None:
    """Train it from random weights, unless the one before has beaten the frozen network."""
    _enter(work, "random")


def _enter(work: RunState, init: str) -> None:
    setting = work.setting
    work.entries = work.entries or [frozen(setting)]
    first = work.entries[0]
    if on_rank_zero(lambda: any(beats(e, first, setting.truth) for e in work.entries[1:])):
        return
    [training] = [one for one in work.plan.trainings if one.init == init]
    work.entries.append(trained(setting, training))
    done = work.entries[-1].trained
    noted = replace(training, mode=done.mode if done else "")
    recipes = tuple(noted if one is training else one for one in work.plan.trainings)
    work.plan = replace(work.plan, trainings=recipes)


def _choose(work: RunState) -> None:
    """Take the best candidate; the plan remembers what ran and why that one won."""
    truth = work.setting.truth

    def pick() -> tuple[int, str]:
        best, why = select(work.entries, truth, insists=work.plan.insists)
        return work.entries.index(best), why

    place, why = on_rank_zero(pick)  # another kind of processor may round differently
    work.best = best = work.entries[place]
    ran = record(work.entries, best, truth, work.setting.groups)
    work.plan = replace(work.plan, case=best.case, taps=best.taps, ran=ran, why=why)
    if best.trained is not None:
        work.changes = [_as_it_ended(change, work.plan) for change in best.trained.changes]
        work.tensors = dict(best.trained.state)
        work.head = Head(best.taps, work.tensors["head.weight"], work.tensors["head.bias"])
    elif work.plan.small:
        _prove_by_all(work)


def _prove_by_all(work: RunState) -> None:
    """Fit the frozen network of a small set on all of its images, and judge it by each."""
    work.measured = work.measured.parted(EACH_ONCE)
    sides = work.measured.split
    work.plan = replace(work.plan, split=sides.origin, train=len(sides.train), test=len(sides.test))
    _fit_head(work)


def _as_it_ended(change: Change, plan: Plan) -> Change:
    """Return what training was to change and did not is as it was pretrained."""
    if plan.unchanged == "pretrained" and change.kind == "kept":
        return replace(change, kind="frozen")
    return change


def _calibrate(work: RunState) -> None:
    """Calibrate a frozen network's layer, unless it is the textbook's; a trained one is already."""
    if not work.hands_over_trained:
        work.head = calibrated(work.plan, work.needed_head(), work.plan.evidence)


def _evaluate(work: RunState) -> None:
    """Read the held-out images, for the first and only time."""
    plan, measured = work.plan, work.measured
    if work.hands_over_trained:
        work.probabilities = measured.task.shares(_logits_of_trained(work))
        return
    if plan.split == EACH_ONCE:
        work.probabilities = on_rank_zero(lambda: each_held_out(plan, measured))
        return
    rows, widths, head = measured.split.test, plan.backbone.widths, work.needed_head()
    logits = on_rank_zero(lambda: head.logits_of(measured.features, widths, rows))
    work.probabilities = measured.task.shares(logits)


def _logits_of_trained(work: RunState) -> NDArray[np.float32]:
    """Logits of the held-out images by the trained network, run as it will be to predict.

    Before that the engine is chosen with training images, unless there is no time for it.
    """
    plan, measured = work.plan, work.measured
    record, build = retrained(plan.backbone, work.tensors, plan.cut), _trained_network(work)
    engine = None
    if work.choice:
        work.on_event(Note(what="Finding what runs the trained network fastest here."))
        some, asked = part(measured, measured.split.train), Asked(wish=plan.pinned)
        start = time.perf_counter()
        engine = same_engine(some, record, build, measured.cache, plan.taps, asked)
        work.choosing = time.perf_counter() - start
    engine = engine or reference(record, plan.taps, build=build)
    work.engine = engine.name
    items = [measured.audit.kept[i] for i in measured.split.test]
    said = f"Classifying the {len(items):,} held-out images with {engine.name}."
    work.on_event(Note(what=said))
    looked = extract_together(
        lambda i: measured.dataset.read(items[i]),
        len(items),
        [plan.backbone.view],
        plan.inputs,
        engine=engine,
        choose=lambda pixels, indices: engine,
    )
    work.speed = speed_of(looked, engine.name, record, measured.cache)
    work.read = looked.features[0]
    return on_rank_zero(lambda: work.needed_head().logits(looked.features[0]))


def _trained_network(work: RunState) -> "Callable[[], nn.Module]":
    """Return a way to build the network that training left."""
    plan, measured, tensors = work.plan, work.measured, work.tensors

    def network() -> "nn.Module":
        from regraft.networks.build import refilled

        module = None if plan.backbone.architecture else measured.network.build()
        return refilled(plan.backbone, tensors, plan.taps, module)

    return network


EXECUTORS: Mapping[StepKind, Callable[[RunState], None]] = {
    "load": _load_backbone,
    "cut": _cut,
    "freeze": _freeze,
    "head": _add_head,
    "fit": _fit_head,
    "tune": _train,
    "scratch": _train_from_scratch,
    "choose": _choose,
    "calibrate": _calibrate,
    "evaluate": _evaluate,
}


def execute(work: RunState) -> Result:
    """Walk the plan's steps, and note in the log what each took; its `ended` is to follow."""
    for step in work.plan.steps():
        start = time.perf_counter()
        EXECUTORS[step.kind](work)
        seconds = time.perf_counter() - start
        work.log.append(StepDone(step=step.kind, what=step.sentence, seconds=seconds))
    return result_of(work)


def result_of(work: RunState) -> Result:
    """Return the result of a run whose steps are all done."""
    plan, measured, head = work.plan, work.measured, work.needed_head()
    assert work.probabilities is not None, "a plan ends with the held-out images"
    test = measured.split.test
    paths = [measured.dataset.items[measured.audit.kept[i]].path for i in test]
    told, head = in_units(measured, work.probabilities), unit_head(measured, head)
    truth = truth_of(measured, test)
    scores = scored(plan, measured.classes, told, truth, measured.audit.groups[test])
    by_training = work.hands_over_trained
    tensors = work.tensors | {"head.weight": head.weight, "head.bias": head.bias}
    return Result(
        plan=plan,
        classes=measured.classes,
        metrics=metrics_of(
            scores,
            case=plan.case,
            taps=plan.taps,
            proof=plan.proof,
            seconds=_seconds(work),
            engine=work.engine or measured.engine,
            images_per_second=work.speed if by_training else measured.images_per_second,
        )
        | _facts(work),
        tensors=tensors,
        changes=tuple(work.changes),
        predictions=predictions_of(plan, paths, truth, told),
        log=tuple(work.log),
        audit=tuple((left.path, left.reason, left.detail) for left in measured.audit.left_out),
        cache=measured.cache,
        network=_trained_network(work) if by_training else measured.network.build,
        draw=partial(page, dataset=measured.dataset),
        labelled=None  # what reads them is for one label an image
        if plan.kind != "one"
        else on_rank_zero(lambda: kept_of(plan, measured, work.read)),
    )


def _facts(work: RunState) -> dict[str, Any]:
    """Return what ``metrics.json`` holds beside the scores.

    How much of it is this run's own work.
    """
    plan, measured, found = work.plan, work.measured, dict[str, Any]()
    found["images_from_cache"] = measured.recalled
    found["trained"] = work.hands_over_trained and plan.unchanged is None
    if plan.budget is not None:
        found["budget"] = plan.budget
        found["over_budget"] = max(_seconds(work)["total"] - plan.budget, 0.0)
    if work.entries:
        rows = zip(plan.ran, work.entries, strict=True)
        found["candidates"] = [asdict(ran) | {"seconds": entry.seconds} for ran, entry in rows]
        found["why"] = plan.why
    return found


def ended(work: RunState) -> None:
    """Remove what the run needed only while it ran."""
    if work.temporary is not None:
        shutil.rmtree(work.temporary, ignore_errors=True)


def _seconds(work: RunState) -> dict[str, float]:
    """Seconds by part; ``fit`` is everything between the probe and the held-out images.

    ``engine`` is the choice of what runs the network, that of the trained one included.
    """
    spent = {row.step: row.seconds for row in work.log if isinstance(row, StepDone)}
    evaluate = spent.pop("evaluate", 0.0) - work.choosing
    parts = {**work.measured.seconds, "fit": sum(spent.values()), "evaluate": evaluate}
    parts["engine"] = parts.get("engine", 0.0) + work.choosing
    return {**parts, "total": time.perf_counter() - work.measured.started}
