"""What a network's stages give before anything is averaged, and the strongest place of each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from regraft.backbones import Backbone, Stage
from regraft.networks import build
from regraft.networks.trunk import Tap, Trunk, trace

MOST = 13
"""Stages shown of one network; of more, so many that are evenly spaced."""


@dataclass(frozen=True)
class Cells:
    """How the values of one stage lie over the image: ``rows * columns`` places, row by row.

    A vector has one; a row of tokens that stand for no square of patches has one row.
    """

    rows: int
    columns: int

    @property
    def count(self) -> int:
        """Places in all."""
        return self.rows * self.columns

    def at(self, place: int) -> tuple[int, int]:
        """Row and column of a place."""
        return divmod(place, self.columns)


def chosen(backbone: Backbone, most: int = MOST) -> tuple[int, ...]:
    """Return the depths to show.

    All, or ``most`` evenly spaced ones with the first and the last.
    """
    count = len(backbone.stages)
    if count <= most:
        return tuple(range(count))
    return tuple(round(n * (count - 1) / (most - 1)) for n in range(most))


def unpooled(module: nn.Module, backbone: Backbone, depths: Sequence[int]) -> Trunk:
    """Return a trunk whose taps are not averaged.

    Returns:
        ``forward(x [B, 3, S, S], normalised) -> the stages' own values``, as their layouts say.
    """
    traced = trace(module, backbone.name)
    readings = []
    for tap, stage in build.readings(traced, backbone, depths):
        with traced.graph.inserting_after(tap.end):  # a copy: the next layer may write into it
            copy = traced.graph.call_method("clone", (tap.node,))
        readings.append((Tap(copy, copy), replace(stage, layout="NC")))
    return Trunk(traced, readings)


def flat(value: Tensor, stage: Stage) -> Tensor:
    """Return a stage's values place by place: ``[B, ...] -> [B, places, C]``."""
    match stage.layout:
        case "NCHW":
            return value.flatten(2).transpose(1, 2)
        case "NHWC":
            return value.flatten(1, 2)
        case "NLC":
            return value[:, stage.skip :]
    return value[:, None]


def cells(value: Tensor, stage: Stage) -> Cells:
    """Return how the places of `flat` lie over the image."""
    match stage.layout:
        case "NCHW":
            return Cells(*value.shape[2:])
        case "NHWC":
            return Cells(*value.shape[1:3])
        case "NLC":
            count = value.shape[1] - stage.skip
            return Cells(stage.side, stage.side) if stage.side**2 == count else Cells(1, count)
    return Cells(1, 1)


class Strongest(nn.Module):
    """Sums an unpooled trunk's taps up, so that no map has to be kept.

    ``forward``: normalised pixels ``[B, 3, S, S]`` -> for each stage ``[B, C]`` of the average over
    places, of the highest value, and of its place; three times as many as there are stages.
    """

    def __init__(self, trunk: Trunk, stages: Sequence[Stage]) -> None:
        super().__init__()
        self.trunk = trunk
        self.stages = tuple(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Average, highest value and its place, stage by stage."""
        return [
            part for pair in zip(self.trunk(x), self.stages, strict=True) for part in sums(*pair)
        ]


def sums(value: Tensor, stage: Stage) -> tuple[Tensor, Tensor, Tensor]:
    """Average over places, highest value, and its place (the first of equals), ``[B, C]`` each.

    The place is a float like the others: exact up to 16 million places.
    """
    places = flat(value, stage)
    high, place = places.max(1)
    return places.mean(1), high, place.to(torch.float32)
