"""The plans of the four cases on one set of images, and what comes of performing them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.compare.comparison import Omitted, Outcome
from regraft.features.extract import extract
from regraft.heads.tasks.words import words_of
from regraft.plan.choices import Choices
from regraft.plan.decide import SCRATCH
from regraft.plan.definition import STARTS, Plan
from regraft.plan.events import OnEvent
from regraft.plan.gain import worth_training
from regraft.plan.naming import frozen_case, stages_named
from regraft.plan.recipes import at_one_rate, images_shown, within
from regraft.results.result import Result
from regraft.results.tables import Predictions
from regraft.run.draft import draft
from regraft.run.execute import RunState, ended, execute
from regraft.run.measure import Measured
from regraft.run.selection import Candidate, beats, frozen, select
from regraft.run.training_speed import training_speed

FEW = 500
"""Training images below which training the whole network is absurd: a frozen one does as well at a
fiftieth of the cost."""

BRIEF = 4
"""Epochs of a case that is absurd, with one learning rate."""

TIMED = 64
"""Held-out images that the speed of a frozen network is measured on."""

FORWARD = 2
"""How much faster judging is than training, at least."""

FIGURES = ("balanced_accuracy", "log_loss", "ece")
"""Of one label an image."""

OTHERS = {
    "several": ("f1", "exact", "log_loss", "ece"),
    "number": ("mean_absolute_error", "median_absolute_error", "covered"),
}
"""Of the other kinds."""


def frozen_plans(
    measured: Measured, choices: Choices, aims: Plan
) -> tuple[list[Plan], list[Omitted]]:
    """Cases 1 and 2. One of them is what ``fit`` does, or would do if it trained no network."""
    own = aims.without_training()
    if len(aims.backbone.stages) == 1:
        return [own], [Omitted(2, f"{aims.backbone.name} has one stage only: nothing to cut off")]
    other = draft(measured, replace(choices, case=3 - own.case, learning_rate=None))
    return sorted([own, other], key=lambda plan: plan.case), []


def trained_plans(
    measured: Measured, choices: Choices, aims: Plan, *, quick: bool
) -> tuple[list[Plan], list[Omitted]]:
    """Cases 3 and 4 in full, as ``fit`` would train them; under ``quick`` only what makes sense."""
    worth = worth_training(aims.evidence, aims.budget)
    omitted = {case: absurd(case, aims.train, worth=worth) if quick else "" for case in (3, 4)}
    if all(omitted.values()):
        return [], [Omitted(case, why) for case, why in omitted.items()]
    both = draft(measured, replace(choices, case=4))
    if not both.validation:
        what = {"one": "class", "several": "label"}.get(measured.dataset.kind, "part of the range")
        few = f"no {what} has three images, so there are none to validate a training with"
        return [], [Omitted(case, few) for case in omitted]
    recipes = {one.init: one for one in both.trainings}
    shared = replace(aims, insists=True, validation=both.validation)
    plans = [
        replace(shared, case=case, indicated=case, trainings=(recipe,))
        for case, recipe in ((3, recipes["pretrained"]), (4, recipes["random"]))
        if not omitted[case]
    ]
    return plans, [Omitted(case, why) for case, why in omitted.items() if why]


def absurd(case: int, images: int, *, worth: bool = False) -> str:
    """Why a case makes no sense for so many training images; empty where it does.

    ``worth``: ``fit`` would train the network, few images or not (`worth_training`).
    """
    if case == 3 and worth:
        return ""
    least = {3: FEW, 4: SCRATCH}.get(case, 0)
    what = {3: "to train a whole network", 4: "to start from random weights"}.get(case)
    return "" if images >= least else f"{images:,} images are few {what}; {least:,} are the least"


def briefly(plan: Plan) -> Plan:
    """Return the plan with one learning rate and few epochs, and without the second training."""
    [full] = plan.trainings
    short = replace(at_one_rate(full), epochs=min(BRIEF, full.epochs), refit=False)
    return replace(plan, trainings=(short,))


def in_time(plans: Sequence[Plan], measured: Measured, budget: float) -> Plan | None:
    """Return the first plan in its share of the time that is left; None where not one epoch fits.

    What is left is parted by the images that each plan shows, and judging is taken off before.
    """
    plan = plans[0]
    [training] = plan.trainings
    if time.perf_counter() - measured.started >= budget:
        return None  # measuring the speed would only take longer
    speed = training_speed(measured, training)
    gone = time.perf_counter() - measured.started
    shown = [images_shown(one.trainings[0], plan.train) for one in plans]
    judging = (plan.test + plan.validation) / (FORWARD * speed)
    share = max((budget - gone) * shown[0] / sum(shown) - judging, 0.0)
    fitting = within(training, plan.train, 0.9 * share, speed)
    return None if fitting is None else replace(plan, trainings=(fitting,), budget=gone + share)


def training_of(plan: Plan) -> str:
    """Return what a plan's training does, in a sentence."""
    return " ".join(step.sentence for step in plan.steps() if step.kind in ("tune", "scratch"))


# --- doing them -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Done:
    """A case that ran: which held-out images it got right, and the entries of its contest."""

    outcome: Outcome
    right: NDArray[Any]
    """Of several labels and numbers the squared errors."""
    entries: Sequence[Candidate]
    truth: NDArray[Any]
    """Labels of the validation images."""


def performed(plan: Plan, measured: Measured, on_event: OnEvent, *, brief: str = "") -> Done:
    """Walk a plan's steps; a frozen network is judged on the validation images beside.

    ``brief``: why it is trained for less than its recipe.
    """
    work = RunState(plan, measured, None, on_event)
    try:
        result, setting = execute(work), work.setting
        entries = work.entries or [frozen(setting)]
        outcome = _outcome(result, entries[-1], setting.truth, measured, brief=brief)
    finally:
        ended(work)
    assert result.predictions is not None, "a result that was just made has its predictions"
    return Done(outcome, _judged(result.predictions), entries, setting.truth)


def _judged(found: Predictions) -> NDArray[Any]:
    """Return which held-out images are right, or how far from right they are, ``[n]``."""
    if found.kind == "one":
        return np.asarray(found.best == found.truth)
    off = np.square(found.probabilities.astype(np.float64) - found.truth)
    return np.asarray(off.reshape(len(off), -1).sum(1))


def _outcome(
    result: Result, entry: Candidate, truth: NDArray[Any], measured: Measured, *, brief: str
) -> Outcome:
    plan, metrics, key = result.plan, result.metrics, words_of(result.kind).key
    engine, speed = _speed(result, measured)
    note = next((ran.note for ran in plan.ran if ran.handed_over), "") or _reads(plan)
    if plan.unchanged:
        note += f", so the weights are {STARTS[plan.unchanged]}"
    return Outcome(
        case=plan.case,
        name=_name(plan),
        taps=plan.taps,
        accuracy=metrics[key],
        **{name: metrics.get(name) if plan.kind == "one" else None for name in FIGURES},
        accuracy_interval=tuple(metrics[f"{key}_interval"]),
        validation_accuracy=entry.task.merit(entry.shares, truth) if len(truth) else None,
        parameters=plan.backbone.parameters_to[plan.cut]
        + (plan.inputs + 1) * len(measured.classes),
        seconds=sum(metrics["seconds"][part] for part in ("fit", "evaluate", "engine"))
        - measured.seconds["engine"],
        images_per_second=speed,
        engine=engine,
        brief=brief or ("the budget ran out" if "out of time" in note else ""),
        note=note,
        unchanged=plan.unchanged is not None,
        figures={name: metrics[name] for name in OTHERS.get(plan.kind, ())},
    )


def _name(plan: Plan) -> str:
    if plan.unchanged:
        return f"{'fine-tuned' if plan.case == 3 else 'trained'}, no gain"
    names = {1: "frozen", 2: "frozen, cut earlier", 3: "fine-tuned"}
    return names.get(plan.case, "from random weights")


def _reads(plan: Plan) -> str:
    return f"reads {stages_named(plan.backbone, plan.taps)}"


def _speed(result: Result, measured: Measured) -> tuple[str, float]:
    """Return the engine of a network and its images/s, decoding included, once it is warm."""
    plan = result.plan
    items = [measured.audit.kept[i] for i in measured.split.test[:TIMED]]
    engine = result.engine()
    for _ in range(2):
        seen = extract(
            lambda i: measured.dataset.read(items[i]),
            len(items),
            [plan.backbone.view],
            plan.inputs,
            engine=engine,
            choose=lambda pixels, indices: engine,
        )
    return engine.name, seen.images_per_second


def handed_over(done: Sequence[Done], aims: Plan) -> int:
    """Return the case that ``fit`` hands over: what it aims at, where validation bears that out."""
    by_case = {one.outcome.case: one for one in done}
    trained = [4 if one.init == "random" else 3 for one in aims.trainings]
    frozen_one = frozen_case(aims.backbone, aims.taps)
    ran = {case: by_case[case] for case in trained if case in by_case}
    if not ran:
        return frozen_one
    entries, order, truth = [done[-1].entries[0]], [frozen_one], done[-1].truth
    for case, one in ran.items():
        if not any(beats(entry, entries[0], truth) for entry in entries[1:]):
            entries, order = [*entries, one.entries[-1]], [*order, case]
    best, _ = select(entries, truth, insists=False)
    return order[entries.index(best)]
