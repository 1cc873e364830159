"""What is found of a run after its steps, for its result."""

import time
from dataclasses import replace
from typing import Any

from regraft.results.result import Result


def added(result: Result, since: float, **found: Any) -> Result:
    """Return the result with more in its metrics, and the seconds ``since`` in their total."""
    seconds = {**result.metrics["seconds"]}
    seconds["total"] += time.perf_counter() - since
    return replace(result, metrics={**result.metrics, **found, "seconds": seconds})
