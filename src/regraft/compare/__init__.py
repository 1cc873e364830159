"""All four cases on the same images, side by side.

The images are looked at once. Every case has the same training, validation and held-out images, and
is judged on the held-out ones once; none of them decides anything. A case that is absurd for the
size of the set (`absurd`) is trained briefly, or left out where ``quick`` is asked for.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from regraft.backbones import Weights
from regraft.compare.cases import (
    Done,
    absurd,
    briefly,
    frozen_plans,
    handed_over,
    in_time,
    performed,
    trained_plans,
    training_of,
)
from regraft.compare.comparison import Comparison, Omitted, Outcome, check_place, verdict
from regraft.data.dataset import Dataset
from regraft.distributed import world_size
from regraft.errors import UsageError
from regraft.plan.choices import Choices, ChoiceWords, chosen, spelled_out
from regraft.plan.data_place import absolute
from regraft.plan.definition import Plan
from regraft.plan.events import Note, OnEvent
from regraft.plan.gain import worth_training
from regraft.run.api import DEFAULT, Data
from regraft.run.auto import network_for
from regraft.run.budget import bounded
from regraft.run.draft import draft
from regraft.run.measure import Measured, measure
from regraft.run.pretrained import Pretrained
from regraft.verb import calls_package

if TYPE_CHECKING:
    from torch import nn

    from regraft.networks.own import Fed

__all__ = ["Comparison", "Omitted", "Outcome", "check", "compare", "side_by_side"]


@calls_package
@spelled_out
def compare(
    data: Data,
    backbone: "str | nn.Module | Pretrained" = DEFAULT,
    *,
    choices: Choices | None = None,
    weights: str | os.PathLike[str] | None = None,
    stages: Sequence[str] | None = None,
    view: "Fed | None" = None,
    quick: bool = False,
    strict: bool = False,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    cache: str | os.PathLike[str] | None = None,
    on_event: OnEvent = lambda row: None,
    **words: Unpack[ChoiceWords],
) -> Comparison:
    """Run all four cases on the same images, and write the folder ``out`` if one is named.

    Args:
        data: a folder, table or archive, or a `regraft.Dataset`.
        backbone: a bundled backbone or any timm model by its name, a ``torch.nn.Module`` of your
            own, or a `regraft.Pretrained`, as `regraft.open_network` gives one.
        choices: a record of what is overruled; the keywords overrule it.
        weights: a file to read the backbone's weights from.
        stages: of a module: its submodules after which features may be read; found where None.
        view: of a module: how images go in; see `regraft.open_network`.
        quick: leave out the cases that are absurd for the size.
        strict: let any image that has to be left out be an error.
        out: the folder to make.
        overwrite: replace an earlier comparison.
        cache: the cache folder; the user's where None.
        on_event: called with what happens in training.
        **words: ``seed``, ``test_fraction``, ``budget`` (in seconds) and all that
            `regraft.Choices` explains, but what names one case: ``case``, ``cut``, ``init``
            and ``trainable_from``.

    Returns:
        What each case got on the held-out images and what it cost: accuracies (of several labels
        and numbers mean average precision and R2) with their 95 % intervals, times in seconds; see
        `regraft.compare.Comparison`.

    Raises:
        UsageError: choices that name one case, or a budget that cannot be kept.
        DataError: the images cannot be used.
        BackboneError: there is no such network, or its weights cannot be had.
        RunError: the folder cannot be written.
    """
    choices = chosen(choices, words)
    check(choices, out, overwrite=overwrite)
    started, dataset = time.perf_counter(), Dataset.open(data, **choices.columns)
    network = network_for(
        dataset, backbone, weights, choices, stages=stages, view=view, strict=strict, cache=cache
    )
    measured = measure(
        dataset,
        network,
        choices,
        strict=strict,
        cache=cache,
        progress=bounded(choices.budget, started=started),
        started=started,
    )
    found = side_by_side(measured, choices, quick=quick, on_event=on_event)
    if not isinstance(data, Dataset):
        found = replace(found, data=absolute(os.fspath(data)))
    if out is not None:
        found.save(out, overwrite=overwrite)
    return found


def check(choices: Choices, out: str | os.PathLike[str] | None, *, overwrite: bool = False) -> None:
    """Refuse before the work what cannot be compared, and a folder that may not be replaced.

    Raises:
        UsageError: choices that name one case, or several processes.
        RunError: the folder may not be replaced, or cannot be written.
    """
    one = Choices(
        case=choices.case,
        cut=choices.cut,
        init=choices.init,
        trainable_from=choices.trainable_from,
    )
    problems = [f"It runs every case, so it goes without {name}." for name in one.named()]
    if world_size() > 1:
        problems.append(f"It runs in one process, got {world_size()}; start it without torchrun.")
    if problems:
        raise UsageError("This cannot be compared.", problems)
    if out is not None:
        check_place(Path(out), overwrite=overwrite)


def side_by_side(
    measured: Measured,
    choices: Choices,
    *,
    quick: bool = False,
    on_event: OnEvent = lambda row: None,
) -> Comparison:
    """Run the cases on images that were looked at, and compare what they got.

    The validation images, not the held-out ones, say which case ``fit`` hands over.
    """
    untimed, measured = replace(choices, budget=None), replace(measured, small=None)
    aims = draft(measured, untimed)
    plans, omitted = frozen_plans(measured, untimed, aims)
    full, absent = trained_plans(measured, untimed, aims, quick=quick)
    shared = time.perf_counter() - measured.started
    done = [performed(plan, measured, on_event) for plan in plans]
    trained, late = _trained(full, measured, choices.budget, on_event)
    done += trained
    cases, chosen = tuple(one.outcome for one in done), handed_over(done, aims)
    return Comparison(
        dataset=aims.dataset,
        backbone=aims.backbone.name,
        seed=aims.seed,
        train=aims.train,
        test=aims.test,
        cases=cases,
        omitted=tuple(sorted((*omitted, *absent, *late), key=lambda one: one.case)),
        chosen=chosen,
        indicated=aims.indicated,
        verdict=verdict(cases, [one.right for one in done], chosen, aims.kind),
        seconds={"shared": shared, "total": time.perf_counter() - measured.started},
        classes=len(measured.classes),
        recipe=aims.recipe,
        options=_asked(choices, aims.backbone.weights, quick=quick),
        kind=aims.kind,
    )


def _asked(choices: Choices, weights: Weights, *, quick: bool) -> tuple[str, ...]:
    """Return what was asked for, as it would be typed."""
    asked = [f"--weights {weights.location}"] if weights.origin == "file" else []
    asked += choices.named()
    if choices.test_fraction is not None:
        asked.append(f"--test-fraction {choices.test_fraction:g}")
    return (*asked, *(["--quick"] if quick else []))


def _trained(
    full: Sequence[Plan], measured: Measured, budget: float | None, on_event: OnEvent
) -> tuple[list[Done], list[Omitted]]:
    """Cases 3 and 4, each in full, briefly, or in what the budget leaves."""
    done, omitted = [], []
    here = [briefly(plan) if _absurd(plan) else plan for plan in full]
    for number, plan in enumerate(here):
        fitting = plan if budget is None else in_time(here[number:], measured, budget)
        if fitting is None:
            why = f"not one epoch fits into what is left of the budget of {budget:g} s"
            omitted.append(Omitted(plan.case, why))
            continue
        on_event(Note(what=f"Case {plan.case}: {training_of(fitting)}"))
        short = "" if fitting.trainings == plan.trainings else f"the budget is {budget:g} s"
        brief = "; ".join(filter(None, (_absurd(plan), short)))
        done.append(performed(fitting, measured, on_event, brief=brief))
    return done, omitted


def _absurd(plan: Plan) -> str:
    return absurd(plan.case, plan.train, worth=worth_training(plan.evidence, plan.budget))
