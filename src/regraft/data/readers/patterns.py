"""What a text stands for: a path, an address, or many: ``{000..099}``, ``{train,val}``, ``*``."""

import glob
import itertools
import math
import re
from collections.abc import Sequence
from typing import Final

from regraft.errors import DataError

MOST: Final = 1_000_000  # names that one pattern may stand for
_BRACES: Final = re.compile(r"\{([^{}]*)\}")
_RANGE: Final = re.compile(r"(\d+)\.\.(\d+)")


def is_address(source: object) -> bool:
    """Return whether this is an address, with a scheme, and not a path."""
    scheme, mark, _ = str(source).partition("://")
    return bool(mark) and scheme.replace("+", "").replace("-", "").isalnum() and len(scheme) > 1


def is_pattern(text: str) -> bool:
    """Return whether a text stands for several files."""
    return any(_choices(inner) for inner in _BRACES.findall(text)) or glob.has_magic(text)


def expanded(text: str) -> list[str]:
    """Return what the braces in a text stand for, in their order, as a shell does.

    Raises:
        DataError: they stand for more than any data set has files.
    """
    parts = _BRACES.split(text)  # text, inside of braces, text, ...
    ways = [
        (part,) if n % 2 == 0 else _choices(part) or ("{" + part + "}",)
        for n, part in enumerate(parts)
    ]
    count = math.prod(map(len, ways))
    if count > MOST:
        raise DataError(
            f"'{text}' stands for {count:,} files.", [f"there may be at most {MOST:,} of them"]
        )
    return ["".join(chosen) for chosen in itertools.product(*ways)]


def _choices(inner: str) -> Sequence[str]:
    """Return what the inside of braces stands for; nothing where they are part of a name."""
    match = _RANGE.fullmatch(inner)
    if match is None:
        return inner.split(",") if "," in inner else ()
    first, last = int(match[1]), int(match[2])
    padded = any(len(end) > 1 and end[0] == "0" for end in match.groups())
    width = max(map(len, match.groups())) if padded else 0
    step = 1 if last >= first else -1
    if abs(last - first) >= MOST:
        raise DataError(
            f"{{{inner}}} stands for {abs(last - first) + 1:,} files.",
            [f"there may be at most {MOST:,} of them"],
        )
    return [f"{number:0{width}}" for number in range(first, last + step, step)]
