"""Pages of other origins that may ask: what a browser makes of CORS."""

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from regraft.errors import UsageError

ANY = "*"
_ORIGIN = re.compile(r"https?://(?:\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::[0-9]{1,5})?")
_USUAL = {"http": ":80", "https": ":443"}  # which a browser leaves out
_REMEMBERED = 600  # s that a browser keeps the answer to its question


def checked(origins: Sequence[str]) -> tuple[str, ...]:
    """Return them as browsers send them.

    Raises:
        UsageError: what is none; all of them are named.
    """
    found = [_as_sent(origin) for origin in origins]
    wrong = [origin for origin, one in zip(origins, found, strict=True) if one is None]
    if wrong:
        raise UsageError(
            "An origin is http:// or https:// and a host, perhaps with a port, and nothing after.",
            [
                *(f"Got {origin!r}." for origin in wrong),
                "Name it like https://shop.example or http://localhost:3000, or '*' for any.",
            ],
        )
    return tuple(dict.fromkeys(one for one in found if one is not None))


def _as_sent(origin: str) -> str | None:
    text = origin.strip().lower()
    if text == ANY:
        return text
    if not _ORIGIN.fullmatch(text):
        return None
    try:
        split = urlsplit(text)
        _ = split.port  # ValueError where it is above 65535
    except ValueError:
        return None
    return text.removesuffix(_USUAL[split.scheme])


def allowing(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    """Return an application whose answers these origins may read, and that tells browsers so.

    The question before a request brings no token, so this stands before who asks for it.
    """
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=["GET", "HEAD", "POST"],
        allow_headers=["authorization", "content-type"],
        expose_headers=["retry-after"],
        max_age=_REMEMBERED,
    )
