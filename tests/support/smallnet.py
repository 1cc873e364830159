"""A small network with a residual, and what is needed to run it on small photos."""

from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from pictures import photo
from regraft.backbones import Backbone, View
from regraft.features.engines import Floats, Pixels, openvino_engine, torch_engine
from regraft.networks import build

SIZE = 32


class Small(nn.Module):
    """Three stages with a residual, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.two = nn.Sequential(nn.Conv2d(8, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU())
        self.three = nn.Sequential(nn.Conv2d(16, 16, 3, 1, 1), nn.ReLU())
        self.head = nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.two(self.one(x))
        x = self.three(x) + x
        return self.head(x.mean((2, 3)))  # type: ignore[no-any-return]


def small() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return Small().eval()


@cache
def record() -> Backbone:
    return build.describe_module(
        small(),
        ["one", "two", "three"],
        view=View(SIZE),
        mean=(0.4, 0.5, 0.6),
        std=(0.2, 0.3, 0.25),
        head="head",
        name="small",
    )


@cache
def photos() -> Pixels:
    return np.stack([np.asarray(photo(seed, SIZE, SIZE)) for seed in range(40)])


def never() -> nn.Module:
    pytest.fail("the network is not to be built")


def runs(name: str) -> pytest.MarkDecorator:
    """Skip a test of an engine that this machine cannot run, with the product's own reason."""
    why = (openvino_engine if openvino_engine.is_graph(name) else torch_engine).objection(name)
    return pytest.mark.skipif(bool(why), reason=f"{name}: {why}")


def plain_features() -> list[Floats]:
    """Features of the photos, computed the plain way."""
    x = torch.from_numpy(photos()).permute(0, 3, 1, 2).float() / 255
    x = (x - torch.tensor(record().mean).view(3, 1, 1)) / torch.tensor(record().std).view(3, 1, 1)
    with torch.no_grad():
        depths = build.trunk(small(), record(), range(len(record().stages)))(x)
    return [depth.numpy() for depth in depths]
