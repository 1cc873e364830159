"""Train a network: cases 3 and 4.

`train` reads top to bottom: the images are decoded once, a few learning rates start, all but
the best are dropped after half of the epochs, that one goes on to the end or until it no
longer gains, and a small set is then trained once more with its validation images.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import nn

from regraft.backbones import Backbone
from regraft.distributed import any_rank, on_rank_zero, open_fabric
from regraft.errors import DataError
from regraft.features.training_mode import Mode, kept, place
from regraft.finetune.activation_cache import ActivationCache
from regraft.finetune.data import ImageBuffer, Read, room_for_crops
from regraft.finetune.judge import logits_of
from regraft.finetune.loop import advance
from regraft.finetune.modes import find
from regraft.finetune.state import TrainContext, TrainSnapshot
from regraft.heads.ridge import Head, class_weights
from regraft.heads.tasks import OutputScale, Task, task_of
from regraft.networks import trunk_state
from regraft.networks.build import normalised
from regraft.networks.changes import Change
from regraft.networks.split import split
from regraft.networks.surgery import TransferNetwork, operate
from regraft.plan.events import Epoch, OnEvent
from regraft.plan.recipes import Training, images_shown, rung_of

__all__ = ["Images", "Read", "Trained", "predict", "speed_of", "train"]


ONE = task_of("one")

MODE = "mode.json"
"""Beside the checkpoints: how this run trains, so that it goes on as it began."""


@dataclass(frozen=True)
class Images:
    """The training images: ``items`` of ``read``, their labels, and which of them validate.

    ``train`` and ``val`` are positions in ``items``; together they are all of them, and there is at
    least one in each.
    """

    read: Read
    items: Sequence[int]
    labels: NDArray[Any]
    train: NDArray[np.intp]
    val: NDArray[np.intp]
    task: Task = ONE


@dataclass(frozen=True, eq=False)
class Trained:
    """What a race gave.

    ``shares``: calibrated answers ``[n, C]`` for the validation images, by the winner before
    it was trained on them. ``state``: the network's tensors by name, calibration folded in.
    ``epochs``: after how many it was best; 0 where no epoch was better than the start.
    ``shown``: images that went forward and back. ``problem``: why it did not end as planned.
    """

    rate: float
    epochs: int
    loss: float
    shares: NDArray[np.floating[Any]]
    state: Mapping[str, NDArray[Any]]
    changes: tuple[Change, ...]
    rows: tuple[Epoch, ...]
    shown: int
    seconds: float
    precision: str
    images_per_second: float
    problem: str
    mode: str = ""

    @property
    def failed(self) -> bool:
        """Whether nothing came of it: it ended early, and no epoch was better than the start."""
        return bool(self.problem) and not self.epochs


def train(
    images: Images,
    backbone: Backbone,
    build: Callable[[], nn.Module],
    classes: Sequence[str],
    training: Training,
    *,
    head: Callable[[NDArray[np.intp]], Head],
    seed: int,
    folder: Path,
    cache: Path,
    deadline: float = float("inf"),
    later: int = 0,
    on_event: OnEvent = lambda row: None,
) -> Trained:
    """Train a network on images.

    Args:
        images: the training images, and which of them validate.
        backbone: the network's record.
        build: gives the whole network.
        classes: their names.
        training: the recipe.
        head: fits a head on some of the images; asked where the recipe starts from a fitted one.
        seed: of everything that is drawn.
        folder: for the checkpoints; where there are some, training goes on from them.
        cache: the cache folder, which remembers how training runs fastest.
        deadline: when to stop with the best so far, on the clock of `time.monotonic`.
        later: images that other trainings show at most after this one, for how long it all takes.
        on_event: called with every row of the log.

    Raises:
        DataError: there is no image to validate with, or one can no longer be read.
        RunError: a checkpoint cannot be written.
    """
    _check_judged(images)
    began, module = time.monotonic(), build()
    start = _starts(module, backbone, classes, training, seed)
    fitted = head(images.train) if training.fitted else None
    network, changes = start(fitted)
    mode = on_rank_zero(
        lambda: kept(folder / MODE, partial(mode_of, lambda: network, backbone, training, cache))
    )
    fabric = open_fabric(mode.precision)
    named = trunk_state.of_module(module, backbone).needs
    job = TrainContext(
        fabric=fabric,
        channels_last=mode.channels_last,
        backbone=backbone,
        training=training,
        start=lambda: start(fitted)[0],
        depths={name: d for d in reversed(range(len(named))) for name in named[d]},
        squares=ImageBuffer(images.read, images.items, room_for_crops(backbone.view, training)),
        labels=images.labels,
        judged=ImageBuffer(images.read, [images.items[i] for i in images.val], backbone.view),
        truth=images.labels[images.val],
        weights=_class_weights(images.labels[images.train], len(classes), training),
        task=images.task,
        seed=seed,
        folder=folder,
        deadline=deadline,
        later=later,
        on_event=on_event,
    )
    job = replace(job, border=_border(job, network, fabric))
    everyone = _race(job, images.train)
    best = min(everyone, key=_loss)
    network.load_state_dict(best.best)
    logits = logits_of(fabric, network.to(fabric.device), job.judged, backbone)
    logits[~np.isfinite(logits).all(1)] = 0  # a network that gives no numbers tells nothing
    calibration = on_rank_zero(lambda: images.task.calibration(logits, job.truth))
    shares = images.task.shares(calibration(logits))
    final = best
    # where no epoch was better than the start, what is fitted to all images is the head alone
    if training.refit and (best.best_epoch or training.fitted) and not best.problem:
        whole = np.arange(len(images.items))
        again = head(whole) if training.fitted else None
        job = replace(job, start=lambda: start(again)[0])
        final = advance(job, f"{best.name}-all", best.rate, whole, best.best_epoch, judge=False)
        everyone.append(final)
    return Trained(
        rate=best.rate,
        epochs=best.best_epoch,
        loss=float(images.task.losses(shares, job.truth).mean()),
        shares=shares,
        state=_calibrated(best if final.problem else final, calibration),
        changes=tuple(changes),
        rows=tuple(row for one in everyone for row in one.rows),
        shown=sum(one.shown for one in everyone),
        seconds=time.monotonic() - began,
        precision=mode.precision,
        images_per_second=mode.images_per_second,
        problem=final.problem,
        mode=mode.name,
    )


def _check_judged(images: Images) -> None:
    if not len(images.val) or not len(images.train):
        raise DataError(
            "There are too few images to train the network and to judge what came of it.",
            [
                "At least one class must have three different pictures to train on; none has.",
                "Add images, or keep the network frozen (cases 1 and 2).",
            ],
        )


def _border(job: TrainContext, network: TransferNetwork, fabric: Fabric) -> ActivationCache | None:
    """Return what the frozen part gives, held from its first use on.

    None where each look is a new one.
    """
    training = job.training
    parts = split(network, training.trainable_from, job.backbone) if training.crop >= 1 else None
    if parts is None:
        return None
    network.to(fabric.device)
    if job.channels_last:
        network.to(memory_format=torch.channels_last)

    def look(rows: NDArray[np.intp], flipped: NDArray[np.bool_]) -> torch.Tensor:
        pixels = job.squares.batch(rows).to(fabric.device)
        where = torch.from_numpy(flipped).to(fabric.device)[:, None, None, None]
        pixels = torch.where(where, pixels.flip(-1), pixels)
        return normalised(pixels, job.backbone, job.channels_last)

    return ActivationCache(parts[0], look, len(job.labels), mirror=training.mirror)


def _race(job: TrainContext, rows: NDArray[np.intp]) -> list[TrainSnapshot]:
    """All rates to the first rung, the best of them to the end (successive halving)."""
    training, everyone = job.training, list[TrainSnapshot]()
    shown, rung = images_shown(training, len(rows), len(job.truth)), rung_of(training)
    for number, rate in enumerate(training.rates, 1):
        if not everyone or not any_rank(time.monotonic() > job.deadline):
            turn = replace(job, later=job.later + shown - number * rung * len(rows))
            everyone.append(advance(turn, f"rate-{rate:g}", rate, rows, rung))
    going = [one for one in everyone if not one.problem]
    best = min(going, key=_loss, default=None)
    if best is not None and best.epoch < training.epochs:
        at = everyone.index(best)
        again = (len(rows) + len(job.truth)) * training.epochs if training.refit else 0
        turn = replace(job, later=job.later + again)
        everyone[at] = advance(turn, best.name, best.rate, rows, training.epochs)
    return everyone


def _loss(one: TrainSnapshot) -> float:
    return one.loss


def _starts(
    module: nn.Module, backbone: Backbone, classes: Sequence[str], training: Training, seed: int
) -> Callable[[Head | None], tuple[TransferNetwork, list[Change]]]:
    """Return a way to make the network to start from, under a given head or a random one.

    Stages before the first trained one are frozen. Frozen batch norm of the trained ones keeps its
    statistics; its scales and shifts are trained with the stage.
    """
    first = [stage.name for stage in backbone.stages].index(training.trainable_from)
    frozen = [escape(stage.name) for stage in backbone.stages[:first]]
    still = _batch_norms(module) if training.batch_norm == "frozen" else frozenset()

    def start(head: Head | None) -> tuple[TransferNetwork, list[Change]]:
        network, changes = operate(
            module,
            backbone,
            taps=training.taps,
            classes=classes,
            frozen=frozen or False,
            init=training.init,
            seed=seed,
            head_init=None if head is None else (head.weight, head.bias),
        )
        network.eval_modules |= still
        return network, changes

    return start


def _batch_norms(module: nn.Module) -> frozenset[str]:
    """Paths of the batch-norm layers."""
    kinds = nn.modules.batchnorm._BatchNorm
    return frozenset(p for p, m in module.named_modules() if isinstance(m, kinds))


def speed_of(
    build: Callable[[], nn.Module],
    backbone: Backbone,
    classes: Sequence[str],
    training: Training,
    cache: Path,
) -> float:
    """Images/s of training by a recipe on this machine, measured once and then remembered."""

    def network() -> TransferNetwork:
        return _starts(build(), backbone, classes, training, 0)(None)[0]

    return mode_of(network, backbone, training, cache).images_per_second


def mode_of(
    network: Callable[[], TransferNetwork], backbone: Backbone, training: Training, cache: Path
) -> Mode:
    """Return how training runs here: the recipe's mode, or one that is remembered or found now.

    ``network`` builds it as it is trained, if it has to be measured.
    """
    size, work = backbone.view.shape, backbone.multiply_adds_to[-1]
    return kept(
        place(cache, backbone, training),
        lambda: find(network(), training.batch, size, work, training.mode),
    )


def _class_weights(labels: NDArray[Any], classes: int, training: Training) -> torch.Tensor:
    if labels.ndim == 2:
        return torch.ones(classes)
    how = "balanced" if training.weighting == "balanced" else "none"
    of_image = class_weights(labels, classes, how)
    weights = np.ones(classes, np.float32)
    weights[labels] = of_image
    return torch.from_numpy(weights)


def _calibrated(candidate: TrainSnapshot, calibration: OutputScale) -> dict[str, NDArray[Any]]:
    """Return the best state as arrays, its outputs calibrated."""
    state = {name: tensor.numpy() for name, tensor in candidate.best.items()}
    head = Head((), state["head.weight"], state["head.bias"]).adjusted(
        calibration.slopes.tolist(), calibration.offsets.tolist()
    )
    return state | {"head.weight": head.weight, "head.bias": head.bias}


def predict(
    network: TransferNetwork, read: Read, items: Sequence[int], backbone: Backbone
) -> NDArray[np.float32]:
    """Logits ``[n, C]`` of images, each looked at once, in float32."""
    fabric = open_fabric("32-true")
    squares = ImageBuffer(read, items, backbone.view, held=0)
    return logits_of(fabric, network.to(fabric.device), squares, backbone)
