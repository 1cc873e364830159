"""A socket, and a server on it that ends in order."""

import asyncio
import ipaddress
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from regraft.errors import RunError

_CONNECTIONS: Final = 512  # more are answered 503 before anything of them is read
_HEAD: Final = 10.0  # s in which a request's head must be there, or its connection is closed
_GRACE: Final = 90  # s to finish what was taken: more than a body may take to arrive
LONGEST_END: Final = _GRACE + 10
"""Seconds after which a server that was told to end has."""


@contextmanager
def bound(host: str, port: int) -> Iterator[socket.socket]:
    """Return a socket at an address; nothing can connect to it before it listens.

    Raises:
        RunError: the address is none of this machine, or is taken.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        place = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _cannot(host, port, error) from error
    with place:
        try:
            place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            place.bind(address)
        except OSError as error:
            raise _cannot(host, port, error) from error
        yield place


def _cannot(host: str, port: int, error: OSError) -> RunError:
    remedy = "Name another --port (0 takes a free one), or an address of this machine as --host."
    return RunError(f"Cannot listen on {host}, port {port}: {error.strerror or error}.", [remedy])


def address(place: socket.socket) -> str:
    """Where a browser finds what listens there."""
    host, port = place.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_private(place: socket.socket) -> bool:
    """Return whether only this machine can connect to it."""
    return ipaddress.ip_address(place.getsockname()[0].partition("%")[0]).is_loopback


class _Prompt(H11Protocol):
    """HTTP that closes a connection which waits for the rest of a request's head for too long.

    Uvicorn waits without end for the first request of a connection, and as long as anything comes:
    a few hundred connections that say nothing would keep everybody else out.
    """

    _waited: object = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to look after it."""
        super().connection_made(transport)
        self.loop.call_later(_HEAD, self._look)

    def _look(self) -> None:
        """Close it where it still waits for the request that it waited for at the last look."""
        if self.transport.is_closing():
            return
        waits = self.cycle is None or self.cycle.response_complete  # type: ignore[redundant-expr]
        if waits and self._waited is self.cycle:
            self.transport.close()
            return
        self._waited = self.cycle if waits else self
        self.loop.call_later(_HEAD, self._look)


def listen(
    app: ASGIApp,
    place: socket.socket,
    started: Callable[[Callable[[], None]], None] = lambda stop: None,
) -> None:
    """Answer until SIGTERM or Ctrl-C; then take nothing new and finish what was taken.

    Args:
        app: what answers.
        place: a bound socket; it listens from here on.
        started: called as soon as clients can connect, with what ends the server.
    """
    config = uvicorn.Config(
        app,
        http=_Prompt,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        log_level="error",
        server_header=False,
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=_GRACE,
    )
    server = uvicorn.Server(config)
    with handling(partial(setattr, server, "should_exit", True)):
        place.listen(_CONNECTIONS)
        started(partial(setattr, server, "should_exit", True))
        server.run([place])


@contextmanager
def handling(end: Callable[[], None]) -> Iterator[None]:
    """Have SIGTERM and Ctrl-C call ``end``, from now on and whatever uvicorn does with them itself.

    It takes them over once it runs, and sends them to itself again when it has ended.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(*_: object) -> None:
        end()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
