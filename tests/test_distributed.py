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
from regraft.errors import UsageError
from regraft.plan.recipes import check_training
from scenes import each, scenes

__all__ = ["cli", "own_log"]  # fixtures

START = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


def in_two(*words: object, cache: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """Run something by torchrun in two processes."""
    own = {"REGRAFT_CACHE": str(cache)} if cache else {}
    return subprocess.run(
        [*START, *map(str, words)],
        env=os.environ | ONE_THREAD | own,
        capture_output=True,
        text=True,
        check=False,
    )


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


@pytest.fixture(scope="module")
def exchanged(
    place: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[dict[str, Any]]]:
    """What ranks.py left; its command is a fit that one process has done before."""
    folder = tmp_path_factory.mktemp("ranks")
    words = ["fit", place / "data", *network(place), "--case", "1"]
    words += ["--engine", "openvino-f32", "--out"]
    one, two = folder / "one", folder / "two"
    log = logging.getLogger("regraft")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("handlers", "propagate"):  # as own_log does, which begins later
            patch.setattr(log, name, getattr(log, name))
        patch.setenv("REGRAFT_CACHE", str(one))
        assert main([str(word) for word in [*words, one / "run"]]) == 0
    shutil.copytree(one / "trunks", two / "trunks")
    done = in_two(ranks.__file__, folder, *words, two / "run", cache=two)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Written to") == done.stdout.count("Case 1") == 1
    return folder, [json.loads((folder / f"{rank}.json").read_text("utf-8")) for rank in (0, 1)]


def test_processes_meet(exchanged: tuple[Path, list[dict[str, Any]]]) -> None:
    _, both = exchanged
    assert [found["each"] for found in both] == [0, 1]
    for found in both:
        assert found["on_rank_zero"] == 0
        assert found["together"] == [0, 1]
        assert found["any_rank"] == [True, False]
        assert found["all_reduce_sum"] == 2.0
        assert found["aligned"] == [0.0, 0.0, 0.0]


def test_features_lie_with_the_first(exchanged: tuple[Path, list[dict[str, Any]]]) -> None:
    first, other = exchanged[1]
    assert first["rows"] == np.arange(33).reshape(11, 3).tolist()
    assert other["rows"] is None
    assert (first["held"], other["held"]) == ([5, 3], [0, 3])


def test_an_error_of_one_is_that_of_all(exchanged: tuple[Path, list[dict[str, Any]]]) -> None:
    for found in exchanged[1]:
        assert found["failed"] == [["RunError", f"process {n} cannot", "It is so."] for n in (0, 1)]


def test_two_train_as_one(
    exchanged: tuple[Path, list[dict[str, Any]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gradient is that of the whole step, though one share has an image more."""
    folder, both = exchanged
    monkeypatch.setattr("regraft.finetune.mode_of", None)  # ranks.train replaces it
    alone = ranks.train(ranks.recipe(), tmp_path)
    first, second = (load_file(folder / f"plain-{rank}.safetensors") for rank in (0, 1))
    for name, tensor in alone.state.items():
        np.testing.assert_allclose(first[name], tensor, atol=1e-4, err_msg=name)
        assert np.array_equal(first[name], second[name])
    losses = [row.loss for row in alone.rows]
    assert both[0]["rows_of_log"] == both[1]["rows_of_log"] == pytest.approx(losses, rel=1e-4)


def test_what_is_kept_is_the_same_everywhere(
    exchanged: tuple[Path, list[dict[str, Any]]],
) -> None:
    first, second = (load_file(exchanged[0] / f"whole-{rank}.safetensors") for rank in (0, 1))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_processes_stop_together(exchanged: tuple[Path, list[dict[str, Any]]]) -> None:
    for found in exchanged[1]:
        assert found["out of time"] == "out of time"
        assert "no longer a number" in found["diverged"]


# ---- the command line


def test_two_fit_as_one(exchanged: tuple[Path, list[dict[str, Any]]]) -> None:
    """A frozen network: the same features bit for bit by an engine that runs each image alone."""
    folder, both = exchanged
    assert [found["code"] for found in both] == [0, 0]
    one, two = folder / "one", folder / "two"
    assert len(kept(one)) > 90  # facts and features of 48 pictures
    assert kept(one) == kept(two)
    for name in ("plan.json", "model.safetensors", "predictions.csv"):
        assert (one / "run" / name).read_bytes() == (two / "run" / name).read_bytes()


def short_plan(cli: Regraft, place: Path, epochs: int) -> Path:
    """A plan to fine-tune for so many epochs, at one rate."""
    path = place / f"short-{epochs}.json"
    words = [*network(place), "--case", "3", "--learning-rate", "0.001", "--out", path]
    assert cli("plan", place / "data", *words).code == 0
    plan = json.loads(path.read_text("utf-8"))
    plan["trainings"][0] |= {"epochs": epochs, "refit": False, "patience": epochs}
    path.write_text(json.dumps(plan), "utf-8")
    return path


def test_two_fine_tune_as_one(cli: Regraft, place: Path, tmp_path: Path) -> None:
    plan = short_plan(cli, place, 2)
    words = ["fit", "--plan", plan, *network(place)[2:], "--json", "--out"]
    alone = cli(*words, tmp_path / "one")
    assert alone.code == 0, alone.err
    timed = json.loads(plan.read_text("utf-8")) | {"budget": 900.0}
    plan.write_text(json.dumps(timed), "utf-8")
    done = in_two("-m", "regraft", *words, tmp_path / "two", cache=tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "cache" / "trunks").iterdir())) == 2  # the backbone, what it became
    found = json.loads(done.stdout)  # one document: the other process printed none
    assert found["n"] == alone.json["n"]
    assert abs(found["accuracy"] - alone.json["accuracy"]) <= 2 / found["n"]
    assert done.stderr.count("epoch   1 of 2") == 1
    lines = (tmp_path / "two" / "predictions.csv").read_text("utf-8").splitlines()
    assert len(lines) == len(set(lines)) == found["n"] + 1
    assert not (tmp_path / "two.unfinished").exists()


def test_a_mistake_is_told_once(place: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    words = ["fit", place / "data", *network(place), "--out", tmp_path / "run"]
    done = in_two("-m", "regraft", *words)
    assert done.returncode == 1
    assert done.stderr.count("regraft: ") == 1
    assert "regraft: process 1" not in done.stderr


def workers(agent: int) -> list[int]:
    """The processes that torchrun has started, in their order."""
    listed = Path(f"/proc/{agent}/task/{agent}/children").read_text("ascii")
    return [int(word) for word in listed.split()]


@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")
def test_one_that_dies_ends_the_run(cli: Regraft, place: Path, tmp_path: Path) -> None:
    plan, out = short_plan(cli, place, 400), tmp_path / "run"
    words = ["-m", "regraft", "fit", "--plan", plan, *network(place)[2:], "--out", out]
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
