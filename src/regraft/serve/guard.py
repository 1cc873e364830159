"""What every request goes through: the token, the headers of every answer, the count of them."""

import asyncio
import hmac
from collections.abc import Mapping
from typing import Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from regraft.serve.limits import Problem, Refused
from regraft.serve.metrics import Metrics

# What is still being sent is read, so that the answer arrives: while it keeps coming, for a while
# at most (s; nginx lingers as long).
_PAUSE: Final = 5.0
_LINGER: Final = 30.0
_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """An ASGI application around another one."""

    def __init__(
        self, app: ASGIApp, token: str | None, open_to_all: frozenset[str], metrics: Metrics
    ) -> None:
        self._app, self._metrics = app, metrics
        self._token = None if token is None else token.strip().encode("utf-8", "surrogateescape")
        self._open = open_to_all

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
                self._metrics.answered(message["status"])
            await send(message)

        app = self._app if self._may(scope) else _no_token()
        await app(scope, receive, told)

    def _may(self, scope: Scope) -> bool:
        """Return whether the token is right, compared in a time that does not tell how nearly."""
        if self._token is None or scope["path"] in self._open:
            return True
        given = Headers(scope=scope).get("authorization", "")
        scheme, _, token = given.partition(" ")
        right = hmac.compare_digest(token.strip().encode("latin-1"), self._token)
        return right and scheme.lower() == "bearer"


class Leaving(JSONResponse):
    """An answer to a request whose body was not read to its end.

    A connection that is closed while bytes arrive is reset, and the client may never see the
    answer: so what comes is read and thrown away before it is closed. A client of a busy machine
    takes its time, so no fixed moment is enough; it ends where the client pauses.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer, let the client finish, close."""
        headers = [*self.raw_headers, (b"connection", b"close")]
        start = {"type": "http.response.start", "status": self.status_code, "headers": headers}
        await send(start)
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        try:
            async with asyncio.timeout(_LINGER):
                while await _more(receive):
                    pass
        except TimeoutError:
            pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _more(receive: Receive) -> bool:
    """Read what comes next; whether anything may come after it."""
    async with asyncio.timeout(_PAUSE):
        return bool((await receive()).get("more_body", False))


def trouble(
    problem: Problem, *, unread: bool, headers: Mapping[str, str] | None = None
) -> Response:
    """Return the answer to a request that gets none; ``unread``: its body may still be coming."""
    content: dict[str, Any] = {"problem": problem.code, "detail": problem.detail}
    kind = Leaving if unread else JSONResponse
    return kind(content, problem.status, headers)


def refusal(refused: Refused, *, unread: bool) -> Response:
    """Return the answer to a refused request."""
    retry = {} if refused.retry is None else {"retry-after": str(refused.retry)}
    return trouble(refused.problem, unread=unread, headers=retry)


def _no_token() -> Response:
    detail = "This server asks for a bearer token: send the header Authorization: Bearer TOKEN."
    return trouble(
        Problem(401, "token", detail), unread=True, headers={"www-authenticate": "Bearer"}
    )
