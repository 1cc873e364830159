"""Propose and apply: the whole run, top to bottom.

::

    images - Dataset - extract (one cached pass, every depth) - audit - split - Evidence - Plan
                                                             plan.steps() - Result - RUN folder

`measure` looks at the images once, `proposed` decides, `perform` walks the plan's
steps. `propose`, `apply` and `fit` are these three put together.
"""

import os
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from regraft.data.dataset import Dataset
from regraft.distributed import is_rank_zero, on_rank_zero
from regraft.errors import PlanError, RunError
from regraft.features import engines
from regraft.plan import serialize
from regraft.plan.choices import Choices, ChoiceWords, chosen, spelled_out
from regraft.plan.definition import Plan
from regraft.plan.events import Event, OnEvent
from regraft.plan.evidence import Gathered
from regraft.plan.recipes import check_training
from regraft.results.folder import check_destination
from regraft.results.result import Result
from regraft.run.auto import network_for
from regraft.run.budget import bounded
from regraft.run.draft import proposed
from regraft.run.execute import RunState, ended, execute
from regraft.run.measure import Measured, measure
from regraft.run.pretrained import Pretrained, reopened
from regraft.run.resume import begin, check_resume, end
from regraft.run.suspects import with_suspects
from regraft.run.tensorboard import FOLDER as EVENTS
from regraft.run.tensorboard import event_log
from regraft.run.unknown import with_unknown

if TYPE_CHECKING:
    from torch import nn

    from regraft.networks.own import Fed

DEFAULT = "efficientnet-lite0"

Data = str | os.PathLike[str] | Dataset


@spelled_out
def propose(
    data: Data,
    backbone: "str | nn.Module | Pretrained" = DEFAULT,
    *,
    choices: Choices | None = None,
    weights: str | os.PathLike[str] | None = None,
    stages: Sequence[str] | None = None,
    view: "Fed | None" = None,
    augment: bool = False,
    strict: bool = False,
    cache: str | os.PathLike[str] | None = None,
    on: str | None = None,
    **words: Unpack[ChoiceWords],
) -> Plan:
    """Measure the images, decide the case, and change nothing.

    Args:
        data: a folder, table or archive, or a `regraft.Dataset`.
        backbone: a bundled backbone or any timm model by its name, a ``torch.nn.Module`` of your
            own, or a `regraft.Pretrained`, as `regraft.open_network` gives one.
            ``auto`` (or ``auto:10ms``, ``auto:20MB``) for the one that `regraft.rank`
            chooses.
        choices: a record of what is overruled; the keywords overrule it.
        weights: a file to read the backbone's weights from.
        stages: of a module: its submodules after which features may be read; found where None.
        view: of a module: how images go in; see `regraft.open_network`.
        augment: try mirror images too, and keep them where they help.
        strict: let any image that has to be left out be an error.
        cache: the cache folder; the user's where None.
        on: ``ray``, or ``ray:ADDRESS``: the cluster that looks at the images.
        **words: ``case``, ``cut``, ``seed``, ``budget`` (in seconds) and all that
            `regraft.Choices` explains.

    Returns:
        The plan: what would be done, the cross-validated accuracy (a share, with its 95 % interval)
        of what could be read, and why. It is the same for the same images, backbone and seed.

    Raises:
        DataError: the images cannot be used.
        BackboneError: there is no such network, or its weights cannot be had.
        UsageError: choices that contradict each other.
    """
    choices = chosen(choices, words)
    dataset = Dataset.open(data, **choices.columns)
    network = network_for(
        dataset, backbone, weights, choices, stages=stages, view=view, strict=strict, cache=cache
    )
    measured = measure(
        dataset, network, choices, augment=augment, strict=strict, cache=cache, on=on
    )
    return proposed(measured, choices).plan


def apply(
    plan: Plan,
    data: Data,
    backbone: "str | nn.Module | Pretrained | None" = None,
    *,
    weights: str | os.PathLike[str] | None = None,
    strict: bool = False,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    resume: bool = False,
    cache: str | os.PathLike[str] | None = None,
    on_event: OnEvent = lambda row: None,
) -> Result:
    """Do what a plan says, and write the RUN folder ``out`` if one is named.

    The plan has made every choice. Its engine runs the network; where that is not to be had another
    does, with a warning.

    Args:
        plan: what `regraft.propose` gave.
        data: the images that it was made for, in any form that `regraft.propose` takes.
        backbone: the network that it was made for; found by the plan's name where None. A module of
            your own has to be handed over again.
        weights: a file to read the backbone's weights from.
        strict: let any image that has to be left out be an error.
        out: the RUN folder to make.
        overwrite: replace an earlier RUN.
        resume: go on with a training of ``out`` that was interrupted, from its last checkpoint.
        cache: the cache folder; the user's where None.
        on_event: called with every row of the log as it is made.

    Returns:
        The fitted network with its held-out figures; see `regraft.Result`.

    Raises:
        DataError: the images cannot be used.
        BackboneError: there is no such network, or its weights cannot be had.
        PlanError: the plan was made for other images or another backbone.
        RunError: the folder cannot be written, or there is nothing to resume.
    """
    check_out(out, overwrite=overwrite, resume=resume)
    network = reopened(plan.backbone, backbone, weights)
    check_engine(plan)
    measured = measure(
        Dataset.open(data, **plan.looked_at.columns),
        network,
        plan.looked_at,
        augment=plan.mirror,
        strict=strict,
        wish=plan.engine,
        cache=cache,
        progress=bounded(plan.budget),
    )
    check_plan(plan, measured)
    return carry_out(plan, measured, out=out, overwrite=overwrite, resume=resume, on_event=on_event)


@spelled_out
def fit(
    data: Data,
    backbone: "str | nn.Module | Pretrained" = DEFAULT,
    *,
    choices: Choices | None = None,
    weights: str | os.PathLike[str] | None = None,
    stages: Sequence[str] | None = None,
    view: "Fed | None" = None,
    augment: bool = False,
    strict: bool = False,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    resume: bool = False,
    cache: str | os.PathLike[str] | None = None,
    on_event: OnEvent = lambda row: None,
    on: str | None = None,
    **words: Unpack[ChoiceWords],
) -> Result:
    """Propose and apply in one go, looking at the images once.

    Args:
        data: a folder, table or archive, or a `regraft.Dataset`.
        backbone: a bundled backbone or any timm model by its name, a ``torch.nn.Module`` of your
            own, or a `regraft.Pretrained`, as `regraft.open_network` gives one.
            ``auto`` (or ``auto:10ms``, ``auto:20MB``) for the one that `regraft.rank`
            chooses.
        choices: a record of what is overruled; the keywords overrule it.
        weights: a file to read the backbone's weights from.
        stages: of a module: its submodules after which features may be read; found where None.
        view: of a module: how images go in; see `regraft.open_network`.
        augment: try mirror images too, and keep them where they help.
        strict: let any image that has to be left out be an error.
        out: the RUN folder to make; nothing is written where None.
        overwrite: replace an earlier RUN.
        resume: go on with a training of ``out`` that was interrupted, from its last checkpoint.
        cache: the cache folder; the user's where None.
        on_event: called with every row of the log as it is made.
        on: ``ray``, or ``ray:ADDRESS``: the cluster that looks at the images.
        **words: ``case``, ``cut``, ``seed``, ``budget`` (in seconds) and all that
            `regraft.Choices` explains.

    Returns:
        The fitted network with its held-out figures; see `regraft.Result`.

    Raises:
        DataError: the images cannot be used.
        BackboneError: there is no such network, or its weights cannot be had.
        UsageError: choices that contradict each other, or a budget that cannot be kept.
        RunError: the folder cannot be written, or there is nothing to resume.
    """
    check_out(out, overwrite=overwrite, resume=resume)
    choices, started = chosen(choices, words), time.perf_counter()
    dataset = Dataset.open(data, **choices.columns)
    network = network_for(
        dataset, backbone, weights, choices, stages=stages, view=view, strict=strict, cache=cache
    )
    measured = measure(
        dataset,
        network,
        choices,
        augment=augment,
        strict=strict,
        cache=cache,
        progress=bounded(choices.budget, started=started),
        started=started,
        on=on,
    )
    plan, gathered = proposed(measured, choices)
    return carry_out(
        plan,
        measured,
        gathered,
        out=out,
        overwrite=overwrite,
        resume=resume,
        on_event=on_event,
    )


def check_engine(plan: Plan) -> None:
    """Raise PlanError where a plan names an engine that there is not."""
    if plan.engine and not engines.is_known(plan.engine):
        names = ", ".join(engines.ORDER)
        raise PlanError(
            f"The plan names an engine that there is not: {plan.engine!r}.",
            [f"engine: must be one of {names}, or empty to choose one."],
        )


def check_plan(plan: Plan, measured: Measured) -> None:
    """Make sure that a plan was made for these images and this backbone.

    Raises:
        PlanError: it was not; every difference is named.
    """
    have, record = measured.network.backbone, plan.backbone
    problems = []
    if plan.fingerprint != measured.fingerprint:
        problems.append(
            f"The images differ: the plan's fingerprint is {plan.fingerprint[:12]}…, that of "
            f"{measured.dataset.name} is {measured.fingerprint[:12]}…."
        )
    if record.weights.sha256 != have.weights.sha256:
        problems.append(f"The weights of {have.name} are not those the plan was made with.")
    if record.stages != have.stages:
        now, then = (", ".join(s.name for s in one.stages) for one in (have, record))
        problems.append(f"The stages of {have.name} are {now}; the plan's are {then}.")
    if tuple(plan.evidence.classes) != measured.classes:
        problems.append(f"The classes differ: the plan has {', '.join(plan.evidence.classes)}.")
    problems += serialize.outdated(plan, measured.audit.notes)
    problems += serialize.parted_otherwise(plan, measured.parted(plan.split).split)
    if problems:
        remedy = "Make the plan again: regraft plan DATA --out FILE."
        raise PlanError("The plan was made for something else.", [*problems, remedy])


def check_out(
    out: str | os.PathLike[str] | None, *, overwrite: bool = False, resume: bool = False
) -> None:
    """Refuse a RUN folder before the work.

    Raises:
        RunError: something is there that may not be replaced, or there is nothing to resume.
    """
    if out is not None:
        on_rank_zero(lambda: _check_place(Path(out), overwrite=overwrite, resume=resume))
    elif resume:
        raise RunError("There is nothing to resume.", ["Name the RUN folder."])


def _check_place(out: Path, *, overwrite: bool, resume: bool) -> None:
    check_resume(out, resume=resume, overwrite=overwrite)
    check_destination(out, overwrite=overwrite)


def carry_out(
    plan: Plan,
    measured: Measured,
    gathered: Gathered | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    resume: bool = False,
    tensorboard: bool = False,
    on_event: OnEvent = lambda row: None,
) -> Result:
    """Perform a plan and write the RUN folder; training can be resumed until that is done.

    ``gathered``: what the plan's evidence was gathered from, where that is at hand.
    ``on_event`` is called with every row of the log as it is made; ``tensorboard`` writes them as
    event files too.
    """
    check_training(plan.trainings, plan.train - plan.validation)
    if out is None or not plan.trainings:
        if resume:
            raise RunError("There is nothing to resume.", ["This plan trains no network."])
        result = _performed(plan, measured, None, on_event)
    else:
        place = on_rank_zero(lambda: begin(Path(out), plan, resume=resume))
        with (
            event_log(place)
            if tensorboard and is_rank_zero()
            else nullcontext(lambda row: None) as log
        ):

            def both(row: Event) -> None:
                on_event(row)
                log(row)

            result = _performed(plan, measured, place, both)
    if plan.evidence.answer is None:
        result = with_suspects(result, measured, gathered)
    if out is not None:
        on_rank_zero(lambda: _save(result, Path(out), overwrite=overwrite))
        return replace(result, folder=Path(out))
    return result


def _save(result: Result, out: Path, *, overwrite: bool) -> None:
    result.save(out, overwrite=overwrite)
    end(out, keep=EVENTS)


def perform(
    plan: Plan,
    measured: Measured,
    place: Path | None = None,
    *,
    on_event: OnEvent = lambda row: None,
) -> Result:
    """Walk the plan's steps; checkpoints of training go into ``place``, or are not kept."""
    return _walked(plan, measured, place, on_event)[0]


def _performed(plan: Plan, measured: Measured, place: Path | None, on_event: OnEvent) -> Result:
    """Walk the plan's steps, and find out what tells images like these from others."""
    result, work = _walked(plan, measured, place, on_event)
    if plan.evidence.answer is not None:
        return result
    trained = work.best is not None and work.best.trained is not None
    return with_unknown(result, measured, work.best.shares if work.best and trained else None)


def _walked(
    plan: Plan, measured: Measured, place: Path | None, on_event: OnEvent
) -> tuple[Result, RunState]:
    plan = replace(plan, engine=measured.engine)
    work = RunState(plan, measured.parted(plan.split), place, on_event)
    try:
        return execute(work), work
    finally:
        ended(work)
