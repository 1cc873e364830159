"""A record in a notebook: its figures, its picture and its reasons. Every text is escaped."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from regraft.diagram.notebook import html
from regraft.diagram.scene import Scene


class Figure(NamedTuple):
    """One number with its name, and what is to be known beside it."""

    name: str
    value: str
    beside: str = ""


# Styles stand in the elements, for a notebook may drop a sheet; colours are the notebook's own.
_ROW = Markup(
    '<div><div style="opacity:.75">{}</div>'
    '<div style="font-size:1.6em;font-weight:600;line-height:1.3">{}</div>'
    '<div style="opacity:.75;font-size:.9em">{}</div></div>'
)
_PADDING = "padding:.25em .4em"
_NUMBER = f"{_PADDING};text-align:right;white-space:nowrap"
_TEXT = f"{_PADDING};text-align:left;min-width:7em;overflow-wrap:anywhere"


def isolated(text: str) -> Markup:
    """Return a name in a sentence: of whatever script, it leaves the order of the rest alone."""
    return Markup('<bdi dir="auto">{}</bdi>').format(text)


def names(pairs: Iterable[tuple[str, str]]) -> Markup:
    """Return names with what is said of each: ants 80% of 20, bees 85% of 20."""
    return Markup(", ").join(Markup("{} {}").format(isolated(one), said) for one, said in pairs)


def bar(share: float, interval: tuple[float, float]) -> Markup:
    """Return a share of 1 as a line across a box, with its interval as a bar."""
    low, high = interval
    return Markup(
        '<div style="position:relative;width:4em;height:.8em;'
        'background:linear-gradient(currentColor,currentColor) center/100% 1px no-repeat">'
        '<div style="position:absolute;top:0;bottom:0;left:{:.1%};width:{:.1%};opacity:.35;'
        'background:currentColor"></div><div style="position:absolute;top:0;bottom:0;left:{:.1%};'
        'width:2px;background:currentColor"></div></div>'
    ).format(low, high - low, share)


def summary(
    title: str | Markup,
    *,
    about: str | Markup = "",
    figures: Sequence[Figure] = (),
    said: Iterable[str] = (),
    table: Markup | None = None,
    picture: Scene | None = None,
    lists: Mapping[str, Sequence[str]],
    unfolded: bool = False,
) -> str:
    """Return a piece of HTML that needs nothing else.

    Args:
        title: of the record.
        about: a line under it.
        figures: side by side under that.
        said: paragraphs under them.
        table: what `rows` made.
        picture: the surgery.
        lists: what can be folded away, by its heading; the last one is open.
        unfolded: whether all of them are.
    """
    parts = [
        Markup('<p style="font-size:1.25em;font-weight:600;margin:.3em 0">{}</p>').format(title)
    ]
    if about:
        parts.append(Markup('<p style="margin:.3em 0 .6em;opacity:.75">{}</p>').format(about))
    if figures:
        row = Markup("").join(_ROW.format(*figure) for figure in figures)
        parts.append(
            Markup('<div style="display:flex;flex-wrap:wrap;gap:.6em 2.2em">{}</div>').format(row)
        )
    parts += [Markup('<p style="margin:.6em 0">{}</p>').format(one) for one in said if one]
    if table is not None:
        parts.append(table)
    if picture is not None:
        parts.append(Markup('<div style="margin:.8em 0">{}</div>').format(Markup(html(picture))))
    named = [(heading, points) for heading, points in lists.items() if points]
    parts += [_folded(*one, is_open=unfolded or one == named[-1]) for one in named]
    frame = '<div class="regraft-summary" style="max-width:1100px;line-height:1.45">{}</div>'
    return str(Markup(frame).format(Markup("").join(parts)))


def rows(
    head: Sequence[str],
    body: Iterable[Sequence[str]],
    marked: int | None = None,
    texts: Sequence[int] = (1,),
) -> Markup:
    """Return a table: these columns are texts, the others are numbers; one row is marked."""
    parts = [_row("th", head, texts, "")]
    parts += [
        _row("td", cells, texts, ";font-weight:700" if number == marked else "")
        for number, cells in enumerate(body)
    ]
    return Markup(
        '<div style="overflow-x:auto;margin:.6em 0">'
        '<table style="border-collapse:collapse;font-variant-numeric:tabular-nums">{}</table></div>'
    ).format(Markup("").join(parts))


def _row(tag: str, cells: Sequence[str], texts: Sequence[int], style: str) -> Markup:
    made = Markup("").join(
        Markup(f'<{tag} style="{_TEXT}{style}" dir="auto">{{}}</{tag}>').format(cell)
        if place in texts
        else Markup(f'<{tag} style="{_NUMBER}{style}">{{}}</{tag}>').format(cell)
        for place, cell in enumerate(cells)
    )
    return Markup("<tr>{}</tr>").format(made)


def _folded(heading: str, points: Sequence[str], *, is_open: bool) -> Markup:
    items = Markup("").join(Markup('<li style="margin:.2em 0">{}</li>').format(p) for p in points)
    unfolded = Markup(" open") if is_open else Markup("")
    return Markup(
        '<details style="margin:.5em 0"{}><summary style="font-weight:600;cursor:pointer">{}'
        '</summary><ul style="margin:.3em 0">{}</ul></details>'
    ).format(unfolded, heading, items)
