"""The first layer's kernels as small pictures."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from regraft.backbones import Backbone
from regraft.features.engines.base import Floats, Pixels
from regraft.networks import trunk

MOST = 128
"""Kernels shown; of more, so many that are evenly spaced."""


@dataclass(frozen=True, eq=False)
class Kernels:
    """The kernels of the convolution that reads the image.

    ``numbers`` are those shown of ``count``; ``pictures`` theirs, ``[k, k, 3]`` each; ``colour``
    whether red, green and blue of a picture are what the kernel weighs red, green and blue with.
    """

    path: str
    count: int
    numbers: tuple[int, ...]
    pictures: tuple[Pixels, ...]
    colour: bool


def first(module: nn.Module, backbone: Backbone) -> Kernels | None:
    """Return the kernels of the first convolution that is called; None where there is none."""
    for path in trunk.trace(module, backbone.name).calls:
        layer = module.get_submodule(path)
        if isinstance(layer, nn.Conv2d):
            weight: Floats = layer.weight.detach().float().cpu().numpy()
            return _drawn(path, weight)
    return None


def _drawn(path: str, weight: Floats) -> Kernels:
    numbers = np.unique(np.linspace(0, len(weight) - 1, min(len(weight), MOST)).round().astype(int))
    colour = weight.shape[1] == 3
    pictures = tuple(picture(weight[n]) for n in numbers)
    return Kernels(path, len(weight), tuple(numbers.tolist()), pictures, colour)


def picture(kernel: NDArray[np.floating]) -> Pixels:
    """One kernel ``[inputs, k, k]``: 0 is middle grey, the largest weight either way is 0 or 255.

    Three inputs become red, green and blue; of any other number the average is shown in grey.
    """
    planes = kernel if len(kernel) == 3 else np.repeat(kernel.mean(0, keepdims=True), 3, axis=0)
    shares = planes / max(float(np.abs(planes).max()), 1e-30)
    return (127.5 + 127.5 * shares).round().astype(np.uint8).transpose(1, 2, 0)
