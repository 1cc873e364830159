"""How a new layer's outputs become answers, where they are other than one label an image."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class AnswerRule:
    """What evidence says of the answers of several labels, or of a number.

    ``slopes`` and ``offsets``, one an output, calibrate what was chosen, those of ``whole`` what is
    read where the whole network is kept. Of a number all are in standard deviations about its mean.
    """

    kind: str
    slopes: tuple[float, ...]
    offsets: tuple[float, ...]
    whole_slopes: tuple[float, ...] = ()
    whole_offsets: tuple[float, ...] = ()
    thresholds: tuple[float, ...] = ()
    """Of several labels: from which probability on each is given."""
    half_width: float = 0.0
    """Of a number, in its own unit: how far from what is told it lies at most, of 95 in 100."""
    mean: float = 0.0
    """Of the number over the training images."""
    spread: float = 1.0
    """Its standard deviation over them."""

    def calibration(self, *, whole: bool = False) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return slopes and offsets of what was chosen, or of what reads the ``whole`` network."""
        if whole and self.whole_slopes:
            return self.whole_slopes, self.whole_offsets
        return self.slopes, self.offsets

    def told(self) -> dict[str, Any]:
        """Return what makes labels, or an interval, of an answer, as files have it."""
        if self.kind == "several":
            return {"kind": self.kind, "thresholds": list(self.thresholds)}
        return {"kind": self.kind, "half_width": self.half_width}
