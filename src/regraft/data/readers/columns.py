"""Which columns of a table are the paths, the labels and the split, and which are not used.

Names of columns are compared in small letters, without spaces, underscores and the like.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from regraft.data.dataset import few, some
from regraft.data.kinds import NUMBER, Kind
from regraft.data.readers.known import COLUMNS as GROUPS
from regraft.data.readers.words import splits_of
from regraft.errors import DataError

# Of several in one table, the first here is taken.
PATHS: Final = (
    *("path", "file", "filename", "image", "filepath", "imagepath", "imagefile", "imagefilename"),
    *("img", "imgpath", "imgfile", "imgname", "imagename", "picture", "photo", "images", "files"),
    *("filenames", "filepaths", "imagepaths", "imageid", "imgid"),
)
LABELS: Final = (
    *("label", "class", "target", "labels", "classname", "classlabel", "labelname", "category"),
    *("categoryname", "species", "breed", "diagnosis", "dx", "classes", "targets", "y"),
    *("categoryid", "classid", "labelid", "classindex"),
)
_SPLIT: Final = "split"
_WORDS: Final = (
    *("splits", "datasplit", "dataset", "subset", "partition", "usage", "phase", "set", "fold"),
    *("folds", "stage", "part", "traintest", "trainval", "traintestsplit", "trainvaltest"),
)
_FLAGS: Final = {
    **dict.fromkeys(("istrain", "istraining"), "train"),
    **dict.fromkeys(("isvalid", "isval", "isvalidation", "isdev"), "val"),
    **dict.fromkeys(("istest", "istesting", "isholdout", "isheldout", "iseval"), "test"),
}
_YES_NO: Final = {
    **dict.fromkeys(("true", "1", "1.0", "yes", "t", "y"), True),
    **dict.fromkeys(("false", "0", "0.0", "no", "f", "n"), False),
}
_GROUPS: Final = frozenset(name.replace("_", "") for name in GROUPS)
FEW: Final = 8  # different values that a column may have and still be looked at for splits


@dataclass(frozen=True)
class Columns:
    """The names of columns; ``splits`` those that may give the split, ``others`` the rest.

    ``sought``: those of the rest that are looked through for the labels, where ``label`` is ''.
    """

    path: str
    label: str
    splits: tuple[str, ...]
    others: tuple[str, ...]
    sought: tuple[str, ...] = ()


@dataclass(frozen=True)
class Splits:
    """The split of each row, what is wrong with them, and sentences."""

    rows: tuple[str, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Told:
    """What a column, or the is_... columns together, say of each row; '' for nothing."""

    names: tuple[str, ...]
    rows: tuple[str, ...]

    @property
    def title(self) -> str:
        """The names, in words."""
        return f"The column{'s' * (len(self.names) > 1)} {_listed(self.names)}"


class NamedColumns(NamedTuple):
    """The columns that a person names for paths and labels; '' where they are found by name.

    ``kind``: what a person says that the labels are; None where the data tells.
    """

    path: str = ""
    label: str = ""
    kind: Kind | None = None

    @property
    def any(self) -> bool:
        """Whether a column is named."""
        return bool(self.path or self.label)

    def find(self, names: Sequence[str]) -> tuple[str, str]:
        """Return the columns among these that are called so, letter by letter or nearly."""
        by_name = {plain(name): name for name in reversed(names)}
        image, label = (
            n if n in names else by_name.get(plain(n), "") if n else "" for n in self[:2]
        )
        return image, label

    def refuse(self, where: str, what: str) -> None:
        """Raise DataError where a column is named of what has none."""
        if self.any:
            named = [f"{f} {n!r}" for f, n in zip(FLAGS, self[:2], strict=True) if n]
            headline = f"'{where}' is {what}, without columns of that kind."
            raise DataError(headline, [f"got {n}" for n in named])


UNNAMED: Final = NamedColumns()
FLAGS: Final = ("--path-column", "--label-column")


def columns_of(
    path: Path, names: Sequence[str], named: NamedColumns = UNNAMED, *, seek: bool = False
) -> Columns:
    """Find the columns of a table; ``named``: those that a person names.

    With ``seek`` the labels may be in columns of any name, to be found by what these hold; so they
    are where they are numbers and nobody names their column.

    Raises:
        DataError: no column for paths or for labels.
    """
    by_name = {plain(name): name for name in reversed(names)}
    asked = named.find(names)
    image, label = (
        found if name else next((by_name[usual] for usual in wanted if usual in by_name), "")
        for wanted, name, found in zip((PATHS, LABELS), named[:2], asked, strict=True)
    )
    number = named.kind == NUMBER and not named.label
    rest = _rest(names, image, "" if number else label)
    sought = tuple(name for name in rest if plain(name) not in _GROUPS)
    if seek and image and (number or (not label and not named.label and len(sought) > 1)):
        return Columns(image, "", split_columns(names, {image}), rest, sought)
    if not image or not label:
        raise lacks(path, names, named, image, label)
    return Columns(image, label, split_columns(names, {image, label}), rest)


def _rest(names: Sequence[str], image: str, label: str) -> tuple[str, ...]:
    """Return the other columns but the numbers of rows."""
    used = {image, label, *split_columns(names, {image, label})}
    return tuple(name for name in dict.fromkeys(names) if name not in used and not _numbers(name))


def lacks(
    path: Path,
    names: Sequence[str],
    named: NamedColumns = UNNAMED,
    image: str = "there",
    label: str = "",
) -> DataError:
    """Return the error for a table without a column for paths or for labels."""
    missing = [
        f"there is no column {asked_for!r} for the {what}"
        if asked_for
        else f"there must be a column for the {what}: {', '.join(wanted[:6])} or the like; "
        f"{flag} names it"
        for what, wanted, name, asked_for, flag in (
            ("paths", PATHS, image, named.path, FLAGS[0]),
            ("labels", LABELS, label, named.label, FLAGS[1]),
        )
        if not name
    ]
    there = ", ".join(repr(name) for name in names[:20]) or "none"
    return DataError(f"'{path}' lacks a column.", [*missing, f"its columns are {there}"])


def split_columns(names: Sequence[str], used: Collection[str]) -> tuple[str, ...]:
    """Return the columns that may give the split, by their names."""
    by_name = {plain(name): name for name in reversed(names) if name not in used}
    return tuple(by_name[name] for name in (_SPLIT, *_WORDS, *_FLAGS) if name in by_name)


def plain(name: str) -> str:
    """Return a column's name as it is compared."""
    return "".join(sign for sign in name.casefold() if sign.isalnum())


def _numbers(name: str) -> bool:
    """Return whether a column is the row numbers that pandas writes."""
    return plain(name) in ("", "unnamed0", "indexlevel0")


def splits_by_columns(
    columns: Columns,
    numbers: Sequence[int],
    cells: Sequence[tuple[str, ...]],
    others: Mapping[str, Iterable[str]],
) -> Splits:
    """Return the split of each row, of its cells in ``columns.splits``.

    ``numbers``: the rows', as people count. ``others``: the values of the other columns that have
    few of them. A column called split counts before all others; of those no two may disagree.
    """
    by_name = {name: [row[place] for row in cells] for place, name in enumerate(columns.splits)}
    problems: list[str] = []
    told = [*_by_words(by_name, numbers, problems), *_by_flags(by_name, numbers, problems)]
    used = {name for one in told for name in one.names}
    unused = [name for name in columns.splits if name not in used and plain(name) != _SPLIT]
    rows, notes = ("",) * len(cells), list[str]()
    for one in told:
        different = list(_different(told[0], one, numbers))
        if different and plain(told[0].names[0]) == _SPLIT:
            notes.append(f"{one.title} {_is(one)} not used: split says otherwise ({different[0]}).")
            continue
        problems += some(different)
        rows = tuple(first or other for first, other in zip(rows, one.rows, strict=True))
        if plain(one.names[0]) != _SPLIT:
            notes.append(_read_as(one))
    notes += _not_used([*unused, *columns.others], others)
    return Splits(rows, tuple(problems), tuple(notes))


def _by_words(
    by_name: Mapping[str, Sequence[str]], numbers: Sequence[int], problems: list[str]
) -> Iterator[_Told]:
    """Yield the columns that hold names of splits.

    A column of none of them, such as k folds, is none.
    """
    for name, cells in by_name.items():
        known = splits_of({cell for cell in cells if cell})
        if plain(name) in _FLAGS or not (known or (plain(name) == _SPLIT and any(cells))):
            continue
        where = "" if plain(name) == _SPLIT else f" in column {name!r} (rename it if it is none)"
        problems += some(
            [
                f"row {number:,}: a split must be train, val or test, or empty, got {cell!r}{where}"
                for number, cell in zip(numbers, cells, strict=True)
                if cell and cell not in known
            ]
        )
        yield _Told((name,), tuple(known.get(cell, "") for cell in cells))


def _by_flags(
    by_name: Mapping[str, Sequence[str]], numbers: Sequence[int], problems: list[str]
) -> Iterator[_Told]:
    """Yield the columns is_train, is_valid, is_test together, as far as they hold yes and no."""
    flags: dict[str, list[bool | None]] = {}
    for name, cells in by_name.items():
        if plain(name) not in _FLAGS or not any(cell.lower() in _YES_NO for cell in cells):
            continue
        flags[name] = [_YES_NO.get(cell.lower()) for cell in cells]
        problems += some(
            [
                f"row {number:,}: {name!r} must be true or false, or empty, got {cell!r}"
                for number, cell in zip(numbers, cells, strict=True)
                if cell and cell.lower() not in _YES_NO
            ]
        )
    if flags:
        kinds = [_FLAGS[plain(name)] for name in flags]
        rows = [_of_flags(kinds, row) for row in zip(*flags.values(), strict=True)]
        wrong = [number for number, split in zip(numbers, rows, strict=True) if split is None]
        problems += some(
            [f"row {n:,}: {_listed(tuple(flags))} contradict each other" for n in wrong]
        )
        yield _Told(tuple(flags), tuple(split or "" for split in rows))


def _of_flags(kinds: Sequence[str], row: Sequence[bool | None]) -> str | None:
    """Return the split that a row's flags of these kinds say.

    '' where all are empty, None for several.
    """
    if all(flag is None for flag in row):
        return ""
    true = {kind for kind, flag in zip(kinds, row, strict=True) if flag}
    left = [kind for kind in ("train", "test", "val") if kind not in kinds]
    return true.pop() if len(true) == 1 else left[0] if left and not true else None


def _different(one: _Told, other: _Told, numbers: Sequence[int]) -> Iterator[str]:
    """Rows that one puts on the training side and the other does not."""
    for number, first, second in zip(numbers, one.rows, other.rows, strict=True):
        if first and second and (first == "train") != (second == "train"):
            names, others = _listed(one.names), _listed(other.names)
            yield f"row {number:,} is in {first} by {names} and in {second} by {others}"


def _read_as(one: _Told) -> str:
    """Return a sentence on what a column of another name than split was read as."""
    counted = Counter(one.rows)
    counts = [f"{counted[split]:,} {split}" for split in ("train", "val", "test") if counted[split]]
    return f"{one.title} {_is(one)} read as the split: {', '.join(counts)}."


def _not_used(names: Sequence[str], values: Mapping[str, Iterable[str]]) -> Iterator[str]:
    """Sentences on the columns that are not used; those of groups speak for themselves."""
    names = [name for name in names if plain(name) not in _GROUPS]
    for name in names:
        known = splits_of({value for value in values.get(name, ()) if value})
        if "train" in known.values() and len(set(known.values())) > 1:
            yield (
                f"The column {name!r} holds {', '.join(sorted(known))}, but is not read as the "
                "split; call it split to have it used."
            )
    if names:
        plural = len(names) > 1
        yield f"The column{'s' * plural} {_listed(names)} {'were' if plural else 'was'} not used."


def _is(one: _Told) -> str:
    return "are" if len(one.names) > 1 else "is"


def _listed(names: Sequence[str]) -> str:
    """Names in quotes, the first ten of them."""
    shown = few([repr(name) for name in names], 10, "{:,} more")
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
