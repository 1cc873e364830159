"""Peak memory and seconds of all that follows the pass over the images, on facts that are made up.

    python bench/bench_after_pass.py --images 1000000

The pass over a million images takes most of an hour, and what it holds of each is known. Here that
is drawn by a seed (random thumbnails of 32 x 32 px, features of ten classes in clouds), and the
audit, the split, the evidence, the layer, the beliefs, the report and the RUN are as ever.
"""

import argparse
import json
import os
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

import machine
import regraft
from bench_shards import resident
from regraft import backbones
from regraft.data.dataset import Dataset, Item, Items
from regraft.data.images import FactsTable
from regraft.data.images.facts_table import INNER, WHOLE
from regraft.features.extract import Extraction
from regraft.mapped import zeros
from regraft.run import measure

CLASSES, LOT = 10, 20_000


def main() -> None:
    """Make the facts, run the rest, and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1_000_000)
    count = parser.parse_args().images
    with tempfile.TemporaryDirectory() as place:
        os.environ["REGRAFT_CACHE"] = place
        pages, done = [(0, 0)], threading.Event()

        def watch() -> None:
            while not done.wait(0.05):
                pages.append(resident(os.getpid()))

        threading.Thread(target=watch, daemon=True).start()
        import torch  # noqa: F401  # as a pass that converts its network has

        measure.look_at = lambda *_, **__: (made_up(count, Path(place)), "made-up")
        measure.shift_of = lambda *_, **__: None
        items = Items.of(Item(f"{i:08}.jpg", str(i % CLASSES)) for i in range(count))
        dataset, start = Dataset("made-up", items, (), unread), time.perf_counter()
        result = regraft.fit(dataset, "demonstration", case=1)
        result.save(Path(place) / "run")
        done.set()
        row = {
            "images": count,
            "anonymous_gb": max(own for own, _ in pages) / 1e6,
            "peak_gb": max(map(sum, pages)) / 1e6,
            "seconds": time.perf_counter() - start,
            "parts": result.metrics["seconds"],
            "machine": machine.describe(),
        }
    print(json.dumps(row))


def unread(index: int) -> bytes:
    """Give no image: there is none."""
    raise OSError("there is no such file")


def made_up(count: int, folder: Path) -> Extraction:
    """Return what a pass would have found."""
    random = np.random.default_rng(0)
    width = sum(backbones.get("demonstration").widths)
    facts, features = FactsTable(count, folder), zeros(count, width, folder)
    centres = 0.3 * random.normal(size=(CLASSES, width)).astype(np.float32)
    facts.sides[:] = 32
    facts.there[:] = True, True, False, True
    for start in range(0, count, LOT):
        some = np.arange(start, min(start + LOT, count))
        facts.digests[some] = random.integers(0, 1 << 63, (len(some), 2))
        facts.hashes[some] = random.integers(0, 1 << 63, (len(some), 3))
        for place in (WHOLE, INNER):
            facts.pictures[place][some] = random.integers(0, 256, (len(some), 256))
        noise = random.standard_normal((len(some), width), np.float32)
        features[some] = centres[some % CLASSES] + noise
    busy = {"read": 0.0, "decode": 0.0, "engine": 1.0}
    return Extraction(facts, (features,), count, 1.0, busy, squares=count, opening=(1, 0.5))


if __name__ == "__main__":
    main()
