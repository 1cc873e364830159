"""Measure: look at every image once, before anything is decided."""

import functools
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.backbones import Backbone, View
from regraft.data import images
from regraft.data.audit import Audit, audit, fingerprint
from regraft.data.dataset import Dataset
from regraft.data.images import Facts, FactsTable
from regraft.data.readers.known import NONE, with_groups
from regraft.data.splits import EACH_ONCE, Split, check_fraction, each_once, split, untested
from regraft.distributed import all_gather, is_rank_zero, on_rank_zero, world_size
from regraft.errors import BackboneError, DataError, UsageError
from regraft.features import engines, norm_shift
from regraft.features.cache import Store, cache_folder
from regraft.features.engine_choice import ANY, Asked, engine_for, warn_of_another
from regraft.features.engines import Engine, Pixels
from regraft.features.engines.store import home, key, recall
from regraft.features.extract import Extraction, extract
from regraft.features.threads import threads
from regraft.heads.tasks import Task, task_of
from regraft.mapped import taken
from regraft.plan.choices import Choices, candidates
from regraft.plan.definition import Reason
from regraft.run.beside import Beside, Watched
from regraft.run.fit_image import TrainingSet, settle
from regraft.run.labels import LabelValues
from regraft.run.on_ray import check_on, look_on_ray
from regraft.run.pretrained import Pretrained
from regraft.run.together import look_together

SHIFT_SAMPLE = 64
"""Training images that the channel statistics are measured on."""

Progress = Callable[[int, int], None]
"""Called with the images done and the images there are."""

Look = Callable[..., tuple[Extraction, str]]
"""A pass over the images; see `look_at`."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Everything that was measured of a data set and a backbone, before anything is decided.

    ``labels`` (places in ``classes``; of several labels and numbers targets ``[n, K]``),
    ``features`` ``[n, sum of the backbone's widths]`` and ``mirrored`` (the same of the mirror
    images) are those of the images that the audit kept. Of several processes the first alone has
    features; another has none, ``[0, sum of the widths]``.
    """

    dataset: Dataset
    network: Pretrained
    audit: Audit
    split: Split
    fingerprint: str
    classes: tuple[str, ...]
    labels: NDArray[Any]
    features: NDArray[np.float16]
    mirrored: NDArray[np.float16] | None
    shift: tuple[float, ...] | None
    engine: str
    images_per_second: float
    """Of the engine, see `speed_of`."""
    seconds: Mapping[str, float]
    """``audit``; ``probe``, the pass over the images; ``engine``, the choice of an engine."""
    cache: Path
    started: float
    reasons: tuple[Reason, ...] = ()
    """Why the images are seen as they are."""

    small: Split | None = None
    """Every image held out once: how a small set without a test of its own is judged."""
    recalled: int = 0
    """Images whose features the cache knew."""
    strata: NDArray[np.intp] | None = None
    """What splits and folds keep even ``[n]``, where that is not the labels; see `even`."""
    units: tuple[float, float] = (0.0, 1.0)
    """Mean and standard deviation of a number over the training images: ``labels`` are in these."""

    @property
    def task(self) -> Task:
        """What is asked of an image."""
        return task_of(self.dataset.kind)

    @property
    def even(self) -> NDArray[np.intp]:
        """What splits and folds keep even, ``[n]``: the labels, or strata of them."""
        return self.labels if self.strata is None else self.strata

    def parted(self, origin: str) -> "Measured":
        """Return the same with the sides that a plan speaks of.

        ``split``, or those of a small set.
        """
        if origin == EACH_ONCE and self.small is not None:
            return replace(self, split=self.small)
        return self


def measure(
    dataset: Dataset,
    network: Pretrained,
    choices: Choices,
    *,
    augment: bool = False,
    strict: bool = False,
    wish: str = "",
    cache: str | os.PathLike[str] | None = None,
    progress: Progress = lambda done, total: None,
    started: float | None = None,
    on: str | None = None,
) -> Measured:
    """Look at every image once: what it is, whether it is used, and its features at every depth.

    Several processes share the images; the first has the features. ``wish``: the engine of a plan,
    which is used if it may; another is warned of. One that is chosen by a person has to be used.
    ``started``: when the run did, where that was before. ``on``: the cluster that looks at them
    (`regraft.run.on_ray`).

    Raises:
        UsageError: there is no such engine, or the chosen one may not be used.
        BackboneError: the network takes other channels than all of the images have.
    """
    candidates(network.backbone, choices)  # a choice that cannot be is told before the work
    if on:
        check_on(on)
        if world_size() > 1:
            raise UsageError("--on and torchrun share the same work.", ["Leave out one of them."])
    asked = Asked(choices.engine, wish)
    dataset = with_groups(dataset, choices.group_by)
    check_fraction(dataset, choices.test_fraction)
    _check_processes(dataset, network, (choices, augment, strict))
    started, folder = started or time.perf_counter(), cache_folder(cache)
    network = as_chosen(network, choices)
    with Store.open(folder) as store:
        passes: list[tuple[Extraction, str]] = []
        beside = Beside(network.backbone, folder)

        def look(view: View) -> Extraction:
            views = [view, *([replace(view, mirror=True)] if augment else [])]
            every: Look = functools.partial(look_at, begin=beside.begin)
            if world_size() > 1:
                every = look_together
            if on:
                every = functools.partial(look_on_ray, on=on)
            passes.append(every(dataset, network, views, store, progress, asked))
            return passes[-1][0]

        looked = look(network.backbone.view)
        check_channels(network.backbone, looked.facts)

        def parted() -> tuple[Audit, Split, Split | None, float]:
            start = time.perf_counter()
            found = audit(
                dataset,
                looked.facts,
                strict=strict,
                near_copies=choices.near_copies,
                series=choices.group_by != NONE,
            )
            sides = split(dataset, found, test_fraction=choices.test_fraction, seed=choices.seed)
            small = each_once(dataset, found, sides, choices.test_fraction)
            never = untested(dataset, found, small or sides)
            found = replace(found, warnings=(*found.warnings, *never))
            return found, sides, small, time.perf_counter() - start

        used, sides, small, audited = on_rank_zero(parted)
        kept = np.asarray(used.kept)
        train, labels = kept[sides.train], LabelValues.of(dataset, kept, sides.train)
        training = TrainingSet(train, labels.even[sides.train], used.groups[sides.train])
        sight = settle(look, looked, network.backbone, training, choices)
        network, looked = seeing(network, sight.view), sight.looked
        shift = on_rank_zero(lambda: shift_of(dataset, looked.facts, train, network, store, beside))
        store.prune()
    warn_of_another(network.backbone, folder, wish, passes[0][1])
    first = is_rank_zero()  # the other processes have no features
    used_rows = [taken(rows, kept, folder) if first else rows for rows in looked.features]
    return Measured(
        dataset=dataset,
        network=network,
        audit=used,
        split=sides,
        fingerprint=fingerprint(dataset, used, looked.facts),
        classes=labels.classes,
        labels=labels.values,
        features=used_rows[0],
        mirrored=used_rows[1] if augment else None,
        shift=shift,
        engine=passes[0][1],
        images_per_second=speed_of(*passes[0], network.backbone, folder),
        seconds={
            "audit": audited,
            "engine": sum(found.choosing for found, _ in passes),
            "probe": sum(found.seconds for found, _ in passes),
        },
        cache=folder,
        started=started,
        reasons=sight.reasons,
        small=small,
        recalled=looked.recalled,
        strata=labels.strata,
        units=labels.units,
    )


def speed_of(looked: Extraction, engine: str, backbone: Backbone, folder: Path) -> float:
    """Images/s of an engine: in this pass, else as measured when it was chosen on this machine.

    Neither reading and decoding the images is in it, nor what the cache knew of them. 0 where
    the engine never ran.
    """
    if looked.engine_speed is not None:
        return looked.engine_speed
    known = recall(home(folder, backbone))
    measured = [one for one in known.candidates if one.name == engine] if known else []
    whole = looked.squares / looked.engine_seconds if looked.squares else 0.0
    return measured[0].images_per_second or whole if measured else whole


def check_channels(backbone: Backbone, facts: Sequence[Facts]) -> None:
    """Raise BackboneError where no image can be used, one or more for its channels."""
    problems = FactsTable.of(facts).problems.values()
    wrong = [detail for problem, detail in problems if problem == "channels"]
    if wrong and len(problems) == len(facts):
        raise BackboneError(
            f"{backbone.name} cannot take these images.", [f"{len(wrong):,} of them: {wrong[0]}."]
        )


def seeing(network: Pretrained, view: View) -> Pretrained:
    """Return the same network with another view of the images."""
    return replace(network, backbone=replace(network.backbone, view=view))


def as_chosen(network: Pretrained, choices: Choices) -> Pretrained:
    """Return the network with the view of the plan followed, or with the fit asked for."""
    if choices.view is not None:
        return seeing(network, choices.view)
    if choices.fit_image == "auto":
        return network
    return seeing(network, replace(network.backbone.view, fit=choices.fit_image))


def look_at(
    dataset: Dataset,
    network: Pretrained,
    views: Sequence[View],
    store: Store,
    progress: Progress,
    asked: Asked = ANY,
    begin: Callable[[], None] = lambda: None,
) -> tuple[Extraction, str]:
    """Return the pass over the images in one process, and the name of the engine that ran it.

    ``begin``: called when an engine that is remembered is about to run.
    """
    record, folder = network.backbone, store.folder
    known = engines.remembered(record, folder, build=network.build, **asked.words)
    chosen: list[Engine] = [known[0]] if known else []

    def choose(pixels: Pixels, indices: Sequence[int]) -> Engine:
        chosen.append(engine_for(record, network.build, pixels, folder, asked))
        return chosen[-1]

    looked = extract(
        dataset.read,
        len(dataset.items),
        views,
        sum(record.widths),
        engine=Watched(chosen[0], begin) if chosen else None,
        choose=choose,
        store=store,
        space=lambda view, engine: engines.space(record, view, engine),
        progress=progress,
        stamp=dataset.stamp,
        check=dataset.check,
        order=None if dataset.order is None else dataset.order.tolist(),
    )
    return looked, chosen[0].name if chosen else ""


def _check_processes(dataset: Dataset, network: Pretrained, asked: object) -> None:
    """Refuse before the work what processes cannot share."""
    if world_size() == 1:
        return
    if world_size() > len(dataset):
        raise UsageError(
            f"There are more processes ({world_size():,}) than images ({len(dataset):,}).",
            ["Start fewer."],
        )

    listed = "\n".join(
        f"{item.path}\t{item.label}\t{item.split}\t{item.group}" for item in dataset.items
    )
    digest = images.digest(f"{network.backbone.weights.sha256} {asked}\n{listed}".encode())
    if len(set(all_gather(digest))) > 1:
        raise DataError(
            "The processes were not started with the same images, weights and options.",
            ["Give every machine the same command, and a DATA folder with the same content."],
        )


def part(measured: "Measured", rows: NDArray[np.intp]) -> Dataset:
    """Return some of the kept images as a data set of their own."""
    whole, picked = measured.dataset, [measured.audit.kept[i] for i in rows]
    items = tuple(whole.items[i] for i in picked)
    read = _Picked(whole, picked)
    return replace(whole, items=items, skipped=(), read=read, order=None, pinned=frozenset())


@dataclass(frozen=True)
class _Picked:
    """Reads some images of a data set."""

    whole: Dataset
    rows: Sequence[int]

    def __call__(self, index: int) -> bytes:
        return self.whole.read(self.rows[index])

    def stamp(self, index: int) -> str:
        """Return by what an image is known as unchanged."""
        return self.whole.stamp(self.rows[index])


def mirrored(measured: Measured, rows: NDArray[np.intp]) -> NDArray[np.float16]:
    """Features ``[len(rows), width]`` of the mirror images of some of the kept images."""
    some, record = part(measured, rows), measured.network.backbone
    with Store.open(measured.cache) as store:
        views, asked = [replace(record.view, mirror=True)], Asked(wish=measured.engine)
        found, _ = look_at(some, measured.network, views, store, lambda done, total: None, asked)
    return found.features[0]


def shift_sample(train: Sequence[int] | NDArray[np.intp]) -> list[int]:
    """Return the training images that the channel statistics are measured on, :data:`SHIFT_SAMPLE`.

    Evenly from the first to the last, since images often lie class by class.
    """
    some = np.linspace(0, len(train) - 1, min(len(train), SHIFT_SAMPLE)).astype(int)
    return [int(train[i]) for i in some]


def shift_of(
    dataset: Dataset,
    facts: Sequence[Facts],
    train: Sequence[int] | NDArray[np.intp],
    network: Pretrained,
    store: Store,
    beside: Beside | None = None,
) -> tuple[float, ...] | None:
    """Distance of each stage's channel statistics from the source's, on some training images."""
    picked, view = shift_sample(train), network.backbone.view
    name = images.digest("".join(facts[i].digest for i in picked).encode())
    space = f"{key(network.backbone)}-{view.key}-discs"
    known = store.features(space, [name]).get(name)
    if known is None:
        with threads(engines.cores()) as pool:
            look = functools.partial(images.inspect, views=[view], describe=False)
            made = pool.map(lambda i: look(dataset.read(i))[1], picked)
            stack = np.stack([squares[0] for squares in made if squares is not None])
        trunks = home(store.folder, network.backbone)
        made_ready = beside.shift(trunks) if beside else None
        found = norm_shift.look(stack, network.backbone, trunks, network.build, made_ready)
        known = np.asarray(found or (), np.float16)
        store.put_features(space, {name: known})
    return tuple(float(value) for value in known) or None
