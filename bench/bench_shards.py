"""Peak memory and rate of `regraft fit` on tar shards of small images, from few to very many.

    python bench/bench_shards.py --images 10000 100000 1000000 --out bench_shards.json

Each set is drawn by a seed (JPEG, 32 x 32 px, ten classes that differ in colour and direction
of stripes, under noise), in shards of 10,000, and fitted in a process of its own from a cold cache.
Of the peak the share that is no file's (``anonymous``) is what the machine has to have: features of
a large set are a mapped file, whose pages the system drops when it needs the room. ``probe`` is the
pass over the images; ``after_audit`` seconds go for all that follows: evidence, heads, the RUN.
With ``--network NAME --side 64`` a network of that name sees squares of 64 px, which no option of
the command does: the fit is then called from Python, in case 1.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

import machine

SHARD, CLASSES, SIDE = 10_000, 10, 32
REGRAFT = str(Path(sys.executable).parent / "regraft")


def main() -> None:
    """Draw, fit and tell, for every number of images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--with", dest="options", default="--backbone demonstration --case 1")
    parser.add_argument("--network", default="efficientnet-lite0")
    parser.add_argument("--side", type=int)
    parser.add_argument("--out", type=Path, default=Path("bench_shards.json"))
    given = parser.parse_args()
    rows = []
    for count in given.images:
        with tempfile.TemporaryDirectory() as place:
            begun = time.perf_counter()
            draw(Path(place) / "shards", count)
            row = {"images": count, "drawing": time.perf_counter() - begun}
            words = ["fit", str(Path(place) / "shards"), *given.options.split(), "--json"]
            command = [REGRAFT, *words, "--out", str(Path(place) / "run")]
            if given.side:
                here = str(Path(__file__).resolve().parent / "fit_at_side.py")
                command = [sys.executable, here, words[1], given.network, str(given.side)]
            rows.append(row | fitted(Path(place), command))
        print(json.dumps(rows[-1]), flush=True)
    options = f"{given.network} at {given.side} px" if given.side else given.options
    document = {"machine": machine.describe(), "options": options, "rows": rows}
    given.out.write_text(json.dumps(document, indent=1))


def draw(folder: Path, count: int) -> None:
    """Write ``count`` images into tars of :data:`SHARD`, each with its class in a ``.cls``."""
    folder.mkdir()
    random = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    hues = random.uniform(60, 190, (CLASSES, 3))
    for first in range(0, count, SHARD):
        with tarfile.open(folder / f"{first // SHARD:05}.tar", "w") as tar:
            for i in range(first, min(first + SHARD, count)):
                kind, angle = i % CLASSES, random.normal(i % CLASSES, 0.4) / CLASSES * np.pi
                stripes = np.sin(
                    25 * (x * np.cos(angle) + y * np.sin(angle)) + random.uniform(0, 6)
                )
                pixels = (
                    hues[kind] + 40 * stripes[..., None] + random.normal(0, 25, (SIDE, SIDE, 3))
                )
                file = io.BytesIO()
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=85)
                add(tar, f"{i:08}.jpg", file.getvalue())
                add(tar, f"{i:08}.cls", str(kind).encode())


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Add a member."""
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def fitted(place: Path, command: list[str]) -> dict[str, object]:
    """Fit in a process of its own; its peak in GB, by kind of page, is read ten times a second."""
    environment = os.environ | {"REGRAFT_CACHE": str(place / "cache")}
    start, peak, anonymous = time.perf_counter(), 0, 0
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None:
            pages = resident(process.pid)
            peak, anonymous = max(peak, sum(pages)), max(anonymous, pages[0])
            time.sleep(0.1)
        assert process.stdout is not None
        metrics = json.loads(process.stdout.read())
    parts = metrics["seconds"]
    return {
        "seconds": time.perf_counter() - start,
        "anonymous_gb": anonymous / 1e6,
        "peak_gb": peak / 1e6,
        "cache_gb": sum(f.stat().st_size for f in (place / "cache").rglob("*")) / 1e9,
        "accuracy": metrics["accuracy"],
        "images_per_second": metrics["images_per_second"],
        "parts": parts,
        "after_audit": parts["total"] - sum(parts[name] for name in ("probe", "engine", "audit")),
    }


def resident(pid: int) -> tuple[int, int]:
    """Anonymous and other resident pages of a process, in kB."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0, 0
    found = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith("Rss")}
    return found.get("RssAnon", 0), found.get("RssFile", 0) + found.get("RssShmem", 0)


if __name__ == "__main__":
    main()
