"""Several processes: two real ones, started by torchrun on the CPU, do what one does."""

import json
import logging
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file

import ranks
from command import Regraft, cli, own_log
from pictures import lay_out
from regraft import distributed
from regraft.cli import main
from regraft.data.readers import streams
from regraft.errors import UsageError
from regraft.plan.recipes import check_training
from scenes import each, scenes

__all__ = ["cli", "own_log"]  # fixtures

START = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures, and the weights of a tiny network of timm's."""
    import timm

    place = tmp_path_factory.mktemp("place")
    lay_out(place / "data", scenes(each(16)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save_file(timm.create_model("test_resnet").state_dict(), place / "weights.safetensors")
    return place


def network(place: Path) -> list[object]:
    return ["--backbone", "test_resnet", "--weights", place / "weights.safetensors"]


def kept(cache: Path) -> dict[tuple[str, bytes], bytes]:
    """Everything that a cache knows of images: facts and features."""
    [file] = cache.glob("*.sqlite")
    with sqlite3.connect(file) as db:
        rows = db.execute(
            "SELECT name, digest, data FROM entry JOIN space ON space.id = space "
            "JOIN content ON content.id = entry.id"
        )
        return {(name, digest): data for name, digest, data in rows}


# ---- what is exchanged, and the training


def here(words: Sequence[object], cache: Path) -> None:
    """Do a command in this process."""
    log = logging.getLogger("regraft")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("handlers", "propagate"):  # as own_log does, which begins later
            patch.setattr(log, name, getattr(log, name))
        patch.setenv("REGRAFT_CACHE", str(cache))
        patch.setattr(streams, "TICK", 0)  # pictures are not new any more when others have started
        assert main([str(word) for word in words]) == 0


def short_plan(place: Path, epochs: int, **said: object) -> Path:
    """A plan to fine-tune for so many epochs, at one rate."""
    path = place / f"short-{epochs}{''.join(said)}.json"
    words = [*network(place), "--case", "3", "--learning-rate", "0.001", "--out", path]
    here(["plan", place / "data", *words], place / "cache")
    plan = json.loads(path.read_text("utf-8")) | said
    plan["trainings"][0] |= {"epochs": epochs, "refit": False, "patience": epochs}
    path.write_text(json.dumps(plan), "utf-8")
    return path


def tuned(plan: Path, place: Path, out: Path) -> list[object]:
    return ["fit", "--plan", plan, *network(place)[2:], "--json", "--out", out]


@dataclass(frozen=True)
class Together:
    """What two processes left behind."""

    folder: Path
    code: int
    err: str

    @cached_property
    def found(self) -> list[dict[str, Any]]:
        """What ranks.py found in each."""
        files = [self.folder / f"{rank}.json" for rank in (0, 1)]
        return [json.loads(file.read_text("utf-8")) for file in files]

    def printed(self, name: str) -> tuple[str, str]:
        """What both printed of a command: output and errors."""
        out, err = ([f"{name}-{rank}.{end}" for rank in (0, 1)] for end in ("out", "err"))
        texts = [
            "".join((self.folder / file).read_text("utf-8") for file in its) for its in (out, err)
        ]
        return texts[0], texts[1]


@pytest.fixture(scope="module")
def exchanged(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Together:
    """What ranks.py left, in two processes that torchrun has started.

    Its commands: a fit that one process has done before, a fine-tuning, and a mistake.
    """
    folder = tmp_path_factory.mktemp("ranks")
    words = ["fit", place / "data", *network(place), "--case", "1"]
    words += ["--engine", "openvino-f32", "--out"]
    one, two, mine = folder / "one", folder / "two", folder / "mine"
    here([*words, one / "run"], one)
    shutil.copytree(one / "trunks", two / "trunks")
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    plan = short_plan(place, 2, budget=900.0)
    asked: dict[str, tuple[Path, list[object]]] = {
        "frozen": (two, [*words, two / "run"]),
        "tuned": (folder / "cache", tuned(plan, place, folder / "tuned")),
        "last": (two, ["fit", place / "data", *network(place), "--out", mine]),
    }
    (folder / "commands.json").write_text(json.dumps(asked, default=str), "utf-8")
    done = subprocess.run(
        [*START, ranks.__file__, str(folder)],
        env=os.environ | ONE_THREAD,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (folder / "1.json").exists(), done.stderr
    return Together(folder, done.returncode, done.stderr)


def test_processes_meet(exchanged: Together) -> None:
    both = exchanged.found
    assert [found["each"] for found in both] == [0, 1]
    for found in both:
        assert found["on_rank_zero"] == 0
        assert found["together"] == [0, 1]
        assert found["any_rank"] == [True, False]
        assert found["all_reduce_sum"] == 2.0
        assert found["aligned"] == [0.0, 0.0, 0.0]


def test_features_lie_with_the_first(exchanged: Together) -> None:
    first, other = exchanged.found
    assert first["rows"] == np.arange(33).reshape(11, 3).tolist()
    assert other["rows"] is None
    assert (first["held"], other["held"]) == ([5, 3], [0, 3])


def test_an_error_of_one_is_that_of_all(exchanged: Together) -> None:
    for found in exchanged.found:
        assert found["failed"] == [["RunError", f"process {n} cannot", "It is so."] for n in (0, 1)]


def test_two_train_as_one(
    exchanged: Together, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gradient is that of the whole step, though one share has an image more."""
    folder, both = exchanged.folder, exchanged.found
    monkeypatch.setattr("regraft.finetune.mode_of", None)  # ranks.train replaces it
    alone = ranks.train(ranks.recipe(), tmp_path)
    first, second = (load_file(folder / f"plain-{rank}.safetensors") for rank in (0, 1))
    for name, tensor in alone.state.items():
        np.testing.assert_allclose(first[name], tensor, atol=1e-4, err_msg=name)
        assert np.array_equal(first[name], second[name])
    losses = [row.loss for row in alone.rows]
    assert both[0]["rows_of_log"] == both[1]["rows_of_log"] == pytest.approx(losses, rel=1e-4)


def test_what_is_kept_is_the_same_everywhere(
    exchanged: Together,
) -> None:
    first, second = (load_file(exchanged.folder / f"whole-{rank}.safetensors") for rank in (0, 1))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_processes_stop_together(exchanged: Together) -> None:
    for found in exchanged.found:
        assert found["out of time"] == "out of time"
        assert "no longer a number" in found["diverged"]


# ---- the command line


def test_two_fit_as_one(exchanged: Together) -> None:
    """A frozen network: the same features bit for bit by an engine that runs each image alone."""
    assert [found["codes"]["frozen"] for found in exchanged.found] == [0, 0]
    one, two = exchanged.folder / "one", exchanged.folder / "two"
    assert len(kept(one)) > 90  # facts and features of 48 pictures
    assert kept(one) == kept(two)
    for name in ("plan.json", "model.safetensors", "predictions.csv"):
        assert (one / "run" / name).read_bytes() == (two / "run" / name).read_bytes()
    out, err = exchanged.printed("frozen")
    assert err.count("Written to") == out.count("Case 1") == 1


def test_two_fine_tune_as_one(
    cli: Regraft, place: Path, exchanged: Together, tmp_path: Path
) -> None:
    folder = exchanged.folder
    alone = cli(*tuned(short_plan(place, 2), place, tmp_path / "one"))
    assert alone.code == 0, alone.err
    out, err = exchanged.printed("tuned")
    assert [found["codes"]["tuned"] for found in exchanged.found] == [0, 0], err
    assert len(list((folder / "cache" / "trunks").iterdir())) == 2  # backbone, what it became
    found = json.loads(out)  # one document: the other process printed none
    assert found["n"] == alone.json["n"]
    assert abs(found["accuracy"] - alone.json["accuracy"]) <= 2 / found["n"]
    assert err.count("epoch   1 of 2") == 1
    lines = (folder / "tuned" / "predictions.csv").read_text("utf-8").splitlines()
    assert len(lines) == len(set(lines)) == found["n"] + 1
    assert not (folder / "tuned.unfinished").exists()


def test_a_mistake_is_told_once(exchanged: Together) -> None:
    assert exchanged.code == 1
    assert exchanged.err.count("regraft: ") == 1
    assert "notes.txt" in exchanged.err
    assert "regraft: process 1" not in exchanged.err


def workers(agent: int) -> list[int]:
    """The processes that torchrun has started, in their order."""
    listed = Path(f"/proc/{agent}/task/{agent}/children").read_text("ascii")
    return [int(word) for word in listed.split()]


@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")
def test_one_that_dies_ends_the_run(place: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ["-m", "regraft", *tuned(short_plan(place, 400), place, out)]
    with subprocess.Popen(
        [*START, *map(str, words)],
        env=os.environ | ONE_THREAD,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            patience = time.monotonic() + 600
            while not list(tmp_path.glob("run.unfinished/*/*.safetensors")):
                assert running.poll() is None
                assert time.monotonic() < patience
                time.sleep(0.1)
            os.kill(workers(running.pid)[1], signal.SIGKILL)
            running.communicate()
        finally:
            running.kill()
    assert running.returncode == 1
    assert not out.exists()
    assert (tmp_path / "run.unfinished" / "plan.json").is_file()


# ---- refused before the work


def test_more_processes_than_images(
    cli: Regraft, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "49")
    said = cli("plan", place / "data", *network(place))
    assert said.code == 2
    assert "more processes (49) than images (48)" in said.err


def test_more_processes_than_images_in_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(UsageError, match=r"processes \(4\) than images .* \(3\)"):
        check_training([ranks.recipe()], 40)
    check_training([ranks.recipe()], 4)
    check_training([], 0)


def test_cores_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = distributed.cores()
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert distributed.cores() == max(1, whole // 2)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "100000")
    assert distributed.cores() == 1


def test_one_process_needs_no_torch() -> None:
    code = (
        "import sys; from regraft import distributed as p\n"
        "assert p.on_rank_zero(p.rank) == p.on_all_ranks(p.rank) == 0 and p.all_gather(1) == [1]\n"
        "assert not p.any_rank(False) and p.all_reduce_sum(2.0) == 2.0\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
