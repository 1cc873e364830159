"""Work in threads, in order, and not all of it at once."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


@contextmanager
def threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """Return a pool of threads; in the end, or at Ctrl-C, what has not begun is dropped."""
    pool = ThreadPoolExecutor(count)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def ahead(
    pool: ThreadPoolExecutor, work: Callable[[A], B], items: Iterable[A], most: int
) -> Iterator[B]:
    """``map(work, items)`` in threads, in order, at most so many items ahead."""
    running: deque[Future[B]] = deque()
    for item in items:
        running.append(pool.submit(work, item))
        if len(running) > most:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()


def in_lots(items: Iterable[A], size: int) -> Iterator[list[A]]:
    """Yield the items in lists of ``size``; the last one may be shorter."""
    iterator = iter(items)
    while lot := list(islice(iterator, size)):
        yield lot
