"""What the pages of all kinds of runs have in common: surgery, evidence, training, use."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

from regraft import diagram
from regraft.data.splits import EACH_ONCE
from regraft.heads.tasks.words import words_of
from regraft.plan import wording
from regraft.plan.decide import alternative
from regraft.plan.definition import Plan
from regraft.plan.events import LogRow
from regraft.report import networks, template, words
from regraft.report.charts import curves
from regraft.report.charts.plane import plane
from regraft.report.references import NETWORK
from regraft.results.result import Result

AUDITED: Final = 200
"""Images left out that are listed; audit.csv has all."""

PARTS: Final = (1, 3, 9, 27, 81)
"""What a page is divided by until it is small enough."""

Section = tuple[str, str]
"""A section's anchor, and its name in the list of contents."""


@dataclass(frozen=True)
class _Training:
    """The training in the page."""

    names: Sequence[str]
    swatches: Sequence[Markup]
    accuracy: Markup
    validation: Markup
    loss: Markup
    chosen: str


def shared(
    result: Result, card: str, data: str, part: int, *, least: float = 0.5
) -> dict[str, Any]:
    """Return what `surgery`, `evidence` and `end` of the templates are given.

    ``data``: where the images are, if not where the plan says; ``part``: what the page is divided
    by; ``least``: a confidence that is asked for in Python.
    """
    plan, metrics = result.plan, result.metrics
    return {
        "plan": plan,
        "metrics": metrics,
        "said": words_of(plan.kind),
        "cut": words.cut(plan),
        "spent": wording.spent(metrics["seconds"]),
        "speed": words.speed(metrics),
        "remarks": wording.remarks(plan, metrics),
        "by_loss": wording.by_loss(plan),
        "averages": plan.evidence.averages,
        **networks.shown(plan.ranking),
        "picture": Markup(diagram.html(diagram.of_plan(plan))),
        "steps": [step.sentence for step in plan.steps()],
        "plane": Markup(plane(plan.evidence, plan.dataset, plan.backbone.name)),
        "referenced": plan.backbone.name == NETWORK,
        "depths": Markup(curves.depth_curve(plan)),
        "ran": metrics.get("candidates", ()),
        "read": _read(plan),
        "curves": _training(plan, result.log),
        "proof": _proof(plan),
        "audit": result.audit,
        "left_out": _left_out(result.audit),
        "origin": _origin(plan),
        "snippets": words.snippets(card, result.folder),
        "commands": words.commands(plan, result.folder, least, data),
        "command": words.start(plan, result.folder, data),
        "time": words.seconds,
        "audited": AUDITED // part,
    }


def drawn_to_fit(drawn: Callable[[int], str]) -> str:
    """Return a page that is small enough.

    One that would be too large is drawn again with less of what there is most of: ``drawn`` takes
    what that is divided by.
    """
    for part in PARTS:
        text = drawn(part)
        if template.size(text) < template.LARGEST:
            break
    return text


def contents(given: Mapping[str, Any], *own: Section) -> list[Section]:
    """Return the sections of a page: its ``own`` between those that all have.

    ``given``: what `shared` returned.
    """
    return [
        ("surgery", "What was done"),
        *([("network", "Which network")] if given["ranking"] else []),
        *own,
        ("candidates", "The evidence"),
        *([("training", "Training")] if given["curves"] else []),
        ("audit", "Left out"),
        ("use", "How to use it"),
        ("made", "How it was made"),
    ]


def rows(
    plan: Plan, scores: Mapping[str, Mapping[str, Any]], key: str, most: int
) -> list[dict[str, Any]]:
    """Return the classes, or labels, in their order; of very many, the worst by ``key`` first."""
    trained = dict(zip(plan.evidence.classes, plan.evidence.per_class, strict=True))
    found = [
        dict(one) | {"name": name, "number": number, "trained": trained.get(name, 0)}
        for number, (name, one) in enumerate(scores.items(), start=1)
    ]
    # Those without a held-out image come last: how well they are told is not known.
    order = sorted(found, key=lambda one: (not one["n"], one[key] or 0.0))
    return found if len(found) <= most else order[:most]


def _training(plan: Plan, log: Sequence[LogRow]) -> _Training | None:
    found = curves.trained(log)
    if not found:
        return None
    at = curves.handed_over(found, plan)
    return _Training(
        [one.name for one in found],
        [Markup(curves.swatch(n)) for n in range(len(found))],
        Markup(curves.accuracy_curve(found, at, plan.kind)),
        Markup(curves.validation_curve(found, at)),
        Markup(curves.loss_curve(found, at)),
        wording.unchanged(plan)
        if at is None
        else f"Handed over: {at[0]} as it was after epoch {at[1]}, marked large.",
    )


def _read(plan: Plan) -> list[dict[str, Any]]:
    """Return what the new layer could have read, the most accurate first."""
    evidence, work = plan.evidence, plan.backbone.multiply_adds_to
    chosen = evidence.probes[evidence.chosen]
    counts = chosen.weights if evidence.averages else {}
    found = []
    for probe in evidence.probes:
        one = alternative(plan.backbone, evidence, probe)
        found.append(
            {
                "name": one.name,
                "case": one.case,
                "accuracy": one.accuracy,
                "interval": one.interval,
                "parameters": one.parameters,
                "work": work[probe.taps[-1]] / max(work[-1], 1),
                "chosen": probe is chosen,
                "counts": counts.get(probe.taps[0], 0.0) if len(probe.taps) == 1 else None,
            }
        )
    return sorted(found, key=lambda one: -one["accuracy"])


def _left_out(audit: Sequence[tuple[str, str, str]]) -> str:
    counts = Counter(reason for _, reason, _ in audit)
    return ", ".join(f"{count:,} {reason}" for reason, count in counts.most_common())


def _proof(plan: Plan) -> str:
    """Which images the figures are of, and why."""
    if plan.split != EACH_ONCE:
        return ""
    said = (
        f"A fifth of so few images would prove little. So each of {plan.test:,} was held out "
        "once, some at a time, and judged by a network that was chosen, fitted and calibrated anew "
        "without them. The network that is handed over is made of all of them."
    )
    return f"{said} {wording.once(plan)}".rstrip()


def _origin(plan: Plan) -> str:
    return {
        "test": "the data’s own test split",
        "val": "the data’s own validation split",
        EACH_ONCE: "each once, in turn, copies together; the network is made of all",
    }.get(plan.split, "chosen by regraft, class by class, copies kept together")
