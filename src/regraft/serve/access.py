"""A line on standard error for every request: when, what, which status, how long."""

import sys
import time
from collections.abc import Callable
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LONGEST = 200  # characters of a path; the head of a request may hold 64 kB


def write_line(line: str) -> None:
    """Write it at once and whole: other workers write there too."""
    with suppress(OSError, ValueError):  # nobody reads it any more
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


class AccessLog:
    """An ASGI application around another one; its line says ``-`` where nothing was answered.

    The path is as it was sent, in ASCII, so that no client can write a line of its own; what comes
    after ``?`` is left out.
    """

    def __init__(self, app: ASGIApp, write: Callable[[str], None] = write_line) -> None:
        self._app, self._write = app, write

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have it answered, and tell."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), "-"

        async def seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, seen)
        finally:
            took = 1000 * (time.perf_counter() - start)
            when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            path = scope["raw_path"].decode("ascii", "backslashreplace")[:_LONGEST]
            self._write(f"{when} {scope['method']} {path} {status} {took:.0f} ms")
