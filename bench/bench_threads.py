"""How many threads decode, and how many inferences go on at once: what the pass takes with each.

    python bench/bench_threads.py FOLDER --out bench_threads.json

The pass of `regraft fit` over at most 400 photos of a folder, by the engine that this machine has
remembered for EfficientNet-Lite0 (`regraft plan FOLDER` does that), with other numbers of threads
that decode, of inferences at once (streams), and of threads that they share. All settings in turn,
several rounds, the least of each; the first row is how it is set.
"""

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import machine
from regraft import backbones
from regraft.distributed import cores
from regraft.features import engines
from regraft.features.cache import default_folder
from regraft.features.engines import Engine, openvino_engine
from regraft.features.extract import extract

if TYPE_CHECKING:
    from torch import nn


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
    found: dict[tuple[int, int, int], float] = {}
    for _ in range(given.rounds):
        for setting in (usual, *others):
            found[setting] = min(seconds(files, *setting), found.get(setting, float("inf")))
    print("| decode | inferences at once | their threads | seconds | of how it is set |")
    print("|--:|--:|--:|--:|--:|")
    for (decoders, streams, threads), spent in found.items():
        share = spent / found[usual]
        print(f"| {decoders} | {streams} | {threads} | {spent:.2f} | {share:.2f} |")
    rows = [{"setting": setting, "seconds": spent} for setting, spent in found.items()]
    given.out.write_text(json.dumps({"machine": machine.describe(), "rows": rows}, indent=1))


def seconds(files: list[Path], decoders: int, streams: int, threads: int) -> float:
    """Return what one pass takes, once the engine is open."""
    record = backbones.get("efficientnet-lite0")
    vars(openvino_engine).update(_STREAMS=streams, cores=lambda: threads)
    try:
        known = engines.remembered(record, default_folder(os.environ), build=_never)
        assert known is not None, "calibrate first: regraft plan FOLDER"
        engine = known[0]
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
