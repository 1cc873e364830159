"""Which planted copies are found, and how many different pictures are joined.

    python bench/bench_copies.py --data FOLDER --out bench_copies.json

Of each set every kind of copy is made of other pictures, at most 200 of them, and put beside all
pictures of the set. What is joined without them was there before, or is joined falsely. Strangers
are half-size copies, at most 2,000, beside a set that lacks their originals: those joined are false
unless their originals were joined in their place.
"""

import argparse
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance

import machine
from regraft.data.dataset import Dataset
from regraft.data.images import alike, inspect

SETS = ("hymenoptera", "flowers5", "chest_xray", "mnist")
PLANTED = 200
STRANGERS = 2000


def saved(image: Image.Image, form: str = "JPEG", **how: int) -> bytes:
    """The bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, form, **how)
    return buffer.getvalue()


def scaled(image: Image.Image, by: float) -> bytes:
    """Another size."""
    size = (max(8, round(image.width * by)), max(8, round(image.height * by)))
    return saved(image.resize(size, Image.Resampling.LANCZOS), quality=85)


def cropped(image: Image.Image) -> bytes:
    """A fortieth cut off at each edge."""
    x, y = image.width / 40, image.height / 40
    box = (round(x), round(y), round(image.width - x), round(image.height - y))
    return saved(image.crop(box), quality=85)


def lit(image: Image.Image, by: float) -> bytes:
    """Brighter or darker."""
    return saved(ImageEnhance.Brightness(image).enhance(by), quality=85)


KINDS: dict[str, Callable[[Image.Image], bytes]] = {
    "JPEG 60": lambda image: saved(image, quality=60),
    "JPEG 85": lambda image: saved(image, quality=85),
    "WebP 50": lambda image: saved(image, "WEBP", quality=50),
    "half": lambda image: scaled(image, 0.5),
    "double": lambda image: scaled(image, 2),
    "-20 %": lambda image: lit(image, 0.8),
    "+20 %": lambda image: lit(image, 1.2),
    "crop 5 %": cropped,
}


def main() -> None:
    """Measure all sets; print the table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("--out", type=Path, default=Path("bench_copies.json"))
    given = parser.parse_args()
    rows = [row(given.data / name) for name in given.sets]
    given.out.write_text(json.dumps({"machine": machine.describe(), "rows": rows}, indent=1))
    print(f"| set | images | joined | strangers | CPU s | {' | '.join(KINDS)} |")
    print(f"|---|--:|--:|--:|--:|{'--:|' * len(KINDS)}")
    for one in rows:
        found = " | ".join(f"{100 * one['found'][kind]:.0f}" for kind in KINDS)
        false = f"{one['strangers joined']} of {one['strangers']:,}"
        start = f"| {one['set']} | {one['images']:,} | {one['joined']} | {false} | {one['s']:.1f} "
        print(f"{start}| {found} |")


def row(folder: Path) -> dict[str, Any]:
    """What is found in one set."""
    dataset = Dataset.open(folder)
    whole = [inspect(dataset.read(i), [])[0] for i in range(len(dataset))]
    labels = [dataset.classes.index(item.label) for item in dataset.items]
    start = time.process_time()
    plain = alike(whole, np.array(labels, np.int64))
    seconds = time.process_time() - start
    order = np.random.default_rng(0).permutation(len(dataset))
    each = min(PLANTED, len(order) // len(KINDS))
    sources = {kind: order[n * each : (n + 1) * each] for n, kind in enumerate(KINDS)}
    planted = [
        (int(i), inspect(KINDS[kind](opened(dataset, int(i))), [])[0])
        for kind in KINDS
        for i in sources[kind]
    ]
    every = np.array([*labels, *(labels[i] for i, _ in planted)], np.int64)
    found = alike([*whole, *(facts for _, facts in planted)], every)
    same = [found.groups[i] == found.groups[len(whole) + n] for n, (i, _) in enumerate(planted)]
    shares = {kind: float(np.mean(same[n * each : (n + 1) * each])) for n, kind in enumerate(KINDS)}
    sizes = np.bincount(plain.groups)
    joined = int(sizes[sizes > 1].sum())
    strangers = order[: min(STRANGERS, len(order) // 4)]
    changed = list(whole)
    for i in strangers:
        changed[i] = inspect(KINDS["half"](opened(dataset, int(i))), [])[0]
    others = alike(changed, np.array(labels, np.int64)).groups
    false = np.bincount(others)[others[strangers]] > 1
    false &= sizes[plain.groups[strangers]] == 1
    return {
        "set": folder.name,
        "images": len(whole),
        "joined": joined,
        "strangers": len(strangers),
        "strangers joined": int(false.sum()),
        "s": seconds,
        "found": shares,
    }


def opened(dataset: Dataset, index: int) -> Image.Image:
    """A picture of the set in colour."""
    return Image.open(io.BytesIO(dataset.read(index))).convert("RGB")


if __name__ == "__main__":
    main()
