"""``regraft predict``: classify images with a RUN."""

import csv
import glob
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from regraft.cli import streams
from regraft.cli.terminal import print_json, results, say, show_warnings
from regraft.data.dataset import some
from regraft.data.readers.folder import images_below
from regraft.errors import DataError
from regraft.results.load import load
from regraft.results.result import Prediction

ANY_WIDTH = 100_000
"""Columns of the table in a file or pipe: a path is on one line there, however long."""


def run_predict(
    run: Path,
    images: Sequence[str],
    *,
    top: int,
    network: str | None,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Print a class for every image; name those that cannot be read, and exit 1 if none could."""
    show_warnings()
    model = load(run, network=network)
    found = find(images)
    predictions = model.predict(found.images, top=top)
    print_as = _print_json if as_json else _print_csv if as_csv else _print_table
    print_as(predictions)
    unread = [p for p in predictions if p.problem]
    say(*(f"not classified: {p.path}: {p.problem}" for p in unread))
    if found.others:
        say(f"passed over, no images by their names: {', '.join(some(found.others))}")
    if unread and len(unread) == len(predictions):
        raise DataError("None of the images could be read.")


@dataclass
class Found:
    """Paths of images, each once, and what lay beside them in the folders that were named."""

    images: list[str]
    others: list[str]


def find(words: Iterable[str]) -> Found:
    """Return the image files that words mean: a file, all images below a folder, or a glob pattern.

    In a folder whatever :func:`regraft.fit` would read is an image; a file that is named itself may
    be called anything.

    Raises:
        DataError: words that mean nothing; all of them are named.
    """
    found = {word: _meant(word) for word in words}
    nothing = [word for word, meant in found.items() if not meant.images]
    if nothing:
        problems = [f"{word}: no such file, folder with images, or match." for word in nothing]
        raise DataError("Some of what is to be classified is not there.", problems)
    images = dict.fromkeys(path for meant in found.values() for path in meant.images)
    others = dict.fromkeys(path for meant in found.values() for path in meant.others)
    return Found(list(images), list(others))


def _meant(word: str) -> Found:
    if os.path.isdir(word):
        images, others = images_below(word)
        return Found(
            [os.path.join(word, path) for path in images],
            [os.path.join(word, path) for path in others],
        )
    if os.path.lexists(word):
        return Found([word], [])
    matches = glob.glob(word, recursive=True)
    return Found(sorted(path for path in matches if os.path.isfile(path)), [])


def _print_json(predictions: Sequence[Prediction]) -> None:
    print_json([_as_dict(prediction) for prediction in predictions])


def _as_dict(prediction: Prediction) -> dict[str, Any]:
    if prediction.problem:
        unknown = {"known": None, "belief": None}
        return {"path": prediction.path, "problem": prediction.problem, **unknown}
    return {
        "path": prediction.path,
        "label": prediction.label,
        "confidence": prediction.confidence,
        "top": [{"label": label, "confidence": share} for label, share in prediction.top],
        "known": prediction.known,
        "belief": prediction.belief,
    }


def _print_csv(predictions: Sequence[Prediction]) -> None:
    rows = csv.writer(streams.for_tables(), lineterminator="\n")
    most = max((len(p.top) for p in predictions), default=1) or 1
    more = [name for k in range(2, most + 1) for name in (f"label_{k}", f"confidence_{k}")]
    rows.writerow(["path", "label", "confidence", *more, "problem", "known", "belief"])
    for p in predictions:
        named = [cell for label, share in p.top for cell in (label, f"{share:.6f}")]
        told = ["", ""] if p.belief is None else [_spelled(p.known), f"{p.belief:.6f}"]
        rows.writerow([p.path, *(named or [""] * (2 * most)), p.problem, *told])


def _spelled(known: bool | None) -> str:
    return "true" if known else "false"


def _print_table(predictions: Sequence[Prediction]) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("image", "class"):
        table.add_column(name, overflow="fold")
    table.add_column("confidence", justify="right")
    table.add_column("")
    for p in predictions:
        for n, (label, share) in enumerate(p.top):
            row = [p.path if n == 0 else "", label, f"{share:.1%}"]
            doubted = p.known is False and n == 0
            table.add_row(*row, "like no training image" if doubted else "")
    results(piped=ANY_WIDTH).print(table)
