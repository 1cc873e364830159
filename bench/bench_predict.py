"""How soon a RUN classifies a first image, and what choosing an engine gives it.

    python bench/bench_predict.py RUN IMAGES --out bench_predict.json

First ``regraft predict RUN IMAGE``, a process each time, the least of three: where the frozen trunk
was converted before, on a machine that never saw the network (an empty cache; the RUN carries its
converted trunk), and there with a RUN that does not carry it. Then, on a machine that does not know
the network, in one process: at most 400 images classified by the reference, then by the engine that
a server finds without images, then by the one that is chosen with them; images/s of the second of
two passes (decoding included), seconds of the choice (without the images that it begins with), and
how far the probabilities are from the reference's.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import machine
import regraft
from regraft.features import engines
from regraft.features.engines import Engine
from regraft.features.extract import Extraction, extract, sample
from regraft.metrics import softmax
from regraft.results.result import Result

MOST = 400
REPEATS = 3


def main() -> None:
    """Measure, print a table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--out", type=Path, default=Path("bench_predict.json"))
    given = parser.parse_args()
    files = sorted(
        p for p in given.images.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png")
    )
    files = files[:: max(1, len(files) // MOST)][:MOST]
    machine.compile_package()
    firsts = first_images(given.run, given.images, files[0])
    rows: list[dict[str, Any]] = []
    wanted = None
    print("| engine | choice, s | images/s | same class | largest difference |")
    print("|---|--:|--:|--:|--:|")
    for kind in ("reference", "precise", "chosen"):
        with tempfile.TemporaryDirectory() as place:
            result = regraft.load(given.run, cache=place)
            engine, choice = _engine(kind, result, files)
            shares, speed = _passes(result, engine, files)
        wanted = shares if wanted is None else wanted
        same = float((shares.argmax(1) == wanted.argmax(1)).mean())
        off = float(np.abs(shares - wanted).max())
        rows.append(
            {"kind": kind, "engine": engine.name, "choice_s": choice, "images_per_second": speed}
            | {"same": same, "largest_difference": off}
        )
        print(f"| {engine.name} | {choice:.1f} | {speed:.0f} | {same:.1%} | {off:.4f} |")
    document = {"machine": machine.describe(), "images": len(files), "first": firsts, "rows": rows}
    given.out.write_text(json.dumps(document, indent=1))


def first_images(run: Path, images: Path, image: Path) -> list[dict[str, Any]]:
    """Print and return wall and CPU seconds of one image, by what is known of its network."""
    rows = []
    assert (run / "trunk").is_dir(), f"{run} carries no trunk"
    print("| one image | wall, s | CPU, s |\n|---|--:|--:|")
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        without = place / "run"
        shutil.copytree(run, without)
        shutil.rmtree(without / "trunk", ignore_errors=True)
        for kind, its, kept in (
            ("converted here before", without, True),
            ("new machine, the RUN carries its trunk", run, False),
            ("new machine, the RUN does not", without, False),
        ):
            cache, taken = place / "cache", []
            if kept:  # of many images the network is converted, and remembered
                _timed(its, images, cache)
                assert any((cache / "trunks").iterdir()), "so few images are not worth it"
            for _ in range(REPEATS):
                if not kept:
                    shutil.rmtree(cache, ignore_errors=True)
                taken.append(_timed(its, image, cache))
            wall, cpu = min(taken)
            shutil.rmtree(cache, ignore_errors=True)
            rows.append({"kind": kind, "wall": wall, "cpu": cpu})
            print(f"| {kind} | {wall:.2f} | {cpu:.2f} |")
    print()
    return rows


def _timed(run: Path, image: Path, cache: Path) -> tuple[float, float]:
    """Return the wall and CPU seconds of ``regraft predict``."""
    used, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "regraft", "predict", str(run), str(image), "--json"],
        env=os.environ | {"REGRAFT_CACHE": str(cache)},
        check=True,
        capture_output=True,
    )
    wall, now = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime


def _engine(kind: str, result: Result, files: list[Path]) -> tuple[Engine, float]:
    """The engine, and the seconds that it took to find and open it."""
    view, taps, build = result.plan.backbone.view, result.plan.taps, result.network
    pixels = sample(lambda i: files[i].read_bytes(), len(files), view)[0]
    start = time.perf_counter()
    if kind == "chosen":
        engines.choose(result.record, pixels, result.cache, build=build, taps=taps)
    engine = result.exact_engine() if kind == "precise" else result.engine()
    engine(pixels[:1])
    return engine, time.perf_counter() - start


def _passes(result: Result, engine: Engine, files: list[Path]) -> tuple[Any, float]:
    """Probabilities ``[n, classes]``, and images/s of the second pass."""

    def look() -> Extraction:
        return extract(
            lambda i: files[i].read_bytes(),
            len(files),
            [result.plan.backbone.view],
            result.plan.inputs,
            engine=engine,
            choose=lambda pixels, indices: engine,
        )

    look()
    found = look()
    return softmax(result.head.logits(found.features[0])), found.images_per_second


if __name__ == "__main__":
    main()
