"""The legend: a swatch and a word for each fate that occurs."""

from collections.abc import Iterator, Sequence

from regraft.diagram.forms import Form
from regraft.diagram.letters import width_of
from regraft.diagram.scene import Fate
from regraft.diagram.shapes import Item, Label, Outline, line, rectangle


def legend(entries: Sequence[tuple[Fate, str]], form: Form, top: float) -> Iterator[Item]:
    """Yield the swatches and words, broken into lines, below ``top``."""
    row, side, gap = form.legend, form.swatch, 0.5 * form.swatch
    x, y = form.margin, top + row.y
    for fate, text in entries:
        width = side * 1.4 + gap + width_of(text, row.size)
        if x > form.margin and x + width > form.width - form.margin:
            x, y = form.margin, y + row.leading
        yield from _swatch(fate, x, y - side * 0.85, side, form)
        yield Label(x + side * 1.4 + gap, y, text, row.size, "soft", "start")
        x += width + 1.7 * side


def _swatch(fate: Fate, left: float, top: float, side: float, form: Form) -> Iterator[Outline]:
    right, bottom = left + side * 1.4, top + side
    yield Outline(rectangle(left, top, right, bottom), f"{fate} face")
    yield Outline(rectangle(left, top, right, bottom), f"edge {fate}-edge")
    if fate == "removed":
        yield Outline(line((left, bottom), (right, top)), "crossed")
