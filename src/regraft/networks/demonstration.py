"""The demonstration network: three convolutional layers and three fully connected ones.

Small enough to name every layer, good enough to see each of the four cases win where it should.
It says of itself what timm's models say (``pretrained_cfg``, ``feature_info``), so that the rest of
the house treats it as one of them.
"""

from typing import Any

from torch import Tensor, nn

NAME = "demonstration"

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
"""Of the pixels of CIFAR-10's training images, by channel, on the scale 0 to 1."""

SIDE = 32
"""Side of its images in px: those of CIFAR-10."""

LAYERS = ("conv1", "conv2", "conv3", "fc1", "fc2")
"""Its layers but the last, which is the classifier ``fc3``."""


class Convolution(nn.Module):
    """``[B, C, S, S] -> [B, outputs, S/2, S/2]``: filter, normalise, keep the positive, halve."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.act = nn.ReLU()
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        """One layer on."""
        out: Tensor = self.pool(self.act(self.norm(self.conv(x))))
        return out


class FullyConnected(nn.Module):
    """``[B, ...] -> [B, outputs]``: every output reads every input; keep what is positive."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.full = nn.Linear(inputs, outputs)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """One layer on."""
        out: Tensor = self.act(self.full(x.flatten(1)))
        return out


class Demonstration(nn.Module):
    """Normalised pixels ``[B, 3, 32, 32]`` -> logits ``[B, classes]``."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = Convolution(3, 48, 5)  # [B, 48, 16, 16]
        self.conv2 = Convolution(48, 96, 3)  # [B, 96, 8, 8]
        self.conv3 = Convolution(96, 192, 3)  # [B, 192, 4, 4]
        self.fc1 = FullyConnected(192 * 4 * 4, 128)
        self.fc2 = FullyConnected(128, 64)
        self.fc3 = nn.Linear(64, classes)
        self.pretrained_cfg: dict[str, Any] = {
            "input_size": (3, SIDE, SIDE),
            "crop_pct": 1.0,
            "interpolation": "bilinear",
            "mean": MEAN,
            "std": STD,
            "classifier": "fc3",
        }
        self.feature_info = [{"module": name} for name in LAYERS]

    def forward(self, x: Tensor) -> Tensor:
        """From the image to the classes, layer by layer."""
        for layer in (self.conv1, self.conv2, self.conv3, self.fc1, self.fc2, self.fc3):
            x = layer(x)
        return x
