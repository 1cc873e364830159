"""The record of networks side by side: what was measured of each, and which one was chosen."""

from dataclasses import asdict, dataclass
from typing import Any

from regraft.metrics import Interval


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
    """Accuracy above that of the chosen network on the same images (the best, where none is)."""
    difference_error: float | None = None
    """Its standard error, image by image."""
    similarity: float | None = None
    gain: float | None = None
    """Accuracy that training it is expected to add."""
    allowed: bool = False
    """Whether it is within the limits."""
    problem: str = ""
    held: float | None = None
    """The mean probability of the right class, weighed with what is known of other sets: what the
    choice goes by. None of one that was dropped."""

    @property
    def on_axis(self) -> float:
        """Milliseconds as an axis of powers needs them: above 0."""
        return max(self.milliseconds or 0.0, 1e-3)


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
        return " ".join(f"Ranking on {self.dataset}: {self.why}".split())

    def __str__(self) -> str:
        ranked = [
            f"  {one.backbone}: {one.expected:.1%}, {one.milliseconds:.1f} ms"
            if one.expected is not None
            else f"  {one.backbone}: {one.problem}"
            for one in self.rows
        ]
        return "\n".join([f"Ranking on {self.dataset}: {self.why}", *ranked])

    def _repr_html_(self) -> str:
        """Show the networks side by side, in a notebook."""
        from markupsafe import Markup

        from regraft.diagram.summary import bar, isolated, summary
        from regraft.diagram.summary import rows as table_of

        head = (
            "",
            "network",
            "",
            "expected",
            "95%",
            "difference",
            "ms",
            "MB",
            "case",
            "dropped at",
        )
        names = [one.backbone for one in self.measured]
        body = [
            (
                str(n),
                one.backbone,
                bar(one.expected or 0.0, one.interval or (0.0, 1.0)),
                *cells(one),
            )
            for n, one in enumerate(self.measured, start=1)
        ]
        return summary(
            Markup("{}: the networks side by side").format(isolated(self.dataset)),
            about=f"{self.train:,} training images; cross-validated on {self.compared:,} of them.",
            said=[self.why],
            table=table_of(head, body, names.index(self.chosen) if self.chosen else None),
            lists={
                "Of the images": self.remarks,
                "Left out": self.left_out,
                "Not ranked": [f"{one.backbone}: {one.problem}" for one in self.failed],
            },
        )

    @property
    def measured(self) -> list[RankedNetwork]:
        """The networks that have figures."""
        return [one for one in self.rows if not one.problem]

    @property
    def failed(self) -> list[RankedNetwork]:
        """The networks that have none, and a ``problem`` instead."""
        return [one for one in self.rows if one.problem]

    @property
    def compared_rows(self) -> list[RankedNetwork]:
        """The networks that were neither dropped nor fail."""
        return [one for one in self.measured if one.dropped_at is None]

    @property
    def front(self) -> tuple[str, ...]:
        """The networks that no other beats both in accuracy and in milliseconds."""
        at = {
            one.backbone: (one.expected or 0.0, -(one.milliseconds or 0.0))
            for one in self.compared_rows
        }
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
        points(one.difference or 0.0, one.difference_error or 0.0, "–"),
        f"{one.milliseconds:.1f}",
        f"{one.megabytes:.1f}",
        str(one.case),
        "" if one.dropped_at is None else f"{one.dropped_at:,}",
    )


def points(difference: float, error: float, nothing: str = "0.0 ± 0.0") -> str:
    """Return a difference in points with its error; ``nothing`` where both are 0."""
    return f"{100 * difference:+.1f} ± {100 * error:.1f}" if difference or error else nothing
