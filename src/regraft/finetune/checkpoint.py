"""Checkpoints: one safetensors file an epoch, the last two kept, each whole or not there."""

import errno
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from regraft.errors import RunError
from regraft.whole_file import replace_file

KEPT = 2
"""Checkpoints of a candidate that are kept: should the last be damaged, there is another."""


@dataclass(frozen=True)
class Checkpoint:
    """A state of training: tensors by name, and the rest as a JSON document."""

    tensors: Mapping[str, Tensor]
    rest: Mapping[str, Any]


def write(folder: Path, name: str, epoch: int, point: Checkpoint) -> None:
    """Write a checkpoint, and drop those of this name but the last two.

    Raises:
        RunError: the disk is full or cannot be written; the checkpoints before are still there.
    """
    path = folder / f"{name}-{epoch:06d}.safetensors"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(path, save(dict(point.tensors), {"rest": json.dumps(point.rest)}))
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        good = [old for old in reversed(_all(folder, name)) if _read(old) is not None]
        raise RunError(
            f"The checkpoint of epoch {epoch} cannot be written to '{folder}': "
            f"{'the disk is full' if full else error.strerror or error}.",
            [
                f"The last good one is '{good[0]}'." if good else "None was written before it.",
                "Make room there and go on with --resume.",
            ],
        ) from error
    drafts = folder.glob(f".{name}-*")  # of processes that were killed: there is one at a time
    for old in (*_all(folder, name)[:-KEPT], *drafts):
        old.unlink(missing_ok=True)


def newest(folder: Path, name: str) -> Checkpoint | None:
    """Return the newest checkpoint that can be read; None where there is none."""
    for path in reversed(_all(folder, name)):
        point = _read(path)
        if point is not None:
            return point
    return None


def _read(path: Path) -> Checkpoint | None:
    try:
        with safe_open(path, framework="pt") as file:
            rest = json.loads(file.metadata()["rest"])
            # Copies: the tensors of the file are gone with it, should it be cut short.
            tensors = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118
            return Checkpoint(tensors, rest)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None


def _all(folder: Path, name: str) -> list[Path]:
    return sorted(folder.glob(f"{name}-[0-9]*.safetensors"))
