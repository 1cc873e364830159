"""Jinja templates that lie in a room of the house."""

import re
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

_BREAKS = re.compile(r"(?<=[_-])(?=[^_-])|(?<=[^.])(?=\.\w{1,5}$)")
_WORD = re.compile(r"\S+")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]{1,30}(?![\w-])")


@cache
def templates(room: str) -> Environment:
    """Return the templates of a room.

    Whatever they are given is escaped, and what is missing an error.
    """
    made = Environment(
        loader=PackageLoader("regraft", room),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "breaks": breaks,
        "command": command,
        "options": options,
        "figure": figure,
        "percent": lambda share: f"{share:.1%}",
        "whole": lambda number: f"{number:,}",
    }
    return made


def figure(value: float) -> str:
    """Return a number of four digits, with a minus as it is set."""
    return f"{value:.4g}".replace("-", "−", 1) if "e" not in f"{value:.4g}" else f"{value:.4g}"


def breaks(name: str) -> Markup:
    """Let a file's name break after ``_`` and ``-`` and before its suffix."""
    return Markup(_BREAKS.sub("<wbr>", str(escape(name))))


def command(line: str) -> Markup:
    """Let a command break at its spaces alone, so that ``--`` stays with the name of an option."""
    return Markup(_WORD.sub(r'<span class="word">\g<0></span>', str(escape(line))))


def options(sentence: str) -> Markup:
    """Keep each ``--option`` of a sentence on one line."""
    return Markup(_OPTION.sub(r'<span class="option">\g<0></span>', str(escape(sentence))))
