"""The two streams: results on standard output, progress and messages on standard error."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


def results() -> Console:
    """Where results are printed. Piped into a file they are 100 columns wide."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 100)


def messages() -> Console:
    """Where progress and messages are printed."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def say(*lines: str) -> None:
    """Print messages, as they are."""
    for line in lines:
        messages().print(line, markup=False)


def print_json(document: Any) -> None:
    """Print one JSON document."""
    print(json.dumps(document, ensure_ascii=False, indent=1))


@contextmanager
def progress_bar(what: str) -> Iterator[Any]:
    """A bar on standard error where that is a terminal; yields ``report(done, total)``."""
    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    with Progress(*columns, console=messages(), transient=True) as progress:
        task = progress.add_task(what, total=None)

        def report(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield report


def show_warnings() -> None:
    """Print what regraft warns of on standard error."""
    handler = RichHandler(console=messages(), show_time=False, show_level=False, show_path=False)
    handler.setFormatter(logging.Formatter("regraft: %(message)s"))
    log = logging.getLogger("regraft")
    log.handlers = [handler]
    log.propagate = False
