"""Decode every image of a folder and run the calibrated engine over them once; nothing else.

python bench/pass_alone.py FOLDER     (REGRAFT_CACHE names the cache with the calibration)
"""

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regraft import backbones
from regraft.features import engines
from regraft.features.cache import default_folder


def square(path: Path, size: int, crop: float) -> NDArray[np.uint8] | None:
    """The centre square of a photo, as the network sees it."""
    try:
        with Image.open(path) as image:
            image.draft("RGB", (int(size / crop),) * 2)
            photo = image.convert("RGB")
    except OSError:
        return None
    width, height = photo.size
    side = min(width, height) * crop
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    return np.asarray(photo.resize((size, size), Image.Resampling.BICUBIC, box=box))


def main() -> None:
    """Look at every image once."""
    record = backbones.get("efficientnet-lite0")
    known = engines.remembered(record, default_folder(os.environ), build=_never)
    assert known is not None, "calibrate first: regraft plan FOLDER"
    engine, view = known[0], record.view
    paths = sorted(path for path in Path(sys.argv[1]).rglob("*") if path.is_file())
    with ThreadPoolExecutor(engines.cores()) as pool:
        made = pool.map(lambda path: square(path, view.size, view.crop), paths)
        for batch in _batches(made, 32):
            engine(batch)


def _batches(squares: Iterator[NDArray[np.uint8] | None], size: int) -> Iterator[NDArray[np.uint8]]:
    batch: list[NDArray[np.uint8]] = []
    for one in squares:
        batch += [] if one is None else [one]
        if len(batch) == size:
            yield np.stack(batch)
            batch = []
    if batch:
        yield np.stack(batch)


def _never() -> Any:
    raise AssertionError("the converted network is there")


if __name__ == "__main__":
    main()
