"""A file that is as it was is not read again, and one that is not is, however it looks."""

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from command import Regraft, cli, own_log
from pictures import encode, lay_out, photo
from regraft import Dataset
from regraft.backbones import View
from regraft.data.readers import streams
from regraft.features import engines
from regraft.features.cache import Store
from regraft.features.extract import Extraction, extract, silent
from regraft.run import on_ray, together
from scenes import each, scenes

__all__ = ["cli", "own_log"]  # fixtures

VIEW = View(8, 1.0)
Change = Callable[[Path], object]


class Counting:
    """An engine whose features are the mean colour."""

    name, batch = "mean", 4

    def __call__(self, pixels: np.ndarray) -> list[np.ndarray]:
        """Features [B, 3]."""
        return [pixels.mean((1, 2), dtype=np.float32)]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    files = {f"{kind}/{i}.png": encode(photo(10 * n + i, 9, 9), "PNG")
             for n, kind in enumerate("ab") for i in range(3)}  # fmt: skip
    root = lay_out(tmp_path / "data", files)
    aged(root)
    return root


def aged(root: Path) -> None:
    """Wait until no file is so new that it could change within a tick of the clock."""
    streams_tick = streams.TICK / 1e9
    newest = max(path.stat().st_ctime for path in root.rglob("*"))
    time.sleep(max(newest + streams_tick + 0.01 - time.time(), 0))


@pytest.fixture(autouse=True)
def short_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tick that a test can wait for."""
    monkeypatch.setattr(streams, "TICK", 50_000_000)


def looked(
    data: Path, tmp_path: Path, *, check: bool = False, view: View = VIEW
) -> tuple[Extraction, list[str]]:
    """What a pass finds, and which files it read."""
    dataset, read = Dataset.open(data, check=check), list[str]()

    def noted(i: int) -> bytes:
        read.append(dataset.items[i].path)
        return dataset.read(i)

    with Store.open(tmp_path / "cache") as store:
        found = extract(
            noted,
            len(dataset),
            [view],
            3,
            engine=Counting(),
            choose=lambda pixels, indices: pytest.fail("there is an engine"),
            store=store,
            space=lambda view, engine: view.key,
            stamp=dataset.stamp,
            check=dataset.check,
        )
    return found, sorted(set(read))


def test_files_that_are_as_they_were_are_not_read(data: Path, tmp_path: Path) -> None:
    first, every = looked(data, tmp_path)
    again, none = looked(data, tmp_path)
    assert (len(every), none) == (6, [])
    assert list(again.facts) == list(first.facts)
    assert_array_equal(again.features[0], first.features[0])
    assert looked(data, tmp_path, check=True)[1] == every


def _same_size(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"!")


def _time_put_back(path: Path) -> None:
    times = path.stat()
    _same_size(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def _exchanged(path: Path) -> None:
    times = path.stat()
    other = path.with_name("1.png")
    (path.parent / "new").write_bytes(other.read_bytes())
    (path.parent / "new").replace(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def _linked(path: Path) -> None:
    other = path.parent.parent / "b" / "2.png"
    path.unlink()
    path.symlink_to(other)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(_same_size, id="of the same size"),
        pytest.param(_time_put_back, id="its time put back"),
        pytest.param(_exchanged, id="another file in its place"),
        pytest.param(_linked, id="a link in its place"),
        pytest.param(Path.unlink, id="gone"),
    ],
)
def test_a_file_that_changed_is_read(change: Change, data: Path, tmp_path: Path) -> None:
    looked(data, tmp_path)
    change(data / "a" / "0.png")
    aged(data)
    found, read = looked(data, tmp_path)
    fresh, _ = looked(data, tmp_path / "nothing")
    assert [facts.digest for facts in found.facts] == [facts.digest for facts in fresh.facts]
    assert read == (["a/0.png"] if (data / "a" / "0.png").exists() else [])


@pytest.fixture
def unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A drive that says of no file that it changed."""
    monkeypatch.setattr(streams.Files, "stamp", lambda files, i: files.paths[i])


def test_what_a_check_reads_is_known_from_then_on(data: Path, tmp_path: Path, unseen: None) -> None:
    before = looked(data, tmp_path)[0].facts[0].digest
    _same_size(data / "a" / "0.png")
    digests = [
        looked(data, tmp_path, check=check)[0].facts[0].digest for check in (False, True, False)
    ]
    assert digests[0] == before != digests[1] == digests[2]


def test_what_is_not_what_it_is_known_as_is_told_with_the_remedy(
    data: Path, tmp_path: Path, unseen: None
) -> None:
    looked(data, tmp_path)
    _same_size(data / "a" / "0.png")
    facts = looked(data, tmp_path, view=View(9, 1.0))[0].facts
    assert facts[0].problem == "unreadable"
    assert "--check" in facts[0].detail
    assert not any(one.problem for one in facts[1:])


def test_files_that_look_the_same_are_told_apart_by_their_paths(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a drive numbers them anew each time it is connected."""
    one = os.stat(data / "a" / "0.png")
    monkeypatch.setattr(os, "stat", lambda *_, **__: one)
    files = streams.Files(str(data), ("a/0.png", "a/1.png"))
    assert files.stamp(0) != files.stamp(1)
    monkeypatch.chdir(data)
    assert streams.Files("", ("a/0.png",)).stamp(0) == files.stamp(0) != ""


def test_what_was_just_written_is_not_trusted(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could be changed again within the same tick, and would look the same."""
    monkeypatch.setattr(streams, "TICK", 3600 * 10**9)
    looked(data, tmp_path)
    assert len(looked(data, tmp_path)[1]) == 6


def test_a_file_of_tomorrow_is_read_each_time(data: Path, tmp_path: Path) -> None:
    """As where the clock of a server is ahead."""
    os.utime(data / "b" / "1.png", (time.time() + 86_400,) * 2)
    looked(data, tmp_path)
    assert looked(data, tmp_path)[1] == ["b/1.png"]


def test_what_is_no_file_has_no_stamp(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    files = streams.Files(str(tmp_path), ("pipe", "absent", "a\0b"))
    assert [files.stamp(i) for i in range(3)] == ["", "", ""]
    memory = Dataset.from_arrays([np.zeros((9, 9), np.uint8)] * 2, ["a", "b"])
    assert memory.stamp(0) == ""


def test_a_data_set_is_told_to_read_all(data: Path) -> None:
    whole = Dataset.open(data)
    assert not whole.check
    assert Dataset.open(whole, check=True).check
    assert Dataset.open(data, check=True).check


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are read."""
    paths = list[str]()

    def noted(path: str) -> bytes:
        paths.append(path)
        return Path(path).read_bytes()

    monkeypatch.setattr(streams, "read_file", noted)
    return paths


def test_the_commands_read_all_where_asked(cli: Regraft, tmp_path: Path, read: list[str]) -> None:
    data = lay_out(tmp_path / "data", scenes(each(4), first=900))
    aged(data)
    counts = []
    for words in ((), (), ("--check",)):
        read.clear()
        cli("plan", data, "-b", "demonstration", "--case", 1, *words)
        counts.append(len(set(read)))
    assert counts == [12, 0, 12]


@pytest.mark.parametrize("on", ["processes", "Ray"])
def test_several_that_share_the_images_read_all_where_asked(
    on: str, data: Path, tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    record: Any = SimpleNamespace(widths=(3,))
    monkeypatch.setattr(engines, "space", lambda *_: "mean")
    counts = []
    for check in (False, False, True):
        read.clear()
        dataset = Dataset.open(data, check=check)
        if on == "Ray":
            work = SimpleNamespace(dataset=dataset, record=record, views=[VIEW], versions={})
            named = {"_received": work, "_engine": Counting(), "cache_folder": tmp_path / "cache"}
            for name, value in named.items():
                monkeypatch.setattr(on_ray, name, lambda *_, value=value: value)
            on_ray._look([None], np.arange(6))
        else:
            network: Any = SimpleNamespace(backbone=record, build=None)
            monkeypatch.setattr(together, "same_engine", lambda *_, **__: Counting())
            with Store.open(tmp_path / "cache") as store:
                together.look_together(dataset, network, [VIEW], store, silent)
        counts.append(len(read))
    assert counts == [6, 0, 6]
