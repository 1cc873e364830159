"""What the look at an image costs: in one process, in two by torchrun, in two workers of Ray.

    python bench/bench_machines.py --photos FOLDER --out bench_machines.json

Core-seconds are those of all processes, which other programs on the machine change little. Each way
looks at few images and at many, from a cold cache whose engine is chosen; the difference counts, so
that what starting takes does not. ``--photos``: class folders, which EfficientNet-Lite0 sees at
224 px; the demonstration network sees drawn images of 32 px in tars (``bench_shards.py``).
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import machine
from bench_shards import draw

DRAWN, FEW = (4_000, 20_000), 5
TICK = os.sysconf("SC_CLK_TCK")
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
WAYS: dict[str, tuple[list[str], str]] = {
    "one process": ([], ""),
    "two by torchrun": (TORCHRUN, ""),
    "two workers of Ray": ([], "ray"),
}


def main() -> None:
    """Measure every network in every way; print and write what an image costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--out", type=Path, default=Path("bench_machines.json"))
    parser.add_argument("--look", nargs=3, metavar=("DATA", "NETWORK", "ON"), help="for itself")
    given = parser.parse_args()
    if given.look:
        look(*given.look)
        return
    if given.photos is None:
        parser.error("--photos is needed")
    rows = []
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        for count in DRAWN:
            draw(home / f"drawn-{count}", count)
        some = part_of(given.photos, home / "photos-few")
        sets = {
            "demonstration": [(home / f"drawn-{count}", count) for count in DRAWN],
            "efficientnet-lite0": [
                (home / "photos-few", some),
                (given.photos, images(given.photos)),
            ],
        }
        for network, pair in sets.items():
            trunks = home / network
            looked(trunks, None, pair[0][0], network, WAYS["one process"])
            for name, way in WAYS.items():
                spent = [looked(home / "cache", trunks, data, network, way) for data, _ in pair]
                more = pair[1][1] - pair[0][1]
                row = {"network": network, "way": name, "images": more}
                row |= {key: (spent[1][key] - spent[0][key]) / more for key in spent[0]}
                rows.append(row)
                print(json.dumps(row), flush=True)
    given.out.write_text(json.dumps({"machine": machine.describe(), "rows": rows}, indent=1))


def look(data: str, network: str, on: str) -> None:
    """Look at all images, as plan and fit do first."""
    from regraft import Choices, Dataset, distributed
    from regraft.run.measure import measure
    from regraft.run.pretrained import open_network

    measure(Dataset.open(data), open_network(network), Choices(), on=on or None)
    distributed.shutdown(0)


def images(folder: Path) -> int:
    """How many files there are."""
    return sum(path.is_file() for path in folder.rglob("*"))


def part_of(folder: Path, target: Path) -> int:
    """Copy a fifth of each class, and return how many images that is."""
    for kind in (path for path in folder.iterdir() if path.is_dir()):
        (target / kind.name).mkdir(parents=True)
        for file in sorted(kind.iterdir())[::FEW]:
            shutil.copy(file, target / kind.name)
    return images(target)


def looked(
    cache: Path, trunks: Path | None, data: Path, network: str, way: tuple[list[str], str]
) -> dict[str, float]:
    """Return what one pass from an empty cache takes: core-seconds, and seconds on the clock."""
    shutil.rmtree(cache, ignore_errors=True)
    cache.mkdir()
    if trunks is not None:
        shutil.copytree(trunks / "trunks", cache / "trunks")
    start, on = way
    words = [sys.executable, *start, __file__, "--look", str(data), network, on]
    env = os.environ | {"REGRAFT_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    begun, spent = time.perf_counter(), dict[int, float]()
    with subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            spent |= below(process.pid)
            time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"{' '.join(words)} failed")
    return {"core_seconds": sum(spent.values()), "seconds": time.perf_counter() - begun}


def below(pid: int) -> Mapping[int, float]:
    """Core-seconds so far of a process and of all that it has started."""
    found = dict[int, float]()
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
        found[pid] = (int(fields[11]) + int(fields[12])) / TICK
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text("ascii").split():
                found |= below(int(child))
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


if __name__ == "__main__":
    main()
