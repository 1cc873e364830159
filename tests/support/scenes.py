"""Pictures that a network can tell apart: a photo behind stripes, rings or squares."""

import zlib
from collections.abc import Mapping

import numpy as np
from PIL import Image

from pictures import encode, photo

KINDS = ("rings", "squares", "stripes")


def scene(kind: str, seed: int, side: int = 64) -> bytes:
    """One picture of a kind, no two alike."""
    random = np.random.default_rng([seed, zlib.crc32(kind.encode())])
    y, x = np.mgrid[:side, :side] + random.uniform(-9, 9, (2, 1, 1))
    period = random.uniform(7, 10)
    wave = {
        "rings": np.sin(np.hypot(x - side / 2, y - side / 2) * 2 * np.pi / period),
        "squares": np.sign(np.sin(x * 2 * np.pi / period) * np.sin(y * 2 * np.pi / period)),
        "stripes": np.sin((x + 0.2 * y) * 2 * np.pi / period),
    }[kind]
    behind = np.asarray(photo(zlib.crc32(f"{kind} {seed}".encode()), side, side), np.float64)
    pixels = 0.5 * behind + 64 + 60 * wave[:, :, None]
    return encode(Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), "PNG")


def scenes(counts: Mapping[str, int], first: int = 0) -> dict[str, bytes]:
    """So many pictures in each folder; the folder's own name is the kind."""
    return {
        f"{folder}/{i:03}.png": scene(folder.rpartition("/")[2], i)
        for folder, count in counts.items()
        for i in range(first, first + count)
    }


def each(count: int, split: str = "") -> dict[str, int]:
    """The same number of every kind."""
    return {f"{split}{kind}": count for kind in KINDS}
