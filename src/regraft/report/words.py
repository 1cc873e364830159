"""What a run got and what it means, in sentences."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from regraft.plan.definition import Plan
from regraft.plan.naming import stages_named

Metrics = Mapping[str, Any]


class Snippet(NamedTuple):
    """A piece of code that uses the model."""

    title: str
    code: str


def verdict(plan: Plan, metrics: Metrics) -> str:
    """Case, cut, accuracy with interval, and what that means against guessing."""
    low, high = metrics["accuracy_interval"]
    return (
        f"{plan.title}. {cut(plan)} On {metrics['n']:,} {plan.judged} it is right for "
        f"{metrics['accuracy']:.1%} (95% interval {low:.1%} to {high:.1%}). {against(metrics)}"
    )


def cut(plan: Plan) -> str:
    """Where the network is cut, and what the new layer reads."""
    reads = f"the new layer reads the output of {stages_named(plan.backbone, plan.taps)}"
    if not plan.dropped:
        return f"Only the old head is cut off; {reads}."
    return f"It is cut after {plan.kept[-1]}, {listed(plan.dropped)} cut off; {reads}."


def against(metrics: Metrics) -> str:
    """Return what the accuracy is worth, against always naming the commonest class."""
    accuracy, guess = metrics["accuracy"], metrics["guess"]
    most = max(one["n"] for one in metrics["per_class"].values())
    commonest = [name for name, one in metrics["per_class"].items() if one["n"] == most]
    what = f"the commonest class, {commonest[0]}," if len(commonest) == 1 else "one class"
    said = f"Always naming {what} would be right for {guess:.1%}"
    if metrics["accuracy_interval"][0] <= guess:
        worse = "no better" if accuracy > guess else "not better at all"
        return f"{said}: within what chance does to so few images, this is {worse}."
    return f"{said}, so {1 - (1 - accuracy) / (1 - guess):.0%} of its mistakes are gone."


def start(plan: Plan) -> str:
    """Return the command that makes this run again."""
    name = plan.backbone.name
    named = [re.sub(r"^--add \(.*", "--add FILE", choice) for choice in plan.overrides]
    choices = [f"-b {name}", *named, f"--seed {plan.seed}"]
    if plan.test_fraction is not None:
        choices.append(f"--test-fraction {plan.test_fraction:g}")
    if plan.mirror and not plan.trainings:
        choices.append("--augment")
    return f"regraft fit DATA {' '.join(choices)} --out RUN"


def snippets(card: str) -> list[Snippet]:
    """Return the pieces of code of a model card's section *Use*."""
    _, _, after = card.partition("\n## Use\n")
    section = after.partition("\n## ")[0]
    found = re.findall(r"^```(\w*)\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    return [Snippet(_titled(kind, code), code.rstrip()) for kind, code in found]


def _titled(kind: str, code: str) -> str:
    if kind in ("sh", "bash", "shell", "console"):
        return "On the command line"
    return "In Python" if "import regraft" in code else "In Python, without regraft"


def speed(metrics: Metrics) -> str:
    """Return how fast the network runs.

    '' for a run of an earlier version, which told the cache's too.
    """
    if "images_from_cache" not in metrics:
        return ""
    pace, known = f"{metrics['images_per_second']:,.0f} images/s", metrics["images_from_cache"]
    return (
        f"{metrics['engine']} runs the network at {pace} there, reading and decoding them not "
        f"counted; {known:,} images were known to the cache."
    )


def seconds(value: float) -> str:
    """Return a time as people say it."""
    if value < 10:
        return f"{value:.2g} s" if value < 1 else f"{value:.1f} s"
    return f"{value:.0f} s" if value < 120 else f"{value / 60:.1f} minutes"


def listed(names: Sequence[str]) -> str:
    """Names in a row."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
