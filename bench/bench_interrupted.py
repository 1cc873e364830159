"""Whether the same images give the same weights: undisturbed, and killed at any moment.

    python bench/bench_interrupted.py --data FOLDER --runs 20

Each fit has an empty cache folder and is a process of its own. Every second one is killed at random
moments, up to three times, and then begun again with the cache that was left. Counted: torn RUN
folders, different engines, plans and weights (their SHA-256).
"""

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import machine

WORDS = ("--case", "1", "-b")


def main() -> None:
    """Fit again and again, print the counts, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", default="demonstration")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("bench_interrupted.json"))
    given = parser.parse_args()
    chance, rows, usual = random.Random(given.seed), [], 0.0
    for number in range(given.runs):
        with tempfile.TemporaryDirectory() as place:
            start = time.perf_counter()
            kills = chance.choice((1, 2, 3)) if number % 2 else 0
            torn = sum(
                _killed(given, Path(place), chance.uniform(0.1, usual)) for _ in range(kills)
            )
            _fit(given, Path(place)).wait()
            usual = usual if number else time.perf_counter() - start
            rows.append(_row(Path(place), kills, torn))
            print(json.dumps(rows[-1]), flush=True)
    for kind in ("engine", "plan", "weights"):
        found = Counter(row[kind] for row in rows)
        print(f"{kind}: {len(found)} different in {len(rows)} fits")
    document = {"machine": machine.describe(), "seconds": usual, "rows": rows}
    given.out.write_text(json.dumps(document, indent=1))


def _fit(given: argparse.Namespace, place: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "regraft", "fit", str(given.data), *WORDS, given.backbone]
    command += ["--out", str(place / "run"), "--overwrite"]
    environment = {**os.environ, "REGRAFT_CACHE": str(place / "cache")}
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, env=environment, stdout=quiet, stderr=quiet)


def _killed(given: argparse.Namespace, place: Path, seconds: float) -> int:
    """Kill a fit after some seconds; 1 if it left a RUN that is not whole."""
    process = _fit(given, place)
    time.sleep(seconds)
    process.kill()
    process.wait()
    run = place / "run"
    return int(run.exists() and not (run / "metrics.json").exists())


def _row(place: Path, kills: int, torn: int) -> dict[str, Any]:
    run = place / "run"
    plan = json.loads((run / "plan.json").read_text("utf-8"))
    digest = {
        name: hashlib.sha256((run / file).read_bytes()).hexdigest()[:12]
        for name, file in (("plan", "plan.json"), ("weights", "model.safetensors"))
    }
    plan.pop("data")
    digest["plan"] = hashlib.sha256(json.dumps(plan).encode()).hexdigest()[:12]
    return {"kills": kills, "torn": torn, "engine": plan.get("engine", ""), **digest}


if __name__ == "__main__":
    main()
