"""``regraft plan``: measure, decide, explain."""

import dataclasses
import os
import time
from pathlib import Path

from regraft.backbones import Backbone
from regraft.cli import tables
from regraft.cli.terminal import print_json, progress_bar, results, say, show_warnings
from regraft.data.dataset import Dataset
from regraft.data.readers.patterns import is_address
from regraft.distributed import is_rank_zero
from regraft.errors import RunError
from regraft.plan import serialize, wording
from regraft.plan.choices import Choices
from regraft.plan.data_place import with_data
from regraft.plan.definition import Plan
from regraft.plan.recipes import images_shown
from regraft.run.api import DEFAULT
from regraft.run.auto import network_for
from regraft.run.budget import bounded
from regraft.run.draft import proposed
from regraft.run.measure import Measured, measure
from regraft.run.pretrained import reopened
from regraft.run.training_speed import training_speed

TRAINS_HERE = (
    "The cluster looks at the images; training runs on the machine with the command. For several "
    "machines start it by torchrun instead."
)


def run_plan(
    data: str,
    backbone: str,
    choices: Choices,
    *,
    weights: Path | None,
    augment: bool,
    strict: bool,
    check: bool,
    on: str | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Print the plan, and write it to ``out``."""
    measured = measured_from(
        data, backbone, choices, weights=weights, augment=augment, strict=strict, check=check, on=on
    )
    plan = proposed(measured, choices).plan
    if out is not None:
        plan = with_data(plan, relative(data, out.parent))
        if is_rank_zero():
            write(plan, out)
    if as_json:
        print_json(dataclasses.asdict(plan))
    else:
        tables.show_plan(results(), plan, measured.audit, cost(measured, plan))
    if on is not None and plan.trainings:
        say(TRAINS_HERE)
    if out is not None:
        say(f"Written to {out}. `regraft fit --plan {out} --out run` does it.")


def measured_from(
    data: str | Dataset,
    backbone: str | None,
    choices: Choices,
    *,
    weights: Path | None,
    augment: bool = False,
    strict: bool,
    check: bool = False,
    wish: str = "",
    budget: float | None = None,
    like: Backbone | None = None,
    on: str | None = None,
) -> Measured:
    """Measure with a progress bar, and say what is left out.

    ``check``: read every file; ``wish``: the engine of a plan; ``budget``: of the whole run;
    ``like``: the record of a plan, as which a network of somebody's own is opened again.
    """
    show_warnings()
    started = time.perf_counter()
    dataset = Dataset.open(data, **choices.columns, check=check)
    if like is not None and not like.architecture:
        network = reopened(like, backbone)
    else:
        named = backbone or DEFAULT
        with progress_bar("looking at the images") as report:
            network = network_for(dataset, named, weights, choices, strict=strict, progress=report)
    with progress_bar("looking at the images") as report:
        measured = measure(
            dataset,
            network,
            choices,
            augment=augment,
            strict=strict,
            wish=wish,
            progress=bounded(budget, report, started),
            started=started,
            on=on,
        )
    say(*tables.left_out_lines(measured.audit))
    return measured


def cost(measured: Measured, plan: Plan) -> str:
    """Return what the plan costs, from what was measured on this machine."""
    backbone = plan.backbone
    head = (plan.inputs + 1) * len(plan.evidence.classes)
    kept = backbone.parameters_to[plan.cut] + head
    share = backbone.multiply_adds_to[plan.cut] / backbone.multiply_adds_to[-1]
    lines = [
        f"{kept:,} parameters with the new layer ({backbone.name} has {backbone.parameters:,}), "
        f"{_trained(plan, kept, head)}; {share:.0%} of the work for each image of "
        f"{backbone.view.shape[0]} × {backbone.view.shape[1]} px, in all "
        f"{backbone.multiply_adds_to[-1] / 1e6:,.0f} million multiply-adds",
        *whose(backbone),
        wording.looking(
            images=len(measured.dataset.items),
            recalled=measured.recalled,
            seconds=measured.seconds["probe"],
            choosing=measured.seconds["engine"],
            engine=measured.engine,
            speed=measured.images_per_second,
        ),
    ]
    return "\n".join([*lines, *(training_cost(measured, plan) if not plan.ran else [])])


def whose(backbone: Backbone) -> list[str]:
    """Return what the pretrained weights were trained on, and their licence; nothing of random."""
    origin = backbone.weights.origin
    if origin == "random":
        return []
    if origin == "file":
        file = backbone.weights.location
        return [f"its weights: {file}; what they learned from, and their licence, is not known"]
    return [f"its weights: trained on {backbone.source}, licence {backbone.licence or 'unknown'}"]


def _trained(plan: Plan, kept: int, head: int) -> str:
    """Return how many of the kept parameters are trained, now or then."""
    if plan.case in (1, 2) or not plan.trainings:
        return f"{head:,} of them trained"
    if plan.unchanged:
        return "none of them changed by the training that was tried"
    frozen = plan.backbone.parameters_to[len(plan.frozen) - 1] if plan.frozen else 0
    return f"{kept - frozen:,} of them trained"


def training_cost(measured: Measured, plan: Plan) -> list[str]:
    """Return what training may take at most, at the speed measured on this machine."""
    if not plan.trainings:
        return []
    lines, whole = list[str](), 0.0
    for training in plan.trainings:
        speed = training_speed(measured, training)
        shown = images_shown(training, plan.train - plan.validation, plan.validation)
        whole += shown / speed
        start = "pretrained" if training.init == "pretrained" else "random"
        rates = f", all {len(training.rates)} rates counted" if len(training.rates) > 1 else ""
        lines.append(
            f"training from {start} weights shows at most {shown:,} images{rates}: "
            f"{duration(shown / speed)} at the {speed:.0f} images/s measured here"
        )
    if len(lines) > 1:
        lines.append(f"both together, if the first is not enough: {duration(whole)} at most")
    if plan.gain is not None and plan.trainings[0].init == "pretrained":
        lines.append(f"it is expected to {plan.gain.said} in {duration(whole)} at most")
    if plan.budget is not None:
        lines.append(f"with all else to be done within the budget of {duration(plan.budget)}")
    return lines


def duration(seconds: float) -> str:
    """Return a time as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def relative(data: str, folder: Path) -> str:
    """Where the images are, seen from the folder a plan is written to; '' if that has no path."""
    if is_address(data):
        return data
    try:
        return Path(os.path.relpath(data, folder)).as_posix()
    except ValueError:  # another drive
        return ""


def write(plan: Plan, path: Path) -> None:
    """Write a plan to a file.

    Raises:
        RunError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(serialize.dumps(plan), encoding="utf-8")
    except OSError as error:
        raise RunError(f"The plan cannot be written to {path}: {error.strerror}.") from error
