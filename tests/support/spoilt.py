"""Small seeded networks to be ranked: sound ones, and some that tell nothing or fail."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import nn

import smallnet
from regraft import backbones
from regraft.networks import build
from regraft.run.pretrained import Pretrained


class Spoilt(smallnet.Small):
    """The small network, with what its first stage gives multiplied."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x * self.factor)


def made(kind: Callable[[], nn.Module], seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return kind().eval()


def network(name: str, kind: Callable[[], nn.Module] = smallnet.Small, seed: int = 3) -> Pretrained:
    """A network of the small one's stages; its record is that of a sound one."""
    record = build.describe_module(
        made(smallnet.Small, seed),
        ["one", "two", "three"],
        view=backbones.View(smallnet.SIZE),
        mean=(0.4, 0.5, 0.6),
        std=(0.2, 0.3, 0.25),
        head="head",
        name=name,
    )
    weights = replace(record.weights, sha256=f"{name}{seed}".encode().hex().ljust(64, "0"))
    return Pretrained(replace(record, weights=weights), partial(made, kind, seed))


def good() -> Pretrained:
    return network("a-good")


def blind() -> Pretrained:
    """Gives the same for every image, and so tells nothing."""
    return network("blind", partial(Spoilt, 0.0))


def nan() -> Pretrained:
    return network("nan", partial(Spoilt, float("nan")))


def one_channel() -> Pretrained:
    return network("one-channel", lambda: nn.Sequential(nn.Conv2d(1, 8, 3)))
