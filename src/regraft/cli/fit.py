"""``regraft fit``: do what the evidence, or a plan, says."""

import dataclasses
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any

from rich.text import Text

from regraft.cli import tables
from regraft.cli.plan import TRAINS_HERE, cost, measured_from, relative, training_cost
from regraft.cli.terminal import linked, print_json, results, say, show, training_bar
from regraft.data.corrections import Corrected, correct
from regraft.data.dataset import Dataset
from regraft.data.readers.table import CORRECTION
from regraft.distributed import is_rank_zero, on_rank_zero
from regraft.errors import UsageError
from regraft.heads.tasks.words import words_of
from regraft.networks.factories import is_factory
from regraft.plan import serialize
from regraft.plan.choices import Choices
from regraft.plan.data_place import data_from, with_data
from regraft.plan.definition import Plan
from regraft.results.files import PAGE, SUSPECTS_FILE
from regraft.results.result import Result
from regraft.run.api import DEFAULT, carry_out, check_engine, check_out, check_plan
from regraft.run.before_corrections import before_corrections
from regraft.run.draft import proposed
from regraft.run.measure import Measured


def run_fit(
    data: str | None,
    backbone: str,
    choices: Choices,
    *,
    plan_file: Path | None,
    add: Path | None,
    weights: Path | None,
    augment: bool,
    strict: bool,
    check: bool,
    on: str | None,
    out: Path,
    overwrite: bool,
    resume: bool,
    tensorboard: bool,
    as_json: bool,
) -> None:
    """Make the RUN folder, and print what it got."""
    check_out(out, overwrite=overwrite, resume=resume)
    if add is not None and plan_file is not None:
        raise UsageError(
            "--add changes the images, and a plan is made for the images as they were.",
            ["Leave out --plan: the case is decided anew."],
        )
    asked: str | None = backbone
    plan = None if plan_file is None else on_rank_zero(partial(serialize.read, plan_file))
    wish = "" if plan is None else plan.engine
    if plan is not None:
        check_engine(plan)
        _refuse_choices(plan, choices, backbone, augment)
        data, augment = data or _data_of(plan, plan_file), plan.mirror
        named = None if backbone == DEFAULT else backbone
        asked = plan.backbone.name if plan.backbone.architecture else named
        choices = plan.looked_at
    if data is None:
        raise UsageError("Missing DATA.", ["Name the images, or a plan with --plan FILE."])
    opened = None if add is None else Dataset.open(data, **choices.columns)
    corrected = None if opened is None or add is None else correct(opened, add, _root_of(data))
    source = data if corrected is None else corrected.after
    measured = measured_from(
        source,
        asked,
        choices,
        weights=weights,
        augment=augment,
        strict=strict,
        check=check,
        on=on,
        wish=wish,
        budget=choices.budget if plan is None else plan.budget,
        like=None if plan is None else plan.backbone,
    )
    say(*measured.audit.warnings)
    before, gathered = None, None
    if plan is None:
        plan, gathered = proposed(measured, choices)
        if corrected is not None:
            before = before_corrections(corrected, measured, choices, measured.network, plan.split)
            plan = dataclasses.replace(
                plan,
                overrides=(
                    *plan.overrides,
                    f"--add ({corrected.named}; without them {_share(before, plan)})",
                ),
            )
    else:
        check_plan(plan, measured)
    plan = with_data(plan, relative(data, out))
    if plan.trainings and is_rank_zero():  # the others would measure the same at the same time
        say(*training_cost(measured, plan), *([] if on is None else [TRAINS_HERE]))
        if not plan.insists:
            say("`--case frozen` leaves it out, `--budget 5m` bounds it.")
    with training_bar(is_rank_zero()) as on_event:
        result = carry_out(
            plan,
            measured,
            gathered,
            out=out,
            overwrite=overwrite,
            resume=resume,
            tensorboard=tensorboard and is_rank_zero(),
            on_event=on_event,
        )
    if not is_rank_zero():
        return
    if corrected is not None and result.plan.split != plan.split:  # the frozen network has won
        own = result.plan.split
        before = before_corrections(corrected, measured, choices, measured.network, own)
    if as_json:
        print_json({**result.metrics, **({} if corrected is None else {"before": before})})
        return
    metrics = with_total(result.metrics, time.perf_counter() - measured.started)
    tables.show_result(results(), result.plan, metrics, result.changes, cost(measured, result.plan))
    if corrected is not None:
        show(_before_and_after(corrected, _share(before, plan), measured, result))
    say(*to_correct(result, out, data))
    page = linked(out / PAGE)
    say(
        f"Written to {out}. `regraft serve {out}` puts it on a page.",
        Text.assemble(page, f" shows it with pictures; `regraft predict {out} IMAGES...` uses it."),
    )


def to_correct(result: Result, out: Path, data: str) -> list[str]:
    """Say how the labels that look wrong are corrected, where some do."""
    if not result.suspects:
        return []
    table, plan = out / SUSPECTS_FILE, result.plan
    columns = {"--path-column": plan.path_column, "--label-column": plan.label_column}
    named = [f" {name} {quote(column)}" for name, column in columns.items() if column]
    return [
        f"{table} lists the labels that look wrong: write the right one into its column "
        f"{CORRECTION} (the label that it has, where that is right).",
        f"`regraft fit {data}{''.join(named)} --add {table} --out ANOTHER` uses what you wrote.",
    ]


def with_total(metrics: Mapping[str, Any], total: float) -> dict[str, Any]:
    """Return the figures with the seconds of the whole run, its writing included."""
    found = {**metrics, "seconds": {**metrics["seconds"], "total": total}}
    if "budget" in metrics:
        found["over_budget"] = max(total - metrics["budget"], 0.0)
    return found


def _root_of(data: str) -> Path:
    """Return the folder that the data's paths count from."""
    path = Path(data)
    return path if path.is_dir() else path.parent


def _before_and_after(corrected: Corrected, before: str, measured: Measured, result: Result) -> str:
    unused = [one.path for one in measured.audit.left_out if one.path in corrected.paths]
    last = (
        f"Of the corrected images {len(unused):,} could not be used; they are named above."
        if unused
        else "None of the corrected images is among them."
    )
    words, metrics = words_of(result.kind), result.metrics
    of = f"{metrics['n']:,} {result.plan.judged}"
    got = f"{words.told(metrics[words.key])} of the {of}"
    if result.kind != "one":
        got = f"{words.got(metrics[words.key])} on the {of}"
    return f"With the corrections ({corrected.named}): {got}, without them {before}. {last}"


def _share(before: float | None, plan: Plan) -> str:
    """Return what was right of the same images before.

    The frozen network's, which is never trained.
    """
    if before is None:
        return "nothing could be fitted"
    of = "of" if plan.kind == "one" else "on"
    told = f"{words_of(plan.kind).told(before)} {of} the same"
    return told + (" by a frozen network" if plan.trainings else "")


def _data_of(plan: Plan, path: Path | None) -> str:
    """Where a plan's images are."""
    if not plan.data or path is None:
        raise UsageError(
            "This plan does not say where its images are.",
            ["Name them too: regraft fit DATA --plan FILE."],
        )
    return data_from(path.parent, plan)


def _refuse_choices(plan: Plan, asked: Choices, backbone: str, augment: bool) -> None:
    """Refuse choices beside a plan, which has made every one: none is passed over in silence."""
    named = list(asked.named())
    named += [f"--seed {asked.seed}"] if asked.seed != Choices().seed else []
    named += ["--test-fraction"] if asked.test_fraction is not None else []
    named += ["--augment"] if augment else []
    again = not plan.backbone.architecture and is_factory(backbone)  # nothing else can make it
    if backbone not in (DEFAULT, plan.backbone.name) and not again:
        named.append(f"--backbone {backbone}")
    if named:
        raise UsageError(
            "A plan says what is done, so --plan goes with no other choice.",
            [f"Leave out {name}, or edit the plan." for name in named],
        )
