"""Which images of a pool to label next, by a run that is there."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regraft.acquire.queue import Queue, Unlabelled, reason
from regraft.acquire.replay import Replay, replayed
from regraft.acquire.selection import doubt_of, metric_of, unsure_first
from regraft.data.audit import marks
from regraft.data.dataset import some
from regraft.data.images import Facts
from regraft.data.kinds import HAS, ONE
from regraft.data.readers.folder import images_below
from regraft.data.readers.pictures import several
from regraft.errors import DataError, RunError, UsageError
from regraft.heads.known import LIMIT
from regraft.results.files import LABELLED_FILE
from regraft.results.labelled import Labelled, read_labelled
from regraft.results.load import load
from regraft.results.result import Picture, Result, name_of

BY = ("auto", "doubt", "random")

USUAL = 0.0095, 0.005
"""By how much chosen images beat as many at random on other sets, in accuracy: the mean, and how
far sets may lie from it, of which thirteen showed no more than noise (``docs/benchmarks.md``)."""


def next_to_label(
    run: str | os.PathLike[str] | Result,
    pool: Picture | Sequence[Picture],
    *,
    count: int = 50,
    by: str = "auto",
    seed: int = 0,
    network: object | None = None,
) -> Queue:
    """Name the images of an unlabelled pool that are worth most with a label.

    Those that the network is unsure of, spread over what it sees in them; images that look like
    none of the classes apart. Before that the choice is replayed on the labelled images, against
    drawing at random.

    Args:
        run: a RUN folder, or a result.
        pool: a folder, below which all images are taken, or a list of images as for
            `regraft.Result.predict`. Images that the run was made of are passed over, and of
            copies all but the first.
        count: how many to name.
        by: ``doubt``, ``random``, or ``auto``: at random where choosing saves nothing.
        seed: of what is drawn.
        network: of a RUN of a network of your own, as for `regraft.load`.

    Raises:
        UsageError: a count below 1, a ``by`` of another name, or a RUN of several labels or of a
            number.
        RunError: no RUN, a damaged one, or one of an earlier version, which lacks what this needs.
        DataError: no image of the pool can be used.
    """
    _check(count, by)
    result = run if isinstance(run, Result) else load(run, network=network)
    if result.kind != ONE:
        raise UsageError(
            "What to label next is chosen by the doubt between classes, and in "
            f"'{result.folder or result.plan.dataset}' an image has {HAS[result.kind]}.",
            [f"{_INSTEAD[result.kind]} of each image: regraft predict RUN POOL --csv."],
        )
    labelled = _labelled(result)
    pool_ = _looked(result, _pictures(pool))
    fresh, seen = _fresh(pool_, labelled)
    if not len(fresh):
        raise DataError("There is no image to choose from.", _nothing(seen, pool_.unread))
    strange = pool_.strange[fresh]
    free, strangers = fresh[~strange], fresh[strange]
    count = min(count, len(free))
    learnt = result.plan.evidence.learnt
    replay = _replay(result, labelled, count, seed) if learnt and count else None
    chosen_by = by if by != "auto" else "doubt" if learnt and pays(replay) else "random"
    order = np.random.default_rng(seed).permutation(len(free))[:count]
    if chosen_by == "doubt":
        order = _unsure(result, labelled, pool_, free, count)
    return Queue(
        run=str(result.folder or result.plan.dataset),
        by=chosen_by,
        why=reason(replay, chosen_by, count, learnt=learnt, asked=by != "auto"),
        images=tuple(pool_.named(n, k) for k, n in enumerate(free[order].tolist(), start=1)),
        strangers=tuple(pool_.named(n, None) for n in pool_.strangest(strangers).tolist()),
        replay=replay,
        pool=len(fresh),
        labelled=seen,
        unread=pool_.unread,
    )


_INSTEAD = {
    "several": "Label those of middling probabilities; the table has those",
    "number": "Label some drawn at random; the table has the number and its interval",
}


def pays(replay: Replay | None, usual: tuple[float, float] = USUAL) -> bool:
    """Whether choosing is expected to beat chance: by the replay, and by what other sets say.

    The mean of the normal that both make, each weighed by its precision: a replay of few images has
    a large error, and then other sets count more.
    """
    mean, spread = usual
    if replay is None:
        return mean > 0
    own, other = 1 / max(replay.error, 1e-4) ** 2, 1 / spread**2
    return own * replay.gain + other * mean > 0


def _check(count: int, by: str) -> None:
    problems = [] if count >= 1 else [f"count must be 1 or more, got {count}"]
    problems += [] if by in BY else [f"by must be one of {', '.join(BY)}, got {by!r}"]
    if problems:
        raise UsageError("What is asked for cannot be.", problems)


def _labelled(result: Result) -> Labelled:
    """Return what the run kept of its labelled images."""
    found = result.labelled
    if found is None and result.folder is not None:
        found = read_labelled(result.folder, result.plan.inputs, len(result.classes))
    if found is None:
        raise RunError(
            f"'{result.folder or result.plan.dataset}' keeps nothing of its labelled images.",
            [f"It has no {LABELLED_FILE}, as earlier versions wrote none: make it anew with fit."],
        )
    return found


def _pictures(pool: Picture | Sequence[Picture]) -> Sequence[Picture]:
    """Return the images of a folder, or those of a list."""
    if isinstance(pool, str | os.PathLike) and os.path.isdir(pool):
        found = images_below(os.fspath(pool))[0]
        if not found:
            raise DataError(f"There is no image below '{pool}'.")
        return [os.path.join(os.fspath(pool), path) for path in found]
    return several(pool)


@dataclass(frozen=True, eq=False)
class _Pool:
    """The images of the pool: their names, what they are, and what the run says of them."""

    names: Sequence[str]
    classes: Sequence[str]
    facts: Sequence[Facts]
    features: NDArray[np.float16]
    shares: NDArray[np.floating]
    beliefs: NDArray[np.float64] | None
    """[n]; None where the run cannot tell."""

    @property
    def unread(self) -> tuple[tuple[str, str], ...]:
        """Paths of images that cannot be used, and why."""
        pairs = zip(self.names, self.facts, strict=True)
        return tuple((name, one.detail or one.problem) for name, one in pairs if one.problem)

    @property
    def strange(self) -> NDArray[np.bool_]:
        """Which images look like none of the classes, ``[n]``."""
        if self.beliefs is None:
            return np.zeros(len(self.names), bool)
        strange: NDArray[np.bool_] = self.beliefs <= LIMIT
        return strange

    def strangest(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return the rows, the one that is believed in least first."""
        return rows if self.beliefs is None else rows[np.argsort(self.beliefs[rows], kind="stable")]

    def named(self, n: int, rank: int | None) -> Unlabelled:
        """Return what is said of an image."""
        best = int(self.shares[n].argmax())
        return Unlabelled(
            path=self.names[n],
            rank=rank,
            suggestion=self.classes[best],
            confidence=float(self.shares[n, best]),
            known=None if self.beliefs is None else not self.strange[n],
            belief=None if self.beliefs is None else float(self.beliefs[n]),
        )


def _looked(result: Result, pictures: Sequence[Picture]) -> _Pool:
    """Return what the run says of the pool, in one pass."""
    looked = result.look(pictures)
    features = looked.features[0]
    shares, told = result.judged(features)
    beliefs = None if result.known is None else np.array(told, np.float64)
    names = [name_of(image, n) for n, image in enumerate(pictures)]
    return _Pool(names, result.classes, looked.facts, features, shares, beliefs)


def _fresh(pool: _Pool, labelled: Labelled) -> tuple[NDArray[np.intp], int]:
    """Return the images to choose from, and how many others the run has seen."""
    usable = np.flatnonzero([not one.problem for one in pool.facts])
    names = marks(pool.facts[n].digest for n in usable.tolist())
    first = np.sort(np.unique(names, return_index=True)[1])
    seen = np.isin(names[first], labelled.seen)
    return usable[first[~seen]], int(seen.sum())


def _nothing(seen: int, unread: Sequence[tuple[str, str]]) -> list[str]:
    said = [f"{seen:,} are images that the run was made of"] if seen else []
    return said + some([f"{path}: {problem}" for path, problem in unread])


def _widths(result: Result) -> tuple[int, ...]:
    """Return the widths of what the new layer reads."""
    return tuple(result.plan.backbone.widths[tap] for tap in result.plan.taps)


def _replay(result: Result, labelled: Labelled, count: int, seed: int) -> Replay | None:
    return replayed(
        labelled.features,
        _widths(result),
        labelled.labels,
        labelled.groups,
        share=count / max(result.plan.evidence.images, 1),
        seed=seed,
    )


def _unsure(
    result: Result, labelled: Labelled, pool: _Pool, rows: NDArray[np.intp], count: int
) -> NDArray[np.intp]:
    """Return places among ``rows`` of the pool, in the order in which to label them."""
    metric = metric_of(labelled.features, _widths(result))
    return unsure_first(
        doubt_of(pool.shares[rows]), metric(pool.features[rows]), metric(labelled.features), count
    )
