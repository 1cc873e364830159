"""The page of a comparison."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from regraft import backbones, diagram
from regraft.report import curves, template
from regraft.report.words import seconds


def render(document: Mapping[str, Any]) -> str:
    """The page as text."""
    rows = [
        (
            f"{one['case']}: {one['name']}",
            float(one["accuracy"]),
            tuple(one["accuracy_interval"]),
            one["case"] == document["chosen"],
        )
        for one in document["cases"]
    ]
    options = document.get("options", ())  # that of an earlier version has none
    asked = [f"-b {document['backbone']}", *options, f"--seed {document['seed']}"]
    of_all = ("--quick", "--budget", "--learning-rate")  # the frozen cases have no rate
    return template.render(
        "comparison.html.jinja",
        found=document,
        again=" ".join(asked),
        one=" ".join(option for option in asked if not option.startswith(of_all)),
        chart=Markup(curves.intervals(rows)),
        picture=Markup(_picture(document)),
        time=seconds,
    )


def _picture(document: Mapping[str, Any]) -> str:
    """What each case does to a bundled network; of another one there is no record at hand."""
    if document["backbone"] not in backbones.names() or not document.get("classes"):
        return ""
    record = backbones.get(document["backbone"])
    scenes = [
        diagram.of_case(
            record,
            one["case"],
            taps=tuple(one["taps"]),
            classes=document["classes"],
            init="random" if one["case"] == 4 else None,
            fitted=document.get("recipe", "tuned") == "tuned" and one["case"] != 4,
        )
        for one in document["cases"]
    ]
    return "".join(diagram.html(scene) for scene in scenes)
