"""Measure what could run a trunk: how fast it is, and whether it agrees with the reference.

The clock decides as little as possible: on how many images engines have to agree follows from the
network's size, and which of them is chosen from an order and a margin.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from regraft.backbones import Backbone
from regraft.features.engines import agreement, openvino_engine, preference, torch_engine
from regraft.features.engines.base import (
    REFERENCE,
    Calibration,
    Engine,
    EngineTrial,
    Features,
    Pixels,
    features,
)
from regraft.features.engines.preference import CPU, CUDA

if TYPE_CHECKING:
    from torch import nn

SAMPLE = 128
"""Images that agreement is measured on, if the reference can run so many."""

_LEAST = 16  # images that the reference runs, however large the network is
_WORK = 16e9  # multiply-adds of the reference that are enough: some 2 s on two cores
_AGAIN = 3  # times that engines are measured again before one is left for another
_NEVER = 8  # times; on five networks torch on the CPU was at most 5 times as fast as the reference
_IDENTICAL = 0.99999  # cosine from which an engine may stand in for the reference on more images


@dataclass(frozen=True)
class CalibrationImages:
    """Real images ``[n, S, S, 3]``, and their classes as numbers where they are known."""

    pixels: Pixels
    labels: Sequence[int] | None = None


@dataclass(frozen=True)
class _Trial:
    """What every candidate of a calibration is measured against."""

    backbone: Backbone
    trunk: "nn.Module"
    graph: Path
    sample: CalibrationImages
    reference: Features
    only: str | None


def calibrate(
    backbone: Backbone,
    trunk: "nn.Module",
    sample: CalibrationImages,
    path: Path,
    only: str | None = None,
) -> Calibration:
    """Measure the reference and every candidate, and choose among those that agree.

    Args:
        backbone: the network's record.
        trunk: its trunk of all depths.
        sample: images to measure on, at least one.
        path: where the converted trunk is to be written (.xml), if it can be converted.
        only: a candidate to be measured to the end even if it is slow.
    """
    start = time.perf_counter()
    engine = torch_engine.Eager(REFERENCE, lambda: trunk, backbone)
    sample = replace(sample, pixels=sample.pixels[:SAMPLE])
    speed, reference = _run(engine, sample.pixels[: _enough(backbone)])
    trial = _Trial(backbone, trunk, path, sample, reference, only)
    measured = [EngineTrial(REFERENCE, speed)]
    for measure in (_measure_cuda, _measure_graphs, _measure_cpu, _measure_wanted):
        measured += measure(trial, measured)
    measured = _confirmed(trial, measured)
    return Calibration(
        chosen=preference.best(measured).name,
        candidates=tuple(measured),
        images=max((one.agreement.images for one in measured if one.agreement), default=0),
        seconds=time.perf_counter() - start,
    )


def calibrate_exact(backbone: Backbone, trunk: "nn.Module", path: Path) -> Calibration:
    """Choose between the reference and OpenVINO in float32, without any image.

    Where both calculate in float32 the same steps, any pixels tell whether they agree: noise does.
    What rounds must be judged on photos (`calibrate`): bfloat16, and TF32 on NVIDIA devices.
    """
    start, (high, wide, channels) = time.perf_counter(), backbone.view.shape
    coarse = np.random.default_rng(0).integers(0, 256, (_LEAST, 8, 8, channels), np.uint8)
    rows, columns = (np.arange(side) * 8 // side for side in (high, wide))
    sample = CalibrationImages(coarse[:, rows][:, :, columns])
    engine = torch_engine.Eager(REFERENCE, lambda: trunk, backbone)
    speed, reference = _run(engine, sample.pixels)
    trial = _Trial(backbone, trunk, path, sample, reference, None)
    measured = [EngineTrial(REFERENCE, speed)]
    unfit = _convert(trial)
    full = (
        EngineTrial(openvino_engine.FULL, refused=unfit)
        if unfit
        else _measure(openvino_engine.FULL, trial, measured)
    )
    measured = _confirmed(trial, [*measured, full])
    chosen, seconds = preference.best(measured).name, time.perf_counter() - start
    return Calibration(chosen, tuple(measured), len(coarse), seconds, provisional=True)


def _confirmed(trial: _Trial, measured: Sequence[EngineTrial]) -> list[EngineTrial]:
    """Return the same, measured again where the first in order would not be chosen.

    Other programs can only slow an engine down, so the highest of its speeds is the true one.
    """
    for _ in range(_AGAIN):
        if not preference.contested(measured):
            break
        measured = [one if one.refused else _again(one, trial) for one in measured]
    return list(measured)


def _again(one: EngineTrial, trial: _Trial) -> EngineTrial:
    """Measured once more: the higher speed counts."""
    engine = _open(one.name, trial)
    features(engine, trial.sample.pixels[:1])
    speed, _ = _run(engine, trial.sample.pixels[: len(trial.reference)])
    return replace(one, images_per_second=max(speed, one.images_per_second))


def _enough(backbone: Backbone) -> int:
    """Return the images that the reference runs: the same number in every calibration."""
    return max(_LEAST, int(_WORK / max(backbone.multiply_adds_to[-1], 1)))


def _run(engine: Engine, pixels: Pixels) -> tuple[float, Features]:
    """Images/s, and the features of all images."""
    speeds, rows = zip(*_blocks(engine, pixels), strict=True)
    return max(speeds), np.concatenate(rows)


def _measure_cuda(trial: _Trial, before: Sequence[EngineTrial]) -> list[EngineTrial]:
    return [_measure(name, trial, before) for name in CUDA]


def _measure_cpu(trial: _Trial, before: Sequence[EngineTrial]) -> list[EngineTrial]:
    if preference.best(before).images_per_second > _NEVER * before[0].images_per_second:
        why = f"not measured: another is {_NEVER} times as fast as the reference, torch never is"
        return [EngineTrial(n, refused=why, given_up=True) for n in CPU if n != trial.only]
    found: list[EngineTrial] = []
    for name in CPU:
        found.append(_measure(name, trial, [*before, *found]))
    return found


def _measure_wanted(trial: _Trial, before: Sequence[EngineTrial]) -> list[EngineTrial]:
    """Return the one that is asked for, where the search went past it."""
    if trial.only is None or any(one.name == trial.only for one in before):
        return []
    return [_measure(trial.only, trial, before)]


def _measure_graphs(trial: _Trial, before: Sequence[EngineTrial]) -> list[EngineTrial]:
    """OpenVINO in float32, in bfloat16, and in bfloat16 after as few exact stages as will do.

    bfloat16 errs most in the first layers, where an even area of an image takes the same error at
    every pixel, so that no averaging helps. Those kept in float32 cost little.
    """
    unfit = _convert(trial)
    if unfit:
        return [
            EngineTrial(name, refused=unfit)
            for name in (openvino_engine.HALF, openvino_engine.FULL)
        ]
    found = [_measure(openvino_engine.FULL, trial, before)]
    trial = _with_more_images(trial, found[0])
    found.append(_measure(openvino_engine.HALF, trial, [*before, *found]))
    if found[-1].agreement is None or not found[-1].refused:
        return found  # it cannot be run, or needs no help
    first, last = 0, len(trial.backbone.stages) - 2
    while first <= last:  # the fewest exact stages that will do lie in between
        middle = (first + last) // 2
        found.append(_measure(openvino_engine.name_of(middle), trial, [*before, *found]))
        first, last = (middle + 1, last) if found[-1].refused else (first, middle - 1)
    return found


def _with_more_images(trial: _Trial, full: EngineTrial) -> _Trial:
    """Return the trial on the whole sample: OpenVINO in float32 stands in for the reference.

    Only where it gives the same features on the images that the reference ran.
    """
    if full.agreement is None or full.agreement.cosine < _IDENTICAL:
        return trial
    more = trial.sample.pixels[len(trial.reference) :]
    if not len(more):
        return trial
    rows = features(_open(openvino_engine.FULL, trial), more)
    return replace(trial, reference=np.concatenate([trial.reference, rows]))


def _convert(trial: _Trial) -> str:
    """Convert the trunk for OpenVINO; why it cannot be done, empty when it is."""
    try:
        openvino_engine.convert(trial.trunk, trial.backbone, trial.graph)
    except Exception as error:  # OpenVINO missing, or whatever the converter or the network raises
        return _in_words(error)
    return ""


def _measure(name: str, trial: _Trial, before: Sequence[EngineTrial]) -> EngineTrial:
    """Measure one candidate; torch on the CPU not to the end where it cannot be chosen.

    Whatever a library raises on the way is a reason to refuse it, never the end of the run.
    """
    hopeless = preference.hopeless(name, before) if name in CPU and name != trial.only else 0.0
    try:
        if objection := (
            openvino_engine if openvino_engine.is_graph(name) else torch_engine
        ).objection(name):
            return EngineTrial(name, refused=objection)
        engine = _open(name, trial)
        features(engine, trial.sample.pixels[:1])  # the first call opens, compiles, allocates
        return _judge(name, engine, trial, hopeless)
    except Exception as error:
        return EngineTrial(name, refused=_in_words(error))


def _open(name: str, trial: _Trial) -> Engine:
    if openvino_engine.is_graph(name):
        return openvino_engine.Graph(name, trial.graph, range(len(trial.backbone.stages)))
    return torch_engine.Eager(name, lambda: trial.trunk, trial.backbone)


def _judge(name: str, engine: Engine, trial: _Trial, hopeless: float) -> EngineTrial:
    """Run the images; compare the features unless the first call tells that it is too slow."""
    speed, rows = 0.0, []
    for block, some in _blocks(engine, trial.sample.pixels[: len(trial.reference)]):
        speed = max(speed, block)
        rows.append(some)
        if speed < hopeless:
            why = "less than half as fast as another"
            return EngineTrial(name, speed, refused=why, given_up=True)
    widths, labels = trial.backbone.widths, trial.sample.labels
    labels = None if labels is None else labels[: len(trial.reference)]
    found = agreement.compare(trial.reference, np.concatenate(rows), widths, labels)
    return EngineTrial(name, speed, found, agreement.objection(found))


def _blocks(engine: Engine, pixels: Pixels) -> Iterator[tuple[float, Features]]:
    """Images/s and features, call by call: the fastest counts, as others may use the machine."""
    for start in range(0, len(pixels), engine.batch):
        begin = time.perf_counter()
        rows = features(engine, pixels[start : start + engine.batch])
        yield len(rows) / (time.perf_counter() - begin), rows


def _in_words(error: Exception) -> str:
    """Return an error's kind and last line, where libraries that explain put the point."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1] if lines else 'no reason given'}"[:300]
