"""Labels that no column is called after: a column of 0 and 1 for each label, or a number."""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import compress
from operator import itemgetter
from pathlib import Path
from typing import Final, Protocol

from regraft.data.dataset import clean_label, listed
from regraft.data.kinds import NUMBER, Kind
from regraft.data.readers.columns import LABELS, plain
from regraft.data.readers.labels import Label, number, number_column

_ON: Final = frozenset({"1", "1.0", "true", "True", "TRUE"})
_OFF: Final = frozenset({"0", "0.0", "false", "False", "FALSE"})
_UNKNOWN: Final = frozenset({"-1", "-1.0", ""})
_KNOWN: Final = _ON | _OFF | _UNKNOWN


class Sought(Protocol):
    """Looks through the rows of some columns for the labels."""

    def add(self, cells: Sequence[str]) -> None:
        """Take the cells of a row, in the order of the columns."""

    def found(self, path: Path) -> "FoundLabels | None":
        """Return the labels, row by row; None where the columns hold none."""


class FoundLabels:
    """Labels that were found: ``columns`` those that hold them, ``quantity`` what a number is."""

    def __init__(
        self, labels: list[Label], columns: Sequence[str], notes: Sequence[str], quantity: str = ""
    ) -> None:
        self.labels, self.columns, self.notes = labels, tuple(columns), tuple(notes)
        self.quantity = quantity


def sought_in(names: Sequence[str], kind: Kind | None) -> Sought:
    """Return what looks for labels of a kind in columns of these names."""
    return _Number(names) if kind == NUMBER else _OneHot(names, kind)


class _OneHot:
    """Columns that hold 0 and 1 alone. Cells are looked at in C, row by row: there may be 5,000."""

    def __init__(self, names: Sequence[str], kind: Kind | None) -> None:
        self._names, self._kind = names, kind
        self._alive = list(range(len(names)))
        self._take: Callable[[Sequence[str]], Sequence[str]] = tuple
        self._rows: list[tuple[int, ...]] = []
        self._unknown = 0

    def add(self, cells: Sequence[str]) -> None:
        if len(self._alive) < 2:
            return
        own = {*self._take(cells)}
        if not _KNOWN.issuperset(own):
            cells = list(map(str.strip, cells))
            self._alive = [place for place in self._alive if cells[place] in _KNOWN]
            self._take = itemgetter(*self._alive, self._alive[0]) if self._alive else tuple
            own = {*self._take(cells)}
        self._unknown += not _UNKNOWN.isdisjoint(own)
        self._rows.append(tuple(compress(range(len(cells)), map(_ON.__contains__, cells))))

    def found(self, path: Path) -> FoundLabels | None:
        used = Counter(place for row in self._rows for place in row)
        alive = frozenset(self._alive)
        if len(alive) < 2 or alive.isdisjoint(used):
            return None
        rows = [tuple(place for place in row if place in alive) for row in self._rows]
        names = [clean_label(name) for name in self._names]
        labels: list[Label] = [tuple(names[place] for place in row) for row in rows]
        columns = [self._names[place] for place in self._alive]
        shown = listed([repr(names[place]) for place in self._alive], 5)
        notes = [f"The labels are the columns of 0 and 1, {shown}."]
        if self._unknown:
            notes.append(f"In {self._unknown:,} rows -1, or an empty cell, is taken for 0.")
        if self._kind is None and all(len(row) == 1 for row in rows):
            labels = [names[row[0]] for row in rows]
            notes.append(
                "Each row has a single 1, so an image has one label; --labels several learns each "
                "column by itself."
            )
        return FoundLabels(labels, columns, notes)


class _Number:
    """The column of numbers, where it is the only one, or the only one called like a label."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._cells: list[list[str]] = [[] for _ in names]

    def add(self, cells: Sequence[str]) -> None:
        for column, cell in zip(self._cells, cells, strict=True):
            column.append(cell.strip())

    def found(self, path: Path) -> FoundLabels | None:
        pairs = zip(self._names, self._cells, strict=True)
        held = [name for name, cells in pairs if _are(cells)]
        called = (name for name in self._names if plain(name) in LABELS)
        column = number_column(str(path), held) or next(called, "")
        if not column:
            return None
        cells = self._cells[self._names.index(column)]
        return FoundLabels(
            [*cells], [column], [f"The numbers are those in the column {column!r}."], column
        )


def _are(cells: Sequence[str]) -> bool:
    """Return whether most cells are numbers."""
    return 2 * sum(number(cell) is not None for cell in cells) > sum(cell != "" for cell in cells)
