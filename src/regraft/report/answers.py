"""The first screen of a run's page: what somebody wants to know of it, each with its answer.

A run of an earlier version did not ask all of it; then that is the answer.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from regraft.plan import wording
from regraft.plan.definition import Plan
from regraft.report.charts.frame import short
from regraft.report.words import NAME, verdict

Metrics = Mapping[str, Any]

OLDER = "This run was made by a version that did not ask."
"""The answer where there is none."""


@dataclass(frozen=True)
class Answer:
    """A question, its answer in a word or figure, what is to be said, and where there is more."""

    question: str
    figure: str
    said: str
    anchor: str = ""
    name: bool = False
    """Whether the figure is the name of a class."""


def answers(plan: Plan, metrics: Metrics) -> list[Answer]:
    """Return them in the order in which they are asked."""
    accuracy = Answer(
        "How often is it right?",
        f"{metrics['accuracy']:.1%}",
        verdict(plan, metrics),
        "classes",
    )
    return [accuracy, _weakest(metrics), _labels(metrics), _unknown(metrics), _more(plan, metrics)]


def _weakest(metrics: Metrics) -> Answer:
    """Return the class that is found least often, and what it is taken for."""
    names = list(metrics["per_class"])
    known = {name: one for name, one in metrics["per_class"].items() if one["n"]}
    ask = "Which class is hardest?"
    worst = min(known, key=lambda name: (known[name]["recall"], -known[name]["n"]))
    n, place = known[worst]["n"], names.index(worst)
    row = metrics["confusion"][place]
    missed = n - row[place]
    untold = len(names) - len(known)
    rest = f" Of {untold:,} classes no image was held out." if untold else ""
    if not missed:
        return Answer(
            ask, "none", f"None of the {metrics['n']:,} images was missed.{rest}", "mixed"
        )
    most, first = max((count, -p) for p, count in enumerate(row) if p != place)
    others = "the other one is" if missed == 1 else "most of the others are"
    if most * 2 <= missed:
        others = f"{most:,} of the others {'is' if most == 1 else 'are'}"
    said = (
        f"{n - missed:,} of {n:,} are found; {others} taken for {short(names[-first], NAME)}.{rest}"
    )
    return Answer(ask, worst, said, "mixed", name=True)


def _labels(metrics: Metrics) -> Answer:
    ask = "Are labels wrong?"
    if "suspects" not in metrics:
        return Answer(ask, "not known", OLDER)
    count = metrics["suspects"]["count"]
    told = metrics["suspects"]["expected"] is not None
    figure = f"{count:,} suspect{'' if count == 1 else 's'}" if told else "not known"
    return Answer(ask, figure, wording.suspects(metrics), "labels")


def _unknown(metrics: Metrics) -> Answer:
    """Return how pictures of something else are told."""
    ask = "Does it notice pictures of something else?"
    found = metrics.get("unknown")
    if found is None:
        return Answer(ask, "not known", OLDER)
    if (1 + found["own"]) * found["limit"] < 1:
        few = f"{found['own']:,} images are too few to tell: all are taken for known."
        return Answer(ask, "no", few, "unknown")
    if found["auroc"] is None:
        said = "It marks what is like no training image; how often rightly was not measured."
        return Answer(ask, "not known", said, "unknown")
    caught = 1 - found["accepted"]
    figure = "hardly" if found["auroc"] < wording.TOLD else f"{caught:.0%} of them"
    said = (
        f"That many pictures of a class it never saw are marked as unknown, and "
        f"{1 - found['kept']:.0%} of its own by mistake."
        if figure != "hardly"
        else "Pictures of a class it never saw look to it like its own: do not rely on it."
    )
    return Answer(ask, figure, said, "unknown")


def _more(plan: Plan, metrics: Metrics) -> Answer:
    """Return what more images would bring."""
    ask = "Would more photos help?"
    curve = plan.learning_curve
    if curve is None:
        return Answer(ask, "not known", OLDER)
    if curve.untold:
        return Answer(ask, "not known", f"It cannot be told: {curve.untold}.", "more")
    points = curve.times(2).accuracy - curve.today.accuracy
    if points < 0.0005:
        return Answer(ask, "hardly", wording.how_many(plan, metrics)[1], "more")
    whose = " of the frozen network" if plan.trainings or plan.start else ""
    said = " ".join(_sentences(plan, whose))
    return Answer(ask, f"+{100 * points:.1f} points", said, "more")


def _sentences(plan: Plan, whose: str) -> Iterator[str]:
    curve = plan.learning_curve
    assert curve is not None, "only a curve is put into sentences"
    twice = curve.times(2)
    low, high = twice.interval
    yield (
        f"Expected{whose} of twice as many ({twice.images:,}): {twice.accuracy:.1%} instead of "
        f"{curve.today.accuracy:.1%} ({low:.1%} to {high:.1%}, 9 times of 10)."
    )
    if curve.wants:
        yield f"Most of all of {curve.wants[0].name}."
