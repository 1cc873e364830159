"""Drawn images with several labels, or a number, and a RUN of each that a session fits once."""

import csv
import io
from pathlib import Path

import numpy as np
from PIL import Image

import regraft
from pictures import encode, lay_out, photo
from regraft.data.dataset import Item
from regraft.data.kinds import NUMBER, SEPARATOR, SEVERAL, Kind

MARKS = ("rings", "squares", "stripes")
"""Labels of an image: each is there or not, half of the time, whatever the others are."""

TRAIN, TEST = 48, 24


def marked(seed: int, labels: tuple[str, ...], side: int = 64) -> bytes:
    """Soft areas under a wave for each label."""
    random = np.random.default_rng([seed, 5])
    y, x = np.mgrid[:side, :side] + random.uniform(-9, 9, (2, 1, 1))
    pixels = np.asarray(photo(seed, side, side), np.float64) * 0.4 + 76
    for name in labels:
        wave = {
            "rings": np.sin(np.hypot(x - side / 2, y - side / 2) * 0.8),
            "squares": np.sign(np.sin(x * 0.7) * np.sin(y * 0.7)),
            "stripes": np.sin((x + 0.2 * y) * 1.6),
        }[name]
        pixels += 7 * wave[:, :, None]
    return encode(Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), "PNG")


def shaded(seed: int, level: float, side: int = 64) -> bytes:
    """Stripes that are the stronger the larger a number is."""
    random = np.random.default_rng([seed, 6])
    x = np.mgrid[:side, :side][1] + random.uniform(-9, 9)
    pixels = np.asarray(photo(seed, side, side), np.float64) * 0.4 + 76
    pixels += 0.12 * level * np.sin(x * 0.9)[:, :, None]
    return encode(Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), "PNG")


def labels_of(seed: int) -> tuple[str, ...]:
    """None of the labels, one, some or all."""
    there = np.random.default_rng([seed, 7]).random(3) < 0.5
    return tuple(name for name, is_there in zip(MARKS, there, strict=True) if is_there)


def number_of(seed: int) -> float:
    """A number from 10 to 90."""
    return round(float(np.random.default_rng([seed, 8]).uniform(10, 90)), 1)


def laid_out(root: Path, kind: Kind) -> Path:
    """Write the images and ``labels.csv`` beside them; return that table."""
    seeds = range(TRAIN + TEST)
    files = {
        f"{seed:03}.png": marked(seed, labels_of(seed))
        if kind == SEVERAL
        else shaded(seed, number_of(seed))
        for seed in seeds
    }
    rows = io.StringIO(newline="")
    table = csv.writer(rows)
    table.writerow(("path", "label" if kind == SEVERAL else "level", "split"))
    for item in items_of(kind):
        table.writerow((item.path, item.label, item.split))
    return lay_out(root, files | {"labels.csv": rows.getvalue().encode()}) / "labels.csv"


def items_of(kind: Kind) -> list[Item]:
    """Return the images with their labels, or numbers."""
    return [
        Item(
            f"{seed:03}.png",
            SEPARATOR.join(labels_of(seed)) if kind == SEVERAL else f"{number_of(seed):g}",
            "train" if seed < TRAIN else "test",
        )
        for seed in range(TRAIN + TEST)
    ]


def dataset_of(root: Path, kind: Kind) -> regraft.Dataset:
    """Return the images of `laid_out`, opened without a table."""
    items = items_of(kind)
    return regraft.Dataset(
        root.name,
        items,
        (),
        lambda i: (root / items[i].path).read_bytes(),
        kind=kind,
        quantity="level" if kind == NUMBER else "",
    )


def fitted(root: Path, kind: Kind) -> Path:
    """Fit a RUN in ``root / "run"`` of the images in ``root / NAME``."""
    data = laid_out(root / ("marks" if kind == SEVERAL else "shades"), kind).parent
    regraft.fit(dataset_of(data, kind), "demonstration", out=root / "run")
    return root / "run"
