"""What every engine is, and what calibration finds out about it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Features = NDArray[np.float16]

REFERENCE = "torch-fp32"
"""The engine that the others must agree with: eager float32 torch on the CPU."""


class Engine(Protocol):
    """Runs a frozen trunk.

    The same call gives the same features, bit for bit, on the same machine. In another call (other
    images beside it, another place among them) an image's features are the same within rounding:
    bit for bit where an engine runs each image alone (OpenVINO), to about a millionth where torch
    runs batches. ``docs/reproducible.md`` says what follows from that.
    """

    @property
    def name(self) -> str:
        """What runs it, and in which precision: a part of cache keys."""

    @property
    def batch(self) -> int:
        """The number of images in a call that suits it."""

    def __call__(self, pixels: Pixels) -> list[Floats]:
        """Features ``[B, C_d]`` at each tap, of pixels ``[B, S, S, 3]``; B may be anything."""


def features(engine: Engine, pixels: Pixels) -> Features:
    """All taps side by side ``[B, sum C]``, as they are stored: rounded to float16, finite.

    Fitting and predicting both go through here, so that they see the same numbers.
    """
    most = np.finfo(np.float16).max
    rows = np.concatenate(engine(pixels), axis=1)
    return np.clip(rows, -most, most, out=rows).astype(np.float16)


@dataclass(frozen=True)
class Agreement:
    """How close features come to the reference's; 1 and 1 where they are the same.

    ``cosine`` is the lowest over all images and depths, found at ``depth``; ``same`` the share of
    probe predictions that do not change.
    """

    cosine: float
    depth: int
    same: float
    images: int = 0


@dataclass(frozen=True)
class EngineTrial:
    """One candidate in a calibration; ``refused`` says why it may not be used, empty if it may.

    ``given_up``: it was not measured to the end, for others are before it in the order and faster.
    """

    name: str
    images_per_second: float = 0.0
    agreement: Agreement | None = None
    refused: str = ""
    given_up: bool = False


@dataclass(frozen=True)
class Calibration:
    """Which engine was chosen for a backbone on this machine, and what else was tried.

    ``images`` is the number that agreement was measured on, ``seconds`` what it took (0 where it
    was remembered). ``provisional``: made without photos, so only among precise engines.
    """

    chosen: str
    candidates: tuple[EngineTrial, ...] = ()
    images: int = 0
    seconds: float = 0.0
    provisional: bool = False

    def usable(self, name: str) -> bool:
        """Return whether this engine was measured and agreed."""
        return any(one.name == name and not one.refused for one in self.candidates)

    def objection(self, name: str) -> str | None:
        """Why this engine may not be used, empty if it may; None where that is not known."""
        tried = [one for one in self.candidates if one.name == name and not one.given_up]
        return tried[0].refused if tried else None

    def to_json(self) -> dict[str, Any]:
        """Return the calibration as what a JSON document holds."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """Return the calibration that `to_json` gave.

        KeyError or TypeError where it is not one.
        """
        fields = {**raw, "candidates": tuple(_measured(one) for one in raw["candidates"])}
        return cls(**fields)


def _measured(raw: Mapping[str, Any]) -> EngineTrial:
    agreement = raw["agreement"]
    return EngineTrial(**{**raw, "agreement": Agreement(**agreement) if agreement else None})


def columns(rows: Floats, widths: Sequence[int]) -> list[Floats]:
    """Split ``[B, sum C]`` into ``[B, C_d]`` a tap."""
    return np.split(rows, np.cumsum(widths)[:-1], axis=1)
