"""The whole of `regraft fit` against decoding and one engine pass alone; the second run; --help.

    python bench/bench_run.py --data FOLDER --sets hymenoptera weather mnist:10000

FOLDER holds a folder for each set; of some of its images, drawn at random, links are made. The
backbone has been calibrated on this machine before, as it is once; the features are cold. Each
figure is the wall time of a process of its own, the best of three, and the pass alone
(`bench/pass_alone.py`) is a process too: what any tool has to do. *One per cent more*: a fit of all
images after one of 99 % of them, in the same folder, where the others have come since. Nothing is
trained (``--case frozen``), as the pass alone trains nothing either. The package is compiled
before, as an installation does.
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
from pathlib import Path
from typing import Any

import machine

SETS = ("hymenoptera", "clothing", "weather")
REGRAFT = str(Path(sys.executable).parent / "regraft")
ALONE = str(Path(__file__).resolve().parent / "pass_alone.py")


def main() -> None:
    """Time everything on every set; print a table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("bench_run.json"))
    parser.add_argument("--sets", nargs="+", default=SETS, metavar="NAME[:IMAGES]")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    machine.compile_package()
    with tempfile.TemporaryDirectory() as place:
        os.environ["REGRAFT_CACHE"] = str(Path(place) / "cache")
        first = timed([REGRAFT, "plan", str(given.data / SETS[0]), "--json"])
        rows = []
        for name in given.sets:
            folder, _, count = name.partition(":")
            laid = linked(given.data / folder, Path(place) / name.replace(":", "-"), count)
            rows.append(row(laid, Path(place), given.repeats))
    helped = min(timed([REGRAFT, "--help"]) for _ in range(given.repeats))
    document = {"machine": machine.describe(), "first_use": first, "help": helped, "sets": rows}
    given.out.write_text(json.dumps(document, indent=1))
    print(
        "| set | images | pass alone, s | fit, s | ratio | second fit, s | of the first | "
        "1 % more, s | of the first |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for r in rows:
        print(
            f"| {r['set']} | {r['images']:,} | {r['alone']:.2f} | {r['fit']:.2f} | "
            f"{r['fit'] / r['alone']:.2f} | {r['second']:.2f} | {r['second'] / r['fit']:.0%} | "
            f"{r['more']:.2f} | {r['more'] / r['fit']:.0%} |"
        )
    print(f"\nThe very first use, with conversion and calibration: {first:.1f} s (hymenoptera).")
    print(f"`regraft --help`: {helped:.2f} s.")


def row(data: Path, place: Path, repeats: int) -> dict[str, Any]:
    """The best times on one set."""
    alone, fits, seconds, more = [], [], [], []
    out = ["--out", str(place / "run"), "--overwrite", "--json", "--case", "frozen"]
    most = place / "most"
    shutil.rmtree(most, ignore_errors=True)
    images = [path for path in sorted(data.rglob("*")) if path.is_file()]
    late = [path for number, path in enumerate(images) if number % 100 == 50]
    for path in sorted({*images} - {*late}):
        link(path, most / path.relative_to(data))
    for _ in range(repeats):
        forget(place)
        alone.append(timed([sys.executable, ALONE, str(data)]))
        forget(place)
        fit = [REGRAFT, "fit", str(data), *out]
        fits.append(timed(fit))
        seconds.append(timed(fit))
        forget(place)
        timed([REGRAFT, "fit", str(most), *out])
        for path in late:
            link(path, most / path.relative_to(data))
        more.append(timed([REGRAFT, "fit", str(most), *out]))
        for path in late:
            (most / path.relative_to(data)).unlink()
    best = {"alone": min(alone), "fit": min(fits), "second": min(seconds), "more": min(more)}
    return {"set": data.name, "images": len(images), **best}


def linked(data: Path, place: Path, count: str) -> Path:
    """The set; where a count is given, a folder of links to so many of its images."""
    if not count:
        return data
    images = sorted(path for path in data.rglob("*") if path.is_file())
    for path in random.Random(0).sample(images, min(int(count), len(images))):
        link(path, place / path.relative_to(data))
    return place


def link(path: Path, place: Path) -> None:
    """Make a link, and the folders on the way to it."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(path.resolve())


def forget(place: Path) -> None:
    """Drop the features and keep the converted network with its calibration."""
    for path in (place / "cache").glob("images-*"):
        path.unlink()


def timed(command: list[str]) -> float:
    """Wall seconds of a process."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
