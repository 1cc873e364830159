"""Whether a folder, or a cell of a table, is called after train, val or test.

Names are read word by word, so that ``training_set``, ``seg_test``, ``Validation Images``,
``val2017`` and ``xtrain`` are understood. A word that is none of those known here makes it another
name (``test_tube``), unless all names beside it have that word too: a data set's own.
"""

import re
from collections.abc import Iterable
from typing import Final

JSON_LINES: Final = (".jsonl", ".ndjson")  # names of tables with one object a line
PARQUET: Final = (".parquet", ".pq")

_KINDS: Final = {
    **dict.fromkeys(("train", "training", "trainval", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "tst", "holdout"), "test"),
    **dict.fromkeys(("eval", "evaluation"), "eval"),  # the test, or val where there is another test
    **dict.fromkeys(("pred", "predict", "prediction", "unlabeled", "unlabelled"), "aside"),
}
PLAIN: Final = frozenset(key for key in _KINDS if _KINDS[key] in ("train", "val", "test"))
_FILLERS: Final = (
    *("set", "sets", "data", "dataset", "datasets", "split", "splits", "seg", "subset", "part"),
    *("image", "images", "img", "imgs", "photo", "photos", "picture", "pictures", "pic", "pics"),
    *("sample", "samples", "file", "files", "folder", "dir", "x", "public", "private"),
)
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+")


def _one_of(words: Iterable[str]) -> str:
    """Return a pattern for any of these words, the longest first."""
    return "|".join(sorted(words, key=len, reverse=True))


_GLUED: Final = re.compile(rf"(?:{_one_of(_FILLERS)})*({_one_of(_KINDS)})?(?:{_one_of(_FILLERS)})*")


def splits_of(names: Iterable[str]) -> dict[str, str]:
    """Return the split that each of these names, which stand beside each other, is called after.

    Names of something else are not in it.
    """
    told = {name: (kind, rest) for name in names for kind, rest in [_read(name)] if kind}
    shared = frozenset.intersection(*(rest for _, rest in told.values())) if told else frozenset()
    beside = shared if len(told) > 1 else frozenset()
    found = {name: kind for name, (kind, rest) in told.items() if rest <= beside}
    of_eval = "val" if "test" in found.values() and "val" not in found.values() else "test"
    splits = {name: of_eval if kind == "eval" else kind for name, kind in found.items()}
    return {name: split for name, split in splits.items() if split != "aside"}


def without_labels(name: str) -> bool:
    """Return whether a folder is called after images that have no labels (seg_pred, unlabeled)."""
    return _read(name) == ("aside", frozenset())


def says_nothing(name: str) -> bool:
    """Return whether a folder is no class by its name.

    ``images``, ``train``, ``the_data`` is one.
    """
    words = _words(name)
    return bool(words) and not _read(name)[1]


def _words(name: str) -> list[str]:
    whole = re.sub(r"h(?:old|eld)[\W_]*out", "holdout", name, flags=re.IGNORECASE)
    return [word.casefold() for word in _WORD.findall(whole)]


def _read(name: str) -> tuple[str, frozenset[str]]:
    """Return what a name is called after ('' for nothing, or several), and its other words."""
    kinds, rest = set(), set()
    for word in _words(name):
        if match := _GLUED.fullmatch(word):
            kinds |= {_KINDS[match[1]]} if match[1] else set()
        else:
            rest.add(word)
    kind = "train" if kinds == {"train", "val"} else "".join(kinds) if len(kinds) == 1 else ""
    return kind, frozenset(rest)
