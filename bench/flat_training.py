"""Train several networks side by side, each as one vector of weights.

The steps are those of ``regraft.finetune`` with frozen batch norm: the same order of images, AdamW
with a rate for each stage, the same schedule and the same average of the weights. A network that is
a vector can be averaged with another by one line, and the steps of a few networks fit into one CUDA
graph, where small networks would else wait for the processor. Without a GPU they run in turn.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import affine_grid, cross_entropy, grid_sample

from regraft.finetune.data import batches
from regraft.finetune.rates import factor
from regraft.metrics import fit_temperature, softmax, squared_error
from regraft.networks.surgery import HEAD, TransferNetwork
from regraft.plan.recipes import Training, steps_of

BETAS, EPS = (0.9, 0.999), 1e-8  # AdamW's own
JUDGED = {"cuda": 384, "cpu": 64}  # images at once where none is trained on


@dataclass(eq=False)
class Vector:
    """A network whose trained weights are one vector ``start``, and how fast each is trained."""

    module: nn.Module
    names: list[str]
    shapes: list[torch.Size]
    start: Tensor
    share: Tensor
    decay: Tensor

    def logits(self, flat: Tensor, *inputs: Any, half: bool = False) -> Tensor:
        """Logits of the network with other weights; ``half``: convolutions in bfloat16."""
        parts = flat.split([math.prod(shape) for shape in self.shapes])
        state = {n: p.view(s) for n, p, s in zip(self.names, parts, self.shapes, strict=True)}
        if half:
            inputs = tuple(laid_out(one) for one in inputs)
        with torch.autocast(flat.device.type, torch.bfloat16, enabled=half, cache_enabled=False):
            found: Tensor = functional_call(self.module, state, inputs)
        return found.float()


def vector_of(
    network: TransferNetwork, module: nn.Module, depths: Mapping[str, int], training: Training
) -> Vector:
    """Return what of ``network`` has a gradient as a vector; ``module`` is a way through it."""
    last = max(depths.values())
    named = [(n, p) for n, p in module.named_parameters() if p.requires_grad]
    share, decay = [], []
    for name, parameter in named:
        inner = name.removeprefix("network.").removeprefix("trunk.")
        depth = last if inner.startswith(f"{HEAD}.") else depths[inner]
        wanes = training.weight_decay if parameter.ndim > 1 else 0.0
        share.append(torch.full((parameter.numel(),), training.decay ** (last - depth)))
        decay.append(torch.full((parameter.numel(),), wanes))
    device = named[0][1].device
    return Vector(
        module,
        [name for name, _ in named],
        [parameter.shape for _, parameter in named],
        torch.cat([parameter.detach().flatten() for _, parameter in named]),
        torch.cat(share).to(device),
        torch.cat(decay).to(device),
    )


def laid_out(given: Any) -> Any:
    """Return a map with its channels last, which bfloat16 convolutions are fastest with."""
    is_map = isinstance(given, Tensor) and given.dim() == 4
    return given.contiguous(memory_format=torch.channels_last) if is_map else given


@dataclass(eq=False)
class Order:
    """Which images each step shows, how they are turned and cropped, and how fast it learns.

    ``rows`` ``[steps, B]`` with ``weight`` 0 where a step is smaller than the largest; ``flip``
    the same shape; ``box`` ``[steps, B, 4]``: middle and half size of the crop, -1 to 1.
    """

    rows: Tensor
    weight: Tensor
    flip: Tensor
    box: Tensor
    pace: Tensor
    per_epoch: int


def order_of(
    labels: NDArray[np.intp], training: Training, side: int, seed: int, device: torch.device
) -> Order:
    """Draw everything that is drawn before the first step."""
    per_epoch = steps_of(len(labels), training)
    steps = per_epoch * training.epochs
    every = [b for e in range(training.epochs) for b in batches(labels, training, seed, e)]
    wide = max(map(len, every))
    rows, weight = np.zeros((steps, wide), np.int64), np.zeros((steps, wide), np.float32)
    for n, some in enumerate(every):
        rows[n, : len(some)], weight[n, : len(some)] = some, 1 / len(some)
    generator = np.random.default_rng([seed, 1])
    flip = (generator.random((steps, wide)) < 0.5) & training.mirror
    box = boxes(generator, steps * wide, side, training.crop).reshape(steps, wide, 4)
    t = np.arange(1, steps + 1)
    mean = np.full(steps, 1 / max(per_epoch, 5))
    mean[0] = 1.0
    rate = [factor(training, n, steps) for n in range(steps)]
    pace = np.stack([rate, 1 - BETAS[0] ** t, 1 - BETAS[1] ** t, mean], 1).astype(np.float32)

    def there(table: NDArray[Any]) -> Tensor:
        return torch.from_numpy(table).to(device)

    return Order(there(rows), there(weight), there(flip), there(box), there(pace), per_epoch)


def boxes(
    generator: np.random.Generator, count: int, side: int, least: float
) -> NDArray[np.float32]:
    """Crops as torchvision's RandomResizedCrop draws them from a square ``[count, 4]``."""
    if least >= 1:
        return np.tile(np.array([0, 0, 1, 1], np.float32), (count, 1))
    area = side**2 * generator.uniform(least, 1, (count, 10))
    ratio = np.exp(generator.uniform(math.log(3 / 4), math.log(4 / 3), (count, 10)))
    wide, high = np.round(np.sqrt(area * ratio)), np.round(np.sqrt(area / ratio))
    fits = (wide <= side) & (high <= side)
    first, one = fits.argmax(1), np.arange(count)
    w = np.where(fits.any(1), wide[one, first], side)
    h = np.where(fits.any(1), high[one, first], side)
    left = np.floor(generator.random(count) * (side - w + 1))
    top = np.floor(generator.random(count) * (side - h + 1))
    middle = np.stack([(2 * left + w) / side - 1, (2 * top + h) / side - 1, w / side, h / side], 1)
    return middle.astype(np.float32)


def cropped(pixels: Tensor, flip: Tensor, box: Tensor, size: int) -> Tensor:
    """Crops ``[B, 3, size, size]`` of float pixels, mirrored where said."""
    sign = 1.0 - 2.0 * flip.float()
    zero = torch.zeros_like(sign)
    theta = torch.stack(
        [
            torch.stack([box[:, 2] * sign, zero, box[:, 0]], 1),
            torch.stack([zero, box[:, 3], box[:, 1]], 1),
        ],
        1,
    )
    grid = affine_grid(theta, [len(pixels), 3, size, size], align_corners=False)
    return grid_sample(pixels, grid, padding_mode="border", align_corners=False)


Feed = Callable[[Tensor, Tensor, Tensor], tuple[Any, ...]]
"""What the network takes of some rows, their flips and their boxes."""


@dataclass(eq=False)
class Run:
    """One network in training: its vector at a rate, and its best state."""

    vector: Vector
    rate: float
    feed: Feed
    labels: Tensor
    order: Order
    judged: tuple[Any, ...]
    """What the network takes of the validation images; empty where none is judged."""
    smoothing: float
    flat: Tensor = field(init=False)
    mean: Tensor = field(init=False)
    best: Tensor = field(init=False)
    best_epoch: int = 0
    best_loss: float = float("inf")
    losses: list[float] = field(default_factory=list)
    problem: str = ""

    def __post_init__(self) -> None:
        start = self.vector.start
        self.flat = start.clone().requires_grad_(True)
        self.mean, self.best = start.clone(), start.clone()
        self._m, self._v = torch.zeros_like(start), torch.zeros_like(start)
        self._rates = self.rate * self.vector.share
        self._clock = torch.zeros(1, dtype=torch.int64, device=start.device)
        self.found = torch.zeros(0)

    def reset(self) -> None:
        """Go back to the start."""
        with torch.no_grad():
            for kept in (self.flat, self.mean, self.best):
                kept.copy_(self.vector.start)
            for kept in (self._m, self._v, self._clock):
                kept.zero_()

    def step(self) -> None:
        """One step of AdamW, and of the average of the weights."""
        rows, weight, flip, box, pace = (
            table.index_select(0, self._clock)[0]
            for table in (
                self.order.rows,
                self.order.weight,
                self.order.flip,
                self.order.box,
                self.order.pace,
            )
        )
        logits = self.vector.logits(self.flat, *self.feed(rows, flip, box), half=self.flat.is_cuda)
        truth = self.labels[rows]
        each = cross_entropy(logits, truth, label_smoothing=self.smoothing, reduction="none")
        [grad] = torch.autograd.grad((each * weight).sum(), [self.flat])
        with torch.no_grad():
            self._m.lerp_(grad, 1 - BETAS[0])
            self._v.mul_(BETAS[1]).addcmul_(grad, grad, value=1 - BETAS[1])
            rates = self._rates * pace[0]
            self.flat.mul_(1 - rates * self.vector.decay)
            spread = (self._v / pace[2]).sqrt_().add_(EPS)
            self.flat.sub_(rates * self._m / pace[1] / spread)
            self.mean.lerp_(self.flat, pace[3])
            self._clock += 1

    def look(self) -> None:
        """Logits of the validation images."""
        with torch.no_grad():
            self.found = self.vector.logits(self.mean, *self.judged)


class Repeated:
    """The same work of several networks again and again: in a CUDA graph where there is a GPU."""

    def __init__(self, parts: Sequence[Callable[[], None]], device: torch.device) -> None:
        self._parts, self._graph = parts, None
        if device.type != "cuda":
            return
        streams = [torch.cuda.Stream() for _ in parts]
        for part, stream in zip(parts, streams, strict=True):
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                part()
                part()
        torch.cuda.synchronize()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            here = torch.cuda.current_stream()
            for part, stream in zip(parts, streams, strict=True):
                stream.wait_stream(here)
                with torch.cuda.stream(stream):
                    part()
            for stream in streams:
                here.wait_stream(stream)

    def __call__(self) -> None:
        if self._graph is not None:
            self._graph.replay()
            return
        for part in self._parts:
            part()


def train_together(
    runs: Sequence[Run], epochs: int, truth: NDArray[np.intp], device: torch.device
) -> None:
    """Train all of them to the end, judging the mean of the weights after every epoch."""
    for run in runs:
        run.vector.module.train()
    step = Repeated([run.step for run in runs], device)
    for run in runs:
        run.reset()
        run.vector.module.eval()
    judges = all(run.judged for run in runs)
    look = Repeated([run.look for run in runs], device) if judges else None
    for epoch in range(epochs + 1):
        for run in runs:
            run.vector.module.train()
        for _ in range(runs[0].order.per_epoch if epoch else 0):
            step()
        if look is None:
            continue
        for run in runs:
            run.vector.module.eval()
        look()
        for run in runs:
            logits = run.found.cpu().numpy()
            if not np.isfinite(logits).all():
                run.problem = run.problem or f"no numbers at epoch {epoch}"
                continue
            loss = squared_error(softmax(logits, fit_temperature(logits, truth)), truth)
            run.losses.append(round(loss, 5))
            if loss < run.best_loss:
                run.best_loss, run.best_epoch = loss, epoch
                run.best.copy_(run.mean)


def logits_of(vector: Vector, flat: Tensor, inputs: tuple[Any, ...]) -> NDArray[np.float32]:
    """Logits ``[n, C]`` of many images, some at a time."""
    vector.module.eval()
    found = []
    with torch.no_grad():
        size = JUDGED[flat.device.type]
        for start in range(0, len(inputs[0]), size):
            part = slice(start, start + size)
            some = [i[part] if isinstance(i, Tensor) else [t[part] for t in i] for i in inputs]
            found.append(vector.logits(flat, *some).cpu())
    whole: NDArray[np.float32] = torch.cat(found).numpy()
    return whole
