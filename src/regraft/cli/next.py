"""``regraft next``: which images of an unlabelled pool to label next."""

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.text import Text

from regraft.acquire.queue import COLUMNS, HEAD, Queue, Unlabelled
from regraft.acquire.verb import next_to_label
from regraft.cli.predict import find
from regraft.cli.predicted import ANY_WIDTH
from regraft.cli.rows import Indented, Rows
from regraft.cli.terminal import print_json, say, show, show_warnings
from regraft.data.dataset import few, some
from regraft.whole_file import check_table, write_whole

SHOWN = 20
"""Rows in the terminal; the table has all."""


def run_next(
    run: Path,
    pool: Sequence[str],
    *,
    count: int,
    by: str,
    seed: int,
    network: str | None,
    out: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Print which images to label, and why these; ``out``: a table to write the labels into."""
    show_warnings()
    if out is not None:
        check_table(out, overwrite=overwrite)
    found = find(pool)
    queue = next_to_label(run, found.images, count=count, by=by, seed=seed, network=network)
    say(*some([f"not read: {path}: {problem}" for path, problem in queue.unread]))
    if found.others:
        say(f"passed over, no images by their names: {', '.join(some(found.others))}")
    if as_json:
        print_json(queue.to_json())
    else:
        _show(queue, shown=SHOWN if out is not None else len(queue.images))
    if out is not None:
        write_whole(out, _table(queue, out.parent), "table")
        if not as_json:
            say(
                f"Written to {out}. Write the labels into its last column; then "
                f"`regraft fit DATA --add {out}` trains on them too."
            )


def _show(queue: Queue, *, shown: int) -> None:
    table = Rows(HEAD, right=(3,), fold=2, lead=2)
    for one in queue.images[:shown]:
        table.add(str(one.rank), one.path, one.suggestion, f"{one.confidence:.1%}")
    left = len(queue.images) - shown
    rest = [f"  ... and {left:,} more in the table"] if left > 0 else []
    show(
        Text(_title(queue), "bold"),
        *([Indented(table)] if queue.images else []),
        *(Text(line, "dim") for line in rest),
        Text(queue.why),
        *(Text(line, "dim") for line in _remarks(queue)),
        piped=ANY_WIDTH,
    )


def _title(queue: Queue) -> str:
    return f"{len(queue.images):,} of {queue.pool:,} images to label next"


def _remarks(queue: Queue) -> list[str]:
    """Return what else there is to say of the pool."""
    found = []
    if queue.labelled:
        found.append(f"{queue.labelled:,} of the pool are images that the run was made of.")
    if queue.strangers:
        names = few([one.path for one in queue.strangers], 3)
        found.append(
            f"{len(queue.strangers):,} look like none of the classes and stand apart, at the end "
            f"of the table: {', '.join(names)}."
        )
    return found


def _table(queue: Queue, folder: Path) -> str:
    """Return ``next.csv``; its paths count from its own folder."""

    def placed(one: Unlabelled) -> Unlabelled:
        return replace(one, path=Path(os.path.relpath(one.path, folder)).as_posix())

    images, strangers = (tuple(map(placed, ones)) for ones in (queue.images, queue.strangers))
    text = io.StringIO(newline="")
    csv.writer(text).writerows(
        [COLUMNS, *replace(queue, images=images, strangers=strangers).rows()]
    )
    return text.getvalue()
