"""The page of a comparison."""

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from markupsafe import Markup

from regraft import backbones, diagram
from regraft.backbones import Backbone
from regraft.diagram import Scene
from regraft.heads.tasks.words import words_of
from regraft.report import template
from regraft.report.charts import curves
from regraft.report.words import place, quoted, seconds

BESIDE: Final = {
    "one": (
        ("balanced", "balanced_accuracy", "{:.1%}"),
        ("log loss", "log_loss", "{:.3f}"),
        ("calibration error", "ece", "{:.1%}"),
    ),
    "several": (
        ("F1", "f1", "{:.3f}"),
        ("all right", "exact", "{:.1%}"),
        ("log loss", "log_loss", "{:.3f}"),
        ("calibration error", "ece", "{:.1%}"),
    ),
    "number": (
        ("mean error", "mean_absolute_error", "{:.4g}"),
        ("in the interval", "covered", "{:.1%}"),
        ("median error", "median_absolute_error", "{:.4g}"),
    ),
}
"""Further figures of a case: name, key, and how it is told."""


def render(document: Mapping[str, Any], folder: Path | None = None) -> str:
    """Return the page as text; ``folder``: where the comparison lies."""
    kind = document.get("kind", "one")
    rows = [
        (
            f"{one['case']}: {one['name']}",
            float(one["accuracy"]),
            tuple(one["accuracy_interval"]),
            one["case"] == document["chosen"],
        )
        for one in document["cases"]
    ]
    return template.render(
        "comparison.html.jinja",
        found=document,
        again=" ".join(_asked(document)),
        one=of_one(document),
        said=words_of(kind),
        beside=[beside_of(kind, one) for one in document["cases"]],
        chart=Markup(curves.intervals(rows, kind)),
        picture=Markup(_picture(document)),
        data=quoted(document.get("data", "")),
        folder="FOLDER" if folder is None else shlex.quote(place(folder)),
        time=seconds,
    )


def beside_of(kind: str, one: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return further figures of a case, each with its name."""
    figures = one.get("figures") or one
    return [(name, form.format(figures[key])) for name, key, form in BESIDE[kind]]


def of_one(document: Mapping[str, Any]) -> str:
    """Return the options of ``fit`` that go with one case: those of the comparison that it has."""
    of_all = ("--quick", "--budget", "--learning-rate")  # the frozen cases have no rate
    return " ".join(option for option in _asked(document) if not option.startswith(of_all))


def _asked(document: Mapping[str, Any]) -> list[str]:
    """Return what the comparison was asked for beside its images, as it would be typed."""
    options = document.get("options", ())  # that of an earlier version has none
    return [f"-b {document['backbone']}", *options, f"--seed {document['seed']}"]


def _picture(document: Mapping[str, Any]) -> str:
    """Return what each case did to a bundled network; of another one there is no record at hand."""
    if document["backbone"] not in backbones.names() or not document.get("classes"):
        return ""
    record = backbones.get(document["backbone"])
    scenes = [_scene(record, document, one) for one in document["cases"]]
    return "".join(diagram.html(scene) for scene in scenes)


def _scene(record: Backbone, document: Mapping[str, Any], one: Mapping[str, Any]) -> Scene:
    """Return what one case did to the network, with the figures it got alone."""
    case, start = one["case"], "random" if one["case"] == 4 else "pretrained"
    still = one.get("unchanged", False) and start == "pretrained"
    scene = diagram.of_case(
        record,
        1 if still else case,
        taps=tuple(one["taps"]),
        classes=document["classes"],
        init="random" if case == 4 else None,
        fitted=document.get("recipe", "tuned") == "tuned" and case != 4,
    )
    done = {
        1: "the whole network is kept and frozen under a new layer",
        2: f"cut after {scene.cut}; what is before it is frozen, under a new layer",
        3: "every stage is trained from the pretrained weights, under a new last layer",
        4: "every stage is trained from random weights, under a new last layer",
    }[case]
    if one.get("unchanged", False):
        done = f"no epoch of training was better than the start, so it is the {start} network"
    kind = document.get("kind", "one")
    words, images = words_of(kind), f"{document['test']:,} images"
    got = f"{words.told(one['accuracy'])} of {images} right"
    if kind != "one":
        got = f"{words.got(one['accuracy'])} on {images}"
    assert scene.new is not None, "every case puts a new layer in"
    return replace(
        scene,
        case=case,
        title=f"Case {case}: {one['name']}",
        caption=f"{done[0].upper()}{done[1:]}: {got}.",
        new=replace(scene.new, kind=kind),
    )
