"""A converted trunk that a RUN carries with itself, for machines that cannot convert it.

``RUN/trunk/`` holds ``trunk.xml``, ``trunk.bin`` and ``meta.json``, which says of which weights
they are. Unlike what is remembered in a cache folder it is of no machine in particular.
"""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from regraft.backbones import Backbone
from regraft.features.engines import openvino_engine, store
from regraft.features.engines.openvino_engine import FULL, Graph
from regraft.features.engines.preference import exact_to, is_graph

if TYPE_CHECKING:
    from torch import nn

FOLDER = "trunk"
FILES = (store.META, store.WEIGHTS, store.GRAPH)


class Remembered(NamedTuple):
    """A trunk that a cache folder holds in ``home``, and the digest of the RUN's own weights.

    ``cut``: the deepest depth that the RUN keeps of it; all where None.
    """

    home: Path
    weights: str
    cut: int | None = None

    def copy(self, path: Path) -> None:
        """Copy it into the new folder ``path``; where another process drops it just now, nothing.

        Raises:
            OSError: it cannot be written.
        """
        if store.recall(self.home) is None or not (self.home / store.GRAPH).is_file():
            return
        path.mkdir()
        try:
            if self.cut is not None:
                openvino_engine.shorten(self.home / store.GRAPH, self.cut, path / store.GRAPH)
            else:
                for name in (store.GRAPH, store.WEIGHTS):
                    shutil.copyfile(self.home / name, path / name)
        except FileNotFoundError:
            shutil.rmtree(path)
            return
        for name in (store.GRAPH, store.WEIGHTS):
            with open(path / name, "rb+") as file:
                os.fsync(file.fileno())
        _sign(path, self.weights)


def write(trunk: "nn.Module", backbone: Backbone, path: Path) -> None:
    """Convert the trunk of all depths into the folder ``path``.

    Whatever the network's own code or the converter raises is raised.
    """
    openvino_engine.convert(trunk, backbone, path / store.GRAPH)
    _sign(path, backbone.weights.sha256)


def find(backbone: Backbone, taps: Sequence[int], path: Path, wish: str = "") -> Graph | None:
    """Return the engine that runs what `write` wrote, with an output for each of ``taps``.

    None where it is absent, damaged, or of other weights than the backbone's.

    Args:
        backbone: the record of the network as it is now.
        taps: depths to read.
        path: the folder.
        wish: the engine whose precision is wanted; float32 where this CPU has not that one.
    """
    try:
        meta = json.loads((path / store.META).read_text("utf-8"))
        right = meta == {"weights": backbone.weights.sha256, "files": _sizes(path)}
    except (OSError, ValueError):
        return None
    return Graph(_precision(backbone, wish), path / store.GRAPH, taps) if right else None


def _precision(backbone: Backbone, wish: str) -> str:
    """Return the engine that is wished for, if it runs a graph that has so many stages here."""
    fits = is_graph(wish) and exact_to(wish) < len(backbone.stages)
    return wish if fits and not openvino_engine.objection(wish) else FULL


def _sign(path: Path, weights: str) -> None:
    """Write down of which weights it is, and that it is whole."""
    meta = {"weights": weights, "files": _sizes(path)}
    (path / store.META).write_text(json.dumps(meta, indent=1) + "\n", "utf-8")


def _sizes(path: Path) -> dict[str, int]:
    return {name: (path / name).stat().st_size for name in (store.GRAPH, store.WEIGHTS)}
