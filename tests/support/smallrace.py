"""A race of the small network on small pictures: a second of training from beginning to end."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from regraft import finetune
from regraft.data.splits import validation
from regraft.finetune import Images, Trained, loop
from regraft.heads.ridge import Head
from regraft.plan.events import EpochProgress, LogRow, OnEvent
from regraft.plan.recipes import Training, tuned
from scenes import KINDS, scene
from smallnet import SIZE, record, small

LAST = len(record().stages) - 1
EACH = 12


@pytest.fixture(scope="module", autouse=True)
def rows_alone() -> Iterator[None]:
    """Tell of nothing but epochs: within one a busy machine tells how far it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "PULSE", float("inf"))
        yield


@cache
def pictures() -> tuple[bytes, ...]:
    return tuple(scene(kind, seed, SIZE) for kind in KINDS for seed in range(EACH))


def images(counts: tuple[int, ...] = (EACH, EACH, EACH)) -> Images:
    """So many pictures of each kind, a fifth of them for validation."""
    items = [kind * EACH + i for kind, count in enumerate(counts) for i in range(count)]
    labels = np.repeat(np.arange(len(counts)), counts)
    train, val = validation(labels, np.arange(len(items)), 0)
    return Images(pictures().__getitem__, items, labels, train, val)


def recipe(**changes: Any) -> Training:
    """Two rates race for two epochs of four; the better one is trained again on all images."""
    usual = tuned(
        record(), init="pretrained", taps=(LAST,), images=36, mirror=True, weighting="none"
    )
    small_one = replace(usual, epochs=4, rates=(1e-3, 1e-2), batch=8, crop=0.8)
    return replace(small_one, **changes)


def head(some: NDArray[np.intp]) -> Head:
    """A head that depends on how many images it was fitted on."""
    width = record().stages[LAST].channels
    weight = np.random.default_rng(len(some)).normal(0, 0.1, (len(KINDS), width))
    return Head((LAST,), weight.astype(np.float32), np.zeros(len(KINDS), np.float32))


def race(
    folder: Path,
    training: Training | None = None,
    *,
    on_event: OnEvent = lambda row: None,
    some: Images | None = None,
    channels_last: bool = True,
    **options: Any,
) -> Trained:
    """Train in a folder; always in the same mode, whatever is fastest here.

    How far an epoch is depends on the clock, so it is not passed on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mode = {"precision": "32-true", "channels_last": channels_last, "images_per_second": 1.0}
    (folder / finetune.MODE).write_text(json.dumps(mode))
    return finetune.train(
        some or images(),
        record(),
        small,
        KINDS,
        training or recipe(),
        head=head,
        folder=folder,
        cache=folder / "cache",
        on_event=lambda row: None if isinstance(row, EpochProgress) else on_event(row),
        **{"seed": 0} | options,
    )


def same(one: Trained, other: Trained) -> bool:
    """Whether two races gave the same network, bit for bit."""
    return same_state(one.state, other.state) and np.array_equal(one.shares, other.shares)


def same_state(one: Mapping[str, NDArray[Any]], other: Mapping[str, NDArray[Any]]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


def untimed(rows: Iterable[LogRow]) -> list[dict[str, Any]]:
    """Rows of the log without what a clock gave."""
    clocks = ("seconds", "left", "images_per_second")
    return [{k: v for k, v in row.to_row().items() if k not in clocks} for row in rows]
