"""One label, several or a number: what the labels of images are, by themselves or as it is said.

Several stand in a text with ``|`` between them (where a person says so also ``;`` or ``,``), in a
list, or in a column of 0 and 1 for each.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from regraft.data.dataset import clean_label, label_name, listed, some, twins
from regraft.data.kinds import NUMBER, ONE, SEPARATOR, SEVERAL, Kind
from regraft.data.readers.columns import FLAGS, LABELS, plain
from regraft.errors import DataError

Label = str | tuple[str, ...]
"""As it stands in the data: a text, '' where there is none; or the names in a list."""

IN_LISTS: Final = "An image has the labels in its list."
FEW: Final = 20  # different whole numbers that are classes without a word, however few the images
_SHARE: Final = 50  # and one for so many: amounts have few images each, CUB-200 59 of a number
_MOST: Final = 3.4e38  # that float32 holds
_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_SEPARATORS: Final = (SEPARATOR, ";", ",")


@dataclass(frozen=True)
class Taken:
    """What labels are taken for.

    ``labels``: of each image, as ``Item.label`` holds them. ``notes``: sentences. ``problems``: by
    the number of the image, what is wrong with its label.
    """

    kind: Kind
    labels: tuple[str, ...]
    notes: tuple[str, ...] = ()
    problems: tuple[tuple[int, str], ...] = ()

    def refuse(self, headline: str, names: Sequence[str]) -> None:
        """Raise DataError with every problem; ``names``: what each image is called."""
        if self.problems:
            raise DataError(headline, some([f"{names[n]}: {why}" for n, why in self.problems]))


def raw_label(value: Any) -> Label:
    """Return a label as it stands in the data: a list of names, or one as text."""
    if hasattr(value, "item") and (text := label_name(value)):  # an array of one is that one
        return text
    several = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(several, list | tuple):
        return tuple(map(label_name, several))
    return value if isinstance(value, str) else label_name(value)


def named_label(value: Any, names: Sequence[str]) -> Label:
    """Return a label, of which numbers are places in ``names``; a list may be 0 and 1 for each."""
    label, by_number = raw_label(value), names_by_number(names)
    if not isinstance(label, tuple):
        return by_number.get(label, label)
    if len(label) == len(names) and len(label) > 2 and {*label} <= {"0", "1", "False", "True"}:
        return tuple(n for n, own in zip(names, label, strict=True) if own in ("1", "True"))
    return tuple(by_number.get(name, name) for name in label)


def flag_names(labels: Sequence[Label], names: Sequence[str]) -> Sequence[str]:
    """Return the names that numbers in lists are places in: ``names``, or places as text.

    Those where there are no names and all lists are 0 and 1 for as many labels, which is known by
    one that has either twice: no image has a label twice.
    """
    flags = [label for label in labels if isinstance(label, tuple)]
    if names or len(flags) < len(labels) or len({len(own) for own in flags}) != 1:
        return names
    twice = any(len({*own}) < len(own) for own in flags)
    if twice and all({*own} <= {"0", "1", "False", "True"} for own in flags):
        return [str(place) for place in range(len(flags[0]))]
    return names


def names_by_number(names: Sequence[str]) -> dict[str, str]:
    """Return what each label as text stands for; '' for -1, which sets without labels have."""
    if not names:
        return {}
    by_number = {str(number): name for number, name in enumerate(names)} | {"-1": "", "": ""}
    return {name: name for name in names} | by_number


def number_column(where: str, names: Sequence[str]) -> str:
    """Return the only one of the columns that hold numbers, or the only one called like a label.

    '' where there is none.

    Raises:
        DataError: there are several.
    """
    able = [name for name in names if plain(name) in LABELS] or names
    if len(able) > 1:
        raise DataError(
            f"It cannot be told which column of '{where}' is the number.",
            [f"{listed([*map(repr, able)], 10)} hold numbers; {FLAGS[1]} names one"],
        )
    return able[0] if able else ""


def taken(
    labels: Sequence[Label],
    asked: Kind | None,
    *,
    ask: bool = True,
    remedies: tuple[str, str] = ("--target number", "--labels one"),
) -> Taken:
    """Decide what the labels of images are, and write them as ``Item.label`` holds them.

    Args:
        labels: of each image.
        asked: what a person says that they are.
        ask: whether many different numbers may not be classes in silence.
        remedies: what says that they are numbers, and that they are classes.

    Raises:
        DataError: they are many different numbers, or no whole ones, and nobody says what for.
    """
    if asked == NUMBER:
        return _numbers(labels)
    if asked == SEVERAL or (asked is None and are_several(labels)):
        return _several(labels, asked)
    if ask and asked is None:
        _ask(labels, remedies)
    return _one(labels)


def are_several(labels: Iterable[Label]) -> bool:
    """Return whether images have several labels: in lists, or in texts whose parts are in others.

    ``cat|dog`` alone is a name.
    """
    different = set(labels)
    if any(isinstance(label, tuple) for label in different):
        return True
    parts = [{*label.split(SEPARATOR)} - {""} for label in different if isinstance(label, str)]
    counted = Counter(name for names in parts for name in names)
    return any(counted[name] > 1 for names in parts if len(names) > 1 for name in names)


def number(text: str) -> float | None:
    """Return the number that a text is; None where it is none that can be computed with."""
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value + 0.0 if math.isfinite(value) and abs(value) < _MOST else None


# --- one -----------------------------------------------------------------------------------------


def _one(labels: Sequence[Label]) -> Taken:
    """Take each label for the one of its image; a list has one name at most."""
    problems = [
        (n, f"has {len(label):,} labels, {listed([*map(repr, label)], 5)}; --labels several")
        for n, label in enumerate(labels)
        if isinstance(label, tuple) and len(label) > 1
    ]
    texts = [label if isinstance(label, str) else "".join(label[:1]) for label in labels]
    cleaned = {text: clean_label(text) for text in {*texts}}
    found = tuple(cleaned[text] for text in texts)
    return Taken(ONE, found, tuple(twins(cleaned)), tuple(problems))


def _ask(labels: Sequence[Label], remedies: tuple[str, str]) -> None:
    """Raise DataError where labels are many different numbers: of no whole ones fewer are many."""
    counted = Counter(label for label in labels if isinstance(label, str) and label)
    values = {value for text in counted if (value := number(text)) is not None}
    if not counted or any(number(text) is None for text in counted):
        return
    images, whole = counted.total(), all(value.is_integer() for value in values)
    few = max(FEW, images // _SHARE)
    if len(values) <= (few if whole else min(few, images // 2)):
        return
    span = " to ".join(label_name(value) for value in (min(values), max(values)))
    raise DataError(
        "The labels are numbers, and they may be classes or amounts.",
        [
            f"{images:,} images have {len(values):,} different ones, {span}",
            f"{remedies[0]} estimates the number",
            f"{remedies[1]} takes each different number for a class",
        ],
    )


# --- several -------------------------------------------------------------------------------------


def _several(labels: Sequence[Label], asked: Kind | None) -> Taken:
    """Take each label for several names."""
    different = dict.fromkeys(labels)
    texts = [label for label in different if isinstance(label, str)]
    sign = next((sign for sign in _SEPARATORS if any(sign in text for text in texts)), SEPARATOR)
    parts = {
        label: [*map(clean_label, label.split(sign) if isinstance(label, str) else label)]
        for label in different
    }
    names = {label: tuple(sorted({*own} - {""})) for label, own in parts.items()}
    wrong = {
        label: f"{name!r} is one name with a {SEPARATOR!r} in it, which stands between labels"
        for label, own in names.items()
        for name in own
        if SEPARATOR in name
    }
    problems = [(n, wrong[label]) for n, label in enumerate(labels) if label in wrong]
    joined = {label: SEPARATOR.join(own) for label, own in names.items()}
    written = (
        part
        for label in different
        for part in (label.split(sign) if isinstance(label, str) else label)
    )
    notes = [IN_LISTS] if len(texts) < len(different) else []
    if any(sign in text for text in texts):
        hint = "; --labels one takes each text for one label" if asked is None else ""
        notes.append(f"Labels with {sign!r} between them are several of one image{hint}.")
    found = tuple(joined[label] for label in labels)
    return Taken(SEVERAL, found, (*notes, *twins({*map(str.strip, written)})), tuple(problems))


# --- numbers -------------------------------------------------------------------------------------


def _numbers(labels: Sequence[Label]) -> Taken:
    """Take each label for a number."""
    values = {label: number(label.strip()) for label in {*labels} if isinstance(label, str)}
    problems = [
        (n, f"{label!r} is no number" if label else "there is no number")
        for n, label in enumerate(labels)
        if not isinstance(label, str) or values[label] is None
    ]
    found = tuple(
        label_name(value) if isinstance(label, str) and (value := values[label]) is not None else ""
        for label in labels
    )
    return Taken(NUMBER, found, (), tuple(problems))
