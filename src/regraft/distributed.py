"""One process or many: who prints and writes, and how the others come by the same.

Under ``torchrun`` every process has its place in the environment; without it there is one, and
nothing here imports torch by itself. With many, every process calls `on_rank_zero`,
`all_gather` and the like in the same order: each waits there for all. The command line
imports this first of all, so that nothing heavy is imported with it.
"""

import contextlib
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from regraft.errors import RegraftError, UsageError

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from numpy.typing import NDArray
    from torch import Tensor


T = TypeVar("T")

PATIENCE = timedelta(hours=2)
"""How long a process waits for the others; one that dies is noticed at once, by its connection."""

GRACE = 5.0
"""Seconds after which a process but the first tells its error, if it still runs then."""

_sharers = 1

_BLOCK = 1 << 26  # bytes of rows that go to the first process at once


def open_fabric(precision: str) -> "Fabric":
    """Fabric on the GPUs if there are any, else the CPU; DDP where torchrun started several."""
    import torch
    from lightning_fabric import Fabric

    init_group()
    world, here = world_size(), _here()
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # hints about SLURM and the number of workers
        fabric = Fabric(
            accelerator="cuda" if torch.cuda.is_available() else "cpu",
            devices=here,
            num_nodes=max(1, world // here),
            strategy="ddp" if world > 1 else "auto",
            precision=precision,  # type: ignore[arg-type]
        )
        fabric.launch()
    return fabric


# --- who is who ----------------------------------------------------------------------------------


def world_size() -> int:
    """Return how many processes torchrun has started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Return the number of this process, from 0."""
    return int(os.environ.get("RANK", "0")) if world_size() > 1 else 0


def is_rank_zero() -> bool:
    """Return whether this is the process that prints and writes."""
    return rank() == 0


def is_local_rank_zero() -> bool:
    """Return whether this is the first process on its machine."""
    return world_size() == 1 or os.environ.get("LOCAL_RANK", "0") == "0"


def _here() -> int:
    """Return how many processes there are on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if world_size() > 1 else 1


def cores() -> int:
    """Cores that this process may use: its share, where several run on the machine."""
    if hasattr(os, "sched_getaffinity"):
        found = len(os.sched_getaffinity(0))
    else:
        found = os.cpu_count() or 1
    return max(1, found // (_here() * _sharers))


def share_cores(count: int) -> None:
    """Leave all but one of ``count`` equal shares of the cores to other processes."""
    global _sharers
    _sharers = count


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """Let operations of torch run in the thread that calls them, and nowhere else.

    Threads inside a small operation wait for each other longer than they work, above all where
    another program keeps a core busy.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def init_group() -> None:
    """Meet the other processes, once; nothing where there are none.

    Raises:
        UsageError: there are more processes on this machine than GPUs.
    """
    if world_size() == 1:
        return
    import torch
    from torch import distributed

    if distributed.is_initialized():
        return
    backend = "gloo"
    if torch.cuda.is_available():
        if torch.cuda.device_count() < _here():
            raise UsageError(
                f"{_here()} processes need as many GPUs; this machine has "
                f"{torch.cuda.device_count()}.",
                [f"Start torchrun with --nproc-per-node {torch.cuda.device_count()}."],
            )
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        backend = "cpu:gloo,cuda:nccl"
    distributed.init_process_group(backend, timeout=PATIENCE)


def shutdown(code: int) -> None:
    """Part from the other processes and end this one; nothing where there are none.

    It ends without taking torch down: threads of its own may still run then, and a process was seen
    to be aborted after all was done and written.
    """
    if world_size() == 1:
        return
    from torch import distributed

    if not distributed.is_initialized():
        return
    if code == 0:
        distributed.barrier()  # no connection closes while another process still reads from it
        distributed.destroy_process_group()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


# --- the same for all ----------------------------------------------------------------------------


def on_rank_zero(work: Callable[[], T]) -> T:
    """Return what the first process finds by this work, or raise its error, in all of them.

    In it nothing may wait for the other processes.
    """
    if world_size() == 1:
        return work()
    init_group()
    from torch import distributed

    outcome: list[Any] = [_tried(work)] if is_rank_zero() else [None]
    distributed.broadcast_object_list(outcome, src=0)
    if isinstance(outcome[0], RegraftError):
        raise outcome[0]
    [found] = outcome[0]
    return found  # type: ignore[no-any-return]


def on_all_ranks(work: Callable[[], T]) -> T:
    """Return what this process finds by this work, or raise the error of any, once all are done.

    In it nothing may wait for the other processes.
    """
    if world_size() == 1:
        return work()
    outcome = _tried(work)
    for error in all_gather(outcome if isinstance(outcome, RegraftError) else None):
        if error is not None:
            raise error
    assert isinstance(outcome, list), "its own error is among those of all"
    return outcome[0]


def all_gather(value: T) -> list[T]:
    """Return the processes' values, in their order."""
    if world_size() == 1:
        return [value]
    init_group()
    from torch import distributed

    values: list[Any] = [None] * world_size()
    distributed.all_gather_object(values, value)
    return values


def _tried(work: Callable[[], T]) -> RegraftError | list[T]:
    try:
        return [work()]
    except RegraftError as error:
        return error


def any_rank(flag: bool) -> bool:
    """Return whether it is so in any of the processes."""
    return bool(all_reduce_sum(float(flag)))


def all_reduce_sum(value: float) -> float:
    """Return the sum of the processes' values."""
    if world_size() == 1:
        return value
    init_group()
    import torch
    from torch import distributed

    summed = torch.tensor(value, dtype=torch.float64)
    distributed.all_reduce(summed)
    return float(summed)


def broadcast_tensors(tensors: "Iterable[Tensor]") -> None:
    """Give all processes the first one's values of these tensors, in place."""
    if world_size() == 1:
        return
    init_group()
    from torch import distributed

    for tensor in tensors:
        distributed.broadcast(tensor, src=0)


def gather_rows(
    mine: "NDArray[Any]", whole: "NDArray[Any] | None", places: "Sequence[NDArray[Any]]"
) -> None:
    """Put every process's rows into the first one's ``whole`` ``[n, width]``, block by block.

    ``whole`` is None in all but the first; ``places``: of each process's rows in it.
    """
    init_group()
    import numpy as np
    import torch
    from torch import distributed

    most = max(_BLOCK // max(mine[:1].nbytes, 1), 1)
    if whole is None:
        for start in range(0, len(mine), most):
            sent = np.ascontiguousarray(mine[start : start + most]).reshape(-1).view(np.uint8)
            distributed.send(torch.from_numpy(sent), dst=0)
        return
    whole[places[0]] = mine
    for source, rows in enumerate(places[1:], 1):
        for start in range(0, len(rows), most):
            some = rows[start : start + most]
            got = np.empty((len(some), *whole.shape[1:]), whole.dtype)
            distributed.recv(torch.from_numpy(got.reshape(-1).view(np.uint8)), src=source)
            whole[some] = got


# --- one voice -----------------------------------------------------------------------------------


@contextlib.contextmanager
def rank_zero_output() -> Iterator[None]:
    """Within it all processes but the first print nothing."""
    if is_rank_zero():
        yield
        return
    with (
        open(os.devnull, "w", encoding="utf-8") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield


def error_prefix() -> str:
    """Wait until this process may tell its error; what to put before it.

    The first may at once. Another waits a little: where the first has failed too it has told the
    error, and torchrun has stopped this one by then.
    """
    if is_rank_zero():
        return ""
    time.sleep(GRACE)
    return f"process {rank()}: "


def peer_failed(error: BaseException) -> bool:
    """Return whether an error says that another process is gone."""
    words = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "NCCL")
    return world_size() > 1 and any(some in str(error) for some in words)
