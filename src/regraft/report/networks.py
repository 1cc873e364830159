"""The page of a ranking, and what the page of a run shows of one."""

from typing import Any

from markupsafe import Markup

from regraft.plan.ranked import Ranking, cells
from regraft.report import template
from regraft.report.charts.front import front
from regraft.report.words import quoted

AUDITED = 100
"""Images left out that are named."""


def render(found: Ranking, data: str = "") -> str:
    """Return the page as text; ``data``: where the images are."""
    named = quoted(data)
    return template.render("ranking.html.jinja", **shown(found), AUDITED=AUDITED, data=named)


def shown(found: Ranking | None) -> dict[str, Any]:
    """Return what ``networks.html.jinja`` takes; a picture where there are two to compare."""
    drawn = found is not None and len(found.compared_rows) > 1
    return {
        "ranking": found,
        "ranked": cells,
        "front": Markup(front(found)) if found is not None and drawn else "",
    }
