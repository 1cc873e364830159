"""The page of a run whose images have several labels, or a number."""

from markupsafe import Markup

from regraft import diagram
from regraft.data.dataset import Dataset
from regraft.report import template
from regraft.results.result import Result


def render(result: Result, card: str, dataset: Dataset | None, *, data: str = "") -> str:
    """Return the page as text; see `regraft.report.page`."""
    plan = result.plan
    return template.render(
        "targets.html.jinja",
        plan=plan,
        what=f"{len(result.classes):,} labels" if plan.kind == "several" else result.classes[0],
        picture=Markup(diagram.html(diagram.of_plan(plan))),
        steps=[step.sentence for step in plan.steps()],
    )
