"""Names and tables as Markdown."""

import re
from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table: its first column is text, the others are numbers."""
    lines = [head, ["---"] + ["--:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def plain(name: str) -> str:
    """Return a name as text that Markdown does not read anything into."""
    return re.sub(r"([\\`*_\[\]<>|#&~$]|:(?=[\w+-]+:))", r"\\\1", " ".join(name.split()))


def listed(names: Sequence[str]) -> str:
    """Return names in a row."""
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else names[0]
