"""How long somebody else's machine may take to answer, and what is said when it does not."""

import threading
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from regraft.errors import DataError

PATIENCE: Final = 20.0  # s that one answer may take; after that it is asked for once more
TRIES: Final = 2
_AFTER: Final = 5.0  # s for which nobody else asks who did not answer
_REFUSED: Final = (400, 401, 403, 407)  # of HTTP: asking again gives the same
_KEPT: Final = "what was computed is in the cache: the same command goes on from there"
T = TypeVar("T")


class Line:
    """A file system of fsspec, which may be far away: all who wait for it give up together."""

    def __init__(self, disk: Any) -> None:
        self.disk = disk
        self._problem = DataError("")
        self._since = -_AFTER

    def ask(self, call: Callable[[], T], address: str) -> T:
        """Return what a call to an address gives, within the time that it may take.

        Raises:
            FileNotFoundError: there is no such file.
            DataError: it refuses, fails twice, or does not answer; the address is named.
        """
        problem: BaseException = TimeoutError()
        for attempt in range(TRIES):
            if attempt:
                time.sleep(min(1.0, PATIENCE))
            try:
                return self._within(call)
            except DataError:
                raise
            except Exception as error:  # of many libraries, each with errors of its own
                problem = error
                if isinstance(error, FileNotFoundError) and _status(error) in (0, 404):
                    raise
                if isinstance(error, PermissionError | ImportError) or _status(error) in _REFUSED:
                    break
        self._problem = DataError(f"'{address}' cannot be read.", [_in_words(problem), _KEPT])
        self._since = time.monotonic()
        raise self._problem from problem

    def _within(self, call: Callable[[], T]) -> T:
        """Return what a call gives; TimeoutError where it takes too long.

        The thread that still waits is left behind: no library promises to end when told to.
        """
        done: list[T] = []
        failed: list[BaseException] = []

        def work() -> None:
            try:
                done.append(call())
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        end = time.monotonic() + PATIENCE
        while thread.is_alive() and (left := end - time.monotonic()) > 0:
            if time.monotonic() - self._since < _AFTER:
                raise self._problem
            thread.join(min(left, 0.5))
        if failed:
            raise failed[0]
        if not done:
            raise TimeoutError
        return done[0]


def _status(error: BaseException) -> int:
    """Return the status that HTTP gave, to what the error came of too; 0 where there is none."""
    found = error.status if hasattr(error, "status") else getattr(error, "code", 0)
    if isinstance(found, int) and found:
        return found
    return _status(error.__cause__) if error.__cause__ is not None else 0


def _in_words(error: BaseException) -> str:
    """Return what went wrong."""
    status = _status(error)
    if isinstance(error, PermissionError) or status in (401, 403):
        return f"access is refused{f' ({status})' if status else ''}: {error}"
    if isinstance(error, TimeoutError):
        return f"no answer, {TRIES} times, within {PATIENCE:g} seconds each"
    return f"{type(error).__name__}: {error}"
