"""Which of the ranked networks to take, and why."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from regraft.plan.ranked import points
from regraft.rank.ranking import Allowance, Entry, difference_of
from regraft.rank.strength import Prior, Strengths, hopeless, strengths

TIE = 0.002
"""Of networks that are held to be so near the best one, the one with the least work is taken."""


class Choice(NamedTuple):
    """The network to take, the one that others are compared with, why, and what each is held for.

    ``held`` has those that were not dropped.
    """

    taken: Entry | None
    beside: Entry
    why: str
    held: Strengths


def choose(
    entries: Sequence[Entry], limits: Allowance, priors: Mapping[str, Prior] | None = None
) -> Choice:
    """Return which network to take, and why, in a sentence."""
    running = [one for one in entries if one.dropped_at is None]
    held = strengths(running, priors)
    able = [one for one in running if one.within(limits)]
    if not able:
        near = min(entries, key=lambda one: limits.excess(*one.cost))
        took, size = near.cost
        why = (
            f"No network is within {limits}: {near.name} is the nearest, "
            f"with {took:.1f} ms and {size:.1f} MB."
        )
        return Choice(None, max(running, key=held.of), why, held)
    top = max(held.of(one) for one in able)
    alike = [one for one in able if held.of(one) >= top - TIE]
    taken = min(alike, key=lambda one: (one.work, one.name))
    said = f"{taken.name} is expected to get {taken.share:.1%} of new images right"
    rest = [one for one in able if one is not taken and _is_near(held, one, taken)]
    gone = [one for one in entries if one.dropped_at is not None and one.within(limits)]
    if rest:
        second = max(rest, key=held.of)
        beside = _beside(taken, second, second in alike)
    elif gone:
        last = max(gone, key=lambda one: (one.dropped_at or 0, *(one.behind or (0.0, 0.0))))
        beside = _dropped(taken, last)
    elif len(able) > 1:
        within = "" if len(able) == len(entries) else f" within {limits}"
        beside = f"all others{within} are behind"
    elif len(entries) > 1:
        beside = f"no other is within {limits}"
    else:
        beside = "nobody else could be ranked"
    return Choice(taken, taken, f"{said}; {beside}.", held)


def _is_near(held: Strengths, one: Entry, taken: Entry) -> bool:
    """Return whether somebody could ask why it was not taken."""
    return not hopeless(held, one, taken) or difference_of(one, taken)[0] > 0


def _beside(taken: Entry, second: Entry, alike: bool) -> str:
    """Return what speaks for a network against the next one."""
    gap, error = difference_of(second, taken)
    told = points(gap, error)
    if alike:
        times = second.work / taken.work
        return f"{second.name} ({told} points) is as good, for {times:.1f} times the work"
    if gap <= 0:
        return f"{second.name} ({told} points) is the next"
    return f"{second.name} had {told} points in cross-validation, but {_though(taken, second)}"


def _dropped(taken: Entry, last: Entry) -> str:
    """Return what is said of who was dropped last, where nobody else is near."""
    behind = last.behind or (0.0, 0.0)
    told = f"{points(*behind)} points after {last.dropped_at:,} images"
    if behind[0] < 0:
        return f"all others are behind, {last.name} ({told}) the least"
    return f"of the others {last.name} comes nearest ({told}), but {_though(taken, last)}"


def _though(taken: Entry, other: Entry) -> str:
    """Return why a network is not taken that got as many images right."""
    own, its = taken.found, other.found
    _, a, b = np.intersect1d(own.images, its.images, return_indices=True)
    surer = own.belief[a].mean() > its.belief[b].mean()
    return "was less sure of the right classes" if surer else "does worse on other sets"
