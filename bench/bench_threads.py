"""How many threads decode, and how many inferences go on at once: what the pass takes with each.

    python bench/bench_threads.py FOLDER --out bench_threads.json

The pass of `regraft fit` over at most 400 photos of a folder, by the engine that this machine has
remembered for EfficientNet-Lite0 (`regraft plan FOLDER` does that), with other numbers of threads
that decode, of inferences at once (streams), and of threads that they share; and with a queue that
calls back into Python after every image, instead of requests that need nothing of it. All settings
in turn, several rounds, the least of each; the first row is how it is set.
"""

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import machine
from regraft import backbones
from regraft.distributed import cores
from regraft.features import engines
from regraft.features.cache import default_folder
from regraft.features.engines import Engine, Floats, Pixels, openvino_engine
from regraft.features.engines.base import columns
from regraft.features.extract import extract

if TYPE_CHECKING:
    from torch import nn

REQUESTS, QUEUE = "requests", "a queue that calls back"


def main() -> None:
    """Time every setting; print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path("bench_threads.json"))
    given = parser.parse_args()
    files = sorted(path for path in given.folder.rglob("*") if path.is_file())
    files = files[:: max(1, len(files) // 400)][:400]
    count = cores()
    usual = (count, count, count)
    others = [
        *((decoders, count, count) for decoders in (1, count + 1, 2 * count)),
        *((count, *those) for those in ((1, count), (1, 1), (2 * count, 2 * count))),
    ]
    kinds = [(*usual, REQUESTS), (*usual, QUEUE), *((*other, REQUESTS) for other in others)]
    found: dict[tuple[int, int, int, str], float] = {}
    for _ in range(given.rounds):
        for setting in kinds:
            found[setting] = min(seconds(files, *setting), found.get(setting, float("inf")))
    print("| decode | inferences at once | their threads | by | seconds | of how it is set |")
    print("|--:|--:|--:|---|--:|--:|")
    for (decoders, streams, threads, kind), spent in found.items():
        share = spent / found[kinds[0]]
        print(f"| {decoders} | {streams} | {threads} | {kind} | {spent:.2f} | {share:.2f} |")
    rows = [{"setting": setting, "seconds": spent} for setting, spent in found.items()]
    given.out.write_text(json.dumps({"machine": machine.describe(), "rows": rows}, indent=1))


class Queue(openvino_engine.Graph):
    """The same network in a queue whose callback takes Python's lock after every image."""

    queue: Any = None

    def __call__(self, pixels: Pixels) -> list[Floats]:
        """Features ``[B, C_d]`` at each tap, of pixels ``[B, S, S, 3]``."""
        self.open()
        if self.queue is None:
            ov = openvino_engine.runtime()
            self.queue = ov.AsyncInferQueue(self._requests[0].get_compiled_model())
            self.queue.set_callback(_keep)
        rows = np.empty((len(pixels), sum(self._widths)), np.float32)
        for place in range(len(pixels)):
            self.queue.start_async({0: pixels[place : place + 1]}, userdata=rows[place])
        self.queue.wait_all()
        depths = columns(rows, self._widths)
        return [depths[tap] for tap in self._taps]


def _keep(request: Any, row: Floats) -> None:
    row[:] = request.get_output_tensor(0).data[0]


def seconds(files: list[Path], decoders: int, streams: int, threads: int, kind: str) -> float:
    """Return what one pass takes, once the engine is open."""
    record = backbones.get("efficientnet-lite0")
    vars(openvino_engine).update(_STREAMS=streams, cores=lambda: threads)
    try:
        known = engines.remembered(record, default_folder(os.environ), build=_never)
        assert known is not None, "calibrate first: regraft plan FOLDER"
        engine: Any = known[0]
        if kind == QUEUE:
            engine = Queue(engine.name, engine._path, engine._taps)
        return [passed(files[:some], engine, decoders) for some in (8, len(files))][1]
    finally:
        vars(openvino_engine).update(cores=cores)


def passed(files: list[Path], engine: Engine, decoders: int) -> float:
    """Return the seconds of one pass over some files."""
    record = backbones.get("efficientnet-lite0")
    return extract(
        lambda i: files[i].read_bytes(),
        len(files),
        [record.view],
        sum(record.widths),
        engine=engine,
        choose=lambda pixels, indices: engine,
        workers=decoders,
    ).seconds


def _never() -> "nn.Module":
    raise AssertionError("the network is converted")


if __name__ == "__main__":
    main()
