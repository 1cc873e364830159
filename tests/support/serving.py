"""A server on a free port of this machine, in a thread; and a small RUN to serve."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

import regraft
from pictures import lay_out
from regraft.plan.choices import Choices
from regraft.serve import Batching, Limits, Model, address, application, bound, listen, ready
from scenes import each, scenes


def small_run(folder: Path) -> Path:
    """A RUN on the demonstration network that tells the scenes apart."""
    data = lay_out(folder / "data", scenes(each(8)))
    regraft.fit(data, "demonstration", choices=Choices(case=1), out=folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The RUN of a module's tests."""
    return small_run(tmp_path_factory.mktemp("serve"))


@pytest.fixture(scope="module")
def model(run: Path) -> Model:
    """It, ready to answer."""
    return ready(regraft.load(run))


@contextmanager
def served(
    model: Model,
    limits: Limits | None = None,
    batching: Batching | None = None,
    token: str | None = None,
    cors: Sequence[str] = (),
    access_log: bool = False,
) -> Iterator[httpx.Client]:
    """Serve until the block ends; gives a client."""
    app = application(
        model, limits, batching=batching, token=token, cors=cors, access_log=access_log
    )
    with serving(app) as url, httpx.Client(base_url=url, timeout=None) as client:
        yield client


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """Serve an application; gives its address."""
    ends: list[Callable[[], None]] = []
    started_up = threading.Event()

    def started(stop: Callable[[], None]) -> None:
        ends.append(stop)
        started_up.set()

    with bound("127.0.0.1", 0) as place:
        url = address(place)
        thread = threading.Thread(target=listen, args=(app, place, started))
        thread.start()
        started_up.wait()
        try:
            yield url
        finally:
            ends[0]()
            thread.join()
