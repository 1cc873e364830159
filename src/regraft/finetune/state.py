"""A candidate of the race: where it stands, and how that is kept from one epoch to the next."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from regraft.backbones import Backbone
from regraft.distributed import on_rank_zero
from regraft.finetune import checkpoint
from regraft.finetune.activation_cache import ActivationCache
from regraft.finetune.checkpoint import Checkpoint
from regraft.finetune.data import ImageBuffer
from regraft.finetune.rates import optimizer_of, scaled
from regraft.heads.tasks import Task
from regraft.networks.split import split
from regraft.networks.surgery import TransferNetwork
from regraft.plan.events import Epoch, OnEvent
from regraft.plan.recipes import Training, steps_of


@dataclass(frozen=True)
class TrainContext:
    """What all candidates of a race are trained with."""

    fabric: Fabric
    channels_last: bool
    backbone: Backbone
    training: Training
    start: Callable[[], TransferNetwork]
    """Gives the network as training starts from it, always the same."""
    depths: Mapping[str, int]
    """Stage of each parameter of the trunk."""
    squares: ImageBuffer
    """The training images, those for validation included, with room for crops."""
    labels: NDArray[Any]
    """Their classes ``[n]``, or targets ``[n, K]``."""
    judged: ImageBuffer
    """The validation images as the network is to see them."""
    truth: NDArray[Any]
    weights: Tensor
    """Of each class in the loss."""
    task: Task
    """What is asked of an image: it decides the loss, and by what the network is judged."""
    seed: int
    folder: Path
    deadline: float
    """On the clock of `time.monotonic`."""
    on_event: OnEvent
    border: ActivationCache | None = None
    """What the frozen part of the network gives for the images, where that can be held."""
    later: int = 0
    """Images that are shown at most after this candidate's turn: by other rates, by the second
    training, and from other starts."""
    told: dict[str, int] = field(default_factory=dict)
    """Rows that were told, by candidate; those of a resumed run are told again, once."""


@dataclass(eq=False)
class TrainSnapshot:
    """Where a candidate stands, and its best state so far."""

    name: str
    rate: float
    epoch: int = 0
    loss: float = float("inf")
    accuracy: float = 0.0
    best_epoch: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)
    share: float = 1.0
    """What retreats have left of the rate."""
    retreats: int = 0
    micro: int = 0
    """Images that go through the network at once where a step does not fit; 0 for all."""
    shown: int = 0
    rows: list[Epoch] = field(default_factory=list)
    problem: str = ""


@dataclass(eq=False, kw_only=True)
class TrainState(TrainSnapshot):
    """One network in training."""

    network: TransferNetwork
    wrapped: Any
    """The network as Fabric runs it."""
    optimizer: Any
    average: AveragedModel | None

    @property
    def used(self) -> TransferNetwork:
        """The network that is judged: the averaged one, where there is one."""
        module = self.network if self.average is None else self.average.module
        assert isinstance(module, TransferNetwork)
        return module

    def snapshot(self) -> TrainSnapshot:
        """Where it stands, without the network, whose memory the next candidate needs."""
        return TrainSnapshot(**{f.name: getattr(self, f.name) for f in fields(TrainSnapshot)})

    def is_sound(self) -> bool:
        """Return whether all its weights and buffers are numbers."""
        tensors = [t for t in self.network.state_dict().values() if t.is_floating_point()]
        return bool(torch.stack([t.isfinite().all() for t in tensors]).all())


def fresh(job: TrainContext, name: str, rate: float, images: int) -> TrainState:
    """Return a candidate at its start."""
    network = job.start()
    if job.channels_last:
        network.to(memory_format=torch.channels_last)
    optimizer = optimizer_of(network, job.depths, job.training, rate)
    average = None
    if job.training.averaged:
        decay = 1 - 1 / max(steps_of(images, job.training), 5)
        average = AveragedModel(
            network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True
        ).to(job.fabric.device)
    parts = split(network, job.training.trainable_from, job.backbone) if job.border else None
    whole = network if parts is None else parts[1]
    wrapped, prepared = job.fabric.setup(whole, optimizer)
    return TrainState(
        name=name,
        rate=rate,
        network=network,
        wrapped=wrapped,
        optimizer=prepared,
        average=average,
    )


def restored(job: TrainContext, name: str, rate: float, images: int) -> TrainState:
    """Return a candidate as its newest sound checkpoint has it; at its start where there is none.

    The first process reads it for all: the others may be on machines without it.
    """
    candidate = fresh(job, name, rate, images)
    point = on_rank_zero(lambda: checkpoint.newest(job.folder, name))
    if point is None:
        return candidate
    parts: dict[str, dict[str, Tensor]] = {}
    for key, tensor in point.tensors.items():
        part, _, inner = key.partition("/")
        parts.setdefault(part, {})[inner] = tensor
    candidate.network.load_state_dict(parts["network"])
    if candidate.average is not None:
        candidate.average.load_state_dict(parts["average"])
    _load_optimizer(candidate.optimizer, parts.get("optimizer", {}))
    candidate.best = parts.get("best", {})
    for key, value in point.rest.items():
        setattr(candidate, key, value)
    candidate.rows = [Epoch(**row) for row in point.rest["rows"]]
    scaled(candidate.optimizer, candidate.share)
    return candidate


_REST = ("epoch", "loss", "accuracy", "best_epoch", "share", "retreats", "micro", "shown")


def keep(job: TrainContext, candidate: TrainState) -> None:
    """Write the checkpoint of an epoch; the first process does."""
    on_rank_zero(lambda: _write(job, candidate))


def _write(job: TrainContext, candidate: TrainState) -> None:
    tensors = {f"network/{k}": v for k, v in candidate.network.state_dict().items()}
    if candidate.average is not None:
        tensors |= {f"average/{k}": v for k, v in candidate.average.state_dict().items()}
    tensors |= {f"best/{k}": v for k, v in candidate.best.items()}
    for number, state in candidate.optimizer.state_dict()["state"].items():
        for key, value in state.items():
            if value is not None:
                tensors[f"optimizer/{number}.{key}"] = torch.as_tensor(value)
    rest = {key: getattr(candidate, key) for key in _REST}
    rest["rows"] = [row.to_row() for row in candidate.rows]
    checkpoint.write(job.folder, candidate.name, candidate.epoch, Checkpoint(copied(tensors), rest))


def _load_optimizer(optimizer: Any, tensors: Mapping[str, Tensor]) -> None:
    """Put the optimizer's state back, laid out in memory as its parameters are.

    Otherwise other loops would run over it than before, which round differently.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        number, _, name = key.partition(".")
        like = parameters[int(number)]
        if tensor.shape == like.shape and name != "step":
            tensor = torch.empty_like(like, dtype=tensor.dtype).copy_(tensor)
        state.setdefault(int(number), {})[name] = tensor
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})


def copied(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the same tensors in memory of their own, on the CPU."""
    plain = torch.contiguous_format
    return {name: t.detach().cpu().clone(memory_format=plain) for name, t in state.items()}


@contextmanager
def seeded(job: TrainContext, candidate: TrainState) -> Iterator[None]:
    """Seed an epoch's augmentation and dropout; torch's own generator is put back."""
    device = job.fabric.device
    with torch.random.fork_rng(devices=[] if device.type == "cpu" else [device]):
        words = [job.seed, candidate.epoch, candidate.retreats, job.fabric.global_rank]
        torch.manual_seed(int(np.random.SeedSequence(words).generate_state(1)[0]))
        yield
