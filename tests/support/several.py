"""Small sets with several labels, and numbers, laid out as files. Readers look into no picture."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from regraft.data.dataset import Dataset

Files = Mapping[str, bytes | str]


def lay(folder: Path, files: Files) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def photos(count: int) -> dict[str, bytes]:
    """Files of so many names; readers do not look inside."""
    return {f"{n}.jpg": bytes([n % 256, n // 256, 1]) for n in range(count)}


def table(labels: Sequence[object], header: str = "path,label") -> str:
    return "\n".join([header, *(f"{n}.jpg,{label}" for n, label in enumerate(labels)), ""])


def opened(folder: Path, files: Mapping[str, Any], source: str = "", **words: Any) -> Dataset:
    return Dataset.open(lay(folder, files) / source, **words)


def labels_of(dataset: Dataset) -> list[str]:
    return [item.label for item in dataset.items]


SQUARES = np.zeros((3, 9, 9), np.uint8)


def folders(doubles: int, names: Callable[[int], str] = lambda n: f"{n}.jpg") -> dict[str, bytes]:
    """Twenty photos, of which the first lie in both folders."""
    found = {f"{'ab'[n % 2]}/{n}.jpg": bytes([n, 7]) for n in range(20)}
    return found | {f"{'ba'[n % 2]}/{names(n)}": bytes([n, 7]) for n in range(doubles)}
