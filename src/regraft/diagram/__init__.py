"""Pictures of networks: what a case does to one, as SVG, in a terminal and in a notebook.

A `Scene` says what a picture shows. ``untouched``, ``of_case``, ``of_plan`` and ``lesson``
make scenes; ``svg``, ``series``, ``quarters``, ``text``, ``quarters_text`` and ``html`` show them.
"""

from regraft.diagram.markup import quarters, series, svg
from regraft.diagram.notebook import html
from regraft.diagram.planned import of_plan
from regraft.diagram.quarters_text import quarters_text
from regraft.diagram.scene import CASES, Block, Fate, NewLayer, Scene, lesson, of_case, untouched
from regraft.diagram.terminal import text

__all__ = [
    "CASES",
    "Block",
    "Fate",
    "NewLayer",
    "Scene",
    "html",
    "lesson",
    "of_case",
    "of_plan",
    "quarters",
    "quarters_text",
    "series",
    "svg",
    "text",
    "untouched",
]
