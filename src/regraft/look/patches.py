"""Which images, and where in them, excite each channel most: one pass, a few numbers kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from regraft.backbones import Backbone
from regraft.features.engines.base import Floats
from regraft.look import passes
from regraft.look.maps import Strongest, unpooled
from regraft.look.sample import Sample

CHANNELS = 6
"""Channels shown of each stage."""

PATCHES = 6
"""Patches shown of each channel."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Patch:
    """Where a channel is excited: a place of the stage's map, in an image of the sample."""

    image: int
    place: int
    value: float


@dataclass(frozen=True)
class Channel:
    """A channel and what excites it most, the strongest first.

    ``standing``: how far the patches' values lie above the channel's average over images (each
    image counts with its highest value), in the stage's typical standard deviation.
    """

    number: int
    standing: float
    patches: tuple[Patch, ...]


@dataclass(eq=False)
class Record:
    """The highest values of each channel of one stage so far, at most one a group of images.

    ``value``, ``image``, ``place``: ``[PATCHES, C]``, the highest first; ``count``, ``total`` and
    ``squares`` (``[C]``) sum up the highest values of all images.
    """

    value: Floats
    image: Ints
    place: Ints
    count: int
    total: NDArray[np.float64]
    squares: NDArray[np.float64]

    @classmethod
    def empty(cls, channels: int) -> "Record":
        """Nothing seen yet."""
        shape = (PATCHES, channels)
        return cls(
            value=np.full(shape, -np.inf, np.float32),
            image=np.full(shape, -1, np.int64),
            place=np.zeros(shape, np.int64),
            count=0,
            total=np.zeros(channels),
            squares=np.zeros(channels),
        )

    def add(self, images: Ints, value: Floats, place: Floats, groups: Ints) -> None:
        """Take the highest value and its place, ``[B, C]``, of some images."""
        exact = value.astype(np.float64)
        self.count += len(images)
        self.total += exact.sum(0)
        self.squares += np.square(exact).sum(0)
        values = np.concatenate([self.value, value])
        numbers = np.concatenate([self.image, np.broadcast_to(images[:, None], value.shape)])
        places = np.concatenate([self.place, place.astype(np.int64)])
        order = np.argsort(-values, axis=0, kind="stable")
        ranked = np.where(numbers < 0, -1, groups[numbers])
        again = _again(np.take_along_axis(ranked, order, 0))
        order = np.take_along_axis(order, np.argsort(again, axis=0, kind="stable"), 0)[:PATCHES]
        again = np.sort(again, axis=0)[:PATCHES]
        self.value = np.take_along_axis(values, order, 0)
        self.value[again] = -np.inf
        self.image = np.take_along_axis(numbers, order, 0)
        self.image[again] = -1
        self.place = np.take_along_axis(places, order, 0)

    def strongest(self, most: int = CHANNELS) -> list[Channel]:
        """Return the channels that stand out most, in the order of how far they do.

        All are measured by one standard deviation, the root mean square of the stage's: by its own,
        a channel that is next to silent stands out most. Left out are those whose patches do not
        all lie above the channel's average.
        """
        mean = self.total / max(self.count, 1)
        spread = np.sqrt(np.maximum(self.squares / max(self.count, 1) - mean**2, 0))
        shared = np.sqrt(np.square(spread).mean())
        there = self.image >= 0
        value = np.where(there, self.value, 0).astype(np.float64)
        standing = value.sum(0) / np.maximum(there.sum(0), 1) - mean
        alive = (spread > 1e-6 * (np.abs(mean) + 1e-30)) & (
            np.where(there, value, np.inf) > mean
        ).all(0)
        standing = np.where(alive, standing / np.where(alive, shared, 1), -np.inf)
        ranked = np.argsort(-standing, kind="stable")[:most]
        return [self._channel(int(c), float(standing[c])) for c in ranked if alive[c]]

    def _channel(self, number: int, standing: float) -> Channel:
        rows = zip(self.image[:, number], self.place[:, number], self.value[:, number], strict=True)
        found = tuple(Patch(int(i), int(p), float(v)) for i, p, v in rows if i >= 0)
        return Channel(number, standing, found)


def _again(ranked: Ints) -> NDArray[np.bool_]:
    """Which entries ``[n, C]`` repeat one above them in their column, or are empty (-1)."""
    again = ranked < 0
    for row in range(1, len(ranked)):
        again[row] |= (ranked[:row] == ranked[row]).any(0)
    return again


def find(
    module: nn.Module,
    backbone: Backbone,
    depths: Sequence[int],
    sample: Sample,
    tell: Callable[[int], None] = lambda more: None,
) -> tuple[list[list[Channel]], Floats]:
    """Look at every image once.

    Returns:
        The strongest channels of each depth, and the averages over the image of all their
        channels, ``[n, sum of widths]``.
    """
    stages = [backbone.stages[depth] for depth in depths]
    records = [Record.empty(stage.channels) for stage in stages]
    rows = np.zeros((len(sample), sum(stage.channels for stage in stages)), np.float32)
    run = passes.engine(Strongest(unpooled(module, backbone, depths), stages), backbone)
    for some, found in passes.batches(run, sample.square, len(sample), tell):
        rows[some] = np.concatenate(found[::3], axis=1)
        for record, value, place in zip(records, found[1::3], found[2::3], strict=True):
            record.add(some, value, place, sample.groups)
    return [record.strongest() for record in records], rows
