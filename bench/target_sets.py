"""Sets with several labels an image, and with a number, drawn by a seed from real photos.

    python bench/target_sets.py --data FOLDER --out SETS

FOLDER holds the sets clothing, spoken_digit_spectrograms, weather and hymenoptera; SETS gets a
folder each, with a ``labels.csv``. *clothes*: the garment and the colour of its middle. *spoken*:
the digit and who speaks it. *shapes*: drawn over photos, each kind there or not. *angle*: by how
much a photo was turned, in degrees. *bright*: the gamma that it was brightened or darkened by.
*cells*: how many blots were drawn.
"""

import argparse
import colorsys
import csv
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SEVERAL, NUMBERS = ("clothes", "spoken", "shapes"), ("angle", "bright", "cells")
SIDE, COUNT = 224, 1000
SHAPES = ("circle", "cross", "ring", "square", "star", "triangle")
Row = tuple[Image.Image | Path, str | float]


def main() -> None:
    """Draw all sets, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    for name, rows in SETS.items():
        folder = given.out / name
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "labels.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["path", "label" if name in SEVERAL else name])
            for number, (image, label) in enumerate(rows(given.data)):
                place = folder / f"{number:04}.png"
                if isinstance(image, Path):
                    place = place.with_suffix(image.suffix)
                    place.unlink(missing_ok=True)
                    os.symlink(image.resolve(), place)
                else:
                    place = place.with_suffix(".jpg")
                    image.save(place, quality=90)
                table.writerow([place.name, label])


def pictures(folder: Path) -> list[Path]:
    """All pictures below a folder, by name."""
    found = [p for p in folder.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png")]
    return sorted(found, key=str)


def clothes(data: Path) -> Iterator[Row]:
    """Photos of clothes, with the garment and a colour."""
    for path in pictures(data / "clothing"):
        with Image.open(path) as image:
            small = np.asarray(image.convert("RGB").resize((64, 64)), float)
        hue, much, light = colorsys.rgb_to_hsv(
            *(np.median(small[20:44, 20:44].reshape(-1, 3), axis=0) / 255)
        )
        edges = (0.05, "red"), (0.12, "brown"), (0.2, "yellow"), (0.45, "green"), (0.72, "blue")
        colour = next((name for edge, name in edges if hue < edge), "purple")
        colour = "red" if hue > 0.92 else colour
        if light < 0.25 or much < 0.18:
            colour = "black" if light < 0.25 else "white" if light > 0.75 else "grey"
        yield path, "|".join(sorted((path.parent.name, colour)))


def spoken(data: Path) -> Iterator[Row]:
    """Spectrograms, with the digit and the speaker."""
    for path in pictures(data / "spoken_digit_spectrograms"):
        yield path, "|".join(sorted((path.parent.name, path.stem.split("_")[1])))


def shapes(data: Path) -> Iterator[Row]:
    """Photos of weather that shapes were drawn over."""
    random, photos = np.random.default_rng(0), pictures(data / "weather")
    for number in range(COUNT):
        image = square(photos[number % len(photos)], SIDE)
        draw = ImageDraw.Draw(image)
        there = [name for name in SHAPES if random.random() < 0.3]
        for name in there:
            for _ in range(random.integers(1, 3)):
                one_shape(draw, name, random)
        yield image, "|".join(there)


def one_shape(draw: ImageDraw.ImageDraw, name: str, random: np.random.Generator) -> None:
    """Draw a shape somewhere, of some size, colour and angle."""
    x, y = random.uniform(30, SIDE - 30, 2)
    r, turn = random.uniform(12, 28), random.uniform(0, 2 * math.pi)
    colour = tuple(int(value) for value in random.integers(0, 255, 3))

    def corners(count: int, radius: float, off: float = 0.0) -> list[tuple[float, float]]:
        angles = [turn + off + 2 * math.pi * k / count for k in range(count)]
        return [(x + radius * math.cos(a), y + radius * math.sin(a)) for a in angles]

    if name in ("circle", "ring"):
        box = (x - r, y - r, x + r, y + r)
        if name == "circle":
            draw.ellipse(box, fill=colour)
        else:
            draw.ellipse(box, outline=colour, width=max(3, int(r / 4)))
    elif name == "cross":
        for a, b in zip(corners(4, r)[:2], corners(4, r)[2:], strict=True):
            draw.line([a, b], fill=colour, width=max(4, int(r / 3)))
    elif name == "star":
        points = zip(corners(5, r), corners(5, 0.4 * r, math.pi / 5), strict=True)
        draw.polygon([corner for pair in points for corner in pair], fill=colour)
    else:
        draw.polygon(corners(4 if name == "square" else 3, r), fill=colour)


def square(path: Path, side: int) -> Image.Image:
    """Return the middle of a photo."""
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    least = min(image.size)
    left, top = (image.width - least) // 2, (image.height - least) // 2
    return image.crop((left, top, left + least, top + least)).resize((side, side))


def photos_of(data: Path, random: np.random.Generator) -> list[Path]:
    """Photos of insects and weather, shuffled."""
    photos = [*pictures(data / "hymenoptera"), *pictures(data / "weather")]
    return [photos[i] for i in random.permutation(len(photos))[:COUNT]]


def angle(data: Path) -> Iterator[Row]:
    """Photos, turned."""
    random = np.random.default_rng(1)
    for path in photos_of(data, random):
        turned, rim = round(float(random.uniform(-45, 45)), 2), 48
        image = square(path, SIDE + 2 * rim).rotate(turned, Image.Resampling.BICUBIC)
        yield image.crop((rim, rim, rim + SIDE, rim + SIDE)), turned


def bright(data: Path) -> Iterator[Row]:
    """Photos, darkened or brightened."""
    random = np.random.default_rng(2)
    for path in photos_of(data, random):
        gamma = round(float(np.exp(random.uniform(-0.9, 0.9))), 3)
        pixels = 255 * (np.asarray(square(path, SIDE)) / 255.0) ** gamma
        yield Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), gamma


def cells(data: Path) -> Iterator[Row]:
    """Blots with a dark kernel on a light ground, under noise."""
    random = np.random.default_rng(3)
    for _ in range(COUNT):
        ground = tuple(int(value) for value in random.integers(200, 240, 3))
        image, count = Image.new("RGB", (SIDE, SIDE), ground), int(random.integers(0, 60))
        draw = ImageDraw.Draw(image)
        for _ in range(count):
            x, y = random.uniform(0, SIDE, 2)
            wide, high = random.uniform(5, 11), random.uniform(4, 11)
            colour = tuple(int(value) for value in random.integers(80, 190, 3))
            draw.ellipse([x - wide, y - high, x + wide, y + high], fill=colour)
            draw.ellipse([x - 2, y - 2, x + 2, y + 2], fill=(60, 20, 90))
        pixels = np.asarray(image, float) + random.normal(0, 8, (SIDE, SIDE, 3))
        yield Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), count


SETS: dict[str, Callable[[Path], Iterator[Row]]] = {
    "clothes": clothes,
    "spoken": spoken,
    "shapes": shapes,
    "angle": angle,
    "bright": bright,
    "cells": cells,
}

if __name__ == "__main__":
    main()
