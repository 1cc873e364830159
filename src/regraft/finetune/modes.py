"""How training runs here: type and memory format, measured on a few steps and remembered.

Which mode is fast differs by network, size of the images and processor, so it is measured. Weights
follow the mode, so a race does not decide it: there is an order, which the size of the network
gives, and a mode is left for another only where that one is clearly faster. It is kept in the cache
folder beside the converted trunk, beside the checkpoints, so that a run goes on as it began, and in
the plan of the RUN, so that it can be repeated.
"""

import time
from collections.abc import Sequence

import torch
from torch import nn

from regraft.data.images.view import Shape
from regraft.features.engines.torch_engine import has_bfloat16
from regraft.features.training_mode import Mode
from regraft.networks.copies import duplicate
from regraft.networks.surgery import TransferNetwork
from regraft.plan.recipes import CHANNELS_LAST, MODES

STEPS, LONG, IMAGES = 10, 1.0, 32
"""Of each mode: timed steps, of which the fastest counts, after one that is not timed; seconds
after which no other is begun; and the images of each at most (on the CPU). A step of a small
network is over in milliseconds, and on a busy machine a single one said nothing. With eight images
float32 looked faster where with 32 bfloat16 was."""


MARGIN = 3.0
"""How many times as fast a mode must be to be taken before one that is preferred to it. The
demonstration network is trained 2.2 times as fast in bfloat16 on a processor that has AMX: where
the margin was two, the mode was another one in every second run on a busy machine."""

ROUNDS = 3
"""Measurements before a mode is left for another."""

HEAVY = 2e8
"""Multiply-adds an image from which bfloat16 is preferred on a CPU that has it: it was ahead with
EfficientNet-Lite0 (4e8) and ResNet-18 (2e9) at 224 px, not with the first at 128 px (1e8)."""


def find(network: TransferNetwork, batch: int, shape: Shape, work: float, only: str = "") -> Mode:
    """Return the mode for steps of ``batch`` images, each of ``work`` multiply-adds.

    ``only``: the name of the one to be measured.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    some = min(batch, IMAGES) if device.type == "cpu" else batch
    names = (only,) if only else _ordered(work, device)
    measured: list[Mode] = []
    for _ in range(ROUNDS):  # other programs can only slow a mode down: the highest speed counts
        again = [_measured(network, name, some, shape, device) for name in names]
        measured = [max(pair, key=_speed_of) for pair in zip(measured or again, again, strict=True)]
        if preferred(measured) == measured[0]:
            break
    return preferred(measured)


def _speed_of(mode: Mode) -> float:
    return mode.images_per_second


def preferred(measured: Sequence[Mode]) -> Mode:
    """Return the first of them, unless another is clearly faster."""
    best = max(mode.images_per_second for mode in measured)
    return next(mode for mode in measured if mode.images_per_second * MARGIN >= best)


def _ordered(work: float, device: torch.device) -> tuple[str, ...]:
    """Return the names of the modes that this machine has, the preferred one first."""
    half, last, plain = MODES
    if device.type == "cpu" and not has_bfloat16():
        return (last, plain)
    return (half, last, plain) if device.type == "cuda" or work >= HEAVY else (last, half, plain)


def _measured(
    network: TransferNetwork, name: str, batch: int, shape: Shape, device: torch.device
) -> Mode:
    precision, channels_last = name.removesuffix(CHANNELS_LAST), name.endswith(CHANNELS_LAST)
    speed = _speed_in_parts(network, precision, channels_last, batch, shape, device)
    return Mode(precision, channels_last, speed)


def no_memory(error: BaseException) -> bool:
    """Return whether an error says that memory is used up.

    On the CPU it is a plain RuntimeError.
    """
    words = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "allocate memory" in words


def _speed_in_parts(
    network: TransferNetwork,
    precision: str,
    channels_last: bool,
    batch: int,
    shape: Shape,
    device: torch.device,
) -> float:
    """Images a second, of as many images at once as memory holds."""
    while True:
        try:
            return _speed(network, precision, channels_last, batch, shape, device)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not no_memory(error) or batch == 1:
                raise
            batch //= 2


def _speed(
    network: TransferNetwork,
    precision: str,
    channels_last: bool,
    batch: int,
    shape: Shape,
    device: torch.device,
) -> float:
    """Return images a second of a step on one batch: of the fastest one, for others disturb."""
    memory = torch.channels_last if channels_last else torch.contiguous_format
    tried = duplicate(network).train().to(device)
    for module in tried.modules():  # not the whole network: only 4-dimensional weights can be
        if isinstance(module, nn.Conv2d):
            module.to(memory_format=memory)
    high, wide, channels = shape
    x = torch.full((batch, channels, high, wide), 0.5, device=device).to(memory_format=memory)
    took: list[float] = []
    with torch.random.fork_rng(devices=[]):  # dropout draws from it
        while len(took) < STEPS + 1 and sum(took[1:]) < LONG:
            start = time.perf_counter()
            with torch.autocast(device.type, torch.bfloat16, enabled=precision != "32-true"):
                loss = tried(x).float().square().mean()
            loss.backward()
            _wait(device)
            took.append(time.perf_counter() - start)
    return batch / min(took[1:])


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
