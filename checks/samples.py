"""Small made-up photos for the examples in the pages: nothing is fetched, nothing is kept."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw


def photos(
    folder: str | Path,
    classes: Sequence[str] = ("ants", "bees"),
    each: int = 20,
    *,
    seed: int = 0,
    side: int = 96,
) -> Path:
    """Write ``each`` JPEG photos a class under ``folder/CLASS/``; every class has its own look."""
    random = np.random.default_rng(seed)
    for number, name in enumerate(classes):
        (Path(folder) / name).mkdir(parents=True, exist_ok=True)
        for index in range(each):
            picture = _photo(random, number, side)
            picture.save(Path(folder) / name / f"{index:03d}.jpg", quality=92)
    return Path(folder)


def _photo(random: np.random.Generator, number: int, side: int) -> Image.Image:
    """Draw shapes of one kind, in the class's own count and hue, over a noisy ground."""
    ground = random.integers(60, 200, 3) + random.normal(0, 18, (side, side, 3))
    picture = Image.fromarray(ground.clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    shape = (draw.ellipse, draw.rectangle)[number % 2]
    for _ in range(3 + 2 * number):
        x, y = random.integers(0, side * 3 // 4, 2).tolist()
        size = int(random.integers(side // 8, side // 3))
        light = int(random.integers(40, 70))
        shape((x, y, x + size, y + size), fill=f"hsl({number * 97 % 360}, 80%, {light}%)")
    return picture
