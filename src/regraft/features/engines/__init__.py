"""Engines run a trunk; a fast one that agrees with float32 torch is chosen.

The choice is made once for a network on a machine: for a backbone before its first pass, for a
trained network when it is done (`choose`, on a sample of the person's own images), or where
there are no images (`exact`). An order and a margin make it
(`regraft.features.engines.preference`), so that it is the same again whatever else the machine
does.

It is remembered in the cache folder together with the converted trunk. From then on a run needs
neither torch nor timm: where OpenVINO was chosen they are never imported.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from regraft.backbones import Backbone
from regraft.distributed import cores
from regraft.errors import UsageError
from regraft.features.engines import calibrate, openvino_engine, store, torch_engine
from regraft.features.engines.base import (
    REFERENCE,
    Agreement,
    Calibration,
    Engine,
    EngineTrial,
    Features,
    Floats,
    Pixels,
    features,
)
from regraft.features.engines.calibrate import SAMPLE, CalibrationImages
from regraft.features.engines.preference import ORDER, check_name, is_known
from regraft.features.engines.store import space

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "ORDER",
    "REFERENCE",
    "SAMPLE",
    "Agreement",
    "Build",
    "Calibration",
    "CalibrationImages",
    "Engine",
    "EngineTrial",
    "Features",
    "Floats",
    "Pixels",
    "check_name",
    "choose",
    "cores",
    "exact",
    "features",
    "is_known",
    "objection",
    "open_engine",
    "reference",
    "remembered",
    "space",
]

Build = Callable[[], "nn.Module"]

log = logging.getLogger("regraft")


def choose(
    backbone: Backbone,
    pixels: Pixels,
    folder: Path,
    *,
    build: Build,
    only: str | None = None,
    wish: str = "",
    labels: Sequence[int] | None = None,
    taps: Sequence[int] | None = None,
) -> tuple[Engine, Calibration]:
    """Return the engine for a backbone: the remembered one, else that of a calibration.

    One that was remembered without images (`exact`) is measured anew.

    Args:
        backbone: the network's record.
        pixels: a sample of real images ``[n, S, S, 3]``; :data:`SAMPLE` of them suffice.
        folder: the cache folder, where the calibration and the converted trunk are kept.
        build: gives the whole network, when it is needed.
        only: the name of the engine to use, if it agrees.
        wish: the same, and where it may not be used the ordinary choice.
        labels: the sample's classes as numbers.
        taps: the depths that the engine is to give; all of them unless named.

    Raises:
        UsageError: there is no engine called ``only``, or it may not be used.
    """
    again = partial(remembered, backbone, folder, build=build, only=only, wish=wish, taps=taps)
    known = again()
    if known is not None and not (known[1].provisional and len(pixels)):
        return known
    every = range(len(backbone.stages))
    taps = every if taps is None else taps
    if not len(pixels):  # nothing to measure with, and nothing to run
        return _engine(REFERENCE, backbone, folder, taps, build), Calibration(REFERENCE)
    with store.unfinished(folder) as path:
        sample = CalibrationImages(pixels, labels)
        trunk = _trunk(backbone, build, every)
        asked = only or wish
        made = calibrate.calibrate(backbone, trunk(), sample, path / store.GRAPH, asked)
        name = _named(backbone, made, only, wish)
        if _keep(path, folder, backbone, made):
            known = again()
            if known is not None:
                return known[0], replace(known[1], seconds=made.seconds)
        return _opened(name, backbone, path, taps, build), replace(made, chosen=name)


def remembered(
    backbone: Backbone,
    folder: Path,
    *,
    build: Build,
    only: str | None = None,
    wish: str = "",
    taps: Sequence[int] | None = None,
) -> tuple[Engine, Calibration] | None:
    """Return the engine that an earlier calibration chose (or measured, with ``only`` or ``wish``).

    It gives the depths ``taps``, all of them unless named. Neither torch nor OpenVINO is imported
    before it is called. None where nothing is remembered, or the one asked for was not measured.

    Raises:
        UsageError: there is no engine called ``only`` or ``wish``.
    """
    if only or wish:
        check_name(only or wish)
    path = store.home(folder, backbone)
    known = store.recall(path)
    name = "" if known is None else _remembered_name(known, only, wish)
    if known is None or not known.usable(name):
        return None
    known = replace(known, chosen=name, seconds=0.0)
    taps = range(len(backbone.stages)) if taps is None else taps
    return _engine(known.chosen, backbone, path, taps, build), known


def exact(backbone: Backbone, taps: Sequence[int], folder: Path, *, build: Build) -> Engine:
    """Return the engine for some depths where there are no images to choose it with.

    The remembered one, else one of those that calculate in float32, which is remembered.
    """
    known = remembered(backbone, folder, build=build, taps=taps)
    if known is not None:
        return known[0]
    with store.unfinished(folder) as path:
        whole = _trunk(backbone, build, range(len(backbone.stages)))()
        made = calibrate.calibrate_exact(backbone, whole, path / store.GRAPH)
        if _keep(path, folder, backbone, made):
            return open_engine(backbone, taps, folder, build=build)
        return _opened(made.chosen, backbone, path, taps, build)


def reference(backbone: Backbone, taps: Sequence[int], *, build: Build) -> Engine:
    """Return the engine for some depths that every machine has."""
    return _engine(REFERENCE, backbone, Path(), taps, build)


def open_engine(
    backbone: Backbone, taps: Sequence[int], folder: Path, *, build: Build, wish: str = ""
) -> Engine:
    """Return the engine for some depths, to predict with: as calibrated, else the reference.

    Its features are those of the engine for all depths, bit for bit.

    Args:
        backbone: the network's record.
        taps: the depths to read, in the order in which they are to be given.
        folder: the cache folder.
        build: gives the whole network, when it is needed.
        wish: the engine that is to be used if it may.
    """
    known = remembered(backbone, folder, build=build, wish=wish, taps=taps)
    known = known or remembered(backbone, folder, build=build, taps=taps)
    return known[0] if known else reference(backbone, taps, build=build)


def _engine(name: str, backbone: Backbone, path: Path, taps: Sequence[int], build: Build) -> Engine:
    if openvino_engine.is_graph(name):
        return openvino_engine.Graph(name, path / store.GRAPH, taps)
    return torch_engine.Eager(name, _trunk(backbone, build, taps), backbone)


def _opened(name: str, backbone: Backbone, path: Path, taps: Sequence[int], build: Build) -> Engine:
    """Return an engine that is open, so that it outlives its files."""
    engine = _engine(name, backbone, path, taps, build)
    engine(np.zeros((1, *backbone.view.shape), np.uint8))
    return engine


def _trunk(backbone: Backbone, build: Build, taps: Sequence[int]) -> Build:
    def trunk() -> "nn.Module":
        from regraft.networks.build import trunk

        return trunk(build(), backbone, taps)

    return trunk


def objection(backbone: Backbone, folder: Path, name: str) -> str:
    """Why this machine does not run the backbone with an engine, as far as it is remembered."""
    known = store.recall(store.home(folder, backbone))
    return (known.objection(name) if known else None) or "it was not measured"


def _remembered_name(known: Calibration, only: str | None, wish: str) -> str:
    """Return what of that which is remembered is asked for, usable or not."""
    if only or not wish:
        return only or known.chosen
    return known.chosen if known.objection(wish) else wish


def _named(backbone: Backbone, made: Calibration, only: str | None, wish: str) -> str:
    """Return the engine to use of those measured."""
    asked = only or wish
    if not asked or made.usable(asked):
        return asked or made.chosen
    if not only:
        return made.chosen
    why = made.objection(only)
    raise UsageError(f"The engine {only} cannot be used for {backbone.name}.", [f"Reason: {why}."])


def _keep(path: Path, folder: Path, backbone: Backbone, made: Calibration) -> bool:
    """Remember a calibration; whether that went well."""
    try:
        store.write_meta(path, backbone, made)
        store.move_in(path, store.home(folder, backbone))
    except OSError as error:
        log.warning("The choice of engine cannot be remembered in %s (%s).", folder, error)
        return False
    return True
