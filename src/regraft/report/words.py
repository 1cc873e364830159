"""What a run got and what it means, in sentences."""

import json
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from regraft.data.splits import EACH_ONCE
from regraft.plan.data_place import absolute, data_from
from regraft.plan.definition import Plan
from regraft.plan.naming import stages_named
from regraft.report.charts.frame import short

Metrics = Mapping[str, Any]

NAME = 48
"""Letters of a class's name in a sentence, at most."""


WORD = 24
"""Letters of a word that is not broken."""


class Snippet(NamedTuple):
    """A piece of code that uses the model."""

    title: str
    code: str


def verdict(plan: Plan, metrics: Metrics) -> str:
    """Of what the accuracy is, its interval, and what that means against guessing."""
    low, high = metrics["accuracy_interval"]
    unlearnt = "" if plan.split == EACH_ONCE else ", none of which it learned from"
    return (
        f"of {metrics['n']:,} {plan.judged}{unlearnt}; of ever so many like them {low:.1%} to "
        f"{high:.1%} (95% interval). {against(metrics)}"
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
    what = (
        f"the commonest class, {short(commonest[0], NAME)}," if len(commonest) == 1 else "one class"
    )
    said = f"Always naming {what} would be right for {guess:.1%}"
    if metrics["accuracy_interval"][0] <= guess:
        worse = "no better" if accuracy > guess else "not better at all"
        return f"{said}: within what chance does to so few images, this is {worse}."
    avoided = 1 - (1 - accuracy) / (1 - guess)
    return f"{said}, so it avoids {avoided:.0%} of the mistakes of guessing."


class Commands(NamedTuple):
    """What to type, with the places that this run has; where they are not known, RUN and DATA."""

    predict: str
    serve: str
    table: str
    """What writes the confidence of images into a table."""
    sure: str
    """In Python: what the network is sure of."""
    report: str
    heat: str
    """What shows where the network looked."""
    add: str
    """What uses the labels that somebody corrected."""


def commands(plan: Plan, folder: Path | None, least: float, where: str = "") -> Commands:
    """Return what to type.

    Args:
        plan: says where its images were.
        folder: the run.
        least: a confidence that is asked for in Python.
        where: where its images are, if somebody has said so since.
    """
    run, data = shlex.quote(place(folder)), shlex.quote(images(plan, folder, where))
    told = shlex.quote(images(plan, folder))
    elsewhere = "" if data == told != "DATA" else f" --data {data}"
    suspects = shlex.quote(f"{place(folder)}/suspects.csv")
    return Commands(
        predict=f"regraft predict {run} photo.jpg",
        serve=f"regraft serve {run}",
        table=f"regraft predict {run} photo.jpg --csv",
        sure=f"[one for one in model.predict(images) if one.confidence >= {least:.2f}]",
        report=f"regraft report {run} --data {data}",
        heat=f"regraft report {run} --heat-maps{elsewhere}",
        add=f"regraft fit {data} --add {suspects} --out ANOTHER",
    )


def place(folder: Path | None) -> str:
    """Return where a run lies, so that a command finds it from anywhere."""
    return "RUN" if folder is None else os.path.abspath(folder)


def images(plan: Plan, folder: Path | None, where: str = "") -> str:
    """Return where its images are: where somebody says, else as far as its plan knows."""
    if where:
        return absolute(where)
    if folder is None or not plan.data:
        return "DATA"
    return absolute(data_from(folder, plan))


def quoted(data: str) -> str:
    """Return where images are as it is typed, from anywhere; DATA where that is not known."""
    return shlex.quote(absolute(data)) if data else "DATA"


def start(plan: Plan, folder: Path | None = None, where: str = "") -> str:
    """Return the command that makes this run again."""
    name = plan.backbone.name
    named = [re.sub(r"^--add \(.*", "--add FILE", choice) for choice in plan.overrides]
    choices = [f"-b {name}", *named, f"--seed {plan.seed}"]
    if plan.test_fraction is not None:
        choices.append(f"--test-fraction {plan.test_fraction:g}")
    if plan.mirror and not plan.trainings:
        choices.append("--augment")
    data, run = shlex.quote(images(plan, folder, where)), shlex.quote(place(folder))
    return f"regraft fit {data} {' '.join(choices)} --out {run}"


def snippets(card: str, folder: Path | None = None) -> list[Snippet]:
    """Return the pieces of code of a model card's section *Use*, for the folder of the run."""
    _, _, after = card.partition("\n## Use\n")
    section = after.partition("\n## ")[0]
    found = re.findall(r"^```(\w*)\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    return [Snippet(_titled(kind, code), _at(folder, kind, code.rstrip())) for kind, code in found]


def _at(folder: Path | None, kind: str, code: str) -> str:
    """Name the folder of the run where the card, which may go anywhere, names none."""
    if folder is None:
        return code
    named = json.dumps(place(folder))[1:-1] if kind == "python" else shlex.quote(place(folder))
    return code.replace("THIS_FOLDER", named)


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


def letters(names: Sequence[str]) -> int:
    """Return the letters that a column of names needs at least, so that no word is broken."""
    longest = max(len(word) for name in names for word in (name.split() or [""]))
    return max(min(longest + 1, WORD), 8)


def listed(names: Sequence[str]) -> str:
    """Names in a row."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
