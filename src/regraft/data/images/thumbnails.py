"""How far thumbnails of pictures are from each other, in the memory of those compared at once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

BRIGHTNESS: Final = 56.0  # and their mean grey levels (of 255) are at most so far apart
SMALLER: Final = 2 / 3  # of the side of a picture that its copy of half the size has at most
CONTRAST: Final = 2.0  # standard deviation of a thumbnail; plainer ones have nothing to compare
CHUNK: Final = 16_384  # pairs of thumbnails compared at a time

Near = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]
"""Places of rows, which pictures are near each, and how far away they are."""
Product = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class Halves:
    """Small pictures at half their size: hashes [n], thumbnails [n, 256], 0 where one is not small.

    ``sides`` [n]: the shorter side of each picture itself, px.
    """

    hashes: NDArray[np.uint64]
    thumbs: NDArray[np.uint8]
    sides: NDArray[np.int64]


@dataclass(frozen=True)
class Thumbnails:
    """Thumbnails [n, 256] that are made comparable as they are asked for, with mean 0 and length 1.

    ``inner`` and ``half`` are those of the middles and the halves. ``sides`` as in `Halves`.
    """

    thumbs: NDArray[np.uint8]
    mean: NDArray[np.float32]
    spread: NDArray[np.float32]
    inner: NDArray[np.uint8] | None = None
    half: NDArray[np.uint8] | None = None
    sides: NDArray[np.int64] | None = None

    @classmethod
    def of(
        cls, thumbs: NDArray[np.uint8], inner: NDArray[np.uint8] | None, halves: Halves | None
    ) -> "Thumbnails":
        """Return those of pictures, of their middles and of their halves, as far as there are."""
        mean, spread = np.empty(len(thumbs), np.float32), np.empty(len(thumbs), np.float32)
        for start in range(0, len(thumbs), CHUNK):
            part = slice(start, start + CHUNK)
            _, mean[part], spread[part] = _comparable(thumbs[part])
        none = None, None
        return cls(
            thumbs, mean, spread, inner, *((halves.thumbs, halves.sides) if halves else none)
        )

    def about(
        self,
        rows: NDArray[np.int64],
        columns: NDArray[np.int64],
        place: NDArray[np.int64],
        known: NDArray[np.int64],
        limit: float,
    ) -> Near:
        """Return what is about ``rows`` among ``columns``, nearer than ``limit``.

        The row's place, which picture, how far away.
        Not the row itself, nor the pictures that are ``known`` of the row at a ``place``.
        """
        far = self.distances(rows, columns)
        place = np.concatenate([place, np.arange(len(rows))])
        known = np.concatenate([known, rows])
        column = np.minimum(np.searchsorted(columns, known), len(columns) - 1)
        there = columns[column] == known
        far[place[there], column[there]] = np.inf
        row, column = np.nonzero(far < limit)
        return row, columns[column], far[row, column]

    def distance(
        self, i: NDArray[np.int64], j: NDArray[np.int64], *, whole: bool = False
    ) -> NDArray[np.float32]:
        """1 - correlation of the pairs i, j; infinite where one is much brighter.

        One may also be the middle or the half of the other, unless ``whole``.
        """
        away = np.empty(len(i), np.float32)
        for start in range(0, len(i), CHUNK):
            part = slice(start, start + CHUNK)
            like = self._like(i[part], j[part], _rowwise, whole=whole)
            away[part] = 1 - like
        away[np.abs(self.mean[i] - self.mean[j]) > BRIGHTNESS] = np.inf
        return away

    def distances(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.float32]:
        """1 - correlation of each of ``rows`` with each of ``columns``, cropped or not."""
        like = self._like(rows, columns, _crosswise, whole=False)
        away: NDArray[np.float32] = np.subtract(1, like, out=like)
        return away

    def _like(
        self, a: NDArray[np.int64], b: NDArray[np.int64], times: Product, *, whole: bool
    ) -> NDArray[np.float32]:
        """Correlations of pictures ``a`` and ``b``, or of parts of one with the other."""
        one, other = _comparable(self.thumbs[a])[0], _comparable(self.thumbs[b])[0]
        like = times(one, other)
        if whole:
            return like
        if self.inner is not None:
            np.maximum(like, times(_contrasted(self.inner[a]), other), out=like)
            np.maximum(like, times(one, _contrasted(self.inner[b])), out=like)
        if self.half is not None and self.sides is not None:
            side, its = self.sides[a].reshape(-1, *[1] * (like.ndim - 1)), self.sides[b]
            smaller, larger = its <= SMALLER * side, side <= SMALLER * its
            np.maximum(like, times(_contrasted(self.half[a]), other), out=like, where=smaller)
            np.maximum(like, times(one, _contrasted(self.half[b])), out=like, where=larger)
        return like


def _rowwise(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the products of rows with one another."""
    made: NDArray[np.float32] = np.einsum("nd,nd->n", a, b)
    return made


def _crosswise(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the products of each row of ``a`` with each of ``b``."""
    made: NDArray[np.float32] = a @ b.T
    return made


def _contrasted(thumbs: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return comparable thumbnails, those without contrast all 0."""
    unit, _, spread = _comparable(thumbs)
    unit[spread < CONTRAST] = 0
    return unit


def _comparable(
    thumbs: NDArray[np.uint8],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Thumbnails with mean 0 and length 1, their means and their standard deviations."""
    grey = thumbs.astype(np.float32)
    mean, spread = grey.mean(1), grey.std(1)
    grey -= mean[:, None]
    grey /= np.maximum(spread, 1e-6)[:, None] * np.sqrt(np.float32(grey.shape[1]))
    return grey, mean, spread
