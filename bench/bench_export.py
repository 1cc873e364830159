"""Each export of a RUN: how close it is on real images, how large, and how fast.

    python bench/bench_export.py --run RUN --data FOLDER [--images 200] [--out export.json]

Speeds are of the network alone, on normalised images that lie in memory, in the runtime of each
export with its own number of threads. ``load`` tells what else ran on the machine.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import machine
from regraft.errors import RunError
from regraft.export import TARGETS, export, to_openvino
from regraft.export.about import About
from regraft.results.load import load

SECONDS, SPELLS = 2.0, 4
"""Each speed is measured in so many spells of this length, after one call that is not."""


def main() -> None:
    """Export to everything, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("bench_export.json"))
    given = parser.parse_args()
    before = machine.describe()
    with tempfile.TemporaryDirectory() as folder:
        rows = [row for to in TARGETS for row in rows_of(to, given, Path(folder))]
    print("| export | images | largest difference | classes that differ | MB | b 1 | b 32 |")
    for row in rows:
        print("| " + " | ".join(map(str, row.values())) + " |")
    after = machine.describe()["load"]
    text = json.dumps({"machine": before, "load after": after, "rows": rows}, indent=1)
    given.out.write_text(text)


def rows_of(to: str, given: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """One row of the table; two for OpenVINO, which has a precision of its own choice."""
    target = TARGETS[to]
    out = folder / f"export{target.SUFFIX}"
    try:
        made = export(given.run, to, out, data=given.data, images_checked=given.images)
    except RunError as error:
        return [{"export": to, "refused": str(error)}]
    result = load(given.run)
    about = About(result.plan, result.classes, pixels=False)
    runs = {to: target.open_file(out, about)}
    if to == "openvino":
        runs["openvino, its own precision"] = to_openvino.open_as_it_comes(out)
    size = result.plan.backbone.view.size
    return [
        {
            "export": name,
            "images": parity.images,
            "largest difference": f"{parity.worst:.1e}",
            "classes that differ": parity.changed,
            "MB": round(made.size / 1e6, 1),
            "images/s, batch 1": round(speed(run, 1, size), 1),
            "images/s, batch 32": round(speed(run, 32, size), 1),
        }
        for (name, run), parity in zip(runs.items(), made.parities, strict=False)
    ]


def speed(run: Callable[[Any], Any], batch: int, size: int) -> float:
    """Images a second in batches of this many; the best of a few spells, the others waited."""
    x = np.random.default_rng(0).standard_normal((batch, 3, size, size)).astype(np.float32)
    run(x)
    return max(_spell(run, x) for _ in range(SPELLS))


def _spell(run: Callable[[Any], Any], x: Any) -> float:
    start, done = time.perf_counter(), 0
    while (gone := time.perf_counter() - start) < SECONDS or not done:
        run(x)
        done += len(x)
    return done / gone


if __name__ == "__main__":
    main()
