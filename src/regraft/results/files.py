"""The files of a run, one by one: how each is written, read and checked.

Checks give problems as sentences, so that a reader can name all of them at once.
"""

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.backbones import sha256_of
from regraft.data.dataset import few

FORMAT, VERSION = "regraft run", 1
"""Stamped on ``config.json``: what the folder is, and how it is to be read."""

FILES = (
    "plan.json",
    "config.json",
    "metrics.json",
    "model.safetensors",
    "predictions.csv",
    "log.csv",
    "audit.csv",
    "README.md",
)
"""What `write_run` writes and `read_run` wants to find."""

DIGEST = "weights_sha256"
"""Key of ``config.json``: the SHA-256 of the weights file, in hex. Older runs have none."""

SUSPECTS_FILE = "suspects.csv"
"""What `write_run` writes for people to correct; older runs have none."""

LABELLED_FILE = "labelled.safetensors"
"""What `write_run` writes of the labelled images; older runs have none."""

PAGE = "report.html"
"""What `write_run` writes for people; `read_run` does without it."""

COMPARISON = "comparison.json"
"""What a comparison has instead of all these, beside its page."""

_ALWAYS = ("n", "guess", "case", "taps", "seconds", "engine", "images_per_second")

MEASURES = {
    "one": (
        *("accuracy", "accuracy_interval", "balanced_accuracy", "log_loss", "ece"),
        *("per_class", "confusion"),
    ),
    "several": (
        *("mean_average_precision", "mean_average_precision_interval", "f1", "micro_f1"),
        *("exact", "log_loss", "ece", "per_label"),
    ),
    "number": (
        *("r2", "r2_interval", "mean_absolute_error", "median_absolute_error"),
        *("root_mean_squared_error", "half_width", "covered"),
    ),
}
"""Keys that ``metrics.json`` has at least, beside these, by what is asked of an image."""

METRICS = (*MEASURES["one"], *_ALWAYS)
"""All of those of one label an image."""

SECONDS = ("audit", "probe", "fit", "evaluate", "total")
"""Keys of its ``seconds``."""

Tensors = Mapping[str, NDArray[Any]]


# ---- checking


def config_problems(config: Mapping[str, Any], tensors: Tensors | None) -> list[str]:
    """Name what is wrong with a config, and where the tensors (if any were read) do not fit it."""
    if config.get("format") != FORMAT:
        return [f"format must be {FORMAT!r}, is {config.get('format')!r}"]
    if config.get("version") != VERSION:
        return [f"version must be {VERSION}, is {config.get('version')!r}: of another regraft"]
    problems, classes, kind = [], config.get("classes"), kind_of(config)
    if kind not in MEASURES:
        problems.append(f"kind must be {', '.join(MEASURES)}, is {kind!r:.80}")
    if not _are_names(classes, least := 2 if kind == "one" else 1):
        wanted = {1: "different names", 2: "two or more different names"}[least]
        problems.append(f"classes must be {wanted}, is {classes!r:.80}")
        classes = None
    elif kind == "several" and not _are_shares(config.get("thresholds"), len(classes or ())):
        problems.append("thresholds must be a number from 0 to 1 for each of the classes")
    elif kind == "number" and not _is_width(config.get("half_width")):
        problems.append(f"half_width must be a number from 0 on, is {config.get('half_width')!r}")
    if tensors is not None:
        problems += _shape_problems(config.get("tensors"), shapes(tensors))
        problems += _head_problems(classes, tensors)
    return problems


def kind_of(config: Mapping[str, Any]) -> str:
    """Return what is asked of an image: ``one``, ``several`` or ``number``; older RUNs say none."""
    return str(config.get("kind", "one"))


def _are_names(classes: object, least: int) -> bool:
    if not isinstance(classes, list | tuple) or not all(isinstance(name, str) for name in classes):
        return False
    return len(set(classes)) == len(classes) >= least


def _are_shares(values: object, count: int) -> bool:
    return (
        isinstance(values, list | tuple)
        and len(values) == count
        and all(isinstance(one, int | float) and 0 <= one <= 1 for one in values)
    )


def _is_width(value: object) -> bool:
    return isinstance(value, int | float) and 0 <= value < float("inf")


def shapes(tensors: Tensors) -> dict[str, list[int]]:
    """Return the shape of each tensor, by name."""
    return {name: list(tensor.shape) for name, tensor in sorted(tensors.items())}


def _shape_problems(stated: object, found: Mapping[str, list[int]]) -> list[str]:
    """Compare the shapes that the config states with those of the tensors; the first ten."""
    if not isinstance(stated, dict):
        return [f"tensors must give the shape of each, is {stated!r:.80}"]
    problems = [
        f"tensor {name} must be {stated.get(name, 'absent')}, is {found.get(name, 'absent')}"
        for name in sorted({*stated, *found})
        if stated.get(name) != found.get(name)
    ]
    return few(problems, 10, "and {} more tensors")


def _head_problems(classes: Sequence[str] | None, tensors: Tensors) -> list[str]:
    if classes is None:
        return []
    weight, bias = tensors.get("head.weight"), tensors.get("head.bias")
    if weight is None or bias is None:
        return ["tensors head.weight and head.bias must be there"]
    if weight.ndim != 2 or bias.shape != weight.shape[:1] or len(bias) != len(classes):
        found = f"{list(weight.shape)} and {list(bias.shape)}"
        return [f"the head must have {len(classes)} outputs, one per class, has {found}"]
    return []


def weights_problems(config: Mapping[str, Any], path: Path) -> list[str]:
    """Say so where the weights are not those that the run was written with, as far as it tells."""
    if DIGEST not in config:
        return []
    found = sha256_of(path)
    if config[DIGEST] == found:
        return []
    return [
        f"{path.name}: SHA-256 must be {config[DIGEST]!s:.12}…, is {found[:12]}…: its weights were "
        f"changed after the figures were found (if on purpose, take {DIGEST} out of config.json)"
    ]


def metrics_problems(metrics: Mapping[str, Any], kind: str = "one") -> list[str]:
    """Name the figures that are missing."""
    missing = [name for name in (*MEASURES.get(kind, ()), *_ALWAYS) if name not in metrics]
    seconds = metrics.get("seconds")
    if isinstance(seconds, Mapping):
        missing += [f"seconds.{name}" for name in SECONDS if name not in seconds]
    return [f"must have {', '.join(missing)}"] if missing else []


# ---- reading


def read_json(path: Path, problems: list[str]) -> dict[str, Any] | None:
    """Read a JSON object; append to ``problems`` why there is none (a missing file was named)."""
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        problems.append(f"{path.name}: cannot be read: {error.strerror}")
        return None
    except ValueError as error:
        problems.append(f"{path.name}: must be JSON, is damaged: {error}")
        return None
    if not isinstance(data, dict):
        problems.append(f"{path.name}: must be a JSON object, is {type(data).__name__}")
        return None
    return data


def read_tensors(path: Path, problems: list[str]) -> dict[str, NDArray[Any]] | None:
    """Read safetensors; append to ``problems`` why there are none (a missing file was named)."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = dict(load_file(path))
        # numpy knows more kinds, bfloat16 among them, once a package has taught it to: these are 2
        if strange := sorted({t.dtype.name for t in tensors.values() if t.dtype.isbuiltin == 2}):
            raise TypeError(f"tensors of kind {', '.join(strange)}")
        return tensors
    except FileNotFoundError:
        return None
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        problems.append(f"{path.name}: must be whole safetensors, is damaged: {error}")
        return None


# ---- writing


def json_text(data: Mapping[str, Any]) -> str:
    """Write JSON with a line for each key, which people can read and compare."""
    lines = (
        f"  {json.dumps(key)}: {json.dumps(value, allow_nan=False, ensure_ascii=False)}"
        for key, value in data.items()
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"


def safetensors_bytes(tensors: Tensors) -> bytes:
    """Write tensors as safetensors; the same tensors give the same bytes."""
    from safetensors.numpy import save

    # asarray and not ascontiguousarray, which makes one dimension of none.
    rows = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    return save(rows, metadata={"format": "pt"})  # "pt": laid out as PyTorch has it


def write_csv(path: Path, rows: Iterable[Sequence[object]]) -> None:
    """Write RFC 4180: commas, quotes where needed, lines that end with CRLF, UTF-8."""
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        csv.writer(file).writerows(rows)
        file.flush()
        os.fsync(file.fileno())


def csv_bytes(rows: Iterable[Sequence[object]]) -> bytes:
    """Return the same as bytes, of a table that is small."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode("utf-8", "backslashreplace")


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 and have it on the disk."""
    # A file name that is no UTF-8 has lone surrogates; \udcff is also how JSON spells them.
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write bytes and have them on the disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
