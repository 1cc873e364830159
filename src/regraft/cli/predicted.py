"""Predictions as rows of CSV, JSON or a table."""

import csv
import io
import json
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

from regraft.cli import streams
from regraft.cli.rows import Rows
from regraft.cli.terminal import show as show_results
from regraft.data.dataset import listed
from regraft.data.kinds import SEPARATOR
from regraft.results.result import Prediction

ANY_WIDTH = 100_000
"""Columns of the table in a file or pipe: a path is on one line there, however long."""


def texts(
    form: str, lots: Iterable[Sequence[Prediction]], top: int, kind: str = "one"
) -> Iterator[str]:
    """Yield the text of each lot as it comes: one CSV table, or one JSON list.

    ``top``: classes that are named of each image; ``kind``: what is asked of it.
    """
    if form == "csv":
        yield from _csv(lots, top, kind)
    else:
        yield from _json(lots, kind)


def _csv(lots: Iterable[Sequence[Prediction]], top: int, kind: str) -> Iterator[str]:
    columns = {
        "one": ["path", "label", "confidence", *_ranked(2, top), "problem", "known", "belief"],
        "several": ["path", "label", "probabilities", *_ranked(1, top if top > 1 else 0)],
        "number": ["path", "value", "low", "high"],
    }[kind]
    yield _lines([columns if kind == "one" else [*columns, "problem"]])
    cells = {"one": _cells, "several": _label_cells, "number": _number_cells}[kind]
    yield from (_lines(cells(one, top) for one in lot) for lot in lots)


def _ranked(first: int, top: int) -> list[str]:
    return [name for k in range(first, top + 1) for name in (f"label_{k}", f"confidence_{k}")]


def _lines(rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _cells(p: Prediction, top: int) -> list[str]:
    named = [cell for label, share in p.top for cell in (label, f"{share:.6f}")]
    told = ["", ""] if p.belief is None else ["true" if p.known else "false", f"{p.belief:.6f}"]
    return [p.path, *(named or [""] * (2 * top)), p.problem, *told]


def _label_cells(p: Prediction, top: int) -> list[str]:
    """Labels that are given, and the probability of each, joined by bars; then the likeliest."""
    shares, more = dict(p.top), 0 if top < 2 else top
    told = SEPARATOR.join(f"{shares[name]:.6f}" for name in p.labels or ())
    named = [cell for label, share in p.top[:more] for cell in (label, f"{share:.6f}")]
    return [p.path, p.label, told, *(named or [""] * (2 * more)), p.problem]


def _number_cells(p: Prediction, top: int) -> list[str]:
    told = ["", "", ""] if p.interval is None else [f"{x:.9g}" for x in (p.value, *p.interval)]
    return [p.path, *told, p.problem]


def _json(lots: Iterable[Sequence[Prediction]], kind: str) -> Iterator[str]:
    before = "[\n"
    for lot in lots:
        for one in lot:
            row = _as_dict(one, kind)
            text = json.dumps(row, ensure_ascii=False, indent=1)
            spelled = text if streams.encodes(text) else json.dumps(row, indent=1)
            yield before + textwrap.indent(spelled, " ")
            before = ",\n"
    yield "\n]\n" if before != "[\n" else "[]\n"


def _as_dict(prediction: Prediction, kind: str) -> dict[str, Any]:
    if kind != "one" and prediction.problem:
        return {"path": prediction.path, "problem": prediction.problem}
    if kind == "several":
        likely = [{"label": label, "confidence": share} for label, share in prediction.top]
        return {"path": prediction.path, "labels": list(prediction.labels or ()), "top": likely}
    if kind == "number":
        ends = prediction.interval
        return {"path": prediction.path, "value": prediction.value, "interval": ends and list(ends)}
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


def show(lots: Iterable[Sequence[Prediction]], kind: str = "one", name: str = "") -> None:
    """Print a table lot by lot; its columns are as wide as the lots until then ask for.

    ``kind``: what is asked of an image; ``name``: of a number.
    """
    heads = {
        "one": ("image", "class", "confidence", ""),
        "several": ("image", "label", "probability", ""),
        "number": ("image", name, "95%", ""),
    }
    rows = {"one": _rows, "several": _label_rows, "number": _number_rows}[kind]
    least: Sequence[int] = ()
    for lot in lots:
        right = (1, 2) if kind == "number" else (2,)
        table = Rows(heads[kind], right=right, fold=0 if kind == "number" else 1, least=least)
        for p in lot:
            for row in rows(p):
                table.add(*row)
        if table.body or not least:
            show_results(table, piped=ANY_WIDTH)
            least = table.widths(range(len(table.head)))


def _rows(p: Prediction) -> Iterator[Sequence[str]]:
    for n, (label, share) in enumerate(p.top):
        doubted = p.known is False and n == 0
        told = "like no training image" if doubted else ""
        yield p.path if n == 0 else "", label, f"{share:.1%}", told


def _label_rows(p: Prediction) -> Iterator[Sequence[str]]:
    """One for each label that is given, and for what is likely and is not."""
    for n, (label, share) in enumerate(p.top):
        told = "" if label in (p.labels or ()) else "not given: below its threshold"
        yield p.path if n == 0 else "", label, f"{share:.1%}", told


def _number_rows(p: Prediction) -> Iterator[Sequence[str]]:
    if p.interval is not None:
        low, high = p.interval
        yield p.path, f"{p.value:.4g}", f"{low:.4g} to {high:.4g}", ""


@dataclass
class Tally:
    """What is kept of many predictions: how many are of each class, and what was not classified."""

    kind: str = "one"
    classes: Counter[str] = field(default_factory=Counter)
    read: int = 0
    """Images that were."""
    none: int = 0
    """Of several labels: images that are given none."""
    strange: int = 0
    """Images like no training image."""
    least: float = inf
    most: float = -inf
    """Of a number."""
    unread: list[tuple[str, str]] = field(default_factory=list)
    """Path and problem of each."""

    def add(self, lot: Iterable[Prediction]) -> None:
        """Count them."""
        for one in lot:
            if one.problem:
                self.unread.append((one.path, one.problem))
                continue
            self.read += 1
            if one.value is not None:
                self.least, self.most = min(self.least, one.value), max(self.most, one.value)
                continue
            self.classes.update([one.label] if one.labels is None else one.labels)
            self.none += one.labels == ()
            self.strange += one.known is False

    def said(self) -> list[str]:
        """Return how many images are of each class, in a sentence or two."""
        if not self.read:
            return []
        images = f"{self.read:,} {'image' if self.read == 1 else 'images'}"
        if self.kind == "number":
            return [f"{images}: from {self.least:.4g} to {self.most:.4g}."]
        counted = self.classes.most_common()
        parts = listed([f"{n:,} {label}" for label, n in counted], 10, " and {:,} more")
        said = [f"{images}: {parts or 'none of the labels'}."]
        if self.none and counted:
            said.append(f"{self.none:,} of them have none of the labels.")
        strange = f"{self.strange:,} of them are like no training image."
        return said + ([strange] if self.strange else [])
