"""What is laid out to the width there is: tables, drawings, paragraphs under a heading.

A table stands in columns where all of it fits; else without the column it can spare, or with one
column broken between words; else each row is a paragraph. No word is broken and nothing is cut: a
word that is longer than a line, such as a path, is left to the terminal, and can be copied whole.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.segment import Segment
from rich.text import Text

GAP = 2
"""Between two columns; one where that is what it takes to fit."""
INDENT = 2
NARROWEST = 20
"""Columns below which a column is not broken into lines, but the table into paragraphs."""

Cells = Sequence[str | Text]


@dataclass
class Rows:
    """A table."""

    head: Sequence[str]
    """Names of the columns; all empty where none is shown."""
    right: Sequence[int] = ()
    """Columns that are set to the right."""
    fold: int | None = None
    """Column that may be broken between its words."""
    spare: int | None = None
    """Column that is left out first."""
    lead: int = 1
    """How many columns stand in the first line of a paragraph."""
    least: Sequence[int] = ()
    """Of a table that goes on: columns that each is wide at least. It has its head already."""
    body: list[tuple[Cells, str]] = field(default_factory=list)

    def add(self, *cells: str | Text, style: str = "") -> None:
        """Add a row, in a style."""
        self.body.append((cells, style))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table as it fits into the width there is."""
        everything = list(range(len(self.head)))
        for columns in (everything, [c for c in everything if c != self.spare]):
            for gap in range(GAP, 0, -1):
                if widths := self._fitting(columns, gap, options.max_width):
                    yield from self._columns(columns, widths, gap)
                    return
        yield from self._paragraphs(options.max_width)

    def _fitting(self, columns: Sequence[int], gap: int, room: int) -> list[int]:
        """Return the widths of these columns, or none where they do not fit."""
        widths = self.widths(columns)
        over = sum(widths) + gap * (len(columns) - 1) - room
        if over <= 0:
            return widths
        if self.fold is None or self.fold not in columns:
            return []
        place = columns.index(self.fold)
        words = [word for text in self._texts(self.fold) for word in text.split()]
        least = max(min(widths[place], NARROWEST), *map(cell_len, words), 1)
        widths[place] -= over
        return widths if widths[place] >= least else []

    def widths(self, columns: Iterable[int]) -> list[int]:
        """Return how wide these columns are where there is room."""
        natural = [max(map(cell_len, self._texts(column))) for column in columns]
        return list(map(max, natural, [self.least[c] for c in columns] if self.least else natural))

    def _texts(self, column: int) -> Iterator[str]:
        yield self.head[column]
        for cells, _ in self.body:
            yield str(cells[column])

    def _columns(self, columns: Sequence[int], widths: Sequence[int], gap: int) -> Iterator[Text]:
        """Yield the lines of the table: its head, and of each row as many as its cells take."""
        head = (
            [([Text(name) for name in self.head], "dim")]
            if any(self.head) and not self.least
            else []
        )
        for cells, style in [*head, *self.body]:
            parts = [
                list(broken(_text(cells[column]), width))
                for column, width in zip(columns, widths, strict=True)
            ]
            for line in zip_longest(*parts, fillvalue=Text()):
                made = Text(style=style, no_wrap=True)
                for column, width, cell in zip(columns, widths, line, strict=True):
                    blank = " " * (width - cell_len(cell.plain))
                    right = column in self.right
                    made.append(blank if right else "").append_text(cell)
                    made.append(("" if right else blank) + " " * gap)
                made.rstrip()
                yield made

    def _paragraphs(self, wide: int) -> Iterator[RenderableType]:
        """Yield the first cells of a row as its heading, the others in a line, or in one each."""
        rest = [n for n in range(self.lead, len(self.head)) if n != self.spare]
        room = max((len(self.head[n]) for n in rest), default=0)
        short = [Text(", ").join(self._named(cells, rest, 0)) for cells, _ in self.body]
        brief = all(cell_len(line.plain) + INDENT <= wide for line in short)
        for (cells, style), line in zip(self.body, short, strict=True):
            if title := [_text(cell) for cell in cells[: self.lead] if str(cell)]:
                yield PlainWords(_styled(Text("  ").join(title), style))
            for told in [line] if brief else self._named(cells, rest, room):
                yield Indented(_styled(told, style))

    def _named(self, cells: Cells, columns: Sequence[int], room: int) -> Iterator[Text]:
        """Yield cells that are not empty, each with the name of its column."""
        for n in columns:
            if str(cells[n]):
                name = f"{self.head[n]:<{room}} " if self.head[n] else ""
                yield Text.assemble((name, "dim"), _text(cells[n]))


def _text(cell: str | Text) -> Text:
    return cell.copy() if isinstance(cell, Text) else Text(cell)


def _styled(text: Text, style: str) -> Text:
    text.stylize(style)
    return text


WORD = re.compile(r"\s*(?:- )?(?:`[^`]+`\S*|\S+)")
"""A word with what is before it; a command in backticks is one, and so can be copied whole."""


def broken(text: Text, width: int) -> Iterator[Text]:
    """Yield the lines of a text, broken between words; one that is longer is a line by itself.

    What follows in a list or something else that is moved to the right is moved as far.
    """
    for line in text.split("\n", allow_blank=True):
        indent = len(line.plain) - len(line.plain.lstrip(" -"))
        breaks, here = [], 0
        for word in WORD.finditer(line.plain):
            if here and here + cell_len(word[0]) > width:
                blank = len(word[0]) - len(word[0].lstrip())
                breaks.append(word.start() + blank)
                here = indent - blank
            here += cell_len(word[0])
        for n, piece in enumerate(line.divide(breaks)):
            piece.rstrip()
            made = Text(" " * indent if n else "", no_wrap=True, overflow="ignore")
            yield made.append_text(piece)


@dataclass
class PlainWords:
    """A text that is broken between words only."""

    text: Text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield its lines."""
        yield from broken(self.text, options.max_width)


@dataclass
class Fitting:
    """What is drawn for the number of columns there are."""

    draw: Callable[[int], RenderableType]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the drawing."""
        yield self.draw(options.max_width)


@dataclass
class Indented:
    """Something moved to the right by two columns."""

    body: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield its lines."""
        inside = options.update_width(max(options.max_width - INDENT, 1))
        for line in Segment.split_lines(console.render(unbroken(self.body), inside)):
            yield Segment(" " * INDENT)
            yield from line
            yield Segment.line()


def unbroken(thing: RenderableType) -> RenderableType:
    """Return something to print, its texts broken between words only."""
    if isinstance(thing, str):
        return PlainWords(Text(thing))
    if isinstance(thing, Text):
        return PlainWords(thing)
    return Group(*map(unbroken, thing.renderables)) if isinstance(thing, Group) else thing


def lines(texts: Iterable[str], style: str = "") -> Text:
    """Return some sentences, a line each."""
    return Text("\n", style).join(Text(text, style) for text in texts)
