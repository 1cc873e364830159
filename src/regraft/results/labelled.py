"""What a run keeps of its labelled images, for `regraft.next_to_label`: features, no pixels.

``labelled.safetensors`` of a RUN: ``features`` [M, P] of what the new layer reads, ``labels`` [M]
(places of the classes), ``groups`` [M] (the same number: captures that belong together),
``seen`` [N], the `regraft.data.audit.marks` of every image, whether it is among the M or not, and
``paths``, the bytes of a JSON list of the M images' names; runs of before have no ``paths``.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.errors import RunError
from regraft.results.files import LABELLED_FILE, read_tensors

MOST = 1_000
"""Images that are kept, at most: with 2,000 features each 4 MB."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """Some labelled images of a run, by what its new layer reads of them."""

    features: NDArray[np.float16]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]
    seen: NDArray[np.uint64]
    paths: NDArray[np.uint8] | None = None

    def tensors(self) -> Mapping[str, NDArray[Any]]:
        """Return it as arrays by name, as they are written."""
        return {name: array for name, array in asdict(self).items() if array is not None}

    def names(self) -> list[str] | None:
        """Return the images' names, as the tables have them; None in runs of before."""
        if self.paths is None:
            return None
        found: list[str] = json.loads(self.paths.tobytes())
        return found


def packed(names: Sequence[str]) -> NDArray[np.uint8]:
    """Return names as an array, for `Labelled.paths`."""
    return np.frombuffer(json.dumps(list(names)).encode(), np.uint8)


def read_labelled(folder: Path, inputs: int, classes: int) -> Labelled | None:
    """Read it of a RUN whose new layer has so many inputs and classes; None in an older one.

    Raises:
        RunError: it is damaged.
    """
    problems: list[str] = []
    found = read_tensors(folder / LABELLED_FILE, problems)
    if found is None and not problems:
        return None
    problems += [] if found is None else _problems(found, inputs, classes)
    if found is None or problems:
        raise RunError(
            f"The run '{folder}' is damaged.",
            [
                *problems,
                f"Without {LABELLED_FILE} it serves as an older one does: move that file away.",
            ],
        )
    return Labelled(**found)


def _problems(found: Mapping[str, NDArray[Any]], inputs: int, classes: int) -> list[str]:
    """Name what does not fit."""
    names = sorted(Labelled.__dataclass_fields__)
    if sorted({*found, "paths"}) != names:
        return [f"{LABELLED_FILE} must hold {', '.join(names)}, holds {', '.join(sorted(found))}"]
    count = len(found["labels"])
    shapes = {"features": (count, inputs), "labels": (count,), "groups": (count,)}
    wrong = [
        f"{LABELLED_FILE}: {name} must be {list(shape)}, is {list(found[name].shape)}"
        for name, shape in shapes.items()
        if found[name].shape != shape
    ]
    if not wrong and count and not 0 <= found["labels"].min() <= found["labels"].max() < classes:
        wrong = [f"{LABELLED_FILE}: labels must be 0 to {classes - 1}, one for each class"]
    return wrong or ([] if _are_names(found.get("paths"), count) else [NAMES.format(count)])


NAMES = f"{LABELLED_FILE}: paths must be a JSON list of {{}} names"


def _are_names(paths: NDArray[Any] | None, count: int) -> bool:
    if paths is None:
        return True
    try:
        names = json.loads(paths.tobytes())
    except ValueError:
        return False
    return isinstance(names, list) and [type(name) for name in names] == [str] * count
