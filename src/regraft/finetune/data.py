"""Images for training: decoded once, augmented in batches, in an order that a seed fixes."""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms import v2

from regraft.backbones import View
from regraft.data.images import inspect
from regraft.errors import DataError
from regraft.features.engines import cores
from regraft.plan.recipes import Training, steps_of

HELD = 1 << 30
"""Bytes of decoded images that are held in memory; what is beyond is decoded at every use."""

Read = Callable[[int], bytes]


class ImageBuffer:
    """Decoded images ``[n, height, width, channels]``: the first held, others decoded anew."""

    def __init__(self, read: Read, items: Sequence[int], view: View, held: int = HELD) -> None:
        """``items``: which images of ``read``, in the order in which they are then numbered."""
        self.view = view
        self._read, self._items = read, items
        most = min(len(items), held // math.prod(view.shape))
        self._held = np.empty((most, *view.shape), np.uint8)
        near = getattr(read, "near", None)  # of images in row groups, which are read as a whole
        rows = range(most) if near is None else sorted(range(most), key=lambda n: near(items[n]))
        with ThreadPoolExecutor(cores()) as pool:
            for place, square in zip(rows, pool.map(self._decode, rows), strict=True):
                self._held[place] = square

    def __len__(self) -> int:
        return len(self._items)

    def batch(self, rows: NDArray[np.intp]) -> Tensor:
        """Pixels ``[B, channels, height, width]`` of 0..255 (a view of channels-last memory)."""
        some = np.empty((len(rows), *self._held.shape[1:]), np.uint8)
        for place, row in enumerate(rows):
            some[place] = self._held[row] if row < len(self._held) else self._decode(int(row))
        return torch.from_numpy(some).permute(0, 3, 1, 2)

    def _decode(self, row: int) -> NDArray[np.uint8]:
        number = self._items[row]
        try:
            facts, squares = inspect(self._read(number), [self.view])
        except OSError as error:
            raise _gone(number, error.strerror or str(error)) from error
        if squares is None:
            raise _gone(number, facts.detail)
        return squares[0]


def _gone(number: int, why: str) -> DataError:
    """Return the error of an image that could be read a moment ago."""
    return DataError(
        f"Image number {number + 1:,} can no longer be read: {why}.",
        ["Leave the images where they are and as they are while the network is trained."],
    )


def room_for_crops(view: View, training: Training) -> View:
    """Return what is decoded for training.

    All of the centre square where crops are drawn from it.
    """
    if training.crop >= 1:
        return view
    share = view.need / view.longest
    return replace(view, size=round(view.size * share), width=round(view.width * share), crop=1.0)


class Augment:
    """Random crops and mirror images, by torch's global generator.

    A crop is shared by ``group`` images of a batch: one on the CPU, where each is cheap, more on a
    GPU, where a few large operations beat many small ones.
    """

    def __init__(self, training: Training, view: View, group: int = 1) -> None:
        self._mirror, self._group = training.mirror, group
        self._crop: Callable[[Tensor], Tensor] | None = None
        if training.crop < 1:
            sides = view.shape[:2]
            self._crop = v2.RandomResizedCrop(sides, (training.crop, 1.0), antialias=True)

    def __call__(self, pixels: Tensor) -> Tensor:
        """``[B, channels, ...]`` as decoded -> ``[B, channels, height, width]``, uint8."""
        if self._crop is not None:
            pixels = torch.cat([self._crop(part) for part in pixels.split(self._group)])
        if self._mirror:
            swapped = torch.rand(len(pixels)) < 0.5
            where = swapped.to(pixels.device)[:, None, None, None]
            pixels = torch.where(where, pixels.flip(-1), pixels)
        return pixels


def batches(
    labels: NDArray[np.intp], training: Training, seed: int, epoch: int
) -> Iterator[NDArray[np.intp]]:
    """Rows of each step of an epoch; the same seed and epoch give the same ones.

    With ``sampling`` every class comes equally often, in the long run; else every image once.
    """
    generator = np.random.default_rng([seed, epoch])
    if training.weighting == "sampling":
        share = 1.0 / np.bincount(labels)[labels]
        order = generator.choice(len(labels), len(labels), p=share / share.sum())
    else:
        order = generator.permutation(len(labels))
    count = steps_of(len(labels), training)
    yield from np.array_split(order, count)
