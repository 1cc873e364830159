"""What a picture looks like in a few bytes, to compare it with thousands of others.

A 64-bit perceptual hash and a 16 x 16 grey thumbnail: of the whole, of its middle (the whole of a
copy that lost a little at each edge), and of a small picture at half its size.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Grey = NDArray[np.float64]

CROP: Final = 0.025  # of a side that a cropped copy lost at each end
SIDE: Final = 32  # px of the grey levels described; fewer px than that blur a picture


@dataclass(frozen=True)
class Fingerprint:
    """Hash and thumbnail (256 bytes) of a picture, of its middle and of itself at half its size.

    ``half`` is empty where half the size is still no fewer px than ``SIDE``.
    """

    phash: int
    thumb: bytes
    inner_hash: int
    inner: bytes
    half_hash: int = 0
    half: bytes = b""


def describe(grey: Grey, width: int, height: int) -> Fingerprint:
    """Return what [32, 32] grey levels of a picture of ``width`` x ``height`` px look like.

    The middle is taken from the 32 x 32, not from the thumbnail: at 16 x 16 resampling alone costs
    ten times the distance of a cropped copy.
    """
    part = _middle()
    middle = part @ grey @ part.T
    look = _phash(grey), _thumb(grey), _phash(middle), _thumb(middle)
    if min(width, height) // 2 >= SIDE:
        return Fingerprint(*look)
    half = _halved(height) @ grey @ _halved(width).T
    return Fingerprint(*look, _phash(half), _thumb(half))


def _thumb(grey: Grey) -> bytes:
    thumb = np.rint(grey.reshape(16, 2, 16, 2).sum((1, 3)) / 4)
    levels: NDArray[np.uint8] = np.minimum(np.maximum(thumb, 0), 255).astype(np.uint8)
    return levels.tobytes()


@cache
def _middle() -> Grey:
    """[32, 32]: samples 32 values again over all but ``CROP`` at each end, by Catmull-Rom."""
    place = (CROP + (np.arange(32) + 0.5) / 32 * (1 - 2 * CROP)) * 32 - 0.5
    first = np.floor(place).astype(np.intp)
    made = np.zeros((32, 32))
    for step in range(-1, 3):
        far = np.abs(place - first - step)
        near = 1.5 * far**3 - 2.5 * far**2 + 1
        rest = -0.5 * far**3 + 2.5 * far**2 - 4 * far + 2
        column = np.clip(first + step, 0, 31)
        np.add.at(made, (np.arange(32), column), np.where(far < 1, near, rest))
    return made


@cache
def _halved(side: int) -> Grey:
    """[32, 32]: what is left of 32 samples of a picture's side (px) in a copy of half that side.

    Made small by Pillow's bicubic filter, which is as near to its copies by the Lanczos as by the
    bilinear filter; made 32 again as any picture is that is to be described.
    """
    pixels = max(1, min(SIDE, side // 2))
    every = Image.fromarray(np.eye(SIDE, dtype=np.float32))
    few = every.resize((SIDE, pixels), Image.Resampling.BICUBIC)
    return np.asarray(few.resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float64)


def _phash(grey: Grey) -> int:
    """Which of the 64 lowest frequencies are above their median.

    The DCT hash of Zauner, "Implementation and benchmarking of perceptual image hash functions"
    (2010), with the frequencies chosen by their distance from zero. Amplitudes below 1 are noise
    and count as 0, so that plain areas hash alike.
    """
    basis, chosen = _frequencies()
    waves = (basis @ grey @ basis.T).ravel()[chosen]
    waves[np.abs(waves) < 1] = 0
    low, high = np.partition(waves, (31, 32))[31:33]  # np.median, at a sixth of its time
    return int.from_bytes(np.packbits(waves > (low + high) / 2).tobytes(), "big")


@cache
def _frequencies() -> tuple[Grey, NDArray[np.intp]]:
    """Return the orthonormal DCT-II of ten frequencies, [10, 32], and its 64 lowest pairs."""
    u = np.arange(10)
    basis = np.cos(np.pi * u[:, None] * (2 * np.arange(32) + 1) / 64) * np.sqrt(2 / 32)
    basis[0] /= np.sqrt(2)
    return basis, np.argsort(np.add.outer(u**2, u**2).ravel(), kind="stable")[1:65]
