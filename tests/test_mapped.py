"""Features of many images lie in a file that is mapped, and nothing else changes."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import regraft
from pictures import lay_out
from regraft import mapped
from regraft.errors import RunError
from regraft.heads import average
from regraft.mapped import beneath, taken, zeros
from regraft.run import unknown
from scenes import each, scenes


def test_many_are_mapped_from_a_file_without_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cache"
    assert not isinstance(zeros(10, 4, folder), np.memmap)
    monkeypatch.setattr(mapped, "HELD", 10)
    assert not isinstance(zeros(10, 4, None), np.memmap)
    rows = zeros(10, 4, folder)
    assert isinstance(rows, np.memmap)
    assert rows.shape == (10, 4)
    assert rows.dtype == np.float16
    assert not rows.any()
    assert list(folder.iterdir()) == []
    rows[:] = np.arange(10)[:, None]
    picked = np.array([7, 1, 3])
    some = taken(rows, picked, folder)
    assert isinstance(some, np.memmap)
    assert some.tolist() == [[7] * 4, [1] * 4, [3] * 4]
    assert taken(rows, np.arange(10), folder) is rows
    both = beneath([rows, rows + 10], picked, folder)
    assert isinstance(both, np.memmap)
    assert both[:, 0].tolist() == [7, 1, 3, 17, 11, 13]


def test_a_disk_without_room_is_told_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(RunError, match="There is no room for the features of 100,000,000") as said:
        zeros(100_000_000, 2, tmp_path)
    assert "0.4 GB" in said.value.problems[0]
    assert "REGRAFT_CACHE" in said.value.problems[0]
    assert list(tmp_path.iterdir()) == []


def test_a_large_set_gives_what_a_small_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = lay_out(
        tmp_path / "data", scenes(each(8, "train/")) | scenes(each(3, "test/"), first=50)
    )
    inside = regraft.fit(data, "demonstration", case=1)
    monkeypatch.setattr(mapped, "HELD", 0)
    monkeypatch.setattr(average, "IN_MEMORY", 0)
    monkeypatch.setattr(unknown, "MANY", 0)
    outside = regraft.fit(data, "demonstration", case=1)
    assert outside.plan == inside.plan
    ours, theirs = (one.tensors["head.weight"] for one in (inside, outside))
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-4 * np.abs(ours).max())
    ours, theirs = (shares(one) for one in (inside, outside))
    np.testing.assert_allclose(theirs, ours, atol=1e-3)
    ours, theirs = (one.metrics["unknown"] for one in (inside, outside))
    assert theirs["least"] == ours["least"]
    assert {**theirs, "seconds": 0} == {**ours, "seconds": 0}


def shares(result: regraft.Result) -> NDArray[np.floating]:
    assert result.predictions is not None
    return result.predictions.probabilities
