"""Run a frozen network over pictures, batch by batch in threads, and keep little of it.

Each thread runs torch on one core: threads inside an operation wait for each other more than they
work, above all where another program keeps a core busy (there, one pass of gradients through
EfficientNet-Lite0 took 27 s on two cores and 1.1 s on one).
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from regraft.backbones import Backbone
from regraft.distributed import cores, one_core
from regraft.features.engines.base import Floats, Pixels
from regraft.features.engines.torch_engine import Eager

Progress = Callable[[int, int], None]
Draw = Callable[[int], Pixels]


def engine(network: nn.Module, backbone: Backbone) -> Eager:
    """Return what runs a network; as fast as torch alone can without rounding more."""
    # torch has no such order of channels for five dimensions, which some buffers have
    flat = all(tensor.ndim != 5 for tensor in [*network.parameters(), *network.buffers()])
    mode = "torch-fp32-channels-last" if flat else "torch-fp32"
    return Eager("cuda-fp32" if torch.cuda.is_available() else mode, lambda: network, backbone)


def batches(
    run: Eager, draw: Draw, count: int, tell: Callable[[int], None] = lambda more: None
) -> Iterator[tuple[NDArray[np.intp], list[Floats]]]:
    """Numbers ``[B]`` of the pictures and what the network gives for them, in order.

    Args:
        run: the engine.
        draw: gives a picture ``[S, S, 3]`` by its number, in any thread.
        count: of the pictures.
        tell: called with the number of pictures that each batch adds.
    """
    numbers = [np.arange(n, min(n + run.batch, count)) for n in range(0, count, run.batch)]

    def work(some: NDArray[np.intp]) -> list[Floats]:
        return run(np.stack([draw(int(n)) for n in some]))

    with one_core(), ThreadPoolExecutor(cores()) as pool:
        first = [work(numbers[0])] if numbers else []  # the network is made ready by one thread
        waiting: deque[tuple[NDArray[np.intp], Future[list[Floats]]]] = deque()
        for found in first:
            tell(len(numbers[0]))
            yield numbers[0], found
        for some in numbers[1:]:
            waiting.append((some, pool.submit(work, some)))
            if len(waiting) > 2 * cores():
                yield _next(waiting, tell)
        while waiting:
            yield _next(waiting, tell)


def _next(
    waiting: deque[tuple[NDArray[np.intp], Future[list[Floats]]]], tell: Callable[[int], None]
) -> tuple[NDArray[np.intp], list[Floats]]:
    some, future = waiting.popleft()
    found = future.result()
    tell(len(some))
    return some, found


def pooled(
    run: Eager,
    draw: Draw,
    count: int,
    widths: Sequence[int],
    tell: Callable[[int], None] = lambda more: None,
) -> Floats:
    """Return every stage's mean over the picture, side by side ``[count, sum(widths)]``."""
    rows = np.zeros((count, sum(widths)), np.float32)
    for some, found in batches(run, draw, count, tell):
        rows[some] = np.concatenate(found, axis=1)
    return rows
