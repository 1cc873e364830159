"""What to label next: the images in their order, and how that was chosen."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from regraft.acquire.replay import FEWEST, Replay

HEAD = ("", "image", "looks like", "confidence")
COLUMNS = ("path", "suggestion", "confidence", "known", "belief", "rank", "label")
"""Of ``next.csv``; the last is empty, for a person to fill in."""


@dataclass(frozen=True)
class Unlabelled:
    """An image of the pool. ``rank`` 1 is to be labelled first; a stranger has none.

    ``suggestion`` and ``confidence``: what it is taken for; ``known`` and ``belief`` as in
    `regraft.results.result.Prediction`.
    """

    path: str
    rank: int | None
    suggestion: str
    confidence: float
    known: bool | None = None
    belief: float | None = None


@dataclass(frozen=True)
class Queue:
    """Which images of a pool to label next.

    ``images``: these, in their order; ``strangers``: images that look like none of the classes, the
    strangest first, which are not among them. ``by``: ``doubt`` or ``random``. ``pool``: images
    that could be chosen from; ``labelled``: those of the pool that the run has seen already;
    ``unread``: (path, problem).
    """

    run: str
    by: str
    why: str
    images: tuple[Unlabelled, ...]
    strangers: tuple[Unlabelled, ...]
    replay: Replay | None
    pool: int
    labelled: int
    unread: tuple[tuple[str, str], ...]

    def __repr__(self) -> str:
        why = " ".join(self.why.split())
        return f"Queue of {len(self.images):,} of {self.pool:,} images to label next: {why}"

    def _repr_html_(self) -> str:
        """Show which images to label and why these, in a notebook."""
        from regraft.diagram.summary import rows as table_of
        from regraft.diagram.summary import summary

        body = [
            (str(one.rank), one.path, one.suggestion, f"{one.confidence:.1%}")
            for one in self.images
        ]
        return summary(
            f"{len(self.images):,} of {self.pool:,} images to label next",
            said=[self.why],
            table=table_of(HEAD, body, texts=(1, 2)) if body else None,
            lists={
                "Like none of the classes": [one.path for one in self.strangers],
                "Not read": [f"{path}: {problem}" for path, problem in self.unread],
            },
        )

    def __str__(self) -> str:
        return "\n".join(
            [
                f"{len(self.images):,} of {self.pool:,} images to label next, by {self.by}:",
                *(f"  {one.rank}. {one.path}" for one in self.images[:10]),
                *(["  ..."] if len(self.images) > 10 else []),
                f"  {self.why}",
            ]
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        replay = None if self.replay is None else self.replay.to_json()
        unread = [{"path": path, "problem": problem} for path, problem in self.unread]
        return asdict(self) | {"replay": replay, "unread": unread}

    def rows(self) -> Iterator[Sequence[object]]:
        """Yield the rows of ``next.csv``: those to label in their order, then the strangers."""
        for one in (*self.images, *self.strangers):
            known = "" if one.known is None else str(one.known).lower()
            belief = "" if one.belief is None else f"{one.belief:.4g}"
            rank = "" if one.rank is None else one.rank
            yield one.path, one.suggestion, f"{one.confidence:.4f}", known, belief, rank, ""


def reason(replay: Replay | None, by: str, count: int, *, learnt: bool, asked: bool) -> str:
    """Say in words why ``count`` images are chosen ``by`` that.

    ``learnt``: whether the network tells the classes apart; ``asked``: a person said how.
    """
    if not count:
        return "None is chosen: all of them look like none of the classes."
    how = {"doubt": "Chosen by what the network is unsure of.", "random": "Drawn at random."}[by]
    if not learnt:
        return f"{how} The network does not tell the classes apart yet, so its doubt says nothing."
    if replay is None:
        few = f"fewer than {FEWEST} labelled images, or than four a class, are too few to replay"
        return f"{how} Whether choosing pays here is not known: {few}."
    told = f"{how} {_told(replay)}"
    if by == "random" and not asked:
        return f"{told} So choosing saves nothing here."
    return told


def _told(replay: Replay) -> str:
    """Return what the replay found, in a sentence."""
    figures = (
        f"{replay.chosen:.1%} right, {replay.random:.1%} with as many at random, "
        f"{replay.before:.1%} before; difference {100 * replay.gain:+.1f} points, standard error "
        f"{100 * replay.error:.1f}"
    )
    start, added = f"{replay.start:,}", f"{replay.added:,}"
    if replay.same_as is None:
        same = f"more than all {replay.pool:,} that there were"
    else:
        same = f"what {round(replay.same_as):,} drawn at random would do"
    return (
        f"Replayed on the labelled images, from {start} of them on: {added} more, chosen so, do "
        f"{same} ({figures})."
    )
