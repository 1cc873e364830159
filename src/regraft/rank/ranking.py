"""Networks side by side: what was found of each, which is chosen and why."""

import re
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from regraft.errors import UsageError
from regraft.metrics import paired
from regraft.plan.evidence import Evidence
from regraft.plan.gain import gain_of
from regraft.plan.ranked import RankedNetwork
from regraft.run.pretrained import Pretrained

_LIMIT = re.compile(r"(?P<number>\d+\.?\d*|\.\d+) ?(?P<unit>ms|s|MB)", re.IGNORECASE)
_UNITS = {"ms": ("latency", 1e-3), "s": ("latency", 1.0), "mb": ("megabytes", 1.0)}


def limit_of(text: str) -> tuple[str, float] | None:
    """Return the field of `Allowance` that a text like ``10ms`` is for, and its value."""
    found = _LIMIT.fullmatch(text.strip())
    if found is None:
        return None
    field, size = _UNITS[found["unit"].lower()]
    return field, float(found["number"]) * size


@dataclass(frozen=True)
class Allowance:
    """What the chosen network may take: seconds for an image alone, megabytes; None where free."""

    latency: float | None = None
    megabytes: float | None = None

    def __str__(self) -> str:
        told = ["" if self.latency is None else f"{1000 * self.latency:g} ms"]
        told += ["" if self.megabytes is None else f"{self.megabytes:g} MB"]
        return " and ".join(filter(None, told))

    @classmethod
    def read(cls, text: str, name: str) -> Self:
        """Return the limits that a text like ``10ms,20MB`` gives; ``name``: of the text, in errors.

        Raises:
            UsageError: it gives none.
        """
        given: dict[str, float] = {}
        for part in filter(None, text.split(",")):
            field, value = limit_of(part) or ("", 0.0)
            if not field or field in given:
                raise UsageError(
                    f"{name} must give a time for an image or a size, got {part!r}.",
                    ["Write it like 10ms, 0.5s or 20MB; one of each, a comma between."],
                )
            given[field] = value
        return cls(**given)

    def excess(self, milliseconds: float, megabytes: float) -> float:
        """Return how many times as much as allowed it takes, of what is worse; 0 where free."""
        slow = 0.0 if self.latency is None else milliseconds / (1000 * self.latency)
        return max(slow, 0.0 if self.megabytes is None else megabytes / self.megabytes)


@dataclass(frozen=True, eq=False)
class Findings:
    """What was found of a network on some training images.

    ``images``: which items of the data set were judged, ``[n]``; ``right``: which of them the whole
    procedure gets right under cross-validation, and ``belief``: the probability that it gives their
    own class, ``[n]``. ``milliseconds`` an image alone and in a batch of 32.
    """

    evidence: Evidence
    case: int
    count: int
    images: NDArray[np.intp]
    right: NDArray[np.bool_]
    belief: NDArray[np.float32]
    milliseconds: tuple[float, float]

    @property
    def taps(self) -> tuple[int, ...]:
        """The depths that are read."""
        return self.evidence.probes[self.evidence.chosen].taps


@dataclass(eq=False)
class Entry:
    """A network in the race; ``behind``: by how much when it was dropped, and the error of it."""

    name: str
    network: Pretrained | None
    problem: str = ""
    looked: Findings | None = None
    dropped_at: int | None = None
    behind: tuple[float, float] | None = None
    times: dict[int, tuple[float, float]] = field(default_factory=dict)
    """Milliseconds, by the last depth that is read."""

    @property
    def share(self) -> float:
        """Accuracy on the images that it was asked about."""
        return float(self.found.right.mean())

    @property
    def opened(self) -> Pretrained:
        """Of one that could be opened."""
        assert self.network is not None, self.name
        return self.network

    @property
    def found(self) -> Findings:
        """Of one that was looked at."""
        assert self.looked is not None, self.name
        return self.looked

    @property
    def work(self) -> int:
        """Multiply-adds for an image up to the last stage that is read."""
        last = -1 if self.looked is None else self.looked.taps[-1]
        return self.opened.backbone.multiply_adds_to[last]

    @property
    def cost(self) -> tuple[float, float]:
        """Milliseconds of an image alone; megabytes of what is kept, in float32."""
        taps, record = self.found.taps, self.opened.backbone
        inputs = sum(record.widths[depth] for depth in taps)
        layer = (inputs + 1) * len(self.found.evidence.classes)
        return self.found.milliseconds[0], 4 * (record.parameters_to[taps[-1]] + layer) / 1e6

    def within(self, limits: Allowance) -> bool:
        """Return whether it may be chosen."""
        return limits.excess(*self.cost) <= 1


def difference_of(entry: Entry, other: Entry) -> tuple[float, float]:
    """Accuracy above another network's on the images of both, and its standard error."""
    own, its = entry.found, other.found
    _, a, b = np.intersect1d(own.images, its.images, return_indices=True)
    return paired(own.right[a].astype(float), its.right[b].astype(float))


def row_of(
    entry: Entry, best: Entry | None, limits: Allowance, held: float | None
) -> RankedNetwork:
    """Return what is told of a network; ``best``: whom the others are compared with."""
    found = entry.looked
    if found is None:
        empty = (None,) * 6
        return RankedNetwork(entry.name, *empty, problem=entry.problem)
    difference, error = entry.behind or (difference_of(entry, best) if best else (0.0, 0.0))
    return RankedNetwork(
        backbone=entry.name,
        expected=found.evidence.expected,
        interval=found.evidence.expected_interval,
        milliseconds=found.milliseconds[0],
        megabytes=entry.cost[1],
        case=found.case,
        dropped_at=entry.dropped_at,
        images=found.count,
        milliseconds_of_32=found.milliseconds[1],
        difference=difference,
        difference_error=error,
        similarity=found.evidence.similarity,
        gain=gain_of(found.evidence).points,
        allowed=entry.within(limits),
        held=held,
    )
