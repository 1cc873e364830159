"""``regraft serve`` as a whole: failures, connections, the command and its end."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

import regraft
from command import Regraft, cli, own_log
from pictures import jpeg
from regraft.distributed import cores
from regraft.errors import RunError, UsageError
from regraft.plan.choices import Choices
from regraft.serve import Batching, Model, bound, origins, ready
from regraft.serve.access import AccessLog
from regraft.serve.settings import Settings
from regraft.serve.workers import Crew
from scenes import scene
from serving import model, run, served

__all__ = ["cli", "model", "own_log", "run"]  # fixtures


# ---- failures


def test_a_failure_is_told_and_spoils_nothing_else(model: Model) -> None:
    calls = []

    def fails_once(pixels: Any) -> Any:
        calls.append(len(pixels))
        return [] if len(calls) == 1 else Model.__call__(model, pixels)

    class Failing(Model):
        __call__ = staticmethod(fails_once)

    with served(Failing(model.result, model.engine, model.head)) as client:
        told = client.post("/predict", content=jpeg(1))
        assert (told.status_code, told.json()["problem"]) == (500, "failed")
        assert client.post("/predict", content=jpeg(1)).status_code == 200
        assert client.get("/healthz").status_code == 200


def test_a_connection_that_never_asks_is_closed(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regraft.serve.listening._HEAD", 0.3)
    with served(model) as client:
        place = (client.base_url.host, client.base_url.port)
        with socket.create_connection(place) as silent, socket.create_connection(place) as slow:
            silent.settimeout(600)
            closed = False
            for _ in range(200):  # a byte now and then does not keep it open
                try:
                    slow.sendall(b"G")
                except OSError:
                    closed = True
                    break
                time.sleep(0.02)
            assert closed
            assert silent.recv(9) == b""
        assert client.get("/healthz").status_code == 200


# ---- other origins, and the log


def test_pages_of_named_origins_may_ask_and_no_others(model: Model) -> None:
    shop = "https://shop.example"
    asks = {
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization",
    }
    with served(model, token="secret", cors=[shop]) as client:
        before = client.options("/predict", headers={"origin": shop, **asks})
        assert (before.status_code, before.headers[ALLOWED]) == (200, shop)
        assert "POST" in before.headers["access-control-allow-methods"]
        assert "authorization" in before.headers["access-control-allow-headers"]
        refused = client.get("/model", headers={"origin": shop})
        assert (refused.status_code, refused.headers[ALLOWED]) == (401, shop)  # it can be read
        other = client.options("/predict", headers={"origin": "https://else.example", **asks})
        assert (other.status_code, ALLOWED in other.headers) == (400, False)
        assert (
            ALLOWED not in client.get("/model", headers={"origin": "http://shop.example"}).headers
        )
    with served(model) as client:
        assert ALLOWED not in client.get("/model", headers={"origin": shop}).headers
        assert client.options("/predict", headers={"origin": shop, **asks}).status_code == 405


ALLOWED = "access-control-allow-origin"
ASKS = {"method": "POST", "headers": "authorization"}


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("https://Shop.Example:443", "https://shop.example"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:80", "http://[::1]"),
        (" * ", "*"),
        ("shop.example", None),
        ("https://shop.example/", None),
        ("https://shop.example/page", None),
        ("ftp://shop.example", None),
        ("http://shop.example:99999", None),
        ("null", None),
        ("", None),
    ],
)
def test_an_origin_is_a_scheme_and_a_host(given: str, sent: str | None) -> None:
    if sent is not None:
        assert origins.checked([given, given]) == (sent,)
        return
    with pytest.raises(UsageError, match="An origin is http") as caught:
        origins.checked(["*", given, "also wrong"])
    assert caught.value.problems[:2] == (f"Got {given!r}.", "Got 'also wrong'.")


def test_every_request_is_a_line(model: Model, capsys: pytest.CaptureFixture[str]) -> None:
    with served(model, access_log=True, token="secret") as client:
        client.get("/healthz?token=secret")
        client.post("/predict", content=b"x")
        client.get(f"/a%0Ab/{'long' * 99}")
    lines = capsys.readouterr().err.splitlines()
    moment = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
    for line, asked in zip(
        lines, ("GET /healthz 200", "POST /predict 401", "GET /a%0Ab/[long]+ 401"), strict=True
    ):
        assert re.fullmatch(rf"{moment} {asked} \d+ ms", line)
    assert max(map(len, lines)) < 250
    with served(model) as client:
        client.get("/healthz")
    assert capsys.readouterr().err == ""


def test_a_request_without_an_answer_is_a_line_too() -> None:
    async def dies(*_: object) -> None:
        raise OSError("gone")

    lines: list[str] = []
    scope = {"type": "http", "method": "GET", "raw_path": b"/"}
    with pytest.raises(OSError, match="gone"):
        asyncio.run(AccessLog(dies, lines.append)(scope, None, None))  # type: ignore[arg-type]
    assert " GET / - 0 ms" in lines[0]


# ---- the command


def started(run: Path, *words: str) -> tuple["subprocess.Popen[str]", list[str], tuple[str, int]]:
    """The command in a process of its own, what it said so far, and where it listens."""
    command = [sys.executable, "-m", "regraft", "serve", str(run), "--port", "0", *words]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if found := re.search(r"Listening on http://([\d.]+):(\d+)", line):
            return process, said, (found[1], int(found[2]))
    raise AssertionError("".join(said))


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGTERM")
def test_sigterm_finishes_what_was_taken_and_refuses_new(run: Path) -> None:
    process, said, place = started(run)
    assert "--token" not in "".join(said)  # nobody else can reach it
    image = scene("rings", 60)
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(image)}\r\n\r\n".encode()
    with socket.create_connection(place) as half:
        half.sendall(head + image[:500])
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        while True:
            try:
                socket.create_connection(place).close()
            except ConnectionRefusedError:
                break
            time.sleep(0.02)
        half.sendall(image[500:])
        answer = b""
        while piece := half.recv(9999):
            answer += piece
    out, err = process.communicate()
    assert answer.startswith(b"HTTP/1.1 200")
    assert b'"label":"rings"' in answer
    assert (process.returncode, out) == (0, "")
    assert "Stopped" in err
    assert "Traceback" not in err


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGINT to send")
def test_where_others_can_reach_it_a_token_is_recommended(run: Path) -> None:
    process, said, _ = started(run, "--host", "0.0.0.0")
    process.send_signal(signal.SIGINT)  # just after it began to listen
    process.communicate()
    assert process.returncode == 0
    assert "give a --token" in "".join(said)


@pytest.mark.skipif(os.name == "nt" or cores() < 2, reason="workers need a socket and two cores")
def test_workers_share_a_socket_count_together_and_are_replaced(run: Path) -> None:
    process, said, (host, port) = started(run, "--workers", "2", "--no-access-log")
    assert "in each of 2 workers" in "".join(said)
    first, *others = workers_of(process.pid)
    with httpx.Client(base_url=f"http://{host}:{port}", timeout=None) as client:
        for _ in range(6):  # whoever takes it
            image = scene("rings", 60)
            told = client.post("/predict", content=image, headers={"connection": "close"})
            assert told.json()["images"][0]["label"] == "rings"
        assert 'regraft_images_total{outcome="classified"} 6.0' in client.get("/metrics").text
        os.kill(first, signal.SIGKILL)
        assert process.stderr is not None
        assert "A worker ended (-9)" in process.stderr.readline()
        while len(workers_of(process.pid)) < 2 or first in workers_of(process.pid):
            time.sleep(0.02)
        assert 'regraft_images_total{outcome="classified"} 6.0' in client.get("/metrics").text
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate()
    assert (process.returncode, "Stopped" in err, "Traceback" in err) == (0, True, False)
    assert not [pid for pid in others if Path(f"/proc/{pid}/cmdline").exists()]


def workers_of(pid: int) -> list[int]:
    """The processes that a process has started and that live."""
    done = subprocess.run(["ps", "-o", "pid=,stat=", "--ppid", str(pid)], capture_output=True)
    found = [line.split() for line in done.stdout.decode().splitlines()]
    return [int(pid) for pid, state in found if state[0] != "Z"]


@pytest.mark.parametrize("count", [-1, 0, 1000])
def test_there_are_as_many_workers_as_cores_at_most(cli: Regraft, run: Path, count: int) -> None:
    said = cli("serve", run, "--workers", count)
    assert said.code == 2
    assert f"must be from 1 to {cores()}, the cores that there are, got {count}." in said.err


def test_a_worker_that_cannot_begin_is_told(cli: Regraft, run: Path) -> None:
    with pytest.raises(RunError, match="no regraft run"), bound("127.0.0.1", 0) as place:
        Crew(run / "nothing", None, Settings(), place, 1).serve(lambda engine, stop: None)
    with pytest.raises(UsageError, match=r"package\.module:factory"):
        regraft.serve(run, port=0, workers=min(2, cores()), network=object())


def test_mistakes_of_the_command_are_told(
    cli: Regraft, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = cli("serve", run, "--port", taken.getsockname()[1])
    assert said.code == 1
    assert "Cannot listen on 127.0.0.1" in said.err
    assert "--port" in said.err
    assert cli("serve", run, "--port", 0, "--token", " ").code == 2
    monkeypatch.setenv("REGRAFT_TOKEN", "")  # as where the command that makes one failed
    empty = cli("serve", run, "--port", 0)
    assert (empty.code, "must not be empty" in empty.err) == (2, True)
    monkeypatch.delenv("REGRAFT_TOKEN")
    assert "no regraft run" in cli("serve", run / "nothing", "--port", 0).err
    monkeypatch.setattr("regraft.cli.serve.find_spec", lambda name: None)
    missing = cli("serve", run)
    assert missing.code == 2
    assert "pip install 'regraft[serve]'" in missing.err


def test_a_network_that_was_cut_is_served_as_well(tmp_path: Path, run: Path) -> None:
    data = run.parent / "data"
    result = regraft.fit(
        data, "demonstration", choices=Choices(case=2, cut="conv2"), out=tmp_path / "r"
    )
    image = scene("squares", 61)
    with served(ready(regraft.load(tmp_path / "r")), batching=Batching(1, 0)) as client:
        told = client.post("/predict", content=image, headers={"content-type": "image/png"}).json()[
            "images"
        ][0]
        stages = client.get("/model").json()["stages"]
    assert told["confidence"] == result.predict([image])[0].confidence
    assert [stage["read"] for stage in stages if stage["kept"]][-1]
    assert not stages[-1]["kept"]
