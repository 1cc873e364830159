"""``regraft serve`` as a whole: failures, connections, the command and its end."""

import asyncio
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from safetensors.numpy import load_file, save_file

import regraft
from command import Regraft, cli, own_log
from pictures import jpeg
from regraft import distributed
from regraft.distributed import cores
from regraft.errors import RunError, UsageError
from regraft.plan.choices import Choices
from regraft.serve import Batching, Model, origins, ready, worker, workers
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
        assert int(before.headers["access-control-max-age"]) > 0
        refused = client.get("/model", headers={"origin": shop})
        assert (refused.status_code, refused.headers[ALLOWED]) == (401, shop)  # it can be read
        assert refused.headers["access-control-expose-headers"] == "retry-after"
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
def test_workers_share_a_socket_and_count_together(run: Path) -> None:
    process, said, (host, port) = started(run, "--workers", "2", "--no-access-log")
    assert "in each of 2 workers" in "".join(said)
    with httpx.Client(base_url=f"http://{host}:{port}", timeout=None) as client:
        for _ in range(6):  # whoever takes it
            image = scene("rings", 60)
            told = client.post("/predict", content=image, headers={"connection": "close"})
            assert told.json()["images"][0]["label"] == "rings"
        assert 'regraft_images_total{outcome="classified"} 6.0' in client.get("/metrics").text
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate()  # which waits for all that write there
    assert (process.returncode, "Stopped" in err, "Traceback" in err) == (0, True, False)


def ended() -> "subprocess.Popen[str]":
    """A worker that is no more."""
    pipe = subprocess.PIPE
    one = subprocess.Popen([sys.executable, "-c", ""], stdin=pipe, stdout=pipe, text=True)
    one.wait()
    return one


def test_a_worker_that_ended_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dead, alive, new = ended(), ended(), ended()
    waiting = tmp_path / f"gauge_livesum_{dead.pid}.db"  # images that wait for nothing any more
    waiting.touch()
    monkeypatch.setattr(alive, "poll", lambda: None)
    monkeypatch.setattr(Crew, "_start", lambda crew, folder: new)
    monkeypatch.setattr("regraft.serve.workers._ready", lambda worker: "an engine")
    crew, workers = Crew(Path(), None, Settings(), socket.socket(), 2), [dead, alive]
    crew._replace(workers, str(tmp_path))
    crew.place.close()
    assert workers == [new, alive]
    assert not waiting.exists()
    assert "A worker ended (0); another is started." in capsys.readouterr().err
    assert dead.stdin is not None
    assert dead.stdin.closed  # or pipes would be left of each that ends
    for one in (alive, new):
        one.communicate()


def test_a_worker_has_its_share_of_the_cores_and_ends_with_its_parent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(distributed, "_sharers", 1)
    every, task = cores(), {"run": os.fsencode(tmp_path).hex(), "network": None, "count": 2}
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(task)))
    assert worker.main() == 1
    assert cores() == max(1, every // 2)
    said = capsys.readouterr().out
    assert "no regraft run" in said
    dead = ended()
    dead.communicate()
    monkeypatch.setattr(dead, "stdout", io.StringIO(said))
    with pytest.raises(RunError, match="no regraft run"):  # as where it was started
        workers._ready(dead)
    monkeypatch.setattr(dead, "stdout", io.StringIO())
    with pytest.raises(RunError, match=r"could not begin.\n.*ended with 0"):
        workers._ready(dead)
    ends: list[bool] = []
    worker._until_hung_up(lambda: ends.append(True))  # its parent says no more
    assert ends == [True]


@pytest.mark.parametrize("count", [-1, 0, 1000])
def test_there_are_as_many_workers_as_cores_at_most(
    cli: Regraft, run: Path, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for begins in ("regraft.serve.Crew", "regraft.serve.ready"):
        monkeypatch.setattr(begins, pytest.fail)
    said = cli("serve", run, "--workers", count)
    assert said.code == 2
    assert f"must be from 1 to {cores()}, the cores that there are, got {count}." in said.err


def test_workers_need_the_place_of_a_network(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "cores", lambda: 2)
    with pytest.raises(UsageError, match=r"package\.module:factory"):
        regraft.serve(run, port=0, workers=2, network=object())


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


def test_a_run_of_0_1_0_is_served_and_exported_as_well(run: Path, tmp_path: Path) -> None:
    old = shutil.copytree(run, tmp_path / "old")
    for name in ("suspects.csv", "labelled.safetensors"):
        (old / name).unlink()
    tensors = load_file(old / "model.safetensors")
    tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith("known.")}
    save_file(tensors, old / "model.safetensors")
    shapes = {name: list(tensor.shape) for name, tensor in tensors.items()}
    reduced(old / "config.json", "weights_sha256", tensors=shapes)
    reduced(old / "metrics.json", "suspects", "unknown")
    evidence = json.loads((old / "plan.json").read_text("utf-8"))["evidence"]
    kept = {name: value for name, value in evidence.items() if name not in LATER_EVIDENCE}
    reduced(old / "plan.json", *LATER_PLAN, evidence=kept)

    made = regraft.export(old, "serve", data=run.parent / "data")
    assert [each.changed for each in made.parities] == [0, 0]
    result = regraft.load(old)
    assert result.known is None
    with served(ready(result)) as client:
        told = client.post("/predict", content=jpeg(1)).json()["images"][0]
        assert (told["known"], told["belief"]) == (None, None)
        assert told["confidence"] == regraft.load(run).predict(jpeg(1))[0].confidence
        assert "regraft_unknown_images_total 0.0" in client.get("/metrics").text


LATER_PLAN = ("ranking", "gain", "learning_curve", "limit")
LATER_EVIDENCE = ("end", "signal", "tail", "averages", "cut")


def reduced(path: Path, *names: str, **others: Any) -> None:
    """Write a document without what it did not have then."""
    document = json.loads(path.read_text("utf-8")) | others
    assert {*names} <= document.keys()
    kept = {name: value for name, value in document.items() if name not in names}
    path.write_text(json.dumps(kept), "utf-8")
