"""Killed at any point and started again, training ends as if nothing had happened."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from regraft.errors import RunError
from regraft.finetune import Trained, checkpoint, loop
from regraft.finetune.checkpoint import Checkpoint
from regraft.plan.recipes import Training
from smallrace import race, recipe, rows_alone, same, untimed

__all__ = ["rows_alone"]  # a fixture


class Killed(Exception):
    pass


RECIPES: dict[str, Callable[[], Training]] = {
    "tuned": recipe,
    "plain": lambda: recipe(
        optimizer="sgd", rates=(0.05, 0.1), averaged=False, batch_norm="trained", fitted=False
    ),
    "scratch": lambda: recipe(init="random", batch_norm="trained", decay=1.0, rates=(1e-2, 3e-2)),
}


def points(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return race(tmp_path_factory.mktemp("whole"))


# ---- killed


@pytest.mark.parametrize("name", RECIPES)
def test_killed_after_every_epoch(name: str, tmp_path: Path) -> None:
    """Once after each epoch of the race, of the winner's and of the second training."""
    training, memory = RECIPES[name](), name != "plain"
    whole = race(tmp_path / "whole", training, channels_last=memory)
    seen: set[tuple[object, ...]] = set()
    told: list[Any] = []

    def once(row: Any) -> None:
        told.append(row)
        if (key := (row.what, row.epoch)) not in seen:
            seen.add(key)
            raise Killed

    done, kills = None, 0
    while done is None:
        told.clear()
        try:
            done = race(tmp_path / "killed", training, on_event=once, channels_last=memory)
        except Killed:
            kills += 1
    assert kills == len(whole.rows) >= 6
    assert same(done, whole)
    assert untimed(done.rows) == untimed(whole.rows)
    assert (done.shown, done.epochs, done.rate) == (whole.shown, whole.epochs, whole.rate)


def test_every_row_is_told_once_in_a_resumed_run(tmp_path: Path, undisturbed: Trained) -> None:
    """Those of before too: the log is whole."""
    told: list[Any] = []

    def until_fourth(row: Any) -> None:
        told.append(row)
        if len(told) == 4:
            raise Killed

    with pytest.raises(Killed):
        race(tmp_path, on_event=until_fourth)
    told.clear()
    race(tmp_path, on_event=told.append)
    key = lambda row: (row["what"], row["epoch"])  # noqa: E731
    assert sorted(untimed(told), key=key) == sorted(untimed(undisturbed.rows), key=key)


@pytest.mark.parametrize("steps", [1, 7, 12])
def test_killed_within_an_epoch(
    steps: int, tmp_path: Path, undisturbed: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        step, left = loop._step, iter(range(steps))

        def mortal(*arguments: Any) -> torch.Tensor:
            if next(left, None) is None:
                raise Killed
            return step(*arguments)

        patch.setattr(loop, "_step", mortal)
        with pytest.raises(Killed):
            race(tmp_path)
    assert same(race(tmp_path), undisturbed)


KILLED = """
import os, signal, sys
from pathlib import Path
from regraft.finetune import loop
from smallrace import race
step, left = loop._step, iter(range(14))
def mortal(*arguments):
    if next(left, None) is None:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(*arguments)
loop._step = mortal
race(Path(sys.argv[1]))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL")
def test_a_process_that_is_killed(tmp_path: Path, undisturbed: Trained) -> None:
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": str(torch.get_num_threads())},
        capture_output=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert points(tmp_path)
    assert same(race(tmp_path), undisturbed)


# ---- damaged


@pytest.mark.parametrize("keep", [0, 7, 200, -1])
def test_a_checkpoint_cut_short_falls_back_to_the_one_before(
    keep: int, tmp_path: Path, undisturbed: Trained
) -> None:
    _killed_at(tmp_path, 4)
    newest = max(points(tmp_path), key=lambda path: (path.stat().st_mtime_ns, path.name))
    newest.write_bytes(newest.read_bytes()[:keep])
    assert same(race(tmp_path), undisturbed)


def test_all_checkpoints_damaged_begin_anew(tmp_path: Path, undisturbed: Trained) -> None:
    _killed_at(tmp_path, 4)
    for path in points(tmp_path):
        path.write_bytes(b"no safetensors")
    assert same(race(tmp_path), undisturbed)


def test_a_draft_that_a_kill_left_is_no_checkpoint(tmp_path: Path) -> None:
    checkpoint.write(tmp_path, "rate-0.1", 1, point(1))
    draft = tmp_path / ".rate-0.1-000002.safetensors.77"
    draft.write_bytes(b"half")
    found = checkpoint.newest(tmp_path, "rate-0.1")
    assert found is not None
    assert found.rest == {"epoch": 1}
    checkpoint.write(tmp_path, "rate-0.1", 2, point(2))
    assert not draft.exists()


def _killed_at(folder: Path, rows: int) -> None:
    left = iter(range(rows - 1))

    def kill(row: Any) -> None:
        if next(left, None) is None:
            raise Killed

    with pytest.raises(Killed):
        race(folder, on_event=kill)


# ---- the files


def point(epoch: int) -> Checkpoint:
    return Checkpoint({"x": torch.full((3,), float(epoch))}, {"epoch": epoch})


def test_the_last_two_are_kept_of_each_candidate(tmp_path: Path) -> None:
    for epoch in range(1, 12):
        for name in ("rate-0.001", "rate-0.001-all", "rate-1e-05"):
            checkpoint.write(tmp_path, name, epoch, point(epoch))
    assert [path.stem for path in points(tmp_path)] == [
        f"{name}-0000{epoch}"
        for name in ("rate-0.001", "rate-0.001-all", "rate-1e-05")
        for epoch in (10, 11)
    ]
    for name in ("rate-0.001", "rate-0.001-all", "rate-1e-05"):
        found = checkpoint.newest(tmp_path, name)
        assert found is not None
        assert torch.equal(found.tensors["x"], point(11).tensors["x"])
    assert checkpoint.newest(tmp_path, "rate-0.01") is None


@pytest.mark.parametrize("where", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_the_checkpoints_that_are_there(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.write(tmp_path, "rate-0.1", 1, point(1))
    with monkeypatch.context() as patch:
        _fill(patch, where)
        with pytest.raises(RunError) as caught:
            checkpoint.write(tmp_path, "rate-0.1", 2, point(2))
    assert "the disk is full" in str(caught.value)
    assert str(tmp_path / "rate-0.1-000001.safetensors") in str(caught.value)
    assert "--resume" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["rate-0.1-000001.safetensors"]
    found = checkpoint.newest(tmp_path, "rate-0.1")
    assert found is not None
    assert found.rest == {"epoch": 1}


def test_a_disk_that_was_full_from_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(monkeypatch, "fsync")
    with pytest.raises(RunError, match="None was written before"):
        checkpoint.write(tmp_path / "new", "rate-0.1", 1, point(1))


def test_room_is_made_and_training_goes_on(
    tmp_path: Path, undisturbed: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        _fill(patch, "fsync", after=3)
        with pytest.raises(RunError, match="disk is full"):
            race(tmp_path)
    assert same(race(tmp_path), undisturbed)


def _fill(patch: pytest.MonkeyPatch, where: str, after: int = 0) -> None:
    """Let a disk be full, at one of the calls that find out."""
    left = iter(range(after))
    owner, name = {
        "write": (checkpoint, "save"),
        "fsync": (os, "fsync"),
        "replace": (Path, "replace"),
    }[where]
    usual = getattr(owner, name)

    def full(*arguments: Any) -> Any:
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        return usual(*arguments)

    patch.setattr(owner, name, full)
