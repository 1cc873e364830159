"""The cache: what goes in comes out, whatever happens to the process, the file or the folder."""

import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from regraft.features.cache import CacheEntry, Features, Store, default_folder

HOUR = 3600


def name(number: int) -> str:
    return f"{number:032x}"


def row(number: int, width: int = 64) -> Features:
    return np.full(width, number % 2048, np.float16)


def rows(numbers: range, width: int = 64) -> dict[str, Features]:
    return {name(n): row(n, width) for n in numbers}


class Clock:
    """Tells the time that it is told."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def database(folder: Path) -> Path:
    [path] = folder.glob("*.sqlite")
    return path


def sound(folder: Path) -> bool:
    with sqlite3.connect(database(folder)) as db:
        [(verdict,)] = db.execute("PRAGMA integrity_check").fetchall()
    db.close()
    return bool(verdict == "ok")


def test_what_is_put_comes_back_to_the_bit_in_a_later_process(folder: Path) -> None:
    values = {name(1): np.array([0.1, -65504, 6e-8, 0], np.float16)}
    with Store.open(folder) as store:
        store.put_features("a", values)
        store.put_facts("f", {name(1): '["ä"]'})
    with Store.open(folder) as store:
        assert_array_equal(store.features("a", [name(1)])[name(1)], values[name(1)])
        assert store.facts("f", [name(1), name(2)]) == {name(1): '["ä"]'}


def test_spaces_are_apart_and_the_unknown_is_left_out(folder: Path) -> None:
    with Store.open(folder) as store:
        store.put_features("a", rows(range(3)))
        assert set(store.features("a", [name(2), name(7)])) == {name(2)}
        assert store.features("b", [name(2)]) == {}
        assert store.features("a", []) == {}


def test_thousands_at_once(folder: Path) -> None:
    values = rows(range(3000))
    with Store.open(folder) as store:
        store.put_features("a", values)
        found = store.features("a", [*values, name(9999)])
    assert found.keys() == values.keys()
    assert all((found[key] == values[key]).all() for key in values)


def test_a_value_put_again_replaces_the_old_one(folder: Path) -> None:
    with Store.open(folder) as store:
        store.put_features("a", {name(1): row(1)})
        store.put_features("a", {name(1): row(2, 8)})
        assert_array_equal(store.features("a", [name(1)])[name(1)], row(2, 8))
        [entry] = store.entries()
    assert (entry.count, entry.bytes) == (1, 16)


def test_threads_share_one_store(folder: Path) -> None:
    with Store.open(folder) as store:

        def work(start: int) -> None:
            for first in range(start, start + 200, 20):
                store.put_features("a", rows(range(first, first + 20)))
                assert len(store.features("a", list(rows(range(start, first + 20))))) >= 20

        threads = [threading.Thread(target=work, args=(1000 * n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        [entry] = store.entries()
        assert entry.count == 800


WRITER = """
import sys
import numpy as np
from pathlib import Path
from regraft.features.cache import Store

first = int(sys.argv[2])
with Store.open(Path(sys.argv[1])) as store:
    for start in range(first, first + 10_000_000, 50):
        if start == first + int(sys.argv[3]):
            break
        store.put_features("a", {f"{n:032x}": np.full(64, n % 2048, np.float16)
                                 for n in range(start, start + 50)})
        print(start, flush=True)
"""


def writer(folder: Path, first: int, count: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", WRITER, str(folder), str(first), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_processes_write_at_once(folder: Path) -> None:
    both = [writer(folder, first, 2000) for first in (0, 100_000)]
    for process in both:
        process.communicate()
        assert process.returncode == 0
    assert sound(folder)
    everything = rows(range(2000)) | rows(range(100_000, 102_000))
    with Store.open(folder) as store:
        found = store.features("a", list(everything))
    assert found.keys() == everything.keys()
    assert all((found[key] == everything[key]).all() for key in found)


def test_a_killed_process_leaves_whole_batches(folder: Path) -> None:
    process = writer(folder, 0, -1)
    assert process.stdout is not None
    last = [int(process.stdout.readline()) for _ in range(20)][-1]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert sound(folder)
    with Store.open(folder) as store:
        found = len(store.features("a", list(rows(range(last + 5000)))))
        assert found >= last + 50, "what was written before the kill is there"
        assert found % 50 == 0, "each batch is whole or absent"
        store.put_features("a", rows(range(3)))


# --- trouble --------------------------------------------------------------------------------------


def test_a_file_that_is_no_database_is_set_aside(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Store.open(folder).close()
    path = database(folder)
    path.write_bytes(b"this was a database once " * 500)
    with Store.open(folder) as store:
        assert store.features("a", [name(1)]) == {}
        store.put_features("a", rows(range(3)))
        assert len(store.features("a", list(rows(range(3))))) == 3
    [message] = [record.getMessage() for record in caplog.records]
    assert "damaged" in message
    [aside] = folder.glob("*.damaged")
    assert aside.read_bytes().startswith(b"this was")
    assert sound(folder)


def test_damage_found_on_the_way_costs_no_more_than_the_content(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Store.open(folder) as store:
        store.put_features("a", rows(range(500)))
    path = database(folder)
    data = bytearray(path.read_bytes())
    data[8192:-4096] = os.urandom(len(data) - 12288)
    path.write_bytes(data)
    with Store.open(folder) as store:
        assert store.features("a", list(rows(range(500)))) == {}
        store.put_features("a", rows(range(500)))
        assert len(store.features("a", list(rows(range(500))))) == 500
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert sound(folder)


def test_a_file_set_aside_by_another_process_is_not_set_aside_again(folder: Path) -> None:
    store = Store.open(folder)
    store.put_features("a", rows(range(500)))
    store.close()
    path = database(folder)
    path.write_bytes(b"no database " * 500)
    first = Store.open(folder)
    first.put_features("a", rows(range(5)))
    second = Store(folder, 10**9, time.time)
    second._inode = 1  # it had opened the file that was damaged
    second._connect(sqlite3.DatabaseError("malformed"))
    assert len(second.features("a", list(rows(range(5))))) == 5
    first.close()
    second.close()


def test_where_nothing_can_be_written_all_goes_on_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    for _ in range(2):  # a run opens it for what it keeps of images, and for each product
        with Store.open(tmp_path / "file" / "cache") as store:
            for _ in range(3):
                store.put_features("a", rows(range(3)))
                assert store.features("a", [name(1)]) == {}
            store.prune()
            store.clear()
            assert (store.entries(), store.size()) == ([], 0)
    [message] = [record.getMessage() for record in caplog.records]
    assert "cannot be used" in message
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_read_only_file_can_still_be_read(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Store.open(folder) as store:
        store.put_features("a", rows(range(3)))
        assert store._db is not None
        store._db.execute("PRAGMA query_only = ON")
        for _ in range(2):
            store.put_features("a", rows(range(3, 6)))
        assert set(store.features("a", list(rows(range(6))))) == set(rows(range(3)))
    assert len(caplog.records) == 1
    assert "cannot be written" in caplog.records[0].getMessage()


@pytest.mark.parametrize("answer", ["delete", "an error"])
def test_a_drive_that_refuses_write_ahead_logging_keeps_a_cache(
    answer: str, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Network drives do, some by staying with another mode and some by an error."""

    class OnNetworkDrive(sqlite3.Connection):
        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            if sql.replace(" ", "").lower() != "pragmajournal_mode=wal":
                return super().execute(sql, *values)
            if answer == "an error":
                raise sqlite3.OperationalError("locking protocol")
            return super().execute("PRAGMA journal_mode = DELETE")

    connect = partial(sqlite3.connect, factory=OnNetworkDrive)
    monkeypatch.setattr("regraft.features.cache.sqlite.sqlite3.connect", connect)
    for _ in range(2):  # the second opens what the first has written
        with Store.open(folder) as store:
            assert store._db is not None
            [(mode,)] = store._db.execute("PRAGMA journal_mode").fetchall()
            assert mode == "delete"
            store.put_features("a", rows(range(9)))
            found = store.features("a", list(rows(range(9))))
            assert all((found[key] == row).all() for key, row in rows(range(9)).items())
            store.put_facts("f", {name(1): "text"})
            assert store.facts("f", [name(1)]) == {name(1): "text"}
    assert not caplog.records
    assert sound(folder)


def test_a_full_disk_ends_the_writing_and_damages_nothing(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Store.open(folder) as store:
        store.put_features("a", rows(range(100)))
        assert store._db is not None
        store._db.execute("PRAGMA max_page_count = 1")  # no page more than there are
        for start in range(100, 2000, 100):
            store.put_features("a", rows(range(start, start + 100)))
        found = len(store.features("a", list(rows(range(2000)))))
        assert found % 100 == 0
        assert 100 <= found < 2000
    assert len(caplog.records) == 1
    assert sound(folder)


# --- the limit ------------------------------------------------------------------------------------


def test_what_was_not_used_for_longest_goes_first(folder: Path) -> None:
    clock = Clock()
    with Store.open(folder, 500_000, clock=clock) as store:
        for number, space in enumerate("abcd"):
            clock.now += HOUR
            store.put_features(space, rows(range(1000 * number, 1000 * number + 100), 512))
        clock.now += 2 * HOUR
        assert len(store.features("a", list(rows(range(100))))) == 100
        store.prune()
        left = {entry.name: entry.count for entry in store.entries()}
        assert left["a"] == left["d"] == 100, "a was put first but used last"
        assert "b" not in left
        assert store.size() <= 500_000
    assert sound(folder)


def test_below_the_limit_nothing_goes(folder: Path) -> None:
    with Store.open(folder, 10_000_000) as store:
        store.put_features("a", rows(range(1000)))
        store.prune()
        assert store.entries()[0].count == 1000


def test_reading_writes_once_an_hour_at_most(folder: Path) -> None:
    clock = Clock()
    with Store.open(folder, clock=clock) as store:
        assert store._db is not None
        store.put_features("a", rows(range(9)))
        before = store._db.total_changes
        store.features("a", list(rows(range(9))))
        assert store._db.total_changes == before
        clock.now += 2 * HOUR
        for _ in range(3):
            store.features("a", list(rows(range(9))))
        assert store._db.total_changes == before + 9


def trunk(folder: Path, name: str, used: float, size: int = 1000) -> Path:
    path = folder / "trunks" / name
    path.mkdir(parents=True)
    (path / "trunk.bin").write_bytes(bytes(size))
    os.utime(path, (used, used))
    return path


def test_networks_used_long_ago_go_and_so_do_those_never_finished(folder: Path) -> None:
    clock = Clock()
    old, new = trunk(folder, "old", clock.now - 9), trunk(folder, "new", clock.now)
    left, fresh = trunk(folder, ".new-1", clock.now - 90_000), trunk(folder, ".new-2", clock.now)
    with Store.open(folder, 5000, clock=clock) as store:
        assert {entry.name for entry in store.entries()} == {"old", "new", ".new-1", ".new-2"}
        store.prune()
    assert [path.exists() for path in (new, fresh, old, left)] == [True, True, False, False]


def test_clearing_forgets_everything(folder: Path) -> None:
    other = Store.open(folder)
    with Store.open(folder) as store:
        store.put_features("a", rows(range(1000), 1024))
        trunk(folder, "key", 1.0)
        before = store.size()
        assert {entry.kind for entry in store.entries()} == {"images", "trunk"}
        store.clear()
        assert store.entries() == []
        assert store.size() < before / 10
    assert other.features("a", [name(1)]) == {}
    other.put_features("b", rows(range(2)))
    assert [entry.name for entry in other.entries()] == ["b"]
    other.close()


def test_entries_tell_count_bytes_and_last_use(folder: Path) -> None:
    clock = Clock()
    with Store.open(folder, clock=clock) as store:
        store.put_features("old", rows(range(2)))
        clock.now += HOUR
        store.put_facts("new", {name(1): "12345"})
        assert store.entries() == [
            CacheEntry("images", "new", 1, 5, clock.now),
            CacheEntry("images", "old", 2, 256, clock.now - HOUR),
        ]


def test_the_folder_is_the_users_or_the_one_that_is_named(tmp_path: Path) -> None:
    assert default_folder({"REGRAFT_CACHE": str(tmp_path)}) == tmp_path
    assert default_folder({"REGRAFT_CACHE": ""}).name == "regraft"
    assert default_folder({}).is_absolute()
