"""What all targets share: what a network is traced with, and how what was written is run."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from regraft.export.about import About

if TYPE_CHECKING:
    from torch import Tensor

Input = NDArray[np.uint8] | NDArray[np.float32]
"""Decoded pixels ``[B, H, W, 3]``, or normalised ones ``[B, 3, S, S]``."""

Run = Callable[[Input], NDArray[Any]]
"""Answers ``[B, classes]`` to an input."""


def example(about: About) -> "Tensor":
    """Two images of no meaning to trace a network with; one alone could be taken for a rule."""
    import torch

    high, wide, channels = about.plan.backbone.view.shape
    noise = torch.Generator().manual_seed(0)
    if about.pixels:
        return torch.randint(0, 256, (2, 90, 120, 3), dtype=torch.uint8, generator=noise)
    return torch.rand(2, channels, high, wide, generator=noise)


def free(about: About) -> dict[int, str]:
    """Return the dimensions of the input that may have any size, by name."""
    return {0: "batch", 1: "height", 2: "width"} if about.pixels else {0: "batch"}


def program(module: Any, about: About) -> Any:
    """Return the network as torch.export records it, without the paths of this machine."""
    import torch

    sizes = {place: torch.export.Dim(name, min=1) for place, name in free(about).items()}
    with torch.no_grad():
        exported = torch.export.export(module, (example(about),), dynamic_shapes=(sizes,))
    for node in exported.graph.nodes:
        node.meta.pop("stack_trace", None)
    return exported
