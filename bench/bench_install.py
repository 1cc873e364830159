"""What a server without torch takes: its size on disk, its start, its memory, and the same answers.

    python bench/bench_install.py --run RUN --data FOLDER [--python python3.12]

RUN carries its network (`regraft export RUN --to serve`). `examples/serve/install.sh`, which the
Dockerfile beside it runs too, makes a fresh environment; a copy of the RUN that cannot be written
is served from it, with nothing of this environment, and asked with photos.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import machine
import regraft
from bench_serve import resident

SCRIPT = Path(__file__).resolve().parents[1] / "examples" / "serve" / "install.sh"
PHOTOS = 32
MOST_MB = 1500  # of the environment; python:3.12-slim comes below it


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--python", default="python3")
    parser.add_argument("--out", type=Path, default=Path("bench_install.json"))
    given = parser.parse_args()
    files = sorted(given.data.rglob("*.jpg"))
    files = files[:: max(1, len(files) // PHOTOS)][:PHOTOS]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start = time.perf_counter()
        subprocess.run(["sh", SCRIPT, folder / "env", given.python], check=True)
        row = {"seconds": time.perf_counter() - start, "mb": size(folder / "env")}
        row |= served(folder, given.run, files)
    print(json.dumps(row, indent=1))
    assert row["mb"] < MOST_MB, f"larger than {MOST_MB} MB"
    assert row["same_class"] == row["photos"], "not the classes that the RUN gives"
    given.out.write_text(json.dumps({"machine": machine.describe()} | row, indent=1))


def size(folder: Path) -> float:
    """Megabytes on disk."""
    files = [path.lstat() for path in folder.rglob("*")]
    return (
        sum(512 * blocks for blocks in {one.st_ino: one.st_blocks for one in files}.values()) / 1e6
    )


def served(folder: Path, run: Path, files: list[Path]) -> dict[str, Any]:
    """A copy of the RUN, asked: how long it takes to begin, what it holds, how far it is off."""
    copy = shutil.copytree(run, folder / "run")
    for path in [copy, *copy.rglob("*")]:
        path.chmod(0o555)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(folder / "env" / "bin" / "regraft"), "serve", str(copy), "--port", str(port)]
    start = time.perf_counter()
    server = subprocess.Popen(command, env={"PATH": os.defpath, "HOME": str(folder / "none")})
    try:
        url = f"http://127.0.0.1:{port}"
        ready = waited(url, start)
        answers = [asked(url, path) for path in files]
        wanted = regraft.load(run, cache=folder / "cache").predict(list(files))
        apart = [abs(a["confidence"] - w.confidence) for a, w in zip(answers, wanted, strict=True)]
        same = sum(a["label"] == w.label for a, w in zip(answers, wanted, strict=True))
        return {
            "ready_s": ready,
            "memory_mb": resident(server.pid),
            "photos": len(files),
            "same_class": same,
            "confidence_apart": max(apart),
        }
    finally:
        server.terminate()
        server.wait()
        for path in [copy, *copy.rglob("*")]:
            path.chmod(0o755)


def waited(url: str, start: float) -> float:
    """Seconds until it answers."""
    while time.perf_counter() < start + 120:
        try:
            with urlopen(f"{url}/healthz"):
                return time.perf_counter() - start
        except URLError:
            time.sleep(0.02)
    raise TimeoutError(url)


def asked(url: str, path: Path) -> Any:
    """What it says of a photo."""
    request = Request(f"{url}/predict", path.read_bytes(), {"Content-Type": "image/jpeg"})
    with urlopen(request) as answer:
        return json.load(answer)["images"][0]


if __name__ == "__main__":
    main()
