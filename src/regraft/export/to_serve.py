"""For ``serve`` and ``predict`` without torch: the RUN's trunk, converted, within the RUN."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from regraft.export import parity
from regraft.export.about import About
from regraft.export.comparing import beliefs, in_torch, shares
from regraft.export.images import ParityImages
from regraft.export.parity import Parity
from regraft.features import engines
from regraft.features.engines import Engine, carried
from regraft.features.engines.preference import FULL
from regraft.heads.tasks import task_of
from regraft.results import running
from regraft.results.result import Result

SUFFIX, NAMES = "", carried.FILES
INPUT = "images, as the RUN does"


def check() -> None:
    """Nothing else is needed."""


def write(result: Result, about: About, draft: Path) -> None:
    """Convert the trunk into the folder."""
    from regraft.networks.build import trunk

    record = result.record
    whole = trunk(result.network(), record, range(len(record.stages)))
    carried.write(whole, record, draft)


def compared(
    target: ModuleType, module: Any, about: About, draft: Path, sample: ParityImages, result: Result
) -> list[Parity]:
    """Run what was written in float32, and as it will be served, on the same images."""
    wanted = shares(in_torch(module), about, sample)
    full, usual = (_open(result, draft, wish) for wish in (FULL, running.own(result)))
    features = np.concatenate(full(sample.squares), axis=1)
    logits = result.head.logits(features)
    told, rule = task_of(result.kind).shares(logits), result.plan.evidence.answer
    parities = [parity.exact("trunk against the float32 network", told, wanted, rule)]
    if known := result.known:
        found, right = known.belief(features, logits), beliefs(module, about, sample, known)
        parities.append(parity.beliefs("its beliefs against regraft's own", found, right))
    served, _ = result.judged(engines.features(usual, sample.squares))
    what = f"served on {usual.name} against the float32 network"
    return [*parities, parity.near(what, served, wanted, rule)]


def _open(result: Result, draft: Path, wish: str) -> Engine:
    found = carried.find(result.record, result.plan.taps, draft, wish)
    assert found is not None, "it was written a moment ago"
    return found
