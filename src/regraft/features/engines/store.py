"""What is remembered of a backbone on a machine: its converted trunk and its calibration.

``CACHE/trunks/KEY/`` holds ``trunk.xml``, ``trunk.bin`` and ``meta.json``. The key stands for all
that the features depend on beside the image: weights, stages, preprocessing, the libraries'
versions and the machine's processor. A folder is written under another name and moved into
place, so it is whole or absent.
"""

import hashlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from regraft.backbones import Backbone
from regraft.data.images import View
from regraft.features.cache import TRUNKS
from regraft.features.engines.base import Calibration
from regraft.whole_file import replace_file

META = "meta.json"
GRAPH = "trunk.xml"
WEIGHTS = "trunk.bin"
_FORMAT = 2
_LIMITS = ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY")  # of what a processor can, by its user
_UNIMPORTANT = ("name", "licence", "paper", "source")  # of a record: they change no number


def key(backbone: Backbone) -> str:
    """Return a name for all that features depend on beside image, view and engine."""
    record = {k: v for k, v in backbone.to_json().items() if k not in _UNIMPORTANT}
    view, square = backbone.view, (backbone.view.size, backbone.view.size, 3)
    record |= {
        "view": view.size if view.shape == square else list(view.shape),
        "weights": backbone.weights.sha256,
    }
    text = json.dumps([_FORMAT, record, _versions(), machine()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def space(backbone: Backbone, view: View, engine: str) -> str:
    """Return the cache's name for this backbone's features of such views by that engine."""
    return f"{key(backbone)}-{view.key}-{engine}"


def home(folder: Path, backbone: Backbone) -> Path:
    """Where the backbone's trunk belongs in a cache folder."""
    return folder / TRUNKS / key(backbone)


def recall(path: Path) -> Calibration | None:
    """Return the calibration kept in a trunk's folder; None where it is absent or damaged."""
    try:
        meta = json.loads((path / META).read_text("utf-8"))
        whole = all((path / name).stat().st_size == size for name, size in meta["files"].items())
        calibration = Calibration.from_json(meta["calibration"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if not whole:
        return None
    with suppress(OSError):
        os.utime(path)  # the cache drops what was not used for longest
    return calibration


def write_meta(path: Path, backbone: Backbone, calibration: Calibration) -> None:
    """Complete a trunk's folder."""
    files = {p.name: p.stat().st_size for p in path.iterdir()}
    meta: dict[str, Any] = {
        "calibration": calibration.to_json(),
        "backbone": backbone.to_json(),
        "versions": _versions(),
        "machine": machine(),
        "files": files,
    }
    (path / META).write_text(json.dumps(meta, indent=2), "utf-8")


@contextmanager
def unfinished(folder: Path) -> Iterator[Path]:
    """Return a new folder beside the trunks, or in the system's temporary folder.

    Gone in the end.
    """
    parent: Path | None = folder / TRUNKS
    try:
        (folder / TRUNKS).mkdir(parents=True, exist_ok=True)
        path = Path(tempfile.mkdtemp(prefix=".new-", dir=parent))
    except OSError:
        path = Path(tempfile.mkdtemp(prefix="regraft-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def move_in(new: Path, path: Path) -> None:
    """Move a finished folder into place, unless another process was there first.

    Raises:
        OSError: the cache folder cannot be written.
    """
    there, made = recall(path), recall(new)
    if there is not None and (not there.provisional or (made is not None and made.provisional)):
        if made is not None and not made.provisional:
            _learn(path, there, made)
        return
    old = new.with_name(new.name + "-old")
    with suppress(FileNotFoundError):
        path.replace(old)  # damaged, or made without photos
    try:
        new.rename(path)
    except OSError:
        if recall(path) is None:
            raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _learn(path: Path, there: Calibration, made: Calibration) -> None:
    """Add to what is remembered the engines that were not measured to the end before."""
    new = [one for one in made.candidates if not one.given_up and there.objection(one.name) is None]
    if not new:
        return
    names = {one.name for one in new}
    old = [one for one in there.candidates if one.name not in names]
    calibration = replace(there, candidates=(*old, *new))
    meta = json.loads((path / META).read_text("utf-8"))
    meta["calibration"] = calibration.to_json()
    replace_file(path / META, json.dumps(meta, indent=2))


@cache
def _versions() -> dict[str, str]:
    """Of the libraries that compute features."""
    return versions_of(("torch", "timm", "openvino"))


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """Versions of packages, read without importing them; '' where one is absent."""
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = ""
    return found


@cache
def machine() -> str:
    """Return the processor, with all that it can do, and which NVIDIA devices can be used."""
    lines = []
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text("utf-8", errors="replace").splitlines()
    told = {line for line in lines if line.startswith(("model name", "flags", "Features"))}
    told |= {f"{name}={os.environ[name]}" for name in _LIMITS if name in os.environ}
    devices = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    with suppress(OSError):
        devices += f"/{len(list(Path('/proc/driver/nvidia/gpus').iterdir()))}"
    text = "\n".join(sorted(told)) or platform.processor() or platform.machine()
    model = next((t.partition(":")[2].strip() for t in told if t.startswith("model name")), "")
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return f"{model or platform.machine()} {digest} {devices}".strip()
