"""The training loop: one candidate, epoch by epoch, from where its checkpoint left off.

Every epoch draws from a seed of its own (the run's and the epoch's number, the same for every
rate), so a run that was killed and goes on from a checkpoint ends with the weights of one that was
not.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regraft.distributed import all_reduce_sum, any_rank, broadcast_tensors, on_rank_zero
from regraft.errors import RunError
from regraft.finetune.data import Augment, batches
from regraft.finetune.judge import logits_of
from regraft.finetune.modes import no_memory
from regraft.finetune.rates import scaled, set_rate
from regraft.finetune.state import (
    TrainContext,
    TrainSnapshot,
    TrainState,
    copied,
    keep,
    restored,
    seeded,
)
from regraft.heads.losses import LOSSES
from regraft.networks.build import normalised
from regraft.plan.events import Epoch, EpochProgress, Note
from regraft.plan.recipes import steps_of

RETREATS = 3
"""How often a candidate may go back to its last good epoch with a third of the rate."""

PULSE = 0.5
"""Seconds between two words about how far an epoch is."""

LOOK = 20
"""Steps between two looks at the loss, which wait for the device."""


Inputs = Callable[[slice], tuple[Any, ...]]
"""Gives what the network takes for a part of a step's images."""


class Diverged(Exception):
    """The loss, the weights or what they give are no longer numbers."""


class OutOfTime(Exception):
    """The budget is used up."""


def advance(
    job: TrainContext,
    name: str,
    rate: float,
    rows: NDArray[np.intp],
    until: int,
    *,
    judge: bool = True,
) -> TrainSnapshot:
    """Train one candidate on the images ``rows`` up to an epoch, from its checkpoint if it has one.

    Without ``judge`` no validation image is looked at: the last state is the best.

    Raises:
        RunError: a checkpoint cannot be written.
    """
    candidate = restored(job, name, rate, len(rows))
    for row in candidate.rows[job.told.get(name, 0) :]:
        job.on_event(row)
    if judge and not candidate.best:
        _judge_start(job, candidate)
    while candidate.epoch < until and not candidate.problem:
        still = candidate.epoch - candidate.best_epoch
        if judge and still >= job.training.patience:
            break
        if judge and not candidate.best_epoch and still >= job.training.hopeless:
            break
        try:
            began = time.perf_counter()
            row = _epoch(job, candidate, rows, until)
            candidate.epoch += 1
            if any_rank(not candidate.is_sound()):
                raise Diverged
            if judge:
                row.validation_loss, row.validation_accuracy = _judge(job, candidate)
                row.measure = None if job.task.kind == "one" else job.task.words.measure
        except Diverged:
            candidate = _rolled_back(job, candidate, len(rows))
            continue
        except OutOfTime:
            candidate.problem = "out of time"
            break
        shown, spent = len(rows), time.perf_counter() - began
        row.left = left(job, shown * (until - candidate.epoch), spent / shown)
        candidate.rows.append(row)
        keep(job, candidate)
        job.on_event(row)
    job.told[name] = len(candidate.rows)
    if not judge:
        broadcast_tensors(candidate.used.state_dict().values())
        candidate.best = copied(candidate.used.state_dict())
        candidate.best_epoch = candidate.epoch
    return candidate.snapshot()


def _epoch(job: TrainContext, candidate: TrainState, rows: NDArray[np.intp], until: int) -> Epoch:
    """Every image once (or as often as sampling draws it); the row for the log."""
    fabric, training = job.fabric, job.training
    began, total, shown = time.perf_counter(), torch.zeros((), device=fabric.device), 0
    heard = began
    per_epoch = steps_of(len(rows), training)
    steps = per_epoch * training.epochs
    augment = Augment(training, job.backbone.view, 1 if fabric.device.type == "cpu" else 16)
    candidate.wrapped.train()
    with seeded(job, candidate):
        for number, some in enumerate(
            batches(job.labels[rows], training, job.seed, candidate.epoch)
        ):
            if job.deadline < float("inf") and any_rank(time.monotonic() > job.deadline):
                raise OutOfTime
            set_rate(candidate.optimizer, training, candidate.epoch * per_epoch + number, steps)
            total += _step(job, candidate, rows[some], augment)
            shown += len(some)
            candidate.shown += len(some)
            last = number == per_epoch - 1
            if (number % LOOK == 0 or last) and any_rank(not bool(torch.isfinite(total))):
                raise Diverged
            now = time.perf_counter()
            if now - heard > PULSE and not last:
                heard = now
                done = number + 1
                own = per_epoch * (until - candidate.epoch) - done  # steps
                each = len(rows) / per_epoch
                last_for = left(job, round(own * each), (now - began) / (done * each))
                job.on_event(
                    EpochProgress(
                        what=candidate.name,
                        epoch=candidate.epoch + 1,
                        done=done,
                        steps=per_epoch,
                        loss=float(total) / done,
                        left=last_for,
                    )
                )
    seconds = time.perf_counter() - began
    return Epoch(
        what=candidate.name,
        seconds=seconds,
        epoch=candidate.epoch + 1,
        of=training.epochs,
        rate=candidate.rate * candidate.share,
        loss=all_reduce_sum(float(total)) / job.fabric.world_size / per_epoch,
        images_per_second=shown / seconds,
    )


def left(job: TrainContext, own: int, pace: float) -> float:
    """Seconds until all training is done, at most: all rates, the second training, other starts.

    ``own``: images that this candidate still shows before others have their turn; ``pace``: seconds
    an image. Under a budget it is no more than what that leaves.
    """
    return min(pace * (own + job.later), max(job.deadline - time.monotonic(), 0.0))


def _step(
    job: TrainContext, candidate: TrainState, rows: NDArray[np.intp], augment: Augment
) -> Tensor:
    """One step of the optimizer, in smaller parts where memory does not hold all at once.

    The processes share its ``rows``.
    """
    device, world = job.fabric.device, job.fabric.world_size
    mine = rows[job.fabric.global_rank :: world]
    inputs = _inputs(job, mine, augment)
    truth = torch.from_numpy(job.labels[mine]).to(device)
    while True:
        try:
            loss = _gradients(job, candidate, inputs, truth, len(rows))
            break
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not no_memory(error) or candidate.micro == 1 or len(mine) == 1:
                raise
            if world > 1:  # the others wait for the sum of this step's gradients
                raise RunError(
                    f"Memory does not hold {len(mine)} images of a step in one process.",
                    [
                        "Share the steps among more machines, or start one process, which parts "
                        "them."
                    ],
                ) from error
            candidate.optimizer.zero_grad()
            candidate.micro = max(1, min(candidate.micro or len(mine), len(mine)) // 2)
        job.on_event(
            Note(
                what=f"{candidate.name}: out of memory; from now on {candidate.micro} images at "
                "once, their gradients added up"
            )
        )
    candidate.optimizer.step()
    candidate.optimizer.zero_grad()
    if candidate.average is not None:
        candidate.average.update_parameters(candidate.network)
    return loss


def _inputs(job: TrainContext, rows: NDArray[np.intp], augment: Augment) -> Inputs:
    """Return what goes into the network for some images: pixels, or what is held at the border.

    The border is held where there is one; the only augmentation then is mirroring.
    """
    if job.border is None:
        pixels = augment(job.squares.batch(rows).to(job.fabric.device))
        return lambda part: (normalised(pixels[part], job.backbone, job.channels_last),)
    flipped = (torch.rand(len(rows)) < 0.5).numpy() if job.training.mirror else None
    value, taps = job.border.batch(rows, flipped)
    return lambda part: (value[part], [tap[part] for tap in taps])


def _gradients(
    job: TrainContext, candidate: TrainState, inputs: Inputs, truth: Tensor, whole: int
) -> Tensor:
    """Forward and back over one step's images; their mean loss.

    Of several processes each has a share of the ``whole`` step; the mean of what they find, which
    is what is done with their gradients, is that of the step, however uneven the shares.
    """
    total = torch.zeros((), device=truth.device)
    size = candidate.micro or len(truth)
    parts = range(0, len(truth), size)
    for start in parts:
        part = slice(start, start + size)
        with job.fabric.no_backward_sync(candidate.wrapped, enabled=start != parts[-1]):
            logits = candidate.wrapped(*inputs(part))
            each = LOSSES[job.task.kind](
                logits.float(), truth[part], job.weights.to(truth.device), job.training.smoothing
            )
            loss = each.sum() * job.fabric.world_size / whole
            job.fabric.backward(loss)
        total += loss.detach()
    return total


def _judge_start(job: TrainContext, candidate: TrainState) -> None:
    """Judge the start, which training has to beat."""
    try:
        _judge(job, candidate)
    except Diverged:
        candidate.best = copied(candidate.used.state_dict())
        candidate.problem = "even before the training it gives no numbers"


def _judge(job: TrainContext, candidate: TrainState) -> tuple[float, float]:
    """Loss and accuracy on the validation images; the state is kept if it is the best so far."""
    broadcast_tensors(candidate.used.state_dict().values())
    logits = logits_of(job.fabric, candidate.used, job.judged, job.backbone)
    if not np.isfinite(logits).all():
        raise Diverged
    accuracy = job.task.merit(logits, job.truth)
    loss = on_rank_zero(lambda: _calibrated_loss(job, logits))  # all decide by the same number
    if loss < candidate.loss:
        candidate.loss, candidate.accuracy, candidate.best_epoch = loss, accuracy, candidate.epoch
        candidate.best = copied(candidate.used.state_dict())
    return loss, accuracy


def _calibrated_loss(job: TrainContext, logits: NDArray[np.float32]) -> float:
    """Return the loss as it is calibrated best, which every candidate is in the end.

    Without it the start, whose head is calibrated, would be favoured over networks trained on
    smoothed labels, whose confidence is too low.
    """
    shares = job.task.shares(job.task.calibration(logits, job.truth)(logits))
    return float(job.task.losses(shares, job.truth).mean())


def _rolled_back(job: TrainContext, candidate: TrainState, images: int) -> TrainState:
    """Return the candidate at its last good epoch, with a third of the rate."""
    back = restored(job, candidate.name, candidate.rate, images)
    if not back.best:  # no epoch was finished: the start is all there is
        back.best, back.loss, back.accuracy = candidate.best, candidate.loss, candidate.accuracy
    share = candidate.share / 3
    scaled(back.optimizer, share / back.share)
    back.share, back.retreats = share, candidate.retreats + 1
    back.micro, back.shown = candidate.micro, candidate.shown
    what = f"{candidate.name}: the loss is no longer a number"
    if back.retreats > RETREATS:
        back.problem = "the loss is no longer a number, at any rate tried"
        job.on_event(Note(what=f"{what}, at any rate tried; it ends at epoch {back.epoch}"))
    else:
        rate = candidate.rate * share
        job.on_event(Note(what=f"{what}; back to epoch {back.epoch} with the rate {rate:.2g}"))
    return back
