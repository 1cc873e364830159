"""One process or many: what Lightning Fabric is opened with, and who prints and writes.

Under ``torchrun`` every process has its place in the environment; without it there is one.
"""

import logging
import os
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def open_fabric(precision: str) -> "Fabric":
    """Fabric on the GPUs if there are any, else the CPU; DDP where torchrun started several."""
    import torch
    from lightning_fabric import Fabric

    world, here = world_size(), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
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


def world_size() -> int:
    """How many processes torchrun has started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this is the process that prints and writes."""
    return os.environ.get("RANK", "0") == "0"
