"""Several processes that answer on one socket, each with a model and a share of the cores.

A worker (:mod:`regraft.serve.worker`) inherits the socket and is told over its standard input what
to serve. It says on its standard output when it is ready, and ends in order when its standard input
does: also where this process is no more. One that ends by itself is replaced.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from prometheus_client.multiprocess import mark_process_dead

from regraft.distributed import cores
from regraft.errors import RunError, UsageError
from regraft.serve.access import write_line
from regraft.serve.listening import LONGEST_END, handling
from regraft.serve.metrics import SHARED
from regraft.serve.settings import Settings

_LOOK: Final = 0.2  # s between two looks at whether all are alive

Process = subprocess.Popen[str]


def check(count: int) -> None:
    """Raise UsageError where so many workers cannot be; a core is the least that one needs."""
    most = cores()
    if not 1 <= count <= most:
        raise UsageError(
            f"Workers must be from 1 to {most}, the cores that there are, got {count}.",
            ["Each has a model of its own, and one worker uses all cores."],
        )
    if count > 1 and os.name == "nt":
        raise UsageError("Windows knows no sockets that workers share.", ["Leave out --workers."])


@dataclass(frozen=True)
class Crew:
    """What workers are started with: the RUN, how to answer, where, and how many there are."""

    run: Path
    network: str | None
    settings: Settings
    place: socket.socket
    count: int

    def serve(self, started: Callable[[str, Callable[[], None]], None]) -> None:
        """Answer until SIGTERM, Ctrl-C or what ``started`` is told to call; then end in order.

        Args:
            started: called once all are ready, with the name of their engine and what ends them.

        Raises:
            RunError: a worker could not begin.
        """
        end = threading.Event()
        with (
            tempfile.TemporaryDirectory(prefix="regraft-") as folder,
            handling(end.set),
            self._workers(folder) as workers,
        ):
            engines = [_ready(worker) for worker in workers]
            started(engines[0], end.set)
            while not end.wait(_LOOK):
                self._replace(workers, folder)
            self.place.close()  # so that nobody new is taken

    def _replace(self, workers: list[Process], folder: str) -> None:
        """Start another worker for each that has ended."""
        for place, worker in enumerate(workers):
            if worker.poll() is not None:
                write_line(f"regraft: A worker ended ({worker.returncode}); another is started.")
                _hang_up(worker)
                _wait(worker)
                mark_process_dead(worker.pid, folder)  # type: ignore[no-untyped-call]
                workers[place] = self._start(folder)
                _ready(workers[place])

    @contextmanager
    def _workers(self, folder: str) -> Iterator[list[Process]]:
        """Start them all; in the end they finish what they took."""
        workers: list[Process] = []
        try:
            for _ in range(self.count):
                workers.append(self._start(folder))
            yield workers
        finally:
            for worker in workers:
                _hang_up(worker)
            for worker in workers:
                _wait(worker)

    def _start(self, folder: str) -> Process:
        """Return a worker that was told what to do."""
        threads = {"OMP_NUM_THREADS": str(max(1, cores() // self.count))}
        worker = subprocess.Popen(
            [sys.executable, "-P", "-m", "regraft.serve.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            pass_fds=[self.place.fileno()],
            env=threads | os.environ | {SHARED: folder},
            start_new_session=True,  # Ctrl-C is for this process alone
        )
        task = {
            "run": os.fsencode(self.run).hex(),
            "network": self.network,
            "settings": asdict(self.settings),
            "socket": self.place.fileno(),
            "count": self.count,
        }
        assert worker.stdin is not None
        with suppress(BrokenPipeError):  # it died: what it did not say is seen when it is asked
            worker.stdin.write(json.dumps(task) + "\n")
            worker.stdin.flush()
        return worker


def _ready(worker: Process) -> str:
    """Wait until a worker answers, and return the name of its engine.

    Raises:
        RunError: it cannot.
    """
    assert worker.stdout is not None
    line = worker.stdout.readline()
    told: dict[str, Any] = json.loads(line) if line else {}
    if "engine" not in told:
        _wait(worker)
        problems: Sequence[str] = told.get("problems") or [f"It ended with {worker.returncode}."]
        raise RunError(told.get("headline", "A worker could not begin."), problems)
    return str(told["engine"])


def _hang_up(worker: Process) -> None:
    assert worker.stdin is not None
    with suppress(BrokenPipeError):
        worker.stdin.close()


def _wait(worker: Process) -> None:
    """Wait for its end, as long as what it took may take."""
    assert worker.stdout is not None
    try:
        worker.wait(LONGEST_END)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()
    worker.stdout.close()
