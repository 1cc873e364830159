"""Networks side by side: what was found of each, which is chosen and why, and the record of it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.diagram.summary import rows as table_of
from regraft.diagram.summary import summary
from regraft.metrics import Interval, paired
from regraft.plan.evidence import Evidence
from regraft.plan.gain import gain_of
from regraft.run.pretrained import Pretrained


@dataclass(frozen=True)
class Allowance:
    """What the chosen network may take: seconds for an image alone, megabytes; None where free."""

    latency: float | None = None
    megabytes: float | None = None

    def __str__(self) -> str:
        told = ["" if self.latency is None else f"{1000 * self.latency:g} ms"]
        told += ["" if self.megabytes is None else f"{self.megabytes:g} MB"]
        return " and ".join(filter(None, told))

    def excess(self, milliseconds: float, megabytes: float) -> float:
        """Return how many times as much as allowed it takes, of what is worse; 0 where free."""
        slow = 0.0 if self.latency is None else milliseconds / (1000 * self.latency)
        return max(slow, 0.0 if self.megabytes is None else megabytes / self.megabytes)


@dataclass(frozen=True, eq=False)
class Findings:
    """What was found of a network on some training images.

    ``images``: which items of the data set were judged, ``[n]``; ``right``: which of them the whole
    procedure gets right under cross-validation, ``[n]``. ``milliseconds`` an image alone and in a
    batch of 32.
    """

    evidence: Evidence
    case: int
    count: int
    images: NDArray[np.intp]
    right: NDArray[np.bool_]
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


def leader(entries: Sequence[Entry]) -> Entry:
    """Return the network that gets the most right; of equals the one with the least work."""
    return max(entries, key=lambda one: (one.share, -one.work, one.name))


def difference_of(entry: Entry, other: Entry) -> tuple[float, float]:
    """Accuracy above another network's on the images of both, and its standard error."""
    own, its = entry.found, other.found
    _, a, b = np.intersect1d(own.images, its.images, return_indices=True)
    return paired(own.right[a].astype(float), its.right[b].astype(float))


# --- the record -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class RankedNetwork:
    """One network of a ranking; its figures are None where ``problem`` says why there are none."""

    backbone: str
    expected: float | None
    """Accuracy to expect on images never seen, cross-validated on ``images`` training images."""
    interval: Interval | None
    """95 %."""
    milliseconds: float | None
    """For an image alone, up to the last stage that is read; decoding is not in it."""
    megabytes: float | None
    """What is kept, in float32 (a million bytes each), the new layer included."""
    case: int | None
    """What the evidence indicates; training is not timed for it."""
    dropped_at: int | None
    """Training images after which it was dropped; None where it was not."""
    images: int | None = None
    milliseconds_of_32: float | None = None
    """For an image, 32 at a time."""
    difference: float | None = None
    """Accuracy above that of the best allowed network on the same images."""
    difference_error: float | None = None
    """Its standard error, image by image."""
    similarity: float | None = None
    gain: float | None = None
    """Accuracy that training it is expected to add."""
    allowed: bool = False
    """Whether it is within the limits."""
    problem: str = ""


@dataclass(frozen=True)
class Ranking:
    """Networks side by side, the best first. ``chosen``: a name, or None where none is allowed."""

    rows: tuple[RankedNetwork, ...]
    chosen: str | None
    why: str
    dataset: str
    seed: int
    train: int
    """Training images there are."""
    compared: int
    """How many of them the networks that were not dropped are compared on."""
    latency: float | None = None
    """Seconds that an image alone may take; None where it may take any."""
    megabytes: float | None = None
    """What a network may take; None where that is free."""
    remarks: tuple[str, ...] = ()
    """What is to be known of the images."""
    left_out: tuple[str, ...] = ()
    """Images that are not used, each with the reason."""

    def __repr__(self) -> str:
        ranked = [
            f"  {one.backbone}: {one.expected:.1%}, {one.milliseconds:.1f} ms"
            if one.expected is not None
            else f"  {one.backbone}: {one.problem}"
            for one in self.rows
        ]
        return "\n".join([f"Ranking on {self.dataset}: {self.why}", *ranked])

    def _repr_html_(self) -> str:
        """Show the networks side by side, in a notebook."""
        head = ("", "network", "expected", "95%", "to best", "ms", "MB", "case", "dropped at")
        ranked = [one for one in self.rows if not one.problem]
        names = [one.backbone for one in ranked]
        body = [(str(n), one.backbone, *cells(one)) for n, one in enumerate(ranked, start=1)]
        return summary(
            f"{self.dataset}: the networks side by side",
            about=f"{self.train:,} training images; cross-validated on {self.compared:,} of them.",
            said=[self.why],
            table=table_of(head, body, names.index(self.chosen) if self.chosen else None),
            lists={
                "Of the images": self.remarks,
                "Left out": self.left_out,
                "Not ranked": [f"{o.backbone}: {o.problem}" for o in self.rows if o.problem],
            },
        )

    @property
    def front(self) -> tuple[str, ...]:
        """The networks that no other beats both in accuracy and in milliseconds."""
        full = [one for one in self.rows if not one.problem and one.dropped_at is None]
        at = {one.backbone: (one.expected or 0.0, -(one.milliseconds or 0.0)) for one in full}
        return tuple(
            name
            for name, own in at.items()
            if not any(o != own and o[0] >= own[0] and o[1] >= own[1] for o in at.values())
        )

    def to_json(self) -> dict[str, Any]:
        """Return the ranking as what a JSON document holds."""
        rest = asdict(self)
        del rest["rows"], rest["chosen"], rest["why"]
        ranking = [asdict(one) for one in self.rows]
        return {"ranking": ranking, "chosen": self.chosen, "why": self.why} | rest


def cells(one: RankedNetwork) -> tuple[str, ...]:
    """Return the figures of a network that was ranked, as a table shows them; shares in %."""
    low, high = one.interval or (0.0, 1.0)
    return (
        f"{one.expected or 0.0:.1%}",
        f"{100 * low:.1f}-{100 * high:.1f}",
        points(one.difference or 0.0, one.difference_error or 0.0, "best"),
        f"{one.milliseconds:.1f}",
        f"{one.megabytes:.1f}",
        str(one.case),
        "" if one.dropped_at is None else f"{one.dropped_at:,}",
    )


def points(difference: float, error: float, nothing: str = "0.0 ± 0.0") -> str:
    """Return a difference in points with its error; ``nothing`` where both are 0."""
    return f"{100 * difference:+.1f} ± {100 * error:.1f}" if difference or error else nothing


def row_of(entry: Entry, best: Entry | None, limits: Allowance) -> RankedNetwork:
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
    )


def choose(entries: Sequence[Entry], limits: Allowance) -> tuple[Entry | None, Entry, str]:
    """Return the network to take, the one others are compared with, and why, in a sentence.

    Of the networks that were not dropped and are within the limits the best is taken; of those
    within one standard error of it, image by image, the one with the least work.
    """
    able = [one for one in entries if one.within(limits) and one.dropped_at is None]
    if not able:
        near = min(entries, key=lambda one: limits.excess(*one.cost))
        took, size = near.cost
        return (
            None,
            leader(entries),
            (
                f"No network is within {limits}: {near.name} is the nearest, "
                f"with {took:.1f} ms and {size:.1f} MB."
            ),
        )
    best = leader(able)
    gaps = {one: difference_of(one, best) for one in able}
    alike = [one for one, (gap, error) in gaps.items() if one is best or gap >= -error]
    taken = min(alike, key=lambda one: (one.work, one.name))
    said = f"{taken.name} is expected to get {taken.share:.1%} of new images right"
    if taken is not best:
        gap = points(*gaps[taken])
        part = f"{taken.work / best.work:.0%} of its work"
        return taken, best, f"{said}: within one standard error of {best.name} ({gap}), at {part}."
    rest = [one for one in able if one is not best]
    if not rest:
        alone = "nobody else could be ranked" if len(entries) == 1 else "all others are behind"
        over = any(not one.within(limits) for one in entries)
        return taken, best, f"{said}; {f'no other is within {limits}' if over else alone}."
    second = leader(rest)
    behind = points(*gaps[second])
    how = "within one standard error, for more work" if second in alike else "the next"
    return taken, best, f"{said}; {second.name} ({behind} points) is {how}."
