"""A folder is whole or absent, whatever happens while it is written."""

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from regraft.errors import RunError
from regraft.results import atomic
from regraft.results.files import FILES
from regraft.results.folder import check_destination, read_run, write_run
from test_result import left, parts

# ---- what goes wrong


@pytest.fixture(params=["new", "replacing"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield a place to write to, with or without a run there; the place must end as it began."""
    run = tmp_path / "a" / "run"
    if request.param == "replacing":
        write_run(run, **parts(0.1))
    yield run, {"overwrite": request.param == "replacing"}
    if request.param == "replacing":
        assert read_run(run).metrics["accuracy"] == 0.1
        assert left(tmp_path / "a") == ["run"]
    else:
        assert left(tmp_path) == []


Scene = tuple[Path, dict[str, Any]]


def failing(error: BaseException, after: int, real: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that does as the real one some times and then raises."""
    calls = iter(range(after))

    def call(*args: Any, **named: Any) -> Any:
        if next(calls, None) is None:
            raise error
        return real(*args, **named)

    return call


@pytest.mark.parametrize("after", range(len(FILES)))
def test_a_full_disk_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, scene: Scene, after: int
) -> None:
    run, options = scene
    full = OSError(errno.ENOSPC, "No space left on device")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(full, after, os.fsync))
        with pytest.raises(RunError) as caught:
            write_run(run, **parts(), **options)
    assert f"'{run}' cannot be written" in caught.value.headline
    (problem,) = caught.value.problems
    assert "No space left on device" in problem
    assert "MB free" in problem
    assert "free some space, or name a folder on another disk" in problem


def test_a_disk_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, scene: Scene) -> None:
    run, options = scene
    denied = OSError(errno.EROFS, "Read-only file system", str(run.parent))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", failing(denied, 0, Path.mkdir))
        with pytest.raises(RunError, match=r"Read-only file system .* that can be written"):
            write_run(run, **parts(), **options)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        for call in (check_destination, lambda run: write_run(run, **parts())):
            with pytest.raises(RunError, match=r"ask for permission"):
                call(tmp_path / "run")
    finally:
        tmp_path.chmod(0o700)


def test_a_parent_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for call in (check_destination, lambda run: write_run(run, **parts())):
        with pytest.raises(RunError, match="is a file, not a folder"):
            call(tmp_path / "file" / "run")


def test_a_mount_point(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Path, "is_mount", lambda path: path == tmp_path)
    with pytest.raises(RunError, match="name a new folder inside it"):
        check_destination(tmp_path)


def test_a_name_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="give it a shorter name"):
        write_run(tmp_path / ("n" * 250), **parts())
    assert left(tmp_path) == []


@pytest.mark.parametrize("after", range(len(FILES)))
def test_ctrl_c_while_writing_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, scene: Scene, after: int
) -> None:
    run, options = scene
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(KeyboardInterrupt(), after, os.fsync))
        with pytest.raises(KeyboardInterrupt):
            write_run(run, **parts(), **options)


def test_ctrl_c_between_the_two_moves_puts_the_old_run_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_run(tmp_path / "run", **parts(0.1))
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", Interrupted(os.rename))
        with pytest.raises(KeyboardInterrupt):
            write_run(tmp_path / "run", **parts(0.2), overwrite=True)
    assert read_run(tmp_path / "run").metrics["accuracy"] == 0.1
    assert left(tmp_path) == ["run"]


class Interrupted:
    """A rename whose second call is interrupted."""

    def __init__(self, real: Callable[[Path, Path], None]) -> None:
        self.real, self.calls = real, 0

    def __call__(self, source: Path, target: Path) -> None:
        self.calls += 1
        if self.calls == 2:
            raise KeyboardInterrupt
        self.real(source, target)


# ---- processes that are killed, and that meet


WRITER = """
import os, sys, time
sys.path[:0] = [{tests!r}]
from pathlib import Path
from test_result import parts
import regraft.results.atomic as folders
from regraft.results.folder import write_run
{patch}
write_run(Path(sys.argv[1]), **parts(float(sys.argv[2])), overwrite=True)
"""

STALLED = """
def stall(partial, target, objections):
    print("ready", flush=True)
    time.sleep(600)
folders._move_in = stall
"""

STALLED_HALFWAY = """
real = os.rename
def stall(source, target):
    if str(source).endswith(".partial") and not os.path.lexists(target):
        print("ready", flush=True)
        time.sleep(600)
    real(source, target)
os.rename = stall
"""


def start(patch: str, run: Path, accuracy: float) -> subprocess.Popen[str]:
    """Start a process that writes a run and says when it has come to the patched place."""
    code = WRITER.format(patch=patch, tests=str(Path(__file__).parent))
    command = [sys.executable, "-c", code, str(run), str(accuracy)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_what_a_killed_process_left_is_swept_by_the_next_write(tmp_path: Path) -> None:
    run = tmp_path / "run"
    kill(start(STALLED, run, 0.1))
    (partial,) = left(tmp_path)
    assert partial.startswith(".run.")
    other = tmp_path / ".run2.00000000.partial"
    other.mkdir()
    write_run(run, **parts(0.2))
    assert left(tmp_path) == [other.name, "run"]


def test_what_a_living_process_writes_is_left_alone(tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = start(STALLED, run, 0.1)
    try:
        write_run(run, **parts(0.2))
        assert len(left(tmp_path)) == 2
    finally:
        kill(process)


@pytest.mark.parametrize("by", ["reading", "writing", "checking"])
def test_a_process_killed_between_the_moves_loses_nothing(tmp_path: Path, by: str) -> None:
    run = tmp_path / "run"
    write_run(run, **parts(0.1))
    kill(start(STALLED_HALFWAY, run, 0.2))
    assert not run.exists()
    if by == "reading":
        assert read_run(run).metrics["accuracy"] == 0.1
    elif by == "checking":
        with pytest.raises(RunError, match="is a run"):
            check_destination(run)
    else:
        with pytest.raises(RunError, match="is a run"):
            write_run(run, **parts(0.3))
        write_run(run, **parts(0.3), overwrite=True)
        assert left(tmp_path) == ["run"]
    assert read_run(run).metrics["accuracy"] == (0.3 if by == "writing" else 0.1)


def test_what_comes_and_goes_while_it_is_looked_at_is_not_there(tmp_path: Path) -> None:
    """As where two processes replace it: absent before, there for a moment, absent after."""
    target = tmp_path / "run"

    def objections(folder: Path) -> list[str]:
        folder.rmdir()
        return os.listdir(folder)

    def appears(path: Path) -> bool:
        looks.append(path)
        if len(looks) == 1:
            target.mkdir()
        return len(looks) == 1

    looks: list[Path] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os.path, "lexists", appears)
        assert not atomic._replaceable(target, objections)
    assert len(looks) == 2


def write_many(run: Path, accuracy: float, overwrite: bool) -> list[str]:
    """Write the same run over and over; return what was refused."""
    refused = []
    for _ in range(12):
        try:
            write_run(run, **parts(accuracy), overwrite=overwrite)
        except RunError as error:
            refused.append(str(error))
        assert read_run(run).metrics["accuracy"] in (0.1, 0.2)
    return refused


@pytest.mark.parametrize("overwrite", [False, True])
def test_two_processes_that_write_the_same_run(tmp_path: Path, overwrite: bool) -> None:
    run = tmp_path / "run"
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        asked = [(run, accuracy, overwrite) for accuracy in (0.1, 0.2)]
        refused: Sequence[list[str]] = pool.starmap(write_many, asked)
    assert left(tmp_path) == ["run"]
    assert read_run(run).metrics["accuracy"] in (0.1, 0.2)
    assert sum(map(len, refused)) == (0 if overwrite else 23)


def test_the_second_of_two_writers_is_refused(tmp_path: Path) -> None:
    run = tmp_path / "run"
    writing = atomic.whole_folder(run, lambda _: ["is there"])
    (writing.__enter__() / "late").touch()
    write_run(run, **parts(0.1))
    with pytest.raises(RunError, match="is there"):
        writing.__exit__(None, None, None)
    assert read_run(run).metrics["accuracy"] == 0.1
    assert left(tmp_path) == ["run"]
