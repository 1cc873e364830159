"""Sentences that say what was measured, whichever way it came out."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from regraft.look.probes import Curve, gap


@dataclass(frozen=True)
class ProbedTask:
    """One task and what came out: of the network as it is, and with random weights.

    ``name``: what is told, as it begins a sentence; ``short``: in a word or two; ``level``: what
    it stands for in the saying that a network sees edges, then shapes, then whole features.
    """

    name: str
    short: str
    level: str
    classes: int
    images: int
    curve: Curve
    untrained: Curve | None = None


def sentences(task: ProbedTask, stages: Sequence[str]) -> list[str]:
    """Return what one task's curve shows."""
    curve = task.curve
    if not curve.told:
        return [
            f"{task.name} cannot be told from any stage: {_at(curve, curve.peak, stages)} is the "
            f"best, and {chance(curve)} is chance."
        ]
    said = [
        f"{task.name} is told best after {_at(curve, curve.peak, stages)}{_plateau(curve, stages)}."
    ]
    said += _course(curve, stages)
    return said + (_against(task, stages) if task.untrained else [])


def percent(share: float) -> str:
    """Return a share as people read it."""
    return f"{100 * share:.0f}\u00a0%"


def chance(curve: Curve) -> str:
    """Return the accuracy of guessing, which is often no whole number."""
    return f"{100 * curve.chance:.3g}\u00a0%"


def spoken(stages: Sequence[str]) -> list[str]:
    """Names of stages as they stand after the word "after"."""
    return ["the last stage" if name == "last" else name for name in stages]


def spread(interval: tuple[float, float]) -> str:
    """Return an interval of shares."""
    return f"{100 * interval[0]:.0f} to {percent(interval[1])}"


def named(places: Sequence[int], stages: Sequence[str]) -> str:
    """Stages by name: a run of them by its ends."""
    if len(places) > 2 and places[-1] - places[0] == len(places) - 1:
        return f"{stages[places[0]]} to {stages[places[-1]]}"
    names = [stages[place] for place in places]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _at(curve: Curve, stage: int, stages: Sequence[str]) -> str:
    """Return a stage with its accuracy and interval."""
    return (
        f"{stages[stage]} ({percent(curve.accuracies[stage])}, 95\u00a0% interval "
        f"{spread(curve.intervals[stage])})"
    )


def _plateau(curve: Curve, stages: Sequence[str]) -> str:
    others = [stage for stage in curve.plateau if stage != curve.peak]
    if len(curve.right) == 1:
        return ", the only stage there is"
    if not others:
        return ", beyond noise better than after any other"
    does = "does" if len(others) == 1 else "do"
    return f"; {named(others, stages)} {does} as well within noise"


def course(curve: Curve) -> str:
    """Return how a curve runs.

    ``flat``, ``rises``, ``falls``, ``peaks`` between, ``dips`` between.
    """
    last, plateau = len(curve.right) - 1, curve.plateau
    if len(plateau) == last + 1:
        return "flat"
    match 0 in plateau, last in plateau:
        case True, True:
            return "dips"
        case True, False:
            return "falls"
        case False, True:
            return "rises"
    return "peaks"


def _course(curve: Curve, stages: Sequence[str]) -> list[str]:
    """Where it comes from and where it goes."""
    first, last = percent(curve.accuracies[0]), percent(curve.accuracies[-1])
    best = percent(curve.accuracies[curve.peak])
    match course(curve):
        case "rises":
            before = f"It rises from {first} after {stages[0]}"
            plateau = curve.plateau
            if plateau[-1] - plateau[0] >= len(plateau):
                return [f"{before}; between the stages that do as well it is lower."]
            return [f"{before} and does not fall again beyond noise."]
        case "falls":
            return [f"From there it falls, to {last} after {stages[-1]}."]
        case "peaks":
            return [
                f"It rises from {first} after {stages[0]} to {best}, and falls to {last} after "
                f"{stages[-1]}."
            ]
        case "dips":
            return ["Between its ends it is lower."]
    return ["No stage differs from the best beyond noise."] if len(stages) > 1 else []


def _against(task: ProbedTask, stages: Sequence[str]) -> list[str]:
    """Return the network as it is against random weights, each at its best stage."""
    assert task.untrained is not None
    other = task.untrained
    mean, low, high = gap(task.curve.right[task.curve.peak], other.right[other.peak])
    best = f"With random weights the best is {_at(other, other.peak, stages)}"
    points = f"{100 * abs(mean):.0f} points"
    if low <= 0 <= high:
        return [f"{best}: a difference of {points} that lies within noise."]
    least, most = sorted((100 * abs(low), 100 * abs(high)))
    between = f"95\u00a0% interval {least:.0f} to {most:.0f}"
    verb = "training adds" if mean > 0 else "training takes away"
    return [f"{best}: {verb} {points} ({between})."]


# --- the order of the tasks ----------------------------------------------------------------------


def before(one: Curve, other: Curve) -> int:
    """1 where one task peaks before the other, -1 where after, 0 where noise leaves it open."""
    if one.plateau[-1] < other.plateau[0]:
        return 1
    return -1 if other.plateau[-1] < one.plateau[0] else 0


def verdict(tasks: Sequence[ProbedTask], stages: Sequence[str]) -> str:
    """Return whether edges come first, then shapes, then whole features, in this network."""
    told = [task for task in tasks if task.curve.told]
    if len(told) < 2 or len(stages) < 2:
        return "Which comes first cannot be said: it takes two stages, and two tasks that are told."
    orders = [before(one.curve, other.curve) for one, other in pairwise(told)]
    first, *rest = [task.level for task in told]
    claim = ", ".join([f"First {first}", *(f"then {level}" for level in rest)])
    facts = ", ".join(f"{task.short} after {named(task.curve.plateau, stages)}" for task in told)
    order = "; ".join(
        _ORDER[sign].format(one.short, other.short)
        for sign, (one, other) in zip(orders, pairwise(told), strict=True)
    )
    untold = " ".join(f"No stage tells {task.short}." for task in tasks if not task.curve.told)
    return f"{claim}: {_outcome(orders)} Told best are {facts}. So {order}. {untold}".strip()


_ORDER = {
    1: "{0} come before {1}",
    0: "the order of {0} and {1} lies within noise",
    -1: "{0} come after {1}",
}


def _outcome(orders: Sequence[int]) -> str:
    """Return what the measured orders of neighbours make of the claim."""
    if -1 in orders:
        return "with these pictures this network does not show that."
    if all(orders):
        return "so it is in this network."
    return "this network shows a part of that." if any(orders) else "that stays open here."
