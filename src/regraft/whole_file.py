"""Replace a file whole: whoever reads it finds what was there, or all of what is written."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from regraft.errors import RunError, UsageError


def replace_file(path: Path, data: bytes | str | Iterable[str]) -> None:
    """Write bytes, or text as UTF-8 with backslashes for what is none; OSError leaves no draft.

    Of pieces of text each is written as it comes, and not kept.
    """
    pieces = [data] if isinstance(data, bytes | str) else data
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            for piece in pieces:
                file.write(_coded(piece))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        with suppress(OSError):
            draft.unlink()


def _coded(piece: bytes | str) -> bytes:
    return piece.encode("utf-8", "backslashreplace") if isinstance(piece, str) else piece


def write_whole(path: Path, text: str | Iterable[str], what: str) -> None:
    """Replace a file, a ``what``, by a text or by its pieces as they come.

    Raises:
        RunError: it cannot be written there.
    """
    with _explained(path, what):
        replace_file(path, text)


def check_page(out: Path) -> None:
    """Refuse before the work a page that cannot be written after it.

    Raises:
        UsageError: its name is not that of a page.
        RunError: nothing can be written there.
    """
    _check(out, "page", (".html", ".htm"), ".html", "look.html")


def check_table(
    out: Path, endings: tuple[str, ...] = (".csv",), *, overwrite: bool = False
) -> None:
    """Refuse before the work a table for people that cannot be written after it.

    Raises:
        UsageError: its name has none of these endings, or it is there, not to be replaced.
        RunError: nothing can be written there.
    """
    _check(out, "table", endings, " or ".join(endings), f"table{endings[0]}")
    if out.exists() and not overwrite:
        raise UsageError(
            f"'{out}' is there, and what was written into it would be lost.",
            ["Name another file, or replace it with --overwrite."],
        )


def _check(out: Path, what: str, endings: tuple[str, ...], named: str, example: str) -> None:
    if out.suffix.lower() not in endings:
        raise UsageError(
            f"--out must be a file ending in {named}, got '{out}'.",
            [f"Name it like {example}."],
        )
    if os.path.isdir(out):
        raise RunError(f"'{out}' is a folder, so no {what} can be written there.")
    if not os.path.isdir(out.parent):
        raise RunError(
            f"There is no folder '{out.parent}' to write '{out.name}' to.", ["Make it first."]
        )
    with (
        _explained(out, what),
        tempfile.NamedTemporaryFile(dir=out.parent, prefix=f".{out.name}."),
    ):
        pass


@contextmanager
def _explained(out: Path, what: str) -> Iterator[None]:
    """Turn an error of the system into one that names the file."""
    try:
        yield
    except OSError as error:
        raise RunError(f"The {what} cannot be written to {out}: {error.strerror}.") from error
