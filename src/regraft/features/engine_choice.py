"""Which engine runs a network: the same one in every process, the one that is asked for."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from regraft.backbones import Backbone
from regraft.data.dataset import Dataset
from regraft.distributed import is_local_rank_zero, is_rank_zero, on_all_ranks, on_rank_zero
from regraft.features import engines
from regraft.features.engines import Build, Engine, Pixels
from regraft.features.extract import sample

log = logging.getLogger("regraft")


@dataclass(frozen=True)
class Asked:
    """Which engine is asked for: one that has to be used, or one to be used if it may."""

    only: str | None = None
    wish: str = ""

    @property
    def words(self) -> dict[str, Any]:
        """As `regraft.features.engines.choose` takes it."""
        return {"only": self.only, "wish": self.wish}


ANY = Asked()


def same_engine(
    dataset: Dataset,
    record: Backbone,
    build: Build,
    folder: Path,
    taps: Sequence[int] | None = None,
    asked: Asked = ANY,
) -> Engine | None:
    """Return the engine that the first process chooses; None where no image can be used.

    One process a machine makes it ready there, and the others find it in the cache folder.

    Args:
        dataset: images to choose it with.
        record: the network that it is to run.
        build: gives that network, when it is needed.
        folder: the cache folder.
        taps: the depths that it is to give; all of them unless named.
        asked: which engine is asked for.
    """
    find = partial(_find, dataset, record, build, folder, taps)
    first = on_all_ranks(lambda: find(asked) if is_rank_zero() else None)
    name = on_rank_zero(lambda: first.name if first else "")
    if not name:
        return None
    lead = on_all_ranks(lambda: first or (find(Asked(name)) if is_local_rank_zero() else None))
    return on_all_ranks(lambda: lead or find(Asked(name)))


def _find(
    dataset: Dataset,
    record: Backbone,
    build: Build,
    folder: Path,
    taps: Sequence[int] | None,
    asked: Asked,
) -> Engine | None:
    """Return the remembered engine, or the one chosen on images from all over the data set."""
    known = engines.remembered(record, folder, build=build, taps=taps, **asked.words)
    if known:
        return known[0]
    pixels, indices = sample(dataset.read, len(dataset), record.view)
    return engine_for(record, build, pixels, folder, asked, taps) if indices else None


def engine_for(
    record: Backbone,
    build: Build,
    pixels: Pixels,
    folder: Path,
    asked: Asked = ANY,
    taps: Sequence[int] | None = None,
) -> Engine:
    """Return the engine chosen on pixels.

    Without labels, for some of the images may be held out.
    """
    return engines.choose(record, pixels, folder, build=build, taps=taps, **asked.words)[0]


def warn_of_another(record: Backbone, folder: Path, wish: str, engine: str) -> None:
    """Say so where the engine of a plan is not the one that was used."""
    if wish and engine and engine != wish and is_rank_zero():
        log.warning(
            "The plan was made with the engine %s, which is not to be had here: %s. %s is used "
            "instead, and numbers are the same within rounding.",
            wish,
            engines.objection(record, folder, wish),
            engine,
        )
