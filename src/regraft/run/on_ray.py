"""The pass over the images on a Ray cluster: each lot of images is a task of it.

Where a lot is looked at, and again where a worker is lost, is Ray's business. A task writes what it
computes into the cache of its own machine, so that what a killed worker had done is not done again,
and its rows come back to the driver, which does all the rest. Every worker runs the engine that the
driver has chosen, so the features are those of one process.
"""

import logging
import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from regraft.backbones import Backbone, View
from regraft.data.dataset import Dataset
from regraft.data.images import FactsTable
from regraft.errors import RegraftError, RunError, UsageError
from regraft.features import engines
from regraft.features.cache import Store, cache_folder
from regraft.features.engine_choice import ANY, Asked, same_engine
from regraft.features.engines import Build, Engine
from regraft.features.engines.store import versions_of
from regraft.features.extract import Extraction, Progress, extract
from regraft.mapped import zeros
from regraft.run.pretrained import Pretrained
from regraft.run.together import summed, tally

LOT: Final = 512
"""Images of a task: some seconds of work, and two megabytes of rows."""

TRIES: Final = 3
"""Times that Ray takes up a lot again whose worker was lost."""

_PACKAGES: Final = ("regraft", "numpy", "openvino", "pillow", "timm", "torch")


@dataclass(frozen=True)
class _Work:
    """What all tasks of a pass share; it is sent to each machine once."""

    dataset: Dataset
    record: Backbone
    build: Build
    views: tuple[View, ...]
    engine: str
    versions: Mapping[str, str]


def look_on_ray(
    dataset: Dataset,
    network: Pretrained,
    views: Sequence[View],
    store: Store,
    progress: Progress,
    asked: Asked = ANY,
    *,
    on: str,
) -> tuple[Extraction, str]:
    """Return the pass over the images on a cluster, and the name of the engine that ran it.

    ``on``: ``ray`` for the cluster that ``RAY_ADDRESS`` or the machine names, else one of this
    machine's cores that lasts as long as the pass; ``ray:ADDRESS`` for that one.

    Raises:
        UsageError: it is no cluster's name, or Ray is not installed.
        RunError: the cluster cannot be reached, a worker has other versions, or a lot was lost
            with its worker :data:`TRIES` times.
    """
    record, begun = network.backbone, time.perf_counter()
    engine = same_engine(dataset, record, network.build, store.folder, asked=asked)
    choosing, start = time.perf_counter() - begun, time.perf_counter()
    if engine is None:  # no image can be used, and why is told by looking at them
        width = sum(record.widths)
        return extract(dataset.read, len(dataset), views, width, engine=None, choose=_never), ""
    work = _Work(dataset, record, network.build, tuple(views), engine.name, versions())
    facts = FactsTable(len(dataset), store.folder)
    rows = tuple(zeros(len(dataset), sum(record.widths), store.folder) for _ in views)
    parts, done = [], 0
    order = np.arange(len(dataset)) if dataset.order is None else np.asarray(dataset.order)
    with _cluster(on) as ray:
        for first, part in _parts(ray, work, order):
            images = order[first : first + len(part.facts)]
            for image, found in zip(images.tolist(), part.facts, strict=True):
                facts[image] = found
            for whole, some in zip(rows, part.features, strict=True):
                whole[images] = some
            parts.append(tally(part))
            done += len(part.facts)
            progress(done, len(dataset))
    seconds = time.perf_counter() - start
    return replace(summed(parts, facts, rows, seconds), choosing=choosing), engine.name


def check_on(on: str) -> None:
    """Raise UsageError where it is no cluster's name."""
    if on != "ray" and not on.startswith("ray:"):
        raise UsageError(
            f"--on names what looks at the images, got {on!r}.",
            ["It is ray, or ray:ADDRESS for the cluster at an address."],
        )


@contextmanager
def _cluster(on: str) -> Iterator[Any]:
    """Ray, connected: as the process is already, else to what is named, or to a new cluster."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent that nobody asked for
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")  # the first one ends all, and is told
    try:
        import ray
    except ImportError as error:
        raise UsageError(
            "Ray is not installed.", ["Get it with: pip install 'regraft[ray]'."]
        ) from error
    if ray.is_initialized():
        yield ray
        return
    address = on.partition(":")[2] or None
    begins = address is None and not os.environ.get("RAY_ADDRESS")
    words: dict[str, Any] = {"include_dashboard": False} if begins else {}
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **words)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise RunError(
            f"There is no Ray cluster at {address or 'this machine'}.",
            [_first_line(error), "Start one with: ray start --head."],
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _never(*_: object) -> Engine:
    raise AssertionError("an engine is chosen before")


def _parts(ray: Any, work: _Work, order: NDArray[np.intp]) -> Iterator[tuple[int, Extraction]]:
    """Yield the lots as they are done, by their first place; a bounded number is under way.

    ``order``: the images as they are best read, so that a lot lies in one file, or in few.
    """
    gpus = 1 if "cuda" in work.engine else 0
    task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=TRIES, scheduling_strategy="SPREAD")(
        _look
    )
    shared = [_sent(ray, work)]  # within a list, so that a task is given no copy of its own
    starts = iter(range(0, len(order), LOT))
    under_way: dict[Any, int] = {}
    most = 2 * max(int(ray.cluster_resources().get("CPU", 1)), 1)
    try:
        while True:
            while len(under_way) < most and (first := next(starts, None)) is not None:
                under_way[task.remote(shared, order[first : first + LOT])] = first
            if not under_way:
                return
            [ready], _ = ray.wait(list(under_way), num_returns=1)
            first = under_way.pop(ready)
            yield first, _got(ray, ready, first, min(first + LOT, len(order)))
    finally:
        for left in under_way:
            ray.cancel(left)


def _sent(ray: Any, work: _Work) -> Any:
    """Put what all tasks share where the workers find it.

    Raises:
        RunError: it cannot leave this process.
    """
    try:
        return ray.put(work)
    except Exception as error:  # of many kinds, as what a data set may hold
        raise RunError(
            f"{work.dataset.name} cannot be sent to the workers.",
            [
                _first_line(error.__cause__ or error),
                "What is unpacked or open on this machine alone, such as a compressed tar or a "
                "data set in Python, has to be files, tars, Parquet or a table.",
            ],
        ) from error


def _got(ray: Any, ready: Any, first: int, last: int) -> Extraction:
    """Return what a task has found, or raise what kept it from that as ours."""
    try:
        found: Extraction = ray.get(ready)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, RegraftError):
            raise error.cause from None
        raise RunError(
            f"A worker failed at images {first + 1:,} to {last:,}.", [_first_line(error.cause)]
        ) from error
    except ray.exceptions.RayError as error:
        raise RunError(
            f"Ray lost the worker of images {first + 1:,} to {last:,} {1 + TRIES} times.",
            [
                f"Ray says: {_first_line(error)}",
                "What was done lies in the workers' caches: the same command goes on from there.",
            ],
        ) from error
    return found


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _look(shared: Sequence[Any], images: NDArray[np.intp]) -> Extraction:
    """Look at one lot, on a worker."""
    work = _received(shared[0])
    _check_versions(work.versions)
    folder = cache_folder(None)
    engine = _engine(work, folder)
    with Store.open(folder) as store:
        return extract(
            lambda i: work.dataset.read(int(images[i])),
            len(images),
            work.views,
            sum(work.record.widths),
            engine=engine,
            choose=_never,
            store=store,
            space=lambda view, name: engines.space(work.record, view, name),
            stamp=lambda i: work.dataset.stamp(int(images[i])),
            check=work.dataset.check,
        )


_WORK: dict[str, _Work] = {}  # of this worker: the index of all images is opened once


def _received(shared: Any) -> _Work:
    key = shared.hex()
    if key not in _WORK:
        import ray

        _WORK.clear()
        _WORK[key] = ray.get(shared)
    return _WORK[key]


_ENGINES: dict[tuple[str, str], Engine] = {}  # of this worker: opened once for all its lots


def _engine(work: _Work, folder: Path) -> Engine:
    key = work.record.weights.sha256, work.engine
    if key not in _ENGINES:
        _ENGINES[key] = _opened(work, folder)
    return _ENGINES[key]


def _opened(work: _Work, folder: Path) -> Engine:
    asked = Asked(only=work.engine)
    try:
        engine = same_engine(work.dataset, work.record, work.build, folder, asked=asked)
    except UsageError as error:
        raise RunError(
            f"The worker {platform.node()} cannot run {work.engine}, the driver's engine.",
            [*error.problems, "Name one that runs everywhere, such as --engine openvino-fp32."],
        ) from error
    if engine is None:
        raise RunError(
            f"The worker {platform.node()} can read none of the images.",
            ["They have to be at the same place on every machine of the cluster."],
        )
    return engine


def versions() -> dict[str, str]:
    """Return what has to be the same on every worker for its features to be the driver's."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"Python": python, **versions_of(_PACKAGES)}


def _check_versions(wanted: Mapping[str, str]) -> None:
    have = versions()
    wrong = [
        f"{name}: {have[name] or 'missing'} there, {other or 'missing'} here"
        for name, other in wanted.items()
        if have[name] != other
    ]
    if wrong:
        raise RunError(
            f"The worker {platform.node()} has other versions than the driver.",
            [*wrong, "Install the same ones on every machine of the cluster."],
        )
