"""Pages and pictures as files: whole, or as they were before."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from regraft.cli.terminal import say
from regraft.errors import RunError
from regraft.whole_file import replace_file


@contextmanager
def explained(out: Path, what: str) -> Iterator[None]:
    """Turn an error of the system into one that names the file, a ``what``.

    Raises:
        RunError: it cannot be written there.
    """
    try:
        yield
    except OSError as error:
        raise RunError(f"The {what} cannot be written to {out}: {error.strerror}.") from error


def write_page(text: str, out: Path) -> None:
    """Write a page, and say where it is.

    Raises:
        RunError: it cannot be written.
    """
    with explained(out, "page"):
        replace_file(out, text)
    say(f"Written to {out} ({out.stat().st_size / 1e6:.1f} MB).")
