"""Tars of samples as WebDataset has them, written for tests."""

import io
import json
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path


def tar(path: Path, files: Mapping[str, bytes]) -> Path:
    """Write a tar; a name may be there twice, with ' ' behind the second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as target:
        for name, data in files.items():
            info = tarfile.TarInfo(name.strip())
            info.size = len(data)
            target.addfile(info, io.BytesIO(data))
    return path


def in_cls(label: str) -> bytes:
    return f"{label}\n".encode()


def in_json(label: str) -> bytes:
    return json.dumps({"width": 32, "label": label}).encode()


def samples(
    files: Mapping[str, bytes], kind: str = "cls", written: Callable[[str], bytes] = in_cls
) -> dict[str, bytes]:
    """Each file, and one beside it with its label, the folder that it lies in."""
    found = dict[str, bytes]()
    for name, data in files.items():
        found |= {name: data, f"{name[:-4]}.{kind}": written(name.split("/")[-2])}
    return found


def every(files: Mapping[str, bytes], start: int, step: int = 3) -> dict[str, bytes]:
    """Every third of them, from one on."""
    return {name: files[name] for name in list(files)[start::step]}
