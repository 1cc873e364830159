"""Images of different requests, run together.

Requests put their images into a queue; a task takes those that are there and gives them to the
engine in one call, in a thread of its own. It waits a few milliseconds for more only while more are
known to come, and what arrives while the engine runs is together in the next call.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass

import numpy as np

from regraft.features.engines import Pixels
from regraft.serve.limits import Refused
from regraft.serve.model import ImageAnswer

Run = Callable[[Pixels], Sequence[ImageAnswer]]


@dataclass(frozen=True)
class _Item:
    """An image in the queue."""

    pixels: Pixels
    answer: "asyncio.Future[ImageAnswer]"


class Batcher:
    """Collects images and runs them together.

    ``waiting`` counts the images that were taken and are not answered yet.
    """

    def __init__(
        self,
        run: Run,
        *,
        batch: int,
        wait: float,
        waiting: int,
        seen: Callable[[int], None] = lambda size: None,
        changed: Callable[[int], None] = lambda waiting: None,
    ) -> None:
        """``wait`` in seconds; ``waiting`` images at most.

        ``seen`` is told each batch's size, ``changed`` how many wait whenever that changes.
        """
        self.waiting = 0
        self._run, self._batch, self._wait = run, batch, wait
        self._most, self._seen, self._changed = waiting, seen, changed
        self._coming = 0
        self._queue: asyncio.Queue[_Item] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._task is not None and not self._task.done()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run batches until the block ends."""
        with ThreadPoolExecutor(1, "engine") as worker:
            self._task = asyncio.create_task(self._serve(worker))
            try:
                yield
            finally:
                self._task.cancel()
                with suppress(asyncio.CancelledError):
                    await self._task

    def check_room(self, count: int = 1) -> None:
        """Refuse so many more images where they may not wait.

        Raises:
            Refused: too many are waiting.
        """
        if self.waiting + count > self._most:
            raise Refused(
                503,
                "busy",
                f"At most {self._most} images may wait, {self.waiting} do and {count} more came. "
                "Try again in a second.",
                retry=1,
            )

    @contextmanager
    def taking(self, count: int) -> Iterator[None]:
        """Count so many images as waiting while the block runs.

        Raises:
            Refused: too many are waiting.
        """
        self.check_room(count)
        self._wait_for(count)
        try:
            yield
        finally:
            self._wait_for(-count)

    def _wait_for(self, more: int) -> None:
        self.waiting += more
        self._changed(self.waiting)

    @contextmanager
    def coming(self) -> Iterator[None]:
        """Return an image is being decoded and will soon be in the queue."""
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1

    async def judged(self, pixels: Pixels) -> ImageAnswer:
        """Return what the network makes of one image ``[S, S, 3]``."""
        answer: asyncio.Future[ImageAnswer] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(_Item(pixels, answer))
        return await answer

    async def _serve(self, worker: ThreadPoolExecutor) -> None:
        while True:
            items = [await self._queue.get()]
            await self._collect(items)
            self._seen(len(items))
            try:
                pixels = np.stack([item.pixels for item in items])
                loop = asyncio.get_running_loop()
                answers = await loop.run_in_executor(worker, self._run, pixels)
                for item, judged in zip(items, answers, strict=True):
                    if not item.answer.done():  # a request that was given up
                        item.answer.set_result(judged)
            except Exception as error:  # theirs alone: the next images are run all the same
                for item in items:
                    if not item.answer.done():
                        item.answer.set_exception(error)

    async def _collect(self, items: list[_Item]) -> None:
        """Add what is there, and for a moment what is coming."""
        clock = asyncio.get_running_loop().time
        end = clock() + self._wait
        while len(items) < self._batch:
            if not self._queue.empty():
                items.append(self._queue.get_nowait())
                continue
            if not self._coming or clock() >= end:
                return
            try:
                async with asyncio.timeout_at(end):
                    items.append(await self._queue.get())
            except TimeoutError:
                return
