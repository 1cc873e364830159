"""Which of the ranked networks to take, and why."""

from collections.abc import Mapping, Sequence

from regraft.plan.ranked import points
from regraft.rank.ranking import Allowance, Entry, difference_of
from regraft.rank.strength import Prior, strengths

TIE = 0.005
"""Accuracy that is not worth more work: of networks that are held to be so near the best one, the
one with the least work is taken. Half a point lost nothing on 13 sets, a whole one did."""


def choose(
    entries: Sequence[Entry], limits: Allowance, priors: Mapping[str, Prior] | None = None
) -> tuple[Entry | None, Entry, str]:
    """Return the network to take, the one others are compared with, and why, in a sentence."""
    running = [one for one in entries if one.dropped_at is None]
    held = strengths(running, priors)
    able = [one for one in running if one.within(limits)]
    if not able:
        near = min(entries, key=lambda one: limits.excess(*one.cost))
        took, size = near.cost
        said = f"No network is within {limits}: {near.name} is the nearest, "
        return (
            None,
            max(running, key=lambda one: held[one].mean),
            (f"{said}with {took:.1f} ms and {size:.1f} MB."),
        )
    top = max(held[one].mean for one in able)
    alike = [one for one in able if held[one].mean >= top - TIE]
    taken = min(alike, key=lambda one: (one.work, one.name))
    said = f"{taken.name} is expected to get {taken.share:.1%} of new images right"
    rest = [one for one in able if one is not taken]
    if not rest:
        alone = "nobody else could be ranked" if len(entries) == 1 else "all others are behind"
        over = any(not one.within(limits) for one in entries)
        return taken, taken, f"{said}; {f'no other is within {limits}' if over else alone}."
    second = max(rest, key=lambda one: held[one].mean)
    return taken, taken, f"{said}; {_beside(taken, second, second in alike)}."


def _beside(taken: Entry, second: Entry, alike: bool) -> str:
    """Return what speaks for a network against the next one."""
    gap, error = difference_of(second, taken)
    told = points(gap, error)
    if alike:
        return f"{second.name} ({told} points) is as good, for {_times(second.work, taken.work)}"
    if gap <= 0:
        return f"{second.name} ({told} points) is the next"
    return (
        f"{second.name} had {told} points in cross-validation, but was less sure of the right "
        "classes or does worse on other sets"
    )


def _times(work: int, other: int) -> str:
    return f"{work / other:.1f} times the work"
