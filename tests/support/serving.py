"""A server on a free port of this machine, in a thread; and a small RUN to serve."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

import regraft
from pictures import lay_out
from regraft import serve
from regraft.plan.choices import Choices
from regraft.serve import Batching, Limits, Model, ready
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
) -> Iterator[httpx.Client]:
    """Serve until the block ends; gives a client."""
    app = serve.application(model, limits, batching=batching, token=token)
    with serving(app) as url, httpx.Client(base_url=url, timeout=None) as client:
        yield client


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """Serve an application; gives its address."""
    servers: list[uvicorn.Server] = []
    started_up = threading.Event()

    def started(server: uvicorn.Server) -> None:
        servers.append(server)
        started_up.set()

    with serve.bound("127.0.0.1", 0) as place:
        url = serve.address(place)
        thread = threading.Thread(target=serve.serve, args=(app, place, started))
        thread.start()
        started_up.wait()
        try:
            yield url
        finally:
            servers[0].should_exit = True
            thread.join()
