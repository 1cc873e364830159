"""The tables of a run as they are written, and read back for its page and for an export."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.data.dataset import label_name
from regraft.data.kinds import SEPARATOR
from regraft.data.readers.table import CORRECTION
from regraft.errors import RunError
from regraft.plan.events import Epoch, LogRow, Note, StepDone
from regraft.plan.label_errors import Suspect

PREDICTIONS = ("path", "truth", "prediction", "correct", "confidence")
"""The first columns of ``predictions.csv``; the probabilities follow, one of each class."""

SEVERAL = ("path", "truth", "prediction", "wrong")
"""Of several labels, with the same after them."""

NUMBER = ("path", "truth", "prediction", "error")
"""All columns, of a number."""

AUDIT = ("path", "reason", "detail")
"""The columns of ``audit.csv``."""

SUSPECTS = ("path", "label", "suggestion", "belief", "rank", CORRECTION)
"""The columns of ``suspects.csv``; the last is empty, for a person to fill in."""


@dataclass(frozen=True)
class Predictions:
    """Held-out images as they are shown to people: n paths, truth int [n], probabilities [n, C].

    Of several labels ``truth`` is bool ``[n, C]``; of a number it and ``probabilities`` are numbers
    ``[n]`` in its unit.
    """

    paths: Sequence[str]
    truth: NDArray[Any]
    probabilities: NDArray[Any]
    kind: str = "one"
    thresholds: Sequence[float] = ()
    """Of several labels: from which probability on each is given."""

    @cached_property
    def best(self) -> NDArray[np.intp]:
        """The likeliest class of each image, [n]."""
        return np.asarray(self.probabilities.argmax(1))

    @cached_property
    def confidence(self) -> NDArray[Any]:
        """Its probability, [n]."""
        return np.asarray(self.probabilities.max(1))


def prediction_rows(predictions: Predictions, classes: Sequence[str]) -> Iterator[list[str]]:
    """Return the rows of ``predictions.csv``, made as they are written.

    Nine digits give a float32 back exactly.

    Raises:
        ValueError: the predictions do not fit each other; before the first row.
    """
    if predictions.kind == "number":
        return _number_rows(predictions)
    p, n = predictions.probabilities, len(predictions.paths)
    several = predictions.kind == "several"
    if p.shape != (n, len(classes)) or predictions.truth.shape != (p.shape if several else (n,)):
        raise ValueError(
            f"predictions must fit {n} paths and {len(classes)} classes, got {p.shape}"
        )
    if several:
        return _several_rows(predictions, classes)
    best = p.argmax(1)

    def rows() -> Iterator[list[str]]:
        yield [*PREDICTIONS, *(f"p_{name}" for name in classes)]
        for path, t, b, row in zip(predictions.paths, predictions.truth, best, p, strict=True):
            correct = "true" if t == b else "false"
            figures = [f"{value:.9g}" for value in (row[b], *row)]
            yield [path, classes[t], classes[b], correct, *figures]

    return rows()


def _several_rows(predictions: Predictions, classes: Sequence[str]) -> Iterator[list[str]]:
    """Labels are joined by a bar, as they are read; ``wrong``: how many are too many or missing."""
    given = predictions.probabilities >= np.asarray(predictions.thresholds)
    yield [*SEVERAL, *(f"p_{name}" for name in classes)]
    for path, t, g, row in zip(
        predictions.paths, predictions.truth, given, predictions.probabilities, strict=True
    ):
        names = [SEPARATOR.join(classes[k] for k in np.flatnonzero(one).tolist()) for one in (t, g)]
        yield [path, *names, str(int((t != g).sum())), *(f"{value:.9g}" for value in row)]


def _number_rows(predictions: Predictions) -> Iterator[list[str]]:
    """Yield the truth as it was read, which gives it back exactly, and what is told, a float32."""
    told, truth = predictions.probabilities, predictions.truth
    if told.shape != truth.shape or told.shape != (len(predictions.paths),):
        raise ValueError(f"numbers must fit {len(predictions.paths)} paths, got {told.shape}")
    yield list(NUMBER)
    for path, t, p in zip(predictions.paths, truth, told, strict=True):
        yield [path, label_name(float(t)), f"{p:.9g}", f"{p - t:.9g}"]


def log_rows(log: Sequence[Mapping[str, object]]) -> list[list[object]]:
    """Return the rows of ``log.csv``; the keys of all are its columns."""
    columns = list(dict.fromkeys(key for row in log for key in row))
    return [list(columns), *([row.get(key, "") for key in columns] for row in log)]


def suspects_of(metrics: Mapping[str, Any]) -> tuple[Suspect, ...]:
    """Return the images whose labels look wrong, by ``metrics.json``; older runs name none."""
    return tuple(Suspect(**row) for row in metrics.get("suspects", {}).get("images", ()))


def suspect_rows(suspects: Sequence[Suspect]) -> list[Sequence[object]]:
    """Return the rows of ``suspects.csv``, the least believed label first."""
    rows = [(s.path, s.label, s.suggestion, f"{s.belief:.4g}", s.rank, "") for s in suspects]
    return [SUSPECTS, *rows]


def written(text: str) -> str:
    """Return a name as the tables have it: UTF-8, whatever the file system's names are."""
    return text.encode("utf-8", "backslashreplace").decode()


def read_predictions(
    path: Path,
    classes: Sequence[str],
    least: int = 1,
    *,
    kind: str = "one",
    thresholds: Sequence[float] = (),
) -> Predictions:
    """Read ``predictions.csv`` of a run of these classes, labels (at their thresholds) or number.

    Raises:
        RunError: it is damaged, is of other classes, or has fewer than ``least`` images.
    """
    place = {written(name): n for n, name in enumerate(classes)}
    [head, *rows] = _rows(path) or [[]]
    first = {"one": PREDICTIONS, "several": SEVERAL, "number": NUMBER}[kind]
    wanted = [*first, *(f"p_{name}" for name in place if kind != "number")]
    try:
        if head != wanted or len(rows) < least:
            raise ValueError(f"must have the columns {', '.join(wanted[:6])}, ... and an image")
        paths = [row[0] for row in rows]
        if kind == "number":
            truth, told = (np.array([float(row[k]) for row in rows]) for k in (1, 2))
            return Predictions(paths, truth, told, kind)
        if kind == "several":
            shares = np.array([[float(share) for share in row[4:]] for row in rows])
            there = np.zeros((len(rows), len(classes)), bool)
            for n, row in enumerate(rows):
                there[n, [place[name] for name in row[1].split(SEPARATOR) if name]] = True
            return Predictions(paths, there, shares.reshape(there.shape), kind, tuple(thresholds))
        return Predictions(
            paths,
            np.array([place[row[1]] for row in rows], np.intp),
            np.array([[float(share) for share in row[5:]] for row in rows]).reshape(
                len(rows), len(classes)
            ),
        )
    except (ValueError, KeyError, IndexError) as error:
        raise _damaged(path, error) from error


def read_log(path: Path) -> tuple[LogRow, ...]:
    """Read ``log.csv``; RunError where that cannot be done."""
    head, *rows = _rows(path) or [[]]
    try:
        return tuple(_told({k: v for k, v in zip(head, row, strict=False) if v}) for row in rows)
    except (ValueError, TypeError) as error:
        raise _damaged(path, error) from error


def _told(cells: dict[str, str]) -> LogRow:
    kinds: dict[str, type[Any]] = {"": Note, "train": Epoch}
    kind = kinds.get(cells.get("step", ""), StepDone)
    read = {"step": str, "what": str, "measure": str, "epoch": int, "of": int}
    names = [f.name for f in fields(kind) if f.name in cells]
    found: LogRow = kind(**{name: read.get(name, float)(cells[name]) for name in names})
    return found


def read_audit(path: Path) -> tuple[tuple[str, str, str], ...]:
    """Read ``audit.csv``: path, reason, detail; RunError where that cannot be done."""
    return tuple((row[0], row[1], row[2]) for row in _rows(path)[1:] if len(row) == 3)


def _damaged(path: Path, error: Exception) -> RunError:
    remedy = "Take the folder from where it is whole, or make it anew with `regraft fit`."
    return RunError(f"'{path}' is damaged.", [str(error), remedy])


def _rows(path: Path) -> list[list[str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RunError(f"'{path}' cannot be read.", [str(error)]) from error
