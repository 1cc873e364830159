"""The pass over the images by several processes.

All get what was found of each image. The features go to the first alone, which fits all heads;
another holds those that it has computed, and only until they are sent.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from regraft.backbones import View
from regraft.data.dataset import Dataset
from regraft.data.images import Facts, FactsTable
from regraft.distributed import (
    all_gather,
    gather_rows,
    is_rank_zero,
    on_all_ranks,
    rank,
    world_size,
)
from regraft.features import engines
from regraft.features.cache import Store
from regraft.features.engine_choice import ANY, Asked, engine_for, same_engine
from regraft.features.engines import Engine, Features
from regraft.features.extract import Choose, Extraction, Progress, Read, extract, silent
from regraft.mapped import zeros
from regraft.run.pretrained import Pretrained


def look_together(
    dataset: Dataset,
    network: Pretrained,
    views: Sequence[View],
    store: Store,
    progress: Progress,
    asked: Asked = ANY,
) -> tuple[Extraction, str]:
    """Return the pass shared by all processes, and the name of the engine that ran it."""
    record, build, start = network.backbone, network.build, time.perf_counter()
    engine = same_engine(dataset, record, build, store.folder, asked=asked)
    choosing = time.perf_counter() - start
    looked = extract_together(
        dataset.read,
        len(dataset),
        views,
        sum(record.widths),
        engine=engine,
        choose=lambda pixels, _: engine_for(record, build, pixels, store.folder, asked),
        store=store,
        space=lambda view, name: engines.space(record, view, name),
        progress=progress,
        order=dataset.order,
        stamp=dataset.stamp,
        check=dataset.check,
    )
    return replace(looked, choosing=choosing), engine.name if engine else ""


def extract_together(
    read: Read,
    count: int,
    views: Sequence[View],
    width: int,
    *,
    engine: Engine | None,
    choose: Choose,
    store: Store | None = None,
    space: Callable[[View, str], str] = lambda view, engine: "",
    progress: Progress = silent,
    order: NDArray[np.int64] | None = None,
    stamp: Callable[[int], str] = lambda index: "",
    check: bool = False,
) -> Extraction:
    """Run the pass of `regraft.features.extract` by all processes.

    The features are those of all images in the first process, of none ``[0, width]`` in another.
    """
    every, start = shares(count, world_size(), order), time.perf_counter()
    own, world = every[rank()], world_size()
    looked = on_all_ranks(
        lambda: extract(
            lambda i: read(int(own[i])),
            len(own),
            views,
            width,
            engine=engine,
            choose=choose,
            store=store,
            space=space,
            progress=lambda done, _: progress(min(done * world, count), count),
            stamp=lambda i: stamp(int(own[i])),
            check=check,
        )
    )
    parts = all_gather((looked.facts, tally(looked)))
    facts = FactsTable(count, store.folder if store else None)
    for images, (some, _) in zip(every, parts, strict=True):
        for i, one in zip(images.tolist(), some, strict=True):
            facts[i] = one
    return summed(
        [done for _, done in parts],
        facts,
        tuple(_gathered(rows, every, store) for rows in looked.features),
        time.perf_counter() - start,
    )


def shares(
    count: int, world: int, order: NDArray[np.int64] | None = None
) -> list[NDArray[np.int64]]:
    """Return the images of each process: every n-th, or where they have an order a piece of it.

    A piece lies in files that no other process has to read.
    """
    if order is not None and world > 1:
        return np.array_split(order, world)
    return [np.arange(first, count, world) for first in range(world)]


def _gathered(mine: Features, every: Sequence[NDArray[np.int64]], store: Store | None) -> Features:
    """Return the rows of all processes in the first, none in another."""
    if world_size() == 1:
        return mine
    folder, count, width = store.folder if store else None, sum(map(len, every)), mine.shape[1]
    whole = on_all_ranks(lambda: zeros(count, width, folder) if is_rank_zero() else None)
    gather_rows(mine, whole, every)
    return mine[:0].copy() if whole is None else whole


def tally(looked: Extraction) -> Extraction:
    """Return a pass without what it found of each image: how much was done."""
    return replace(looked, facts=(), features=())


def summed(
    parts: Sequence[Extraction],
    facts: Sequence[Facts],
    features: tuple[Features, ...],
    seconds: float,
) -> Extraction:
    """Return one pass of several that parted the images: their work added up."""
    return Extraction(
        facts=facts,
        features=features,
        computed=sum(part.computed for part in parts),
        seconds=seconds,
        busy={name: sum(part.busy[name] for part in parts) for name in parts[0].busy},
        recalled=sum(part.recalled for part in parts),
        squares=sum(part.squares for part in parts),
        opening=(sum(part.opening[0] for part in parts), sum(part.opening[1] for part in parts)),
    )
