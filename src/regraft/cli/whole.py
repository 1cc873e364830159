"""Pages and pictures as files: whole, or as they were before."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from regraft.cli.terminal import say
from regraft.errors import RunError


@contextmanager
def draft_of(out: Path, what: str) -> Iterator[Path]:
    """A name beside a file's, under which nothing is left.

    Raises:
        RunError: the file, a ``what``, cannot be written there.
    """
    draft = out.with_name(f".{out.name}.draft")
    try:
        yield draft
    except OSError as error:
        raise RunError(f"The {what} cannot be written to {out}: {error.strerror}.") from error
    finally:
        with suppress(OSError):
            draft.unlink()


def write_whole(text: str, out: Path, what: str) -> None:
    """Write a text; a file name in it that is no UTF-8 is spelled with backslashes.

    Raises:
        RunError: it cannot be written.
    """
    with draft_of(out, what) as draft:
        draft.write_text(text, encoding="utf-8", errors="backslashreplace")
        draft.replace(out)


def write_page(text: str, out: Path) -> None:
    """Write a page, and say where it is.

    Raises:
        RunError: it cannot be written.
    """
    write_whole(text, out, "page")
    say(f"Written to {out} ({out.stat().st_size / 1e6:.1f} MB).")
