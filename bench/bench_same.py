"""Whether two checkouts fit the same network to the same images, set by set.

    python bench/bench_same.py OTHER --data FOLDER --out bench_same.json

OTHER is the root of another checkout (`git worktree add`). Of every set of FOLDER at most 1,000
images, drawn at random, are fitted by both (`--case frozen`) with one feature cache. Told are:
whether all weights are the same bits, but for what tells strangers, and how far that is off;
whether the plans are the same; the held-out accuracy of both.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

import machine
from bench_run import link

MOST = 1_000
HERE = Path(__file__).resolve().parents[1]


def main() -> None:
    """Fit all sets twice; print a table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("bench_same.json"))
    given = parser.parse_args()
    rows = []
    print("| set | weights | plan | accuracy, other | here | strangers, largest difference |")
    print("|---|---|---|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        for folder in sorted(path for path in given.data.iterdir() if path.is_dir()):
            images = sorted(path for path in folder.rglob("*") if path.is_file())
            for path in random.Random(0).sample(images, min(MOST, len(images))):
                link(path, place / folder.name / path.relative_to(folder))
            other, here = (fitted(root, place / folder.name, place) for root in (given.other, HERE))
            rows.append({"set": folder.name, **compared(other, here)})
            row = rows[-1]
            words = ["the same" if row[part] else "others" for part in ("weights", "plan")]
            print(
                f"| {folder.name} | {words[0]} | {words[1]} | {row['accuracy'][0]:.1%} | "
                f"{row['accuracy'][1]:.1%} | {row['strangers']:.4f} |",
                flush=True,
            )
    given.out.write_text(json.dumps({"machine": machine.describe(), "sets": rows}, indent=1))


def fitted(root: Path, data: Path, place: Path) -> dict[str, Any]:
    """Fit by a checkout; return what its RUN has."""
    run = place / "run"
    paths = {"PYTHONPATH": str(root / "src"), "REGRAFT_CACHE": str(place / "cache")}
    words = ["--case", "frozen", "--out", str(run), "--overwrite", "--json"]
    subprocess.run(
        [sys.executable, "-m", "regraft", "fit", str(data), *words],
        env=os.environ | paths,
        check=True,
        capture_output=True,
    )
    documents = {
        part: json.loads((run / f"{part}.json").read_text()) for part in ("plan", "metrics")
    }
    return {"tensors": load_file(run / "model.safetensors"), **documents}


def compared(other: dict[str, Any], here: dict[str, Any]) -> dict[str, Any]:
    """Return what is the same."""
    both = other["tensors"], here["tensors"]
    own = [name for name in both[0] if not name.startswith("known.")]
    told = [tensors["known.own"] for tensors in both]
    same_names = both[0].keys() == both[1].keys()
    return {
        "weights": same_names and all(np.array_equal(both[0][n], both[1][n]) for n in own),
        "plan": other["plan"] == here["plan"],
        "accuracy": [one["metrics"]["accuracy"] for one in (other, here)],
        "strangers": float(np.abs(told[0] - told[1]).max()),
    }


if __name__ == "__main__":
    main()
