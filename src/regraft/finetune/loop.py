"""The training loop: one candidate, epoch by epoch, from where its checkpoint left off.

Every epoch draws from a seed of its own (the run's, the candidate's and its number), so a run that
was killed and goes on from a checkpoint ends with the weights of one that was not.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from regraft.backbones import Backbone
from regraft.evaluate import softmax
from regraft.finetune import checkpoint
from regraft.finetune.checkpoint import Checkpoint
from regraft.finetune.data import Augment, Squares, batches, normalised, steps_of
from regraft.finetune.rates import optimizer_of, scaled, set_rate
from regraft.surgery import Network
from regraft.training import Training

RETREATS = 3
"""How often a candidate may go back to its last good epoch with a third of the rate."""

LOOK = 20
"""Steps between two looks at the loss, which wait for the device."""

JUDGED = 32
"""Images a batch where none is trained on."""

Row = Mapping[str, object]


class Diverged(Exception):
    """The loss is no longer a number."""


class OutOfTime(Exception):
    """The budget is used up."""


@dataclass(frozen=True)
class Job:
    """What all candidates of a race are trained with."""

    fabric: Fabric
    channels_last: bool
    backbone: Backbone
    training: Training
    start: Callable[[], Network]
    """Gives the network as training starts from it, always the same."""
    depths: Mapping[str, int]
    """Stage of each parameter of the trunk."""
    squares: Squares
    """The training images, those for validation included, with room for crops."""
    labels: NDArray[np.intp]
    """Their classes."""
    judged: Squares
    """The validation images as the network is to see them."""
    truth: NDArray[np.intp]
    weights: Tensor
    """Of each class in the loss."""
    seed: int
    folder: Path
    deadline: float
    """On the clock of :func:`time.monotonic`."""
    tell: Callable[[Row], None]


@dataclass
class Candidate:
    """One network in training, and its best state so far."""

    name: str
    rate: float
    network: Network
    wrapped: Any
    """The network as Fabric runs it."""
    optimizer: Any
    average: AveragedModel | None
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
    rows: list[Row] = field(default_factory=list)
    problem: str = ""

    @property
    def used(self) -> Network:
        """The network that is judged: the averaged one, where there is one."""
        module = self.network if self.average is None else self.average.module
        assert isinstance(module, Network)
        return module


def advance(
    job: Job, name: str, rate: float, rows: NDArray[np.intp], until: int, *, judge: bool = True
) -> Candidate:
    """Train one candidate on the images ``rows`` up to an epoch, from its checkpoint if it has one.

    Without ``judge`` no validation image is looked at: the last state is the best.
    """
    candidate = _restored(job, name, rate, len(rows))
    if judge and not candidate.best:
        _judge(job, candidate)  # the start counts: training has to beat it
    while candidate.epoch < until and not candidate.problem:
        if judge and candidate.epoch - candidate.best_epoch >= job.training.patience:
            break
        try:
            row = _epoch(job, candidate, rows, until)
        except Diverged:
            candidate = _retreated(job, candidate, len(rows))
            continue
        except OutOfTime:
            candidate.problem = "out of time"
            break
        candidate.epoch += 1
        if judge:
            row |= _judge(job, candidate)
        candidate.rows.append(row)
        job.tell(row)
        _keep(job, candidate)
    if not judge:
        candidate.best = _copied(candidate.used.state_dict())
        candidate.best_epoch = candidate.epoch
    return candidate


def _epoch(job: Job, candidate: Candidate, rows: NDArray[np.intp], until: int) -> dict[str, object]:
    """Every image once (or as often as sampling draws it); the row for the log."""
    began, total, shown = time.perf_counter(), torch.zeros(()), 0
    per_epoch = steps_of(len(rows), job.training)
    steps = per_epoch * job.training.epochs
    augment = Augment(job.training, job.backbone.view.size, 1 if _on_cpu(job) else 16)
    candidate.wrapped.train()
    with _seeded(job, candidate):
        for number, some in enumerate(
            batches(job.labels[rows], job.training, job.seed, candidate.epoch)
        ):
            if time.monotonic() > job.deadline:
                raise OutOfTime
            mine = some[job.fabric.global_rank :: job.fabric.world_size]
            set_rate(candidate.optimizer, job.training, candidate.epoch * per_epoch + number, steps)
            total = total + _step(job, candidate, rows[mine], augment).cpu()
            shown += len(some)
            last = number == per_epoch - 1
            if (number % LOOK == 0 or last) and not bool(torch.isfinite(total)):
                raise Diverged
    candidate.shown += shown
    seconds = time.perf_counter() - began
    return {
        "step": "train",
        "what": candidate.name,
        "seconds": seconds,
        "epoch": candidate.epoch + 1,
        "of": job.training.epochs,
        "left": seconds * (until - candidate.epoch - 1),
        "rate": candidate.rate * candidate.share,
        "loss": float(total) / per_epoch,
        "images_per_second": shown / seconds,
    }


def _step(job: Job, candidate: Candidate, rows: NDArray[np.intp], augment: Augment) -> Tensor:
    """One step of the optimizer, in smaller parts where memory does not hold all at once."""
    device = job.fabric.device
    pixels = augment(job.squares.batch(rows).to(device))
    truth = torch.from_numpy(job.labels[rows]).to(device)
    while True:
        try:
            loss = _gradients(job, candidate, pixels, truth)
            break
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not _no_memory(error) or candidate.micro == 1:
                raise
            candidate.optimizer.zero_grad()
            candidate.micro = max(1, (candidate.micro or len(rows)) // 2)
            job.tell({"what": f"out of memory: {candidate.micro} images at once from now on"})
    candidate.optimizer.step()
    candidate.optimizer.zero_grad()
    if candidate.average is not None:
        candidate.average.update_parameters(candidate.network)
    return loss


def _gradients(job: Job, candidate: Candidate, pixels: Tensor, truth: Tensor) -> Tensor:
    """Forward and back over one step's images; their mean loss."""
    total = torch.zeros((), device=pixels.device)
    parts = range(0, len(pixels), candidate.micro or len(pixels))
    for start in parts:
        part = slice(start, start + (candidate.micro or len(pixels)))
        x = normalised(pixels[part], job.backbone, job.channels_last)
        with job.fabric.no_backward_sync(candidate.wrapped, enabled=start != parts[-1]):
            logits = candidate.wrapped(x)
            each = cross_entropy(
                logits.float(),
                truth[part],
                weight=job.weights.to(x.device),
                label_smoothing=job.training.smoothing,
                reduction="none",
            )
            loss = each.sum() / len(pixels)
            job.fabric.backward(loss)
        total += loss.detach()
    return total


def _no_memory(error: BaseException) -> bool:
    """Whether an error says that memory is used up; on the CPU it is a plain RuntimeError."""
    words = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "allocate memory" in words


# --- judging -------------------------------------------------------------------------------------


def _judge(job: Job, candidate: Candidate) -> dict[str, object]:
    """Look at the validation images; the state is kept if it is the best so far."""
    shares = softmax(logits_of(job.fabric, candidate.used, job.judged, job.backbone))
    loss, accuracy = squared_error(shares, job.truth), float((shares.argmax(1) == job.truth).mean())
    if loss < candidate.loss:
        candidate.loss, candidate.accuracy, candidate.best_epoch = loss, accuracy, candidate.epoch
        candidate.best = _copied(candidate.used.state_dict())
    return {"validation_loss": loss, "validation_accuracy": accuracy}


def squared_error(shares: NDArray[np.floating[Any]], truth: NDArray[np.intp]) -> float:
    """Mean squared distance of probabilities ``[n, C]`` from the truth (Brier 1950)."""
    return float(np.square(shares - np.eye(shares.shape[1])[truth]).sum(1).mean())


def logits_of(
    fabric: Fabric, network: Network, squares: Squares, backbone: Backbone
) -> NDArray[np.float32]:
    """Logits ``[n, C]`` in float32; the processes share the images, and all get all of them."""
    own = np.arange(len(squares))[fabric.global_rank :: fabric.world_size]
    network.eval()
    mine = np.zeros((len(own), len(network.classes)), np.float32)
    with torch.inference_mode():
        for start in range(0, len(own), JUDGED):
            part = slice(start, start + JUDGED)
            pixels = squares.batch(own[part]).to(fabric.device)
            mine[part] = network(normalised(pixels, backbone, True)).float().cpu().numpy()
    logits = np.zeros((len(squares), mine.shape[1]), np.float32)
    for rank, rows in enumerate(_gathered(fabric, mine)):
        logits[rank :: fabric.world_size] = rows
    return logits


def _gathered(fabric: Fabric, mine: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    if fabric.world_size == 1:
        return [mine]
    every: list[Any] = [None] * fabric.world_size
    torch.distributed.all_gather_object(every, mine)
    return every


# --- where it left off ---------------------------------------------------------------------------


def _fresh(job: Job, name: str, rate: float, images: int) -> Candidate:
    """A candidate at its start."""
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
    wrapped, prepared = job.fabric.setup(network, optimizer)
    return Candidate(name, rate, network, wrapped, prepared, average)


def _restored(job: Job, name: str, rate: float, images: int) -> Candidate:
    """A candidate as its newest sound checkpoint has it."""
    candidate = _fresh(job, name, rate, images)
    point = checkpoint.newest(job.folder, name)
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
    scaled(candidate.optimizer, candidate.share)
    return candidate


_REST = ("epoch", "loss", "accuracy", "best_epoch", "share", "retreats", "micro", "shown", "rows")


def _keep(job: Job, candidate: Candidate) -> None:
    """Write the checkpoint of an epoch."""
    if job.fabric.global_rank:
        return
    tensors = {f"network/{k}": v for k, v in candidate.network.state_dict().items()}
    if candidate.average is not None:
        tensors |= {f"average/{k}": v for k, v in candidate.average.state_dict().items()}
    tensors |= {f"best/{k}": v for k, v in candidate.best.items()}
    for number, state in candidate.optimizer.state_dict()["state"].items():
        for key, value in state.items():
            if value is not None:
                tensors[f"optimizer/{number}.{key}"] = torch.as_tensor(value)
    rest = {key: getattr(candidate, key) for key in _REST}
    whole = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
    checkpoint.write(job.folder, candidate.name, candidate.epoch, Checkpoint(whole, rest))


def _load_optimizer(optimizer: Any, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = tensor
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})


def _retreated(job: Job, candidate: Candidate, images: int) -> Candidate:
    """The candidate at its last good epoch, with a third of the rate."""
    retreats, share = candidate.retreats + 1, candidate.share / 3
    back = _restored(job, candidate.name, candidate.rate, images)
    back.best = back.best or candidate.best
    back.loss, back.accuracy = min(back.loss, candidate.loss), candidate.accuracy
    scaled(back.optimizer, share / back.share)
    back.retreats, back.share = retreats, share
    job.tell(
        {
            "what": f"{candidate.name}: the loss is no longer a number; back to epoch "
            f"{back.epoch} with the rate {candidate.rate * share:.2g}"
        }
    )
    if retreats > RETREATS:
        back.problem = "the loss is no longer a number, at any rate tried"
    return back


def _copied(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}


def _on_cpu(job: Job) -> bool:
    return job.fabric.device.type == "cpu"


@contextmanager
def _seeded(job: Job, candidate: Candidate) -> Iterator[None]:
    """Seed an epoch's augmentation and dropout; torch's own generator is put back."""
    devices = [] if _on_cpu(job) else [job.fabric.device]
    with torch.random.fork_rng(devices=devices):
        words = [job.seed, candidate.epoch, candidate.retreats, job.fabric.global_rank]
        torch.manual_seed(int(np.random.SeedSequence(words).generate_state(1)[0]))
        yield
