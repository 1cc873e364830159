"""Peak memory and time of `regraft fit` on a large set, in a process of its own.

    python bench/bench_memory.py --data FOLDER/mnist --out bench_memory.json
    python bench/bench_memory.py --data FOLDER/mnist --with "--budget 10m"

Without ``--with`` it is the pass and the frozen head (``--case 1``): so large a set is case 4 by
itself, and would be trained for hours on two cores.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import machine


def main() -> None:
    """Fit once from a cold cache in a process of its own; print and write its peak."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("bench_memory.json"))
    parser.add_argument("--with", dest="options", default="--case 1", help="options of fit")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        os.environ["REGRAFT_CACHE"] = str(Path(place) / "cache")
        regraft = str(Path(sys.executable).parent / "regraft")
        words = [*given.options.split(), "--out", str(Path(place) / "run"), "--json"]
        command = [regraft, "fit", str(given.data), *words]
        start = time.perf_counter()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    metrics = json.loads(done.stdout)
    names = ("accuracy", "n", "case", "taps", "engine", "seconds", "candidates")
    kept = {name: metrics[name] for name in names if name in metrics} | {"options": given.options}
    document = {"machine": machine.describe(), "peak_gb": peak, "seconds": seconds, **kept}
    given.out.write_text(json.dumps(document, indent=1))
    print(f"{given.data.name}: peak {peak:.2f} GB, {seconds:.0f} s, {kept}")


if __name__ == "__main__":
    main()
