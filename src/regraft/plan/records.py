"""What a plan holds of other things that could be done, and a RUN of what was tried."""

from dataclasses import dataclass

from regraft.heads.ridge import Taps


@dataclass(frozen=True)
class Alternative:
    """Something else that could be done, with its cross-validated accuracy."""

    name: str
    case: int
    taps: Taps
    accuracy: float
    interval: tuple[float, float]
    parameters: int
    """Of the network that would be kept, the new layer included."""


@dataclass(frozen=True)
class Ran:
    """A candidate that was fitted or trained, and what it scored on the validation images."""

    name: str
    case: int
    accuracy: float
    interval: tuple[float, float]
    loss: float
    """Mean squared error of the probabilities."""
    shown: int
    """Images that went forward and back through the network; 0 for a frozen one."""
    note: str
    """Which rate and epoch won, or why it did not end as planned."""
    handed_over: bool
    epochs: int | None = None
    """After how many epochs of training it was best, 0 where that is its start; none if frozen."""
