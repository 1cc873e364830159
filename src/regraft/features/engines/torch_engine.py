"""Trunks run by torch as they are: the reference, and what is faster where torch alone can help."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from regraft.features.engines.base import Floats, Pixels

if TYPE_CHECKING:
    import torch
    from torch import nn

    from regraft.backbones import Backbone


@dataclass(frozen=True)
class TorchConfig:
    """How torch runs a trunk: device, the name of the type, channels in memory, images a batch.

    Small batches on the CPU: a layer's values then stay in its caches (EfficientNet-Lite0 ran at
    145 images/s in batches of 8, at 68 in batches of 32).
    """

    device: str
    precision: str
    channels_last: bool
    batch: int


CONFIGS = {
    "torch-fp32": TorchConfig("cpu", "float32", False, 8),
    "torch-fp32-channels-last": TorchConfig("cpu", "float32", True, 8),
    "torch-bf16-channels-last": TorchConfig("cpu", "bfloat16", True, 8),
    "cuda-fp32": TorchConfig("cuda", "float32", True, 128),
    "cuda-bf16": TorchConfig("cuda", "bfloat16", True, 128),
    "cuda-fp16": TorchConfig("cuda", "float16", True, 128),
}


def objection(name: str) -> str:
    """Why this machine cannot run the engine; empty if it can."""
    import torch

    config = CONFIGS[name]
    if config.device == "cuda":
        return "" if torch.cuda.is_available() else "there is no CUDA device"
    return "" if config.precision != "bfloat16" or has_bfloat16() else "the CPU has no bfloat16"


@cache
def has_bfloat16() -> bool:
    """Return whether the CPU calculates in bfloat16, and may: a layer is tried.

    torch can on any CPU, but where the CPU cannot it is slower than in float32: a fifth of the
    images a second with the demonstration network, a tenth with EfficientNet-Lite0. Limits that a
    user sets (``ATEN_CPU_CAPABILITY``, ``ONEDNN_MAX_CPU_ISA``) make oneDNN refuse.
    """
    import torch

    if torch.backends.cpu.get_cpu_capability() in ("AVX2", "NO AVX"):
        return False
    try:
        able = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):  # no public name: without it the layer tells
        able = True
    kernel = torch.ones(4, 3, 3, 3, dtype=torch.bfloat16)  # no random one: the seed is the user's
    try:
        torch.conv2d(torch.zeros(1, 3, 8, 8, dtype=torch.bfloat16), kernel)
    except RuntimeError:
        return False
    return able


class Eager:
    """The engine that calls a trunk in batches of a fixed size, the last one filled up.

    The size is fixed because kernels may sum in another order for another number of images. They
    may also for another place in the batch, so an image's features are the same within rounding
    only, whatever batch it is in.
    """

    def __init__(self, name: str, trunk: "Callable[[], nn.Module]", backbone: "Backbone") -> None:
        """``trunk`` gives the network at the first call; the engine runs a copy of it."""
        self.name = name
        self.batch = CONFIGS[name].batch
        self._config = CONFIGS[name]
        self._make = trunk
        self._trunk: nn.Module | None = None
        self._backbone = backbone

    def __call__(self, pixels: Pixels) -> list[Floats]:
        """Features ``[B, C_d]`` at each tap, of pixels ``[B, S, S, 3]``."""
        parts: list[list[Floats]] = []
        done = 0
        while done < len(pixels):
            parts.append(self._one_batch(pixels[done : done + self.batch]))
            done += len(parts[-1][0])
        return [np.concatenate(depth) for depth in zip(*parts, strict=True)]

    def _one_batch(self, pixels: Pixels) -> list[Floats]:
        """At most ``batch`` images, fewer where the device's memory does not hold them."""
        import torch

        try:
            filled = np.zeros((self.batch, *pixels.shape[1:]), np.uint8)
            filled[: len(pixels)] = pixels
            with torch.inference_mode():
                depths = self._loaded()(self._normalised(torch.from_numpy(filled)))
                return [depth[: len(pixels)].float().cpu().numpy() for depth in depths]
        except torch.cuda.OutOfMemoryError:
            if self.batch == 1:
                raise
        torch.cuda.empty_cache()
        self.batch //= 2
        return self._one_batch(pixels[: self.batch])

    def _loaded(self) -> "nn.Module":
        import torch

        from regraft.networks.copies import duplicate

        if self._trunk is None:
            dtype = getattr(torch, self._config.precision)
            trunk = duplicate(self._make()).eval().to(self._config.device, dtype)
            if self._config.channels_last:
                trunk = trunk.to(memory_format=torch.channels_last)
            self._trunk = trunk
        return self._trunk

    def _normalised(self, pixels: "torch.Tensor") -> "torch.Tensor":
        """``[B, S, S, 3]`` of 0..255 as the trunk's ``[B, 3, S, S]``, on its device."""
        import torch

        from regraft.networks import build

        config, moved = self._config, pixels.to(self._config.device).permute(0, 3, 1, 2)
        x = build.normalised(moved, self._backbone, config.channels_last)
        return x.to(getattr(torch, config.precision))
