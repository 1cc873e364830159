"""Whether the JPEG decoder's scaled decoding moves accuracy.

    python bench/bench_decoding.py --data FOLDER --out bench_decoding.json

Every photo is enlarged twofold and written as a JPEG of quality 95, so that it is decoded at a half
of its size; and as a PNG of the same pixels, which is decoded in full. The run is done on both.
"""

import argparse
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import machine
from regraft.data.dataset import Dataset
from regraft.plan.choices import Choices
from regraft.run.api import perform
from regraft.run.draft import draft
from regraft.run.measure import measure
from regraft.run.pretrained import open_network

SETS = ("hymenoptera", "clothing")


def main() -> None:
    """Run both ways on each set; print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("bench_decoding.json"))
    given = parser.parse_args()
    rows = [row(given.data / name) for name in SETS]
    given.out.write_text(json.dumps({"machine": machine.describe(), "rows": rows}, indent=1))
    print("| set | scaled, % | full, % | same predictions, % |\n|---|--:|--:|--:|")
    for r in rows:
        cells = [f"{100 * r[key]:.1f}" for key in ("scaled", "full", "same")]
        print(f"| {r['set']} | {' | '.join(cells)} |")


def row(folder: Path) -> dict[str, Any]:
    """Accuracy with scaled and with full decoding, and the share of equal predictions."""
    whole = Dataset.open(folder)
    answers = []
    for write in (_jpeg, _png):
        changed = Dataset(folder.name, whole.items, (), _enlarged(whole, write))
        measured = measure(changed, open_network("efficientnet-lite0"), Choices())
        result = perform(draft(measured, Choices()), measured)
        assert result.predictions is not None, "it has just been fitted"
        answers.append((result.metrics["accuracy"], result.predictions))
    (scaled, one), (full, two) = answers
    place = {path: row for path, row in zip(two.paths, two.probabilities, strict=True)}
    pairs = [
        (p.argmax(), place[path].argmax())
        for path, p in zip(one.paths, one.probabilities, strict=True)
        if path in place
    ]
    same = float(np.mean([a == b for a, b in pairs]))
    return {"set": folder.name, "scaled": scaled, "full": full, "same": same}


def _enlarged(whole: Dataset, write: Callable[[Image.Image], bytes]) -> Callable[[int], bytes]:
    def read(index: int) -> bytes:
        photo = Image.open(io.BytesIO(whole.read(index))).convert("RGB")
        large = _jpeg(photo.resize((2 * photo.width, 2 * photo.height), Image.Resampling.BICUBIC))
        return large if write is _jpeg else write(Image.open(io.BytesIO(large)))

    return read


def _jpeg(photo: Image.Image) -> bytes:
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=95)
    return file.getvalue()


def _png(photo: Image.Image) -> bytes:
    file = io.BytesIO()
    photo.save(file, "PNG", compress_level=1)
    return file.getvalue()


if __name__ == "__main__":
    main()
