"""``regraft serve`` as a whole: failures, connections, the command and its end."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import regraft
from command import Regraft, cli, own_log
from pictures import jpeg
from regraft.plan.choices import Choices
from regraft.serve import Batching, Model, ready
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
