"""The examination of a network: every stage of it, on a sample of images and on drawn pictures."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import nn

from regraft.backbones import Backbone, Stage
from regraft.data.audit import LEAST
from regraft.data.images.view import drawn as seen
from regraft.distributed import one_core
from regraft.errors import BackboneError
from regraft.features.engines.base import Floats, Pixels
from regraft.look import fields, kernels, maps, passes, patches, untrained, words
from regraft.look.fields import Field
from regraft.look.kernels import Kernels
from regraft.look.passes import Draw
from regraft.look.patches import Channel
from regraft.look.probes import Curve, probe
from regraft.look.sample import Progress, Sample
from regraft.look.stimuli import ORIENTATION, SHAPE, DrawnTask
from regraft.look.words import ProbedTask
from regraft.networks import build

FEWEST, MOST = 160, 400
"""Drawn pictures of a task: as many as there are images, but within these."""


@dataclass(frozen=True)
class Sight:
    """What one stage sees: its receptive fields, and its strongest channels with their patches."""

    stage: Stage
    depth: int
    field: Field
    channels: tuple[Channel, ...]


@dataclass(frozen=True)
class Look:
    """All that was found of a network on a sample of images.

    ``untold``: why the classes of the images are no task, or empty. ``alone``: why there is no
    comparison with random weights, or empty. ``drawn``: pictures of each drawn task.
    """

    backbone: Backbone
    sample: Sample
    kernels: Kernels | None
    sights: tuple[Sight, ...]
    tasks: tuple[ProbedTask, ...]
    untold: str
    alone: str
    drawn: int
    seed: int
    seconds: Mapping[str, float]

    def __repr__(self) -> str:
        head = f"Look: {self.backbone.name} on {len(self.sample):,} images of {self.sample.name}"
        names = [sight.stage.name for sight in self.sights]
        return f"{head}\n{words.verdict(self.tasks, words.spoken(names))}"


@dataclass
class _Clock:
    """Seconds by section, and pictures done of all there are."""

    total: int
    progress: Progress
    done: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start

    def tell(self, more: int) -> None:
        self.done += more
        self.progress(self.done, self.total)


def examine(
    module: nn.Module,
    backbone: Backbone,
    sample: Sample,
    *,
    seed: int = 0,
    progress: Progress = lambda done, total: None,
) -> Look:
    """Look at a network through a sample of images and through drawn pictures.

    Args:
        module: the whole network; it is not touched.
        backbone: its record.
        sample: the images, as `regraft.look.sample.draw` gives them for its view.
        seed: of the drawn pictures, the folds and the random weights.
        progress: told how many pictures have been through a network, and of how many.
    """
    depths = maps.chosen(backbone)
    stages = [backbone.stages[depth] for depth in depths]
    drawn = int(np.clip(len(sample), FEWEST, MOST)) // 8 * 8
    clock = _Clock(2 * (len(sample) + 2 * drawn), progress)
    with clock.section("fields"), one_core():
        found = fields.measure(maps.unpooled(module, backbone, depths), stages, backbone.view.shape)
    with clock.section("patches"):
        channels, rows = patches.find(module, backbone, depths, sample, clock.tell)
    with clock.section("irregular fields"), one_core():
        found = [
            _closer(module, backbone, *each) for each in zip(depths, found, channels, strict=True)
        ]
    draws = [*(_drawing(task, backbone, seed) for task in (ORIENTATION, SHAPE)), sample.square]
    with clock.section("drawn pictures"):
        run = passes.engine(build.trunk(module, backbone, depths), backbone)
        widths = [stage.channels for stage in stages]
        own = [*(passes.pooled(run, d, drawn, widths, clock.tell) for d in draws[:2]), rows]
    with clock.section("random weights"):
        other, alone = _random(
            module, backbone, depths, draws, [drawn, drawn, len(sample)], seed, clock
        )
    with clock.section("probes"):
        tasks, untold = _tasks(own, other, widths, sample, drawn, seed)
    return Look(
        backbone=backbone,
        sample=sample,
        kernels=kernels.first(module, backbone),
        sights=tuple(
            Sight(*each) for each in zip(stages, depths, found, map(tuple, channels), strict=True)
        ),
        tasks=tuple(tasks),
        untold=untold,
        alone=alone,
        drawn=drawn,
        seed=seed,
        seconds=clock.seconds,
    )


def _closer(
    module: nn.Module, backbone: Backbone, depth: int, found: Field, channels: Sequence[Channel]
) -> Field:
    """Return a field that holds the boxes of all patches."""
    if found.regular:
        return found
    places = sorted({patch.place for channel in channels for patch in channel.patches})
    trunk = maps.unpooled(module, backbone, [depth])
    return fields.look_closer(trunk, backbone.stages[depth], found, places)


def _drawing(task: DrawnTask, backbone: Backbone, seed: int) -> Draw:
    view = backbone.view
    return lambda number: seen(task.draw(number, view.longest, seed), view)


def _random(
    module: nn.Module,
    backbone: Backbone,
    depths: Sequence[int],
    draws: Sequence[Draw],
    counts: Sequence[int],
    seed: int,
    clock: _Clock,
) -> tuple[list[Floats] | None, str]:
    """Return what the same network with random weights gives for every task, or why not."""
    widths = [backbone.stages[depth].channels for depth in depths]
    some = _some(draws, counts)
    try:
        run = passes.engine(untrained.twin(module, backbone, depths, some, seed), backbone)
    except BackboneError as error:
        return None, str(error).replace("\n  - ", " ")
    pairs = zip(draws, counts, strict=True)
    return [passes.pooled(run, draw, count, widths, clock.tell) for draw, count in pairs], ""


def _some(draws: Sequence[Draw], counts: Sequence[int], each: int = 32) -> Pixels:
    """Pictures of all tasks in turn, for the statistics of batch norm."""
    return np.stack([draw(number) for number in range(min(each, *counts)) for draw in draws])


def _tasks(
    own: Sequence[Floats],
    other: Sequence[Floats] | None,
    widths: Sequence[int],
    sample: Sample,
    drawn: int,
    seed: int,
) -> tuple[list[ProbedTask], str]:
    """Return the curves of every task, and why there is none of the images' classes."""

    def curves(
        n: int, labels: NDArray[np.intp], groups: NDArray[np.int64], keep: NDArray[np.intp]
    ) -> list[Curve | None]:
        both = [own[n], None if other is None else other[n]]
        return [None if x is None else probe(x[keep], widths, labels, groups, seed) for x in both]

    every = np.arange(drawn)
    made = []
    for n, (task, name, short) in enumerate(
        ((ORIENTATION, "The orientation of edges", "edges"), (SHAPE, "A shape", "shapes"))
    ):
        curve, random = curves(n, every % len(task.classes), every, every)
        assert curve is not None
        made.append(ProbedTask(name, short, short, len(task.classes), drawn, curve, random))
    keep, labels, untold = _classes(sample)
    if not untold:
        curve, random = curves(2, labels, sample.groups[keep], keep)
        assert curve is not None
        classes = int(labels.max()) + 1
        name = "The class of a real image"
        made.append(
            ProbedTask(name, "classes", "whole features", classes, len(keep), curve, random)
        )
    return made, untold


def _classes(sample: Sample) -> tuple[NDArray[np.intp], NDArray[np.intp], str]:
    """Return the images whose classes can be told apart, their labels, and why there are none."""
    counts = np.bincount(sample.labels)
    keep = np.flatnonzero(counts[sample.labels] >= LEAST)
    names, labels = np.unique(sample.labels[keep], return_inverse=True)
    if len(names) >= 2 and len(np.unique(sample.groups[keep])) >= 2:
        return keep, labels.astype(np.intp), ""
    if len(sample.classes) == 1:
        why = f"all images are of one class ({sample.classes[0]})"
    else:
        why = f"fewer than two classes have {LEAST} different images or more"
    return keep, labels.astype(np.intp), f"The class of real images was not probed: {why}."
