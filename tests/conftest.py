"""What every test runs under: no network, a cache of its own, the same terminal everywhere."""

import gc
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# Set before anything reads them: some libraries look at the terminal when they are imported, and
# child processes inherit them.
for name in ("FORCE_COLOR", "GITHUB_ACTIONS", "CLICOLOR_FORCE", "PY_COLORS"):
    os.environ.pop(name, None)
os.environ.update(COLUMNS="100", LINES="40", NO_COLOR="1", TERM="dumb", HF_HUB_OFFLINE="1")
if (
    "PYTEST_XDIST_WORKER" in os.environ
):  # one worker a core: threads of their own only get in the way
    os.environ.update(OMP_NUM_THREADS="1")

# The same examples at every run; a machine that is slow today fails nothing.
settings.register_profile(
    "regraft", deadline=None, derandomize=True, database=None, max_examples=50
)
settings.load_profile("regraft")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let golden files be written anew after a change on purpose; read them afterwards."""
    parser.addoption("--golden", action="store_true", help="write the golden files anew")


def pytest_collection_finish() -> None:
    """Keep what all tests share out of the garbage collector's rounds: it is never let go."""
    gc.freeze()


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Check that a text is that of ``golden/NAME``, or write it there under ``--golden``."""

    def check(name: str, text: str) -> None:
        path = Path(__file__).parent / "golden" / name
        if request.config.getoption("--golden"):
            path.write_text(text, "utf-8")
        assert text == path.read_text("utf-8")

    return check


@pytest.fixture(scope="session", autouse=True)
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's cache out of it; a test that wants an empty one sets REGRAFT_CACHE itself.

    All workers have the same one: what one of them has converted and measured the others find.
    """
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REGRAFT_CACHE", str(base / "cache"))
        yield


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """Fail the test that reaches beyond this machine, whatever the library does about errors."""
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            _only_here(address[0])
        connect(self, address)

    def guarded_look_up(host: Any, *rest: Any, **options: Any) -> Any:
        _only_here(host)
        return look_up(host, *rest, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket, "getaddrinfo", guarded_look_up)
        yield


@pytest.fixture(scope="session")
def several_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The RUN of several labels an image that all tests share: ``targets.MARKS``; only to read."""
    import targets

    return targets.fitted(tmp_path_factory.mktemp("several"), "several")


@pytest.fixture(scope="session")
def number_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The RUN of a number that all tests share, ``level``; only to read."""
    import targets

    return targets.fitted(tmp_path_factory.mktemp("number"), "number")


def _only_here(host: str | bytes | None) -> None:
    name = host.decode() if isinstance(host, bytes) else host
    if name not in (None, "", "localhost", "::1") and not str(name).startswith("127."):
        pytest.fail(f"a test reached for {name}: tests run without a network")
