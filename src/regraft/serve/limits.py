"""What the server takes at most, and how it refuses more."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What is taken at most; beyond each the answer says which limit, what was found, the remedy.

    ``file_bytes``, ``pixels``: of one image. ``body_bytes``, ``files``: of one request.
    ``held_bytes``, ``waiting``: bytes and images of all requests that are being answered.
    ``idle_seconds``, ``body_seconds``: between two pieces of a body, and for all of it.
    """

    file_bytes: int = 20_000_000
    body_bytes: int = 100_000_000
    held_bytes: int = 400_000_000
    files: int = 64
    pixels: int = 50_000_000
    waiting: int = 256
    idle_seconds: float = 10.0
    body_seconds: float = 60.0

    @property
    def together(self) -> int:
        """Images that one request may bring: more than may wait could never be taken."""
        return min(self.files, self.waiting)


@dataclass(frozen=True)
class Problem:
    """Why there is no answer: ``status`` and ``code`` for programs, ``detail`` for people."""

    status: int
    code: str
    detail: str


class Refused(Exception):
    """A request that gets no answer; ``retry`` says after how many seconds it may, if it may."""

    def __init__(self, status: int, code: str, detail: str, retry: int | None = None) -> None:
        super().__init__(detail)
        self.problem = Problem(status, code, detail)
        self.retry = retry


class Held:
    """Counts the bytes that requests hold in memory, all together."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.bytes = 0

    @contextmanager
    def share(self) -> "Iterator[Share]":
        """One request's share of them, given back in the end."""
        share = Share(self)
        try:
            yield share
        finally:
            self.bytes -= share.bytes


class Share:
    """The bytes that one request holds."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self.bytes = 0

    def take(self, count: int) -> None:
        """Count so many more.

        Raises:
            Refused: all requests together would hold too much.
        """
        if self._held.bytes + count > self._held.most:
            raise Refused(
                503,
                "busy",
                f"Requests may hold {megabytes(self._held.most)} together, and hold "
                f"{megabytes(self._held.bytes)} already. Try again in a second.",
                retry=1,
            )
        self._held.bytes += count
        self.bytes += count


def megabytes(count: int) -> str:
    """Return a number of bytes as people read it."""
    return f"{count / 1e6:,.1f} MB" if count >= 100_000 else f"{count:,} bytes"
