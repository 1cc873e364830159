"""An engine in int8 beside those in bfloat16 and float32: speed, and accuracy on its own features.

    pip install --target NNCF --no-deps nncf networkx ninja pydot pyparsing tabulate psutil
    python bench/bench_int8.py --data FOLDER --nncf NNCF

NNCF quantises the converted trunk on 128 images of a set. *Times*: images/s of each engine over
that of bfloat16, the median of pairs in turn. *Expected*: nested cross-validation of heads fitted
on each engine's own features, of at most 600 images; *cosine*: the least between last stages of
float32 and int8. The backbone has been calibrated on this machine (`regraft plan`).
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import machine
from bench_one_graph import opened
from regraft import backbones
from regraft.backbones import Backbone
from regraft.data.dataset import Dataset
from regraft.data.images import inspect
from regraft.features.cache import default_folder
from regraft.features.engines import openvino_engine, store
from regraft.plan.choices import Choices, candidates
from regraft.plan.evidence import gather

SETS = ("weather", "clothing", "hymenoptera", "flowers5", "dtd10", "tiny_dogs6")
MOST, CALIBRATION, TIMED, TURNS = 600, 128, 96, 7


def main() -> None:
    """Quantise and compare on each set; print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--nncf", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--backbone", default="efficientnet-lite0")
    parser.add_argument("--out", type=Path, default=Path("bench_int8.json"))
    given = parser.parse_args()
    sys.path.append(str(given.nncf))
    record, rows = backbones.get(given.backbone), []
    print("| set | made in, s | float32, times | int8, times | cosine | f32, % | bf16, % |", end="")
    print(" int8, % |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for name in given.sets:
        rows.append(r := row(given.data / name, record))
        shares = " | ".join(f"{100 * r['expected'][kind]:.1f}" for kind in ("f32", "bf16", "int8"))
        print(
            f"| {name} | {r['seconds']:.0f} | {r['times']['f32']:.2f} | {r['times']['int8']:.2f} | "
            f"{r['cosine']:.3f} | {shares} |",
            flush=True,
        )
    given.out.write_text(json.dumps({"machine": machine.describe(), "rows": rows}, indent=1))


def row(folder: Path, record: Backbone) -> dict[str, Any]:
    """One set."""
    import nncf  # type: ignore[import-not-found]

    ov = openvino_engine.runtime()
    path = store.home(default_folder(os.environ), record) / store.GRAPH
    pixels, labels = images(folder, record)
    start = time.perf_counter()
    some = nncf.Dataset([pixels[i : i + 1] for i in range(min(CALIBRATION, len(pixels)))])
    small = nncf.quantize(ov.Core().read_model(path), some, subset_size=CALIBRATION)
    seconds = time.perf_counter() - start
    whole = ov.Core().read_model(path)
    engines = {
        kind: opened(ov, openvino_engine._cut(ov, model, len(record.stages) - 1)[0], precision)
        for kind, model, precision in (
            ("bf16", whole, "bf16"),
            ("f32", whole.clone(), "f32"),
            ("int8", small, "bf16"),
        )
    }
    features = {kind: run(queue, pixels, record) for kind, queue in engines.items()}
    took: dict[str, list[float]] = {kind: [] for kind in engines}
    for _ in range(TURNS):
        for kind, queue in engines.items():
            begun = time.perf_counter()
            run(queue, pixels[:TIMED], record)
            took[kind].append(time.perf_counter() - begun)
    base = np.array(took["bf16"])
    last = [rows[:, -record.widths[-1] :] for rows in (features["f32"], features["int8"])]
    norms = np.prod([np.linalg.norm(rows, axis=1) for rows in last], axis=0)
    return {
        "set": folder.name,
        "images": len(pixels),
        "seconds": seconds,
        "times": {kind: float(np.median(base / np.array(each))) for kind, each in took.items()},
        "cosine": float(((last[0] * last[1]).sum(1) / norms).min()),
        "expected": {kind: expected(rows, labels, record) for kind, rows in features.items()},
    }


def images(folder: Path, record: Backbone) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """Squares of at most MOST images drawn at random, and their labels."""
    data = Dataset.open(folder)
    order = np.random.default_rng(0).permutation(len(data))[:MOST].tolist()
    made = [(inspect(data.read(i), [record.view])[1], data.items[i].label) for i in order]
    kept = [(squares[0], label) for squares, label in made if squares is not None]
    names = sorted({label for _, label in kept})
    return np.stack([s for s, _ in kept]), np.array([names.index(label) for _, label in kept])


def run(queue: Any, pixels: NDArray[np.uint8], record: Backbone) -> NDArray[np.float32]:
    """All depths of the images."""
    rows = np.empty((len(pixels), sum(record.widths)), np.float32)
    queue.set_callback(_keep)
    for place in range(len(pixels)):
        queue.start_async({0: pixels[place : place + 1]}, userdata=rows[place])
    queue.wait_all()
    return rows


def _keep(request: Any, row: NDArray[np.float32]) -> None:
    row[:] = request.get_output_tensor(0).data[0]


def expected(rows: NDArray[np.float32], labels: NDArray[np.intp], record: Backbone) -> float:
    """Nested cross-validation of the new layer."""
    found = gather(
        rows.astype(np.float16),
        record.widths,
        labels,
        [str(label) for label in np.unique(labels)],
        np.arange(len(labels)),
        candidates=candidates(record, Choices()),
        seed=0,
    )
    return found.evidence.expected


if __name__ == "__main__":
    main()
