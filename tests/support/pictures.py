"""Small pictures, seeded, and folders of them."""

import io
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from regraft.data.dataset import Dataset, Item
from regraft.data.images import Facts, View, absent, inspect
from regraft.errors import DataError


def photo(seed: int, width: int = 96, height: int = 64) -> Image.Image:
    """A picture with soft areas, shapes with edges and a little grain, as photos have them."""
    random = np.random.default_rng(seed)
    soft = random.integers(0, 256, (5, 6, 3), dtype=np.uint8)
    image = Image.fromarray(soft).resize((width, height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(6):
        x, y = int(random.integers(0, width)), int(random.integers(0, height))
        radius = int(random.integers(min(width, height) // 8 + 1, min(width, height) // 3 + 2))
        colour = tuple(int(level) for level in random.integers(0, 256, 3))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    grain = random.normal(0, 3, (height, width, 3))
    return Image.fromarray((np.asarray(image) + grain).clip(0, 255).astype(np.uint8))


def encode(image: Image.Image, form: str = "JPEG", **options: object) -> bytes:
    """The bytes of a file with this picture."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def jpeg(seed: int, width: int = 96, height: int = 64) -> bytes:
    return encode(photo(seed, width, height), quality=90)


def lay_out(root: Path, files: Mapping[str, bytes]) -> Path:
    """Write files by their path below ``root``, folders included; a path that ends in / is one."""
    for name, data in files.items():
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    return root


def classes(counts: Mapping[str, int], width: int = 24, height: int = 24) -> dict[str, bytes]:
    """So many different pictures in each folder; the same for the same folder at every call."""
    return {
        f"{folder}/{i:03}.jpg": jpeg(zlib.crc32(folder.encode()) + i, width, height)
        for folder, count in counts.items()
        for i in range(count)
    }


def in_memory(files: Mapping[str, bytes], splits: Sequence[str] = ()) -> Dataset:
    """A data set of files by 'label/name', or with ``splits`` by 'split/label/name'."""
    paths = sorted(files)
    parts = [path.split("/") for path in paths]
    items = tuple(
        Item(path, label, above[0] if above and above[0] in splits else "")
        for path, (*above, label, _) in zip(paths, parts, strict=True)
    )
    return Dataset("pictures", items, (), lambda index: files[paths[index]])


VIEW = View(32, 0.8)


def seen(data: bytes, view: View = VIEW) -> tuple[Facts, NDArray[np.uint8]]:
    """The facts and the square of a file that can be used."""
    facts, squares = inspect(data, [view])
    assert not facts.problem, facts
    assert squares is not None
    return facts, squares[0]


def facts_of(dataset: Dataset, views: Sequence[View] = ()) -> list[Facts]:
    """The facts of every item, as a run finds them."""

    def look(index: int) -> Facts:
        try:
            return inspect(dataset.read(index), views)[0]
        except OSError as error:
            return absent(error)

    return [look(index) for index in range(len(dataset.items))]


TWO = classes({"cat": 2, "dog": 2})
SPLITS = classes({"train/cat": 2, "train/dog": 2, "test/cat": 1, "test/dog": 1})


def refusal(source: Any) -> DataError:
    """The error that opening this gives; it names at least one problem."""
    with pytest.raises(DataError) as caught:
        Dataset.open(source)
    assert caught.value.problems
    return caught.value


def rows(dataset: Dataset) -> list[tuple[str, str, str]]:
    return [(item.path, item.label, item.split) for item in dataset.items]


def check_reading(dataset: Dataset, files: Mapping[str, bytes]) -> None:
    """Every item reads as the file of its path."""
    for i, item in enumerate(dataset.items):
        assert dataset.read(i) == files[item.path]
