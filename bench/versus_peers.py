"""regraft against the field's way, on the same split of the same images: accuracy and seconds.

    bench/peers/setup                                           once
    python bench/versus_peers.py --data FOLDER --out versus_peers.json

FOLDER holds a folder for each set. Every tool gets the same CSV (see `split_file`), runs as a
process of its own, one after another, and is timed whole, from its start to its end, imports and
all. The images have just been read, so that all find them in memory.

Run it on an idle machine: eager PyTorch's threads wait for each other spinning, and lose more than
their share when something else runs. The load at the start stands in the JSON.

The trunk is frozen by all of them. regraft runs with a feature cache that is cold but for the
engine's calibration: that happens once on a machine, and has been done here on images of another
set before. Its seconds are given apart.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import machine
from split_file import Row, split_rows, write_rows

HERE = Path(__file__).resolve().parent
SETS = "hymenoptera,clothing,weather"
PEERS = {
    "plain_pytorch": (Path(sys.executable), HERE / "peers" / "plain_pytorch.py"),
    "fastai_frozen": (
        HERE / "peers" / ".venv" / "bin" / "python",
        HERE / "peers" / "fastai_frozen.py",
    ),
}
FASTER, WORSE = 20.0, 0.005  # the goal: so many times faster, and no more than so much less right


@dataclass(frozen=True)
class Timing:
    """One tool on one set; ``seconds`` are those of the whole process."""

    set: str
    tool: str
    accuracy: float
    seconds: float
    n_train: int
    n_test: int
    details: dict[str, Any]


def main() -> None:
    """Run what the command line asks for; print the table, write the JSON."""
    args, about = arguments(), machine.describe()
    if about["load"] > 0.5:
        print(f"The machine is not idle (load {about['load']}).", file=sys.stderr)
    timings: list[Timing] = []
    with tempfile.TemporaryDirectory(prefix="versus-peers-") as name:
        place = Path(name)
        calibration = calibrate(args.data / args.calibrate_on, place)
        for set_name in args.sets:
            rows = split_rows(args.data / set_name, seed=args.seed, limit=args.limit)
            write_rows(rows, place / f"{set_name}.csv")
            timings.append(run_regraft(set_name, rows, place))
            timings += [run_peer(set_name, peer, place) for peer in args.peers]
            write(args.out, timings, calibration, args, about)  # what is measured is kept
    show(timings, calibration)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets")
    parser.add_argument("--sets", type=names, default=SETS, help=f"default {SETS}")
    parser.add_argument("--calibrate-on", default="flowers5", help="another set; default flowers5")
    parser.add_argument("--out", type=Path, required=True, help="JSON to write")
    parser.add_argument("--peers", type=names, default=",".join(PEERS), help="which, by comma")
    parser.add_argument("--seed", type=int, default=0, help="of the split, where a set has none")
    parser.add_argument("--limit", type=int, help="images a class and split, for a quick try")
    return parser.parse_args()


def names(text: str) -> list[str]:
    """Split a list at its commas; empty is none."""
    return [name for name in text.split(",") if name]


def calibrate(folder: Path, place: Path) -> float:
    """Have regraft choose its engine on 120 images that are not measured; return the seconds."""
    rows = split_rows(folder, seed=0, limit=60)
    random.Random(0).shuffle(rows)
    write_rows(rows[:120], place / "calibrate.csv")
    return fit(place / "calibrate.csv", place / "calibrate", place / "calibrated")


def run_regraft(set_name: str, rows: Sequence[Row], place: Path) -> Timing:
    """Time ``regraft fit`` from a cache that knows the engine and none of these images."""
    run, cache = place / f"{set_name}-run", place / f"{set_name}-cache"
    shutil.copytree(place / "calibrated", cache)
    seconds = fit(place / f"{set_name}.csv", run, cache)
    metrics = json.loads((run / "metrics.json").read_bytes())
    plan = json.loads((run / "plan.json").read_bytes())
    keys = ("accuracy_interval", "case", "taps", "engine", "images_per_second", "seconds")
    details = {key: metrics[key] for key in keys}
    given = sum(row.split == "test" for row in rows)
    if metrics["n"] != given:
        print(f"{set_name}: regraft judged {metrics['n']} of {given} test images", file=sys.stderr)
    return Timing(
        set_name, "regraft", metrics["accuracy"], seconds, plan["train"], metrics["n"], details
    )


def fit(table: Path, run: Path, cache: Path) -> float:
    """Run ``regraft fit``; return its seconds."""
    command = [sys.executable, "-m", "regraft", "fit", str(table), "--out", str(run), "--json"]
    command += ["--case", "frozen"]  # as the peers: where training pays, it takes minutes more
    return timed(command, os.environ | {"REGRAFT_CACHE": str(cache)})[0]


def run_peer(set_name: str, peer: str, place: Path) -> Timing:
    """Time a peer, in its own environment."""
    python, script = PEERS[peer]
    if not python.is_file():
        raise SystemExit(f"{python} is missing: run bench/peers/setup")
    seconds, said = timed([str(python), str(script), str(place / f"{set_name}.csv")], os.environ)
    line = json.loads(said.splitlines()[-1])
    details = {"seconds": line["seconds"], "versions": line["versions"]}
    return Timing(
        set_name, line["name"], line["accuracy"], seconds, line["n_train"], line["n_test"], details
    )


def timed(command: Sequence[str], environ: Any) -> tuple[float, str]:
    """Run a command; return its seconds and what it printed."""
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=dict(environ), check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(
            f"{' '.join(command)}\nended with {done.returncode}:\n{done.stderr[-3000:]}"
        )
    return seconds, done.stdout


def write(
    out: Path, timings: Sequence[Timing], calibration: float, args: argparse.Namespace, about: Any
) -> None:
    """Write what has been measured so far."""
    document = {
        "command": "python bench/versus_peers.py",
        "seed": args.seed,
        "limit": args.limit,
        "calibrated_on": args.calibrate_on,
        "machine": about,
        "calibration_seconds": calibration,
        "timings": [asdict(timing) for timing in timings],
    }
    out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def show(timings: Sequence[Timing], calibration: float) -> None:
    """Print the table; a peer's last columns say how regraft compares to it, and with the goal."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Whole processes (regraft's calibration before: {calibration:.1f} s)")
    table.add_column("set")
    table.add_column("tool")
    for column in ("train", "test", "accuracy", "seconds", "faster", "points", "goal"):
        table.add_column(column, justify="right")
    ours = {timing.set: timing for timing in timings if timing.tool == "regraft"}
    for timing, after in zip(timings, [*timings[1:], None], strict=True):
        last = after is None or after.set != timing.set
        table.add_row(*cells(timing, ours[timing.set]), end_section=last)
    Console(width=100).print(table)


def cells(timing: Timing, ours: Timing) -> list[str]:
    """Return a row of the table."""
    row = [timing.set, timing.tool, str(timing.n_train), str(timing.n_test)]
    row += [f"{timing.accuracy:.1%}", f"{timing.seconds:.1f}"]
    if timing is ours:
        return [*row, "", "", ""]
    ratio = timing.seconds / ours.seconds
    met = ratio >= FASTER and ours.accuracy >= timing.accuracy - WORSE
    difference = 100 * (ours.accuracy - timing.accuracy)
    return [*row, f"{ratio:.1f}×", f"{difference:+.1f}", "met" if met else "missed"]


if __name__ == "__main__":
    main()
