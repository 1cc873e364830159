"""A run's tables read back from its folder, for its page to be drawn anew."""

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from regraft.errors import RunError
from regraft.results.folder import Predictions
from regraft.results.result import Result


def whole(result: Result, folder: Path) -> Result:
    """A loaded result with its predictions, log and audit.

    Raises:
        RunError: a table that is damaged, or that does not fit the run.
    """
    log = _rows(folder / "log.csv")
    audit = _rows(folder / "audit.csv")
    return replace(
        result,
        predictions=_predictions(folder / "predictions.csv", result.classes),
        log=tuple(dict(zip(log[0], row, strict=False)) for row in log[1:]) if log else (),
        audit=tuple((row[0], row[1], row[2]) for row in audit[1:] if len(row) == 3),
    )


def _rows(path: Path) -> list[list[str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RunError(f"'{path}' cannot be read.", [str(error)]) from error


def _predictions(path: Path, classes: Sequence[str]) -> Predictions:
    """Truth and probabilities; the columns are those of the classes, in their order."""
    place = {name: n for n, name in enumerate(classes)}
    [head, *rows] = _rows(path) or [[]]
    wanted = ["path", "truth", "prediction", "correct", "confidence"]
    wanted += [f"p_{name}" for name in classes]
    try:
        if head != wanted or not rows:
            raise ValueError(f"must have the columns {', '.join(wanted[:6])}, ... and an image")
        return Predictions(
            [row[0] for row in rows],
            np.array([place[row[1]] for row in rows], np.intp),
            np.array([[float(share) for share in row[5:]] for row in rows]).reshape(
                len(rows), len(classes)
            ),
        )
    except (ValueError, KeyError, IndexError) as error:
        remedy = "Take the folder from where it is whole, or make it anew with `regraft fit`."
        raise RunError(f"'{path}' is damaged.", [str(error), remedy]) from error
