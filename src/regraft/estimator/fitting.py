"""Pictures and their labels -> a new layer that was fitted on all of them, and what it answers."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regraft.data.audit import Audit, fingerprint
from regraft.data.dataset import Dataset, Item, some
from regraft.data.images import Facts, View, alike
from regraft.data.kinds import ONE, Kind
from regraft.data.readers.pictures import are_wide, bytes_of, objection
from regraft.data.splits import Split
from regraft.errors import DataError
from regraft.features.cache import Store, cache_folder
from regraft.features.engine_choice import Asked
from regraft.features.engines import open_engine
from regraft.features.extract import Extraction, extract
from regraft.heads.ridge import Head
from regraft.heads.tasks import task_of
from regraft.plan.choices import Choices, candidates
from regraft.plan.definition import Plan
from regraft.run import measure
from regraft.run.auto import network_for
from regraft.run.draft import draft
from regraft.run.execute import EXECUTORS, RunState
from regraft.run.fit_image import TrainingSet, settle
from regraft.run.labels import LabelValues
from regraft.run.measure import Measured
from regraft.run.pretrained import Pretrained, open_network
from regraft.run.scoring import unit_head

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from regraft.networks.own import Fed

Images = Sequence[Any] | NDArray[Any]
"""An array ``[n, height, width]`` or ``[n, height, width, channels]``, or a sequence of pictures.

A picture is a path, a file's bytes, a PIL image, or an array ``[height, width(, channels)]`` of
0..255, or of floats in 0..1.
"""

_LEAST = 5  # different pictures: one for each fold


@dataclass(frozen=True, eq=False)
class FittedHead:
    """A plan that was carried out: its layer, and what builds the network under it.

    ``classes`` [k]: the names of its outputs. ``cache``: the cache folder.
    """

    plan: Plan
    classes: tuple[str, ...]
    head: Head
    network: "str | Pretrained"
    cache: "Path"

    def answers(self, X: Images) -> NDArray[np.floating[Any]]:
        """Return the answers ``[n, k]`` to images: probabilities, or numbers.

        Raises:
            DataError: images that cannot be read; each is named.
        """
        pictures, plan = listed(X), self.plan
        engine = open_engine(
            plan.backbone, plan.taps, self.cache, build=self._build, wish=plan.engine
        )
        looked = extract(
            lambda i: bytes_of(pictures[i], wide=plan.backbone.view.integers is not None),
            len(pictures),
            [plan.backbone.view],
            plan.inputs,
            engine=engine,
            choose=lambda pixels, indices: engine,
        )
        refuse(pictures, looked.facts)
        # in float64: a product of float32 rounds otherwise for another number of rows
        weight, rows = self.head.weight.astype(np.float64), looked.features[0].astype(np.float64)
        return task_of(plan.kind).shares(rows @ weight.T + self.head.bias)

    def _build(self) -> "nn.Module":
        """Return the whole network, for engines that need torch."""
        return open_network(self.network).build()


def fit_head(
    pictures: Sequence[Any],
    labels: Sequence[str],
    kind: Kind,
    choices: Choices,
    *,
    backbone: "str | nn.Module | Pretrained",
    stages: Sequence[str] | None,
    view: "Fed | None",
    cache: str | os.PathLike[str] | None,
) -> FittedHead:
    """Measure the images, decide the cut, and fit the new layer on all of them.

    ``labels``: of each picture, as an item of a data set of this kind has it.
    """
    dataset = _dataset(pictures, labels, kind)
    network = network_for(dataset, backbone, None, choices, stages=stages, view=view, cache=cache)
    measured = _measured(dataset, pictures, network, choices, cache)
    plan = draft(
        measured, choices, trains=False
    ).without_training()  # of all cases it does the frozen ones
    work = RunState(plan, measured)
    for step in work.plan.steps():
        if step.kind in ("fit", "calibrate"):  # the trunk is ready, and nothing is held out
            EXECUTORS[step.kind](work)
    named = network.backbone.name if network.ranking is not None else backbone
    return FittedHead(
        work.plan,
        measured.classes,
        unit_head(measured, work.needed_head()),
        named if isinstance(named, str) else network,
        measured.cache,
    )


def _measured(
    dataset: Dataset,
    pictures: Sequence[Any],
    network: Pretrained,
    choices: Choices,
    cache: str | os.PathLike[str] | None,
) -> Measured:
    """Like `regraft.run.measure.measure`, with every image on the training side.

    An audit that leaves images out has no place here, for a caller of scikit-learn counts on one
    row for each: copies stay, in the same fold.
    """
    candidates(network.backbone, choices)  # a choice that cannot be is told before the work
    network, asked = measure.as_chosen(network, choices), Asked(choices.engine)
    started, folder, every = time.perf_counter(), cache_folder(cache), np.arange(len(pictures))
    labels = LabelValues.of(dataset, every, every)
    with Store.open(folder) as store:

        def look(view: View) -> Extraction:
            found, engine = measure.look_at(
                dataset, network, [view], store, lambda done, total: None, asked
            )
            engines.append(engine)
            return found

        engines: list[str] = []
        looked = first = look(network.backbone.view)
        refuse(pictures, looked.facts)
        groups = _groups(looked.facts, dataset)
        training = TrainingSet(every.tolist(), labels.even, groups)
        sight = settle(look, looked, network.backbone, training, choices)
        network, looked = measure.seeing(network, sight.view), sight.looked
        shift = measure.shift_of(dataset, looked.facts, every.tolist(), network, store)
        store.prune()
    audit = Audit(tuple(every.tolist()), (), {}, (), groups)
    return Measured(
        dataset=dataset,
        network=network,
        audit=audit,
        split=Split(every, every[:0], "held out"),
        fingerprint=fingerprint(dataset, audit, looked.facts),
        classes=labels.classes,
        labels=labels.values,
        strata=labels.strata,
        units=labels.units,
        features=looked.features[0],
        mirrored=None,
        shift=shift,
        engine=engines[0],
        images_per_second=measure.speed_of(first, engines[0], network.backbone, folder),
        seconds={"engine": first.choosing, "probe": first.seconds},
        cache=folder,
        started=started,
        reasons=sight.reasons,
    )


def _groups(facts: Sequence[Facts], dataset: Dataset) -> NDArray[np.int64]:
    """Return a number for each image, the same for near copies.

    DataError where there are too few.
    """
    codes = dataset.columns.labels.codes.astype(np.int64)
    labels = codes if dataset.kind == ONE else None  # else no image is in a class
    near = alike(facts, labels).groups
    groups: NDArray[np.int64] = np.unique(near, return_inverse=True)[1]
    different = len(set(groups.tolist()))
    if different < _LEAST:
        raise DataError(
            "There are too few images to choose a cut by cross-validation.",
            [
                f"there must be at least {_LEAST} different pictures, got {different} "
                f"({len(facts)} with copies)"
            ],
        )
    return groups


# --- pictures -----------------------------------------------------------------------------------


def listed(images: Images) -> list[Any]:
    """Return the pictures one by one. DataError where these are no pictures, or a single one."""
    headline, shape = "X must be a list or an array of images.", getattr(images, "shape", None)
    if isinstance(images, str | bytes | os.PathLike | Image.Image):
        raise DataError(headline, [f"got a single {type(images).__name__}; put it in a list"])
    if shape is not None and len(shape) not in (1, 3, 4):
        remedy = "reshape each row to the picture that it was"
        rule = "an array must be [n, height, width] or [n, height, width, channels]"
        raise DataError(headline, [f"{rule}, got shape {list(shape)}; {remedy}"])
    try:
        pictures = list(images)
    except TypeError as error:
        raise DataError(headline, [f"got {type(images).__name__}"]) from error
    if not pictures:
        raise DataError(headline, ["there must be at least one, got none"])
    return pictures


def _dataset(pictures: Sequence[Any], labels: Sequence[str], kind: Kind) -> Dataset:
    """Return a data set of these pictures in their order, whatever their paths."""
    items = tuple(Item(f"{i:09}", label) for i, label in enumerate(labels))
    wide = are_wide(picture for picture in pictures if not objection(picture))
    return Dataset("images", items, (), lambda i: bytes_of(pictures[i], wide=wide), kind=kind)


def refuse(pictures: Sequence[Any], facts: Sequence[Facts]) -> None:
    """Raise DataError that names every image that cannot be used."""
    wrong = [
        f"{_name(picture, i)}: {one.detail or one.problem}"
        for i, (picture, one) in enumerate(zip(pictures, facts, strict=True))
        if one.problem
    ]
    if wrong:
        raise DataError(
            f"{len(wrong):,} of {len(facts):,} images cannot be used; mend them or leave them out.",
            some(wrong),
        )


def _name(picture: Any, number: int) -> str:
    """Return a path as it is, anything else by its place in X."""
    return os.fspath(picture) if isinstance(picture, str | os.PathLike) else f"image {number}"
