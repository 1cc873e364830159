"""A budget that looking at the images alone uses up: an error, and soon."""

import math
import time

from regraft.errors import UsageError
from regraft.run.measure import Progress


def bounded(
    budget: float | None,
    progress: Progress = lambda done, total: None,
    started: float | None = None,
) -> Progress:
    """Progress of a pass that may take no longer than the whole run.

    The clock runs from now on, or since the run ``started``.

    What was looked at until then is remembered by the cache, for the next try.

    Raises (when it is told how many images are done):
        UsageError: the budget is used up; it says what looking takes.
    """
    if budget is None:
        return progress
    start = time.perf_counter() if started is None else started

    def told(done: int, total: int) -> None:
        progress(done, total)
        check(budget, time.perf_counter() - start, done, total)

    return told


def check(budget: float | None, gone: float, done: int, total: int) -> None:
    """Raise UsageError where looking at ``done`` of ``total`` images has used a budget up."""
    if budget is None or gone <= budget:
        return
    needed = math.ceil(1.1 * gone * total / max(done, 1))
    looked = f"{done:,} of {total:,} images" if done < total else f"the {total:,} images"
    raise UsageError(
        f"A budget of {budget:g} s is too short: looking at {looked} has taken {gone:.0f} s.",
        [
            f"Give at least {needed:,} s for that alone, or no --budget.",
            "What was looked at is remembered: the same command goes on from there.",
        ],
    )
