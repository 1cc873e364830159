"""What the parts of `regraft fit` cost: CPU and wall seconds, each alone, in the order they come.

    python bench/bench_parts.py --data FOLDER/weather

Of a first fit (the backbone was calibrated before, the features are cold), a second one, and one
after one per cent more images have come: a process each, the least CPU time of three. CPU seconds
are those of all threads while a part runs; what is made ready beside the pass is in the pass. The
package is compiled before, as an installation does.
"""

import argparse
import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
from bench_run import forget, link

PARTS = {
    "pass": "regraft.run.measure:look_at",
    "audit": "regraft.run.measure:audit",
    "similarity": "regraft.run.measure:shift_of",
    "cross-validation, choice": "regraft.run.draft:gathered_on",
    "learning curve": "regraft.run.draft:_learning_curve",
    "new layer, test": "regraft.run.api:execute",
    "strangers": "regraft.run.api:with_unknown",
    "page": "regraft.run.execute:page",
    "writing": "regraft.results.result:write_run",
}
KINDS = ("first", "second", "1 % more")
OUT = "BENCH_PARTS_OUT"


def main() -> None:
    """Run the fits, and print a table; or be one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("bench_parts.json"))
    given = parser.parse_args()
    machine.compile_package()
    images = sorted(path for path in given.data.rglob("*") if path.is_file())
    late = [path for number, path in enumerate(images) if number % 100 == 50]
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        most = place / given.data.name
        os.environ["REGRAFT_CACHE"] = str(place / "cache")
        for path in images:
            link(path, most / path.relative_to(given.data))
        fit(most, place)  # calibrates
        for _ in range(given.repeats):
            for path in late:
                (most / path.relative_to(given.data)).unlink()
            forget(place)
            found["first"].append(fit(most, place))
            found["second"].append(fit(most, place))
            for path in late:
                link(path, most / path.relative_to(given.data))
            found["1 % more"].append(fit(most, place))
    best = {kind: min(rows, key=lambda row: row["all"][0]) for kind, rows in found.items()}
    given.out.write_text(json.dumps({"machine": machine.describe(), "fits": best}, indent=1))
    print(f"| part | {' | '.join(f'{kind}, CPU s | wall s' for kind in KINDS)} |")
    print("|---|" + "--:|" * 2 * len(KINDS))
    for part in ("start", *PARTS, "rest", "all"):
        figures = [figure for kind in KINDS for figure in best[kind][part]]
        print(f"| {part} | {' | '.join(f'{figure:.2f}' for figure in figures)} |")


def fit(data: Path, place: Path) -> dict[str, Any]:
    """Return (CPU, wall) seconds of each part of a fit in a process of its own."""
    out = place / "parts.json"
    command = [sys.executable, __file__, "fit", str(data), "--out", str(place / "run")]
    begun = time.perf_counter()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | {OUT: str(out)}
    subprocess.run(
        [*command, "--overwrite", "--json", "--case", "frozen"],
        check=True,
        capture_output=True,
        env=environment,
    )
    wall = time.perf_counter() - begun
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    whole = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime, wall
    found = {name: tuple(pair) for name, pair in json.loads(out.read_text()).items()}
    known = [sum(pair[n] for pair in found.values()) for n in (0, 1)]
    return found | {"rest": (whole[0] - known[0], whole[1] - known[1]), "all": whole}


def timed(done: dict[str, list[float]], name: str, work: Callable[..., Any]) -> Callable[..., Any]:
    """Return the same, that adds up what it costs."""

    def run(*args: Any, **named: Any) -> Any:
        cpu, wall = time.process_time(), time.perf_counter()
        try:
            return work(*args, **named)
        finally:
            spent = time.process_time() - cpu, time.perf_counter() - wall
            done[name] = [was + more for was, more in zip(done[name], spent, strict=True)]

    return run


def child(out: Path) -> None:
    """Be one fit; write down what its parts cost."""
    begun = time.perf_counter()
    app = importlib.import_module("regraft.cli.app").app
    done = {name: [0.0, 0.0] for name in PARTS}
    for name, place in PARTS.items():
        module, _, function = place.partition(":")
        room = importlib.import_module(module)
        setattr(room, function, timed(done, name, getattr(room, function)))
    start = [time.process_time(), time.perf_counter() - begun]
    try:
        app()
    finally:
        out.write_text(json.dumps({"start": start, **done}))


if __name__ == "__main__":
    if OUT in os.environ:
        child(Path(os.environ[OUT]))
    else:
        main()
