"""The two streams: results on standard output, progress and messages on standard error."""

import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from regraft.cli import streams
from regraft.cli.rows import Indented, unbroken
from regraft.errors import UsageError
from regraft.heads.tasks.words import words_by
from regraft.plan.events import Epoch, EpochProgress, Event

PLAIN = partial(Console, markup=False, emoji=False, highlight=False)
"""Text is what it says: ``[dog]`` and ``:cat:`` are names. A style is given by rich's Text."""

ROOM_FOR_ALL = 72
"""Columns from which a bar has room beside all that can be told of an epoch."""

NO_TERMINAL = 100
"""Columns in a file or pipe."""


def results(piped: int = 0) -> Console:
    """Return where results are printed: as wide as the terminal, or as COLUMNS says.

    ``piped``: how wide at most where standard output is no terminal; 100 where nothing says.
    """
    asked = os.environ.get("COLUMNS", "")
    wide = int(asked) if asked.isdecimal() and int(asked) else NO_TERMINAL
    return PLAIN(width=None if sys.stdout.isatty() else piped or wide)


def messages() -> Console:
    """Where progress and messages are printed; in a file each is a line, however long."""
    return PLAIN(stderr=True, soft_wrap=not sys.stderr.isatty())


def show(*things: RenderableType, on: Console | None = None, piped: int = 0) -> None:
    """Print results; no word is broken, and one that is longer than a line is not cut."""
    console = on or results(piped)
    for thing in things:
        console.print(thing if console.soft_wrap else unbroken(thing), crop=False)


def show_sections(sections: Mapping[str, RenderableType], on: Console | None = None) -> None:
    """Print results, each under its heading and with an empty line after it."""
    for title, body in sections.items():
        show(Text(title, "bold"), Indented(body), "", on=on)


def say(*lines: str | Text) -> None:
    """Print messages, as they are; on a terminal broken between words."""
    for line in lines:
        show(line, on=messages())


def linked(path: Path) -> Text:
    """Return a path that a terminal which can opens on a click."""
    return Text(str(path), style=f"link {path.resolve().as_uri()}")


def say_written(page: Path) -> None:
    """Say where a page is, and how large."""
    say(f"Written to {page} ({page.stat().st_size / 1e6:.1f} MB).")


def print_json(document: Any) -> None:
    """Print one JSON document; in ASCII where the stream has not every character of it."""
    text = json.dumps(document, ensure_ascii=False, indent=1)
    print(text if streams.encodes(text) else json.dumps(document, indent=1))


def seconds_of(text: str) -> float:
    """Return a time as people write it, in seconds: 90, 90s, 10m, 1.5h.

    Raises:
        UsageError: it is none.
    """
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        return float(number) * units[unit]
    except ValueError:
        raise UsageError(
            f"--budget must be a time, got {text!r}.", ["Write it like 90s, 10m or 2h."]
        ) from None


@contextmanager
def progress_bar(what: str) -> Iterator[Any]:
    """Return a bar on standard error where that is a terminal; yields ``report(done, total)``."""
    columns = (
        TextColumn(what, markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
    )
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    with Progress(*columns, console=messages(), transient=True) as progress:
        task = progress.add_task(what, total=None)

        def report(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield report


@contextmanager
def training_bar(shown: bool = True) -> Iterator[Any]:
    """Follow training on standard error; yields ``on_event(row)`` for the rows of the log.

    A line for every epoch, with how long it can still take; on a terminal a bar runs under them.
    """
    if not shown:
        yield lambda row: None
        return
    began = time.monotonic()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    bar = Progress(*columns, console=messages(), transient=True, disable=not messages().is_terminal)
    with bar:
        task = bar.add_task("", visible=False)

        def on_event(row: Event) -> None:
            if isinstance(row, EpochProgress):
                bar.update(
                    task,
                    description=_how_far(row, bar.console.width),
                    completed=row.done,
                    total=row.steps,
                    visible=True,
                )
                return
            bar.update(task, visible=False)
            gone = time.monotonic() - began
            line = _epoch_line(row, gone) if isinstance(row, Epoch) else row.what
            show(line, on=bar.console)  # any other console would write into the bar

        yield on_event


def _how_far(row: EpochProgress, wide: int) -> str:
    """Return what stands before the bar of an epoch that is running, in the room there is."""
    if wide < ROOM_FOR_ALL:
        return f"{row.what}  epoch {row.epoch}"
    return (
        f"{row.what:>14}  epoch {row.epoch:>3}  loss {row.loss:.3f}, {row.left:.0f} s left at most"
    )


def _epoch_line(row: Epoch, gone: float) -> str:
    """Return what an epoch came to."""
    judged = (
        ""
        if row.validation_accuracy is None
        else f", validation {words_by(row.measure).got(row.validation_accuracy)}"
    )
    return (
        f"{row.what:>14}  epoch {row.epoch:>3} of {row.of}  loss {row.loss:.3f}"
        f"{judged}, {row.images_per_second:.0f} images/s, "
        f"{gone:.0f} s gone, {row.left:.0f} s left at most"
    )


class _Saying(logging.Handler):
    """A handler that says what is logged, on one line however long."""

    def emit(self, record: logging.LogRecord) -> None:
        say(self.format(record))


def show_warnings() -> None:
    """Print what regraft warns of on standard error."""
    handler = _Saying()
    handler.setFormatter(logging.Formatter("regraft: %(message)s"))
    log = logging.getLogger("regraft")
    log.handlers = [handler]
    log.propagate = False
