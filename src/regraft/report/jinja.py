"""Jinja templates that lie in a room of the house."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined


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
        "percent": lambda share: f"{share:.1%}",
        "whole": lambda number: f"{number:,}",
    }
    return made
