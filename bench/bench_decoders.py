"""JPEG decoders side by side, on the photos of some sets: Pillow, simplejpeg, torchvision.

    pip install --target DECODERS --no-deps simplejpeg
    python bench/bench_decoders.py --data FOLDER --decoders DECODERS

Each photo is decoded by each in turn, to the size that a network of 224 px needs (Pillow and
simplejpeg at a half, a quarter or an eighth where that is enough; torchvision cannot), from bytes
in memory, on one thread: CPU milliseconds an image, the least of three, and how many of the values
lie more than one grey level from Pillow's. *Alone* is Pillow's decoding of a file that is open: its
header has to be read in any case, for what else is said of an image. *All* is what `regraft` does
with one: decoding, what tells copies apart, the square.
"""

import argparse
import io
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import machine
from regraft import backbones
from regraft.data.images import inspect

SETS = ("hymenoptera", "clothing", "weather", "flowers5", "tiny_dogs6")
SHORTER = 256  # px: what a view of 224 px takes of a photo
MOST = 200  # photos of a set

Decode = Callable[[bytes], NDArray[np.uint8]]


def main() -> None:
    """Time each decoder on each set; print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--decoders", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("bench_decoders.json"))
    given = parser.parse_args()
    sys.path.append(str(given.decoders))
    rows = [row(given.data / name) for name in SETS if (given.data / name).is_dir()]
    given.out.write_text(json.dumps({"machine": machine.describe(), "rows": rows}, indent=1))
    names = (*DECODERS, "alone", "all")
    print(f"| set | photos | {' | '.join(names)} | more than a level off, % |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for r in rows:
        times = " | ".join(f"{1000 * r[name]:.2f}" for name in names)
        off = "other sizes" if np.isnan(r["off"]) else f"{100 * r['off']:.2f}"
        print(f"| {r['set']} | {r['photos']} | {times} | {off} |")


def pillow(data: bytes) -> NDArray[np.uint8]:
    """As regraft does."""
    return np.asarray(_opened(data).convert("RGB"))


def _opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    width, height = image.size
    factor = SHORTER / min(width, height)
    image.draft("RGB", (int(width * factor), int(height * factor)))
    return image


def simplejpeg(data: bytes) -> NDArray[np.uint8]:
    """libjpeg-turbo, as Pillow has it, straight into an array."""
    import simplejpeg  # type: ignore[import-not-found]

    height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    factor = SHORTER / min(width, height)
    least = {"min_height": int(height * factor), "min_width": int(width * factor)}
    found: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, "RGB", **least, min_factor=1)
    return found


def torchvision(data: bytes) -> NDArray[np.uint8]:
    """Always in full."""
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg

    torch.set_num_threads(1)
    pixels = decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8), ImageReadMode.RGB)
    found: NDArray[np.uint8] = pixels.numpy()
    return found


DECODERS: dict[str, Decode] = {
    "Pillow": pillow,
    "simplejpeg": simplejpeg,
    "torchvision": torchvision,
}


def row(folder: Path) -> dict[str, Any]:
    """Mean CPU seconds an image of one set."""
    view = backbones.get("efficientnet-lite0").view
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in (".jpg", ".jpeg")]
    photos = [path.read_bytes() for path in paths[:: max(1, len(paths) // MOST)]][:MOST]
    ways: dict[str, Callable[[bytes], Any]] = {**DECODERS, "all": lambda it: inspect(it, [view])}
    took: dict[str, float] = dict.fromkeys((*ways, "alone"), 0.0)
    off: list[float] = []
    for data in photos:
        for name, way in ways.items():
            took[name] += min(spent(way, data) for _ in range(3))
        took["alone"] += min(spent(lambda it: it.load(), _opened(data)) for _ in range(3))
        ours, theirs = pillow(data), simplejpeg(data)
        if ours.shape == theirs.shape:
            off.append(float((np.abs(ours.astype(int) - theirs) > 1).mean()))
    means = {name: seconds / len(photos) for name, seconds in took.items()}
    return {
        "set": folder.name,
        "photos": len(photos),
        "off": float(np.mean(off or [np.nan])),
        **means,
    }


def spent(way: Callable[[Any], Any], data: object) -> float:
    """CPU seconds of this thread."""
    start = time.thread_time()
    way(data)
    return time.thread_time() - start


if __name__ == "__main__":
    main()
