"""Which pictures are nearly the same: re-encoded, rescaled, a little brighter.

Each picture has a 64-bit perceptual hash and a 16 x 16 grey thumbnail. The hash finds candidates
fast, the thumbnails confirm them. The limits were set by looking at pairs. Re-encoding a photo
(JPEG at quality 60 to 85, WebP at 50, half to double size) turns at most 6 bits of the hash, and
for 95 in 100 the correlation of the thumbnails stays above 0.994. Different handwritten digits,
chest X-rays and fruits in a hand stay below that, even where their hashes agree.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.float64]

BITS: Final = 6  # near copies differ in at most so many of the 64
LOSS: Final = 0.006  # and 1 - correlation of their thumbnails is below this
BRIGHTNESS: Final = 24.0  # and their mean grey levels (of 255) are at most so far apart
CONTRAST: Final = 2.0  # standard deviation of a thumbnail; plainer ones have nothing to compare
_BANDS: Final = 5  # pairs that differ in 4 bits agree in one of 5 bands: those are all found
_REACH: Final = 2000  # neighbours compared within a band, so that masses of blanks stay cheap
_CHUNK: Final = 16_384  # pairs of thumbnails compared at a time


def describe(grey: Grey) -> tuple[int, bytes]:
    """Perceptual hash and thumbnail (256 bytes) of [32, 32] grey levels in 0..255."""
    thumb = grey.reshape(16, 2, 16, 2).mean((1, 3)).round().astype(np.uint8)
    return _phash(grey), thumb.tobytes()


def _phash(grey: Grey) -> int:
    """Which of the 64 lowest frequencies are above their median.

    The DCT hash of Zauner, "Implementation and benchmarking of perceptual image hash functions"
    (2010), with the frequencies chosen by their distance from zero. Amplitudes below 1 are noise
    and count as 0, so that plain areas hash alike.
    """
    basis, chosen = _frequencies()
    waves = (basis @ grey @ basis.T).ravel()[chosen]
    waves[np.abs(waves) < 1] = 0
    return int.from_bytes(np.packbits(waves > np.median(waves)).tobytes(), "big")


@cache
def _frequencies() -> tuple[Grey, NDArray[np.intp]]:
    """The orthonormal DCT-II of ten frequencies, [10, 32], and the 64 lowest of the 10 x 10."""
    u = np.arange(10)
    basis = np.cos(np.pi * u[:, None] * (2 * np.arange(32) + 1) / 64) * np.sqrt(2 / 32)
    basis[0] /= np.sqrt(2)
    return basis, np.argsort(np.add.outer(u**2, u**2).ravel(), kind="stable")[1:65]


def near_groups(hashes: NDArray[np.uint64], thumbs: NDArray[np.uint8]) -> NDArray[np.int64]:
    """A group number for each of ``hashes`` [n] and ``thumbs`` [n, 256]: near copies share one.

    Near copies of near copies do too. Pairs that differ in up to 4 bits are all found, and most
    that differ in 5 or 6. Memory grows with n alone, time with the pairs that share a band.
    """
    pictures = _Pictures.of(thumbs)
    group = np.arange(len(hashes))
    worth = np.flatnonzero(pictures.spread >= CONTRAST)
    for band in range(_BANDS):
        for pairs in _candidates(hashes[worth], band):
            i, j = worth[pairs]
            apart = group[i] != group[j]
            i, j = i[apart], j[apart]
            same = pictures.agree(i, j)
            if same.any():
                group = _merged(group, i[same], j[same])
    return group


def _candidates(hashes: NDArray[np.uint64], band: int) -> Iterator[NDArray[np.int64]]:
    """Pairs [2, m] that agree in every ``_BANDS``-th bit and are close in all."""
    keys = hashes & np.uint64(sum(1 << bit for bit in range(band, 64, _BANDS)))
    order = np.lexsort((hashes, keys))
    keys, hashes = keys[order], hashes[order]
    alive = np.arange(len(keys))
    for reach in range(1, _REACH + 1):
        alive = alive[alive < len(keys) - reach]
        alive = alive[keys[alive] == keys[alive + reach]]
        if not len(alive):
            return
        close = alive[np.bitwise_count(hashes[alive] ^ hashes[alive + reach]) <= BITS]
        if len(close):
            yield np.stack([order[close], order[close + reach]])


@dataclass(frozen=True)
class _Pictures:
    """Thumbnails made comparable: each [256] with mean 0 and length 1."""

    unit: NDArray[np.float32]
    mean: NDArray[np.float32]
    spread: NDArray[np.float32]

    @classmethod
    def of(cls, thumbs: NDArray[np.uint8]) -> "_Pictures":
        grey = thumbs.astype(np.float32)
        mean, spread = grey.mean(1), grey.std(1)
        grey -= mean[:, None]
        grey /= np.maximum(spread, 1e-6)[:, None] * np.sqrt(np.float32(grey.shape[1]))
        return cls(grey, mean, spread)

    def agree(self, i: NDArray[np.int64], j: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of the pairs i, j show the same."""
        same: NDArray[np.bool_] = np.abs(self.mean[i] - self.mean[j]) <= BRIGHTNESS
        for start in range(0, len(i), _CHUNK):
            part = slice(start, start + _CHUNK)
            correlation = np.einsum("nd,nd->n", self.unit[i[part]], self.unit[j[part]])
            same[part] &= 1 - correlation < LOSS
        return same


def _merged(
    group: NDArray[np.int64], i: NDArray[np.int64], j: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The groups after those of i and j have become one: each takes the least of their numbers.

    Few pairs are near copies, and a graph library takes longer to import than they take to join.
    """
    parent = np.arange(len(group))

    def root(g: int) -> int:
        while parent[g] != g:
            parent[g] = parent[parent[g]]  # halve the way, so that long chains stay cheap
            g = int(parent[g])
        return g

    for a, b in zip(group[i].tolist(), group[j].tolist(), strict=True):
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    joined = sorted(set(group[i].tolist()) | set(group[j].tolist()))
    parent[joined] = [root(g) for g in joined]
    merged: NDArray[np.int64] = parent[group]
    return merged
