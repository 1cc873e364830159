"""Templates -> a page that runs no script but its own and asks for nothing."""

import base64
import hashlib
from functools import cache
from importlib import resources
from platform import python_version

from markupsafe import Markup

from regraft.features.engines.store import versions_of
from regraft.report.jinja import templates

LARGEST = 3_000_000
"""Bytes that a page may have."""

SCRIPTS = ("sort.js", "threshold.js", "landscape.js")
"""What a page does, where a browser lets it."""

PACKAGES = ("regraft", "numpy", "torch", "openvino", "timm", "pillow")
"""Whose versions a page names."""


def render(name: str, **given: object) -> str:
    """Return a page from its template; whatever is given is escaped."""
    return (
        templates("report")
        .get_template(name)
        .render(**given, script=Markup(script()), policy=policy(), versions=versions())
    )


def size(text: str) -> int:
    """Return how many bytes a page takes."""
    return len(text.encode("utf-8", "backslashreplace"))


@cache
def script() -> str:
    """Return what makes tables sortable and charts answer; the page is read without it."""
    room = resources.files("regraft.report")
    return "\n".join(room.joinpath(name).read_text("utf-8") for name in SCRIPTS)


def policy() -> str:
    """Return what a browser may load for the page: nothing; and run: its own script."""
    digest = base64.b64encode(hashlib.sha256(script().encode()).digest()).decode()
    own = f"script-src 'sha256-{digest}'"
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; {own}"


@cache
def versions() -> tuple[tuple[str, str], ...]:
    """Of Python and of the packages that matter, where they are installed."""
    installed = [(name, found) for name, found in versions_of(PACKAGES).items() if found]
    return (("Python", python_version()), *installed)
