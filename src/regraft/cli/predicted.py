"""Predictions as rows of CSV, JSON or a table."""

import csv
import io
import json
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from regraft.cli import streams
from regraft.cli.rows import Rows
from regraft.cli.terminal import show as show_results
from regraft.data.dataset import listed
from regraft.results.result import Prediction

ANY_WIDTH = 100_000
"""Columns of the table in a file or pipe: a path is on one line there, however long."""


def texts(form: str, lots: Iterable[Sequence[Prediction]], top: int) -> Iterator[str]:
    """Yield the text of each lot as it comes: one CSV table, or one JSON list.

    ``top``: classes that are named of each image.
    """
    yield from {"csv": _csv, "json": _json}[form](lots, top)


def _csv(lots: Iterable[Sequence[Prediction]], top: int) -> Iterator[str]:
    more = [name for k in range(2, top + 1) for name in (f"label_{k}", f"confidence_{k}")]
    names = ["path", "label", "confidence", *more, "problem", "known", "belief"]
    yield _lines([names])
    yield from (_lines(_cells(one, top) for one in lot) for lot in lots)


def _lines(rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _cells(p: Prediction, top: int) -> list[str]:
    named = [cell for label, share in p.top for cell in (label, f"{share:.6f}")]
    told = ["", ""] if p.belief is None else ["true" if p.known else "false", f"{p.belief:.6f}"]
    return [p.path, *(named or [""] * (2 * top)), p.problem, *told]


def _json(lots: Iterable[Sequence[Prediction]], top: int) -> Iterator[str]:
    before = "[\n"
    for lot in lots:
        for one in lot:
            row = _as_dict(one)
            text = json.dumps(row, ensure_ascii=False, indent=1)
            spelled = text if streams.encodes(text) else json.dumps(row, indent=1)
            yield before + textwrap.indent(spelled, " ")
            before = ",\n"
    yield "\n]\n" if before != "[\n" else "[]\n"


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


def show(lots: Iterable[Sequence[Prediction]]) -> None:
    """Print a table lot by lot; its columns are as wide as the lots until then ask for."""
    least: Sequence[int] = ()
    for lot in lots:
        table = Rows(("image", "class", "confidence", ""), right=(2,), fold=1, least=least)
        for p in lot:
            for n, (label, share) in enumerate(p.top):
                doubted = p.known is False and n == 0
                row = [p.path if n == 0 else "", label, f"{share:.1%}"]
                table.add(*row, "like no training image" if doubted else "")
        if table.body or not least:
            show_results(table, piped=ANY_WIDTH)
            least = table.widths(range(len(table.head)))


@dataclass
class Tally:
    """What is kept of many predictions: how many are of each class, and what was not classified."""

    classes: Counter[str] = field(default_factory=Counter)
    strange: int = 0
    """Images like no training image."""
    unread: list[tuple[str, str]] = field(default_factory=list)
    """Path and problem of each."""

    def add(self, lot: Iterable[Prediction]) -> None:
        """Count them."""
        for one in lot:
            if one.problem:
                self.unread.append((one.path, one.problem))
            else:
                self.classes[one.label] += 1
                self.strange += one.known is False

    def said(self) -> list[str]:
        """Return how many images are of each class, in a sentence or two."""
        count = self.classes
        images = "image" if count.total() == 1 else "images"
        parts = listed([f"{n:,} {label}" for label, n in count.most_common()], 10, " and {:,} more")
        said = [f"{count.total():,} {images}: {parts}."] if count else []
        strange = f"{self.strange:,} of them are like no training image."
        return said + ([strange] if self.strange else [])
