"""Requests a second and their latency, of `regraft serve` and of a plain handler around PyTorch.

    python bench/bench_serve.py --run RUN --data FOLDER [--seconds 8] [--requests 10000]

Each server runs in a process of its own, on the same images, whole files, one a request. Clients
wait for an answer before they ask again; they run on the same cores as the server. `plain` is what
one writes first: FastAPI's own upload, the same decoding, and the same network in eager float32
PyTorch, one image a call, in FastAPI's threads. `alone` is `regraft serve --batch 1`, `workers` has
one for every core. Then so many requests more go to `regraft serve`, and its memory is read before,
on the way and after.
"""

import argparse
import asyncio
import json
import random
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import machine
from regraft.distributed import cores

CLIENTS = (1, 8, 64)
SOON = 1.5  # s before anything is counted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path("bench_serve.json"))
    given = parser.parse_args()
    if given.plain:
        run_plain(given.run)
        return
    files = sorted(p for p in given.data.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))
    images = [path.read_bytes() for path in random.Random(0).sample(files, min(200, len(files)))]
    here = [sys.executable, __file__, "--run", str(given.run), "--data", str(given.data), "--plain"]
    ours = [sys.executable, "-m", "regraft", "serve", str(given.run), "--port", "0"]
    ours.append("--no-access-log")  # nobody reads it
    workers = [*ours, "--workers", str(cores())]
    servers = {"serve": ours, "workers": workers, "alone": [*ours, "--batch", "1"], "plain": here}
    rows = [row for name, words in servers.items() for row in measure(name, words, images, given)]
    print_table(rows)
    memory = grow(ours, images, given.requests)
    document = {"machine": machine.describe(), "rows": rows, "memory": memory}
    given.out.write_text(json.dumps(document, indent=1))


def measure(
    name: str, words: Sequence[str], images: Sequence[bytes], given: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """One server at each number of clients."""
    with server(words) as (url, _):
        for clients in CLIENTS:
            took, statuses = asyncio.run(load(url, images, clients, given.seconds))
            row = {
                "server": name,
                "clients": clients,
                "requests_per_second": len(took) / given.seconds,
                "p50_ms": 1000 * float(np.percentile(took, 50)),
                "p99_ms": 1000 * float(np.percentile(took, 99)),
                "other_than_200": sum(status != 200 for status in statuses),
                "load": machine.describe()["load"],
            }
            print(json.dumps(row), file=sys.stderr)
            yield row


async def load(
    url: str, images: Sequence[bytes], clients: int, seconds: float
) -> tuple[list[float], list[int]]:
    """Seconds and statuses of the requests that ended within the time."""
    took: list[float] = []
    statuses: list[int] = []
    requests = [request(image) for image in images]
    start = time.perf_counter() + SOON

    async def one(number: int) -> None:
        chance = random.Random(number)
        async with connection(url) as ask:
            while time.perf_counter() < start + seconds:
                began = time.perf_counter()
                status = await ask(chance.choice(requests))
                ended = time.perf_counter()
                if start <= ended < start + seconds:
                    took.append(ended - began)
                    statuses.append(status)

    await asyncio.gather(*(one(number) for number in range(clients)))
    return took, statuses


def request(image: bytes) -> bytes:
    """One upload, ready to be sent: to build it each time would cost the cores that serve."""
    part = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n'
    body = part + image + b"\r\n--b--\r\n"
    head = (
        "POST /predict HTTP/1.1\r\nHost: bench\r\n"
        f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@asynccontextmanager
async def connection(url: str) -> AsyncIterator[Callable[[bytes], Awaitable[int]]]:
    """A connection that is kept; call it with a request for the status of the answer."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))

    async def ask(data: bytes) -> int:
        writer.write(data)
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        assert length is not None, head
        await reader.readexactly(int(length[1]))
        return int(head.split(b" ", 2)[1])

    try:
        yield ask
    finally:
        writer.close()


def grow(words: Sequence[str], images: Sequence[bytes], requests: int) -> list[dict[str, float]]:
    """Resident memory of a server after so many requests of 8 clients."""
    seen = []
    with server(words) as (url, process):
        for part in range(11):
            seen.append({"requests": part * requests // 10, "mb": resident(process.pid)})
            if part < 10:
                asyncio.run(count(url, images, requests // 10))
    for row in seen:
        print(f"{row['requests']:>7,} requests {row['mb']:>7.0f} MB")
    return seen


async def count(url: str, images: Sequence[bytes], requests: int) -> None:
    """So many requests of 8 clients."""

    async def one(number: int) -> None:
        async with connection(url) as ask:
            for place in range(number, requests, 8):
                assert await ask(request(images[place % len(images)])) == 200

    await asyncio.gather(*(one(number) for number in range(8)))


@contextmanager
def server(words: Sequence[str]) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """A server in a process of its own; gives its address when it listens."""
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        said = ""
        while not (found := re.search(r"Listening on (http://[\d.:]+)", said)):
            line = process.stderr.readline()
            assert line, said
            said += line
        yield found[1], process
    finally:
        process.terminate()
        process.communicate()


def resident(pid: int) -> float:
    """Megabytes of memory that a process has."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    plain = {row["clients"]: row["requests_per_second"] for row in rows if row["server"] == "plain"}
    print("| server | clients | requests/s | p50 | p99 | times plain | load |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for row in rows:
        times = row["requests_per_second"] / max(plain[row["clients"]], 1e-9)
        print(
            f"| {row['server']} | {row['clients']} | {row['requests_per_second']:.1f} | "
            f"{row['p50_ms']:.0f} ms | {row['p99_ms']:.0f} ms | {times:.1f} | {row['load']:.1f} |"
        )


def run_plain(run: Path) -> None:
    """The plain handler: the network restored in torch, float32, one image a call."""
    import torch
    import uvicorn
    from fastapi import FastAPI, UploadFile

    import regraft
    from regraft.data.images import inspect

    result = regraft.load(run)
    trunk, head = result.trunk().eval(), result.head
    weight, bias = torch.from_numpy(head.weight.copy()), torch.from_numpy(head.bias.copy())
    backbone = result.plan.backbone
    mean = torch.tensor(backbone.mean).view(3, 1, 1)
    std = torch.tensor(backbone.std).view(3, 1, 1)
    app = FastAPI()

    @app.post("/predict")
    def predict(files: UploadFile) -> dict[str, Any]:
        squares = inspect(files.file.read(), [backbone.view])[1]
        assert squares is not None
        pixels = torch.from_numpy(squares[0]).permute(2, 0, 1).float() / 255
        with torch.inference_mode():
            features = torch.cat(list(trunk(((pixels - mean) / std)[None])), 1)
            shares = (features @ weight.T + bias).softmax(1)[0]
        best = int(shares.argmax())
        return {"label": result.classes[best], "confidence": float(shares[best])}

    from regraft.serve import address, bound

    with bound("127.0.0.1", 0) as place:
        place.listen(512)
        print(f"Listening on {address(place)}", file=sys.stderr, flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False)).run([place])


if __name__ == "__main__":
    main()
