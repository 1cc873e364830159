"""The network of a RUN as what is exported: from pixels to its answer, in torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from regraft.backbones import Backbone, View
from regraft.data.images.view import BORDER
from regraft.export.belief import Belief
from regraft.networks.surgery import TransferNetwork

Kernel = Callable[[Tensor], Tensor]


Outputs = Tensor | tuple[Tensor, Tensor, Tensor]
"""The answer ``[B, classes]``; with a belief also ``known`` ``[B]`` and ``belief`` ``[B]``."""

_LINKS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "one": lambda logits: torch.softmax(logits, dim=1),
    "several": torch.sigmoid,
    "number": lambda logits: logits,
}
"""What makes the answer of logits, as `regraft.heads.tasks.Task.shares` does, by kind."""


class Classifier(nn.Module):
    """Normalised pixels ``[B, 3, S, S]`` -> the answer ``[B, classes]``, and the belief.

    The answer: probabilities that add up to 1; of ``several`` labels one of each by itself; a
    ``number`` as it is.
    """

    def __init__(
        self, network: TransferNetwork, belief: Belief | None = None, kind: str = "one"
    ) -> None:
        super().__init__()
        self.network = network
        self.belief = belief
        self.link = _LINKS[kind]
        self.eval()

    def forward(self, x: Tensor) -> Outputs:
        """Return what the network's logits mean."""
        if self.belief is None:
            return self.link(self.network(x))
        features = self.network.features(x)
        logits = self.network.head(features)
        return self.link(logits), *self.belief(features, logits)


class PixelClassifier(nn.Module):
    """Decoded pixels, uint8 ``[B, H, W, 3]`` of any H and W -> the same."""

    mean: Tensor
    std: Tensor

    def __init__(self, classifier: Classifier, backbone: Backbone) -> None:
        super().__init__()
        self.classifier = classifier
        self.view = backbone.view
        self.register_buffer("mean", _by_channel(backbone.mean), persistent=False)
        self.register_buffer("std", _by_channel(backbone.std), persistent=False)
        self.eval()

    def forward(self, pixels: Tensor) -> Outputs:
        """Cut out and resize the centre square, normalise it, classify it."""
        x = square(pixels.permute(0, 3, 1, 2).float(), self.view)  # 0..255
        if self.view.channels == 1:
            x = grey(x)
        outputs: Outputs = self.classifier((x / 255 - self.mean) / self.std)
        return outputs


_FINE, _COARSE = 2.0**-18, 2.0**-15
"""Weights are multiples of these. A weighted sum of levels is then a
whole number of them below 2 ** 24, which float32 holds exactly: no runtime rounds it otherwise than
another."""


def square(x: Tensor, view: View) -> Tensor:
    """Return what a view shows of ``[B, 3, H, W]`` in 0..255, as ``[B, 3, height, width]``.

    Pillow's way (``Resample.c``): a weighted mean along each row, then along each column, rounded
    to whole levels after either. Both are products with a matrix of weights that only the sizes
    decide, so any runtime can do it. Pillow itself begins with the columns where a picture is much
    higher than wide, and then rounds otherwise.
    """
    rows, columns = _numbered(x.shape[2]), _numbered(x.shape[3])
    height, width = rows.max() + 1, columns.max() + 1  # as tensors: not every runtime knows
    high, wide, _ = view.shape
    across = _Axis(columns, *_bounds(width, height * (wide / high)), wide)  # numbers made of the
    down = _Axis(rows, *_bounds(height, width * (high / wide)), high)  # input's shape
    x = _levels(x @ _weights(across, view).T)
    x = _levels(_weights(down, view) @ x)
    if view.fit != "pad":
        return x
    inside = _inside(down, view)[:, None] * _inside(across, view)
    return x * inside + torch.tensor(BORDER).float().view(1, 3, 1, 1) * (1 - inside)


def grey(x: Tensor) -> Tensor:
    """Return ``[B, 1, H, W]`` of RGB in 0..255: Pillow's weights, which are whole 65536ths."""
    weights = torch.tensor([19595.0, 38470.0, 7471.0], dtype=torch.float64).view(1, 3, 1, 1)
    total = (x.double() * weights).sum(dim=1, keepdim=True) + 32768
    return torch.floor(total / 65536).float()


@dataclass(frozen=True)
class _Axis:
    """One side of a picture, of which ``size`` px are made.

    ``pixels`` numbers its own. ``within``, ``around``: how long this side is of what has the shape
    that is seen, as large as the picture allows, or as small as holds all of it.
    """

    pixels: Tensor
    within: Tensor
    around: Tensor
    size: int


def _bounds(own: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    return torch.minimum(own, other), torch.maximum(own, other)


def _weights(axis: _Axis, view: View) -> Tensor:
    """Share of each of L numbered pixels in each of those that are made, ``[S, L]``."""
    pixels, whole = axis.pixels, _length(axis.pixels)
    seen = axis.within * (view.crop / view.zoom) if view.fit == "crop" else whole / view.zoom
    before, filled = _before(axis, view)
    step = seen / filled  # px of the picture for each that is made
    start = (whole - seen) / 2
    places = _numbered(axis.size)
    if view.fit == "pad":  # the border has weights too, which nobody sees
        places = torch.minimum((places - before).clamp(min=0), filled - 1)
    centres = start + (places + 0.5) * step
    if view.interpolation == "nearest":
        return (pixels[None] == torch.floor(centres)[:, None]).float()
    stretch = step.clamp(min=1.0)  # a smaller square averages more pixels
    shares = _KERNELS[view.interpolation]((pixels[None] + 0.5 - centres[:, None]) / stretch)
    shares = _grid(shares, _FINE)  # sums of these are the same in any order
    return _grid(shares / shares.sum(dim=1, keepdim=True), _COARSE)


def _before(axis: _Axis, view: View) -> tuple[Tensor, Tensor]:
    """Px before a side of the picture, and those that it takes."""
    size = torch.tensor(float(axis.size))
    if view.fit != "pad":
        return torch.zeros_like(size), size
    before = torch.round(size * (1 - _length(axis.pixels) / axis.around) / 2)
    before = before.clamp(max=float((axis.size - 1) // 2))
    return before, size - 2 * before


def _inside(axis: _Axis, view: View) -> Tensor:
    """1 where the picture is shown along a side, 0 where the border, ``[S]``."""
    before, filled = _before(axis, view)
    places = _numbered(axis.size) - before
    return ((places >= 0) & (places < filled)).float()


def _length(pixels: Tensor) -> Tensor:
    return pixels.max() + 1


def _grid(x: Tensor, step: float) -> Tensor:
    return torch.floor(x / step + 0.5) * step


def _numbered(length: int) -> Tensor:
    return torch.arange(length, dtype=torch.float32)


def _levels(x: Tensor) -> Tensor:
    return torch.floor(x + 0.5).clamp(0, 255)


def _triangle(x: Tensor) -> Tensor:
    return (1 - x.abs()).clamp(min=0)


def _cubic(x: Tensor) -> Tensor:
    """Keys 1981, "Cubic convolution interpolation for digital image processing", a = -1/2."""
    x = x.abs()
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


def _lanczos(x: Tensor) -> Tensor:
    """Return a sinc under the middle of a sinc three times as wide."""
    angle = torch.where(x == 0, torch.ones_like(x), x * torch.pi)
    waves = 3 * torch.sin(angle) * torch.sin(angle / 3) / (angle * angle)
    inside = torch.where(x == 0, torch.ones_like(x), waves)
    return torch.where(x.abs() < 3, inside, torch.zeros_like(x))


_KERNELS: Mapping[str, Kernel] = {"bilinear": _triangle, "bicubic": _cubic, "lanczos": _lanczos}


def _by_channel(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1)
