"""The Result: a folder that stands on its own.

=====================  ==========================================================================
``plan.json``          what was decided and why
``config.json``        classes, preprocessing, surgery; `write_run` adds format, version, tensors
                       and ``weights_sha256``, in hex; without that the weights are not checked
``metrics.json``       what it got on the held-out images, see `regraft.results.files.METRICS`
``model.safetensors``  the weights; the new layer is ``head.weight`` [C, D] and ``head.bias`` [C]
``predictions.csv``    every held-out image: truth, prediction, probabilities
``log.csv``            how the fitting went
``audit.csv``          every image that was left out: path, reason, detail
``suspects.csv``       images whose labels look wrong, to be corrected; absent in older runs
``labelled.safetensors``  features of some labelled images, see `regraft.results.labelled`;
                       absent in older runs
``trunk/``             what runs the network without torch, see `regraft.features.engines.carried`;
                       absent where nothing was converted: `regraft export --to serve` does it
``README.md``          the model card
``report.html``        what it got, for people; may be drawn anew or be absent
=====================  ==========================================================================
"""

import difflib
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from regraft.data.dataset import listed
from regraft.errors import RunError
from regraft.features.engines import carried
from regraft.results.atomic import check_target, restore, steady, whole_folder
from regraft.results.files import (
    DIGEST,
    FILES,
    FORMAT,
    LABELLED_FILE,
    PAGE,
    SUSPECTS_FILE,
    VERSION,
    Tensors,
    config_problems,
    csv_bytes,
    json_text,
    kind_of,
    metrics_problems,
    read_json,
    read_tensors,
    safetensors_bytes,
    shapes,
    weights_problems,
    write_bytes,
    write_csv,
    write_text,
)
from regraft.results.labelled import Labelled
from regraft.results.tables import (
    AUDIT,
    Predictions,
    log_rows,
    prediction_rows,
    suspect_rows,
    suspects_of,
)

LATER = (SUSPECTS_FILE, LABELLED_FILE, PAGE, carried.FOLDER, "tensorboard", ".DS_Store")
"""What may lie in a run beside its files and is replaced with it."""


@dataclass(frozen=True)
class RunFiles:
    """What a run folder holds, read and checked; the plan as JSON text."""

    folder: Path
    plan: str
    config: dict[str, Any]
    metrics: dict[str, Any]
    tensors: dict[str, NDArray[Any]]


def metrics_of(
    scores: Mapping[str, Any],
    *,
    case: int,
    taps: Sequence[int],
    proof: str,
    seconds: Mapping[str, float],
    engine: str,
    images_per_second: float,
) -> dict[str, Any]:
    """Return what ``metrics.json`` holds."""
    return dict(scores) | {
        "case": case,
        "taps": list(taps),
        "proof": proof,
        "seconds": dict(seconds),
        "engine": engine,
        "images_per_second": images_per_second,
    }


def check_destination(folder: Path, *, overwrite: bool = False) -> None:
    """Refuse before the work what `write_run` would refuse after it.

    Raises:
        RunError: something is there that may not be replaced, or nothing can be written there.

    """
    check_target(folder, partial(_objections, overwrite=overwrite))


def write_run(
    folder: Path,
    *,
    plan: str,
    config: Mapping[str, Any],
    tensors: Tensors,
    metrics: Mapping[str, Any],
    predictions: Predictions,
    log: Sequence[Mapping[str, object]],
    audit: Iterable[Sequence[str]],
    card: str,
    page: str = "",
    labelled: Labelled | None = None,
    trunk: carried.Remembered | None = None,
    overwrite: bool = False,
) -> None:
    """Write a run folder, whole or not at all (see `regraft.results.atomic`).

    Args:
        folder: where; missing parents are made. An empty folder there is taken.
        plan: JSON text.
        config: at least ``classes``, the names in the order of the head's outputs.
        tensors: at least ``head.weight`` [C, D] and ``head.bias`` [C].
        metrics: at least the keys of `regraft.results.files.METRICS`.
        predictions: of the held-out images, columns in the order of ``classes``.
        log: rows; their keys are the columns.
        audit: rows of path, reason, detail.
        card: text of the model card.
        page: text of the report, if there is one.
        labelled: what is kept of its labelled images, if anything is.
        trunk: the converted network, if it is at hand.
        overwrite: replace a run that is there. What is no run is never replaced.

    Raises:
        RunError: the folder may not be replaced, or the disk is full or cannot be written.
        ValueError: the parts do not fit each other.

    """
    weights = safetensors_bytes(tensors)
    config = dict(config) | {"format": FORMAT, "version": VERSION, "tensors": shapes(tensors)}
    config[DIGEST] = hashlib.sha256(weights).hexdigest()
    json.loads(plan)
    if problems := [*config_problems(config, tensors), *metrics_problems(metrics, kind_of(config))]:
        raise ValueError("; ".join(problems))
    table = prediction_rows(predictions, config["classes"])
    with whole_folder(folder, partial(_objections, overwrite=overwrite)) as place:
        write_text(place / "plan.json", plan)
        write_text(place / "config.json", json_text(config))
        write_text(place / "metrics.json", json_text(metrics))
        write_bytes(place / "model.safetensors", weights)
        write_csv(place / "predictions.csv", table)
        write_csv(place / "log.csv", log_rows(log))
        write_csv(place / "audit.csv", [AUDIT, *audit])
        if kind_of(config) == "one":  # labels of the other kinds are not doubted
            write_csv(place / SUSPECTS_FILE, suspect_rows(suspects_of(metrics)))
        write_text(place / "README.md", card)
        if labelled is not None:
            write_bytes(place / LABELLED_FILE, safetensors_bytes(labelled.tensors()))
        if trunk is not None:
            trunk.copy(place / carried.FOLDER)
        if page:
            write_text(place / PAGE, page)


def read_run(folder: Path) -> RunFiles:
    """Read a run folder and check that its parts are whole and fit each other.

    Raises:
        RunError: no such folder, no run, or a damaged one; every problem is named.

    """
    return steady(folder, _read)


def _read(folder: Path) -> RunFiles:
    _check_is_run(folder)
    problems = [
        f"{name}: must be there, is missing" for name in FILES if not (folder / name).is_file()
    ]
    plan = read_json(folder / "plan.json", problems)
    config = read_json(folder / "config.json", problems)
    metrics = read_json(folder / "metrics.json", problems)
    tensors = read_tensors(folder / "model.safetensors", problems)
    if config is not None:
        problems += [f"config.json: {problem}" for problem in config_problems(config, tensors)]
    if metrics is not None:
        kind = kind_of(config or {})
        problems += [f"metrics.json: {problem}" for problem in metrics_problems(metrics, kind)]
    if config is not None and tensors is not None and not problems:
        problems += weights_problems(config, folder / "model.safetensors")
    if plan is None or config is None or metrics is None or tensors is None or problems:
        remedy = "Take the folder from where it is whole, or make it anew with `regraft fit`."
        raise RunError(f"The run '{folder}' is damaged.", [*problems, remedy])
    text = (folder / "plan.json").read_text(encoding="utf-8")
    return RunFiles(folder, text, config, metrics, tensors)


# ---- what may be replaced


def _objections(folder: Path, *, overwrite: bool) -> list[str]:
    """Tell why what is at ``folder`` must not be replaced by a run."""
    if not folder.is_dir():
        return ["must be a folder, is a file; name another folder"]
    found = sorted(os.listdir(folder))
    if not found:
        return []
    if not is_run(folder):
        return [f"must be a regraft run or new, holds {listed(found, 3)}; name another folder"]
    if not overwrite:
        return ["must not exist yet, is a run; name another folder, or ask for --overwrite"]
    if others := [name for name in found if name not in (*FILES, *LATER)]:
        also = listed(others, 3)
        return [f"must hold what regraft wrote only, also holds {also}; move that away"]
    if _edited(folder):
        return [f"{SUSPECTS_FILE} must be as it was written, was edited; keep it elsewhere first"]
    return []


def _edited(folder: Path) -> bool:
    """Return whether a person's corrections would be lost with the table of suspects."""
    table, metrics = folder / SUSPECTS_FILE, read_json(folder / "metrics.json", [])
    if metrics is None or not table.is_file():
        return False
    return table.read_bytes() != csv_bytes(suspect_rows(suspects_of(metrics)))


def is_run(folder: Path) -> bool:
    """Return whether a folder bears the stamp of a run, whole or damaged."""
    config = read_json(folder / "config.json", [])
    return config is not None and config.get("format") == FORMAT


# ---- what is there instead of a run


def _check_is_run(folder: Path) -> None:
    restore(folder)
    if folder.is_dir() and (is_run(folder) or any((folder / name).is_file() for name in FILES[:4])):
        return
    if folder.is_dir():
        found = listed(sorted(os.listdir(folder)), 3) or "nothing"
        problem = f"must hold {', '.join(FILES[:4])}; holds {found}"
    elif folder.exists():
        problem = "must be a folder, is a file"
    else:
        problem = f"must be there, is not{_near(folder)}"
    raise RunError(f"'{folder}' is no regraft run.", [problem, "A run is made by `regraft fit`."])


def _near(folder: Path) -> str:
    """Name the runs beside a folder that is not there, those of like name first."""
    try:
        beside = [entry.name for entry in folder.parent.iterdir() if (entry / FILES[1]).is_file()]
    except OSError:
        return ""
    close = difflib.get_close_matches(folder.name, beside, n=3) or sorted(beside)
    return f"; beside it: {listed(close, 3)}" if close else ""
