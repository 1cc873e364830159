"""What a run tells while it performs a plan: the rows of ``log.csv``, and how far an epoch is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


class _Row:
    def to_row(self) -> dict[str, Any]:
        """Return the cells of ``log.csv`` by column; there is none for what is None."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(kw_only=True)
class Note(_Row):
    """A sentence on what happens."""

    what: str


@dataclass(kw_only=True)
class StepDone(_Row):
    """A step of the plan, by its kind and its sentence, and what it took."""

    step: str
    what: str
    seconds: float


@dataclass(kw_only=True)
class Epoch(_Row):
    """An epoch of the candidate ``what``; ``validation_*`` are None where no image is validated."""

    step: str = "train"
    what: str
    seconds: float
    epoch: int
    of: int
    rate: float
    loss: float
    images_per_second: float
    validation_loss: float | None = None
    validation_accuracy: float | None = None
    left: float = 0.0
    """Seconds until all training is done, at most."""
    measure: str | None = None
    """What ``validation_accuracy`` is, where an image has other than one label."""


@dataclass(kw_only=True)
class EpochProgress:
    """How many steps of an epoch are done, for who watches; it is not logged."""

    what: str
    epoch: int
    done: int
    steps: int
    loss: float
    left: float


LogRow = Note | StepDone | Epoch
Event = LogRow | EpochProgress
OnEvent = Callable[[Event], None]
