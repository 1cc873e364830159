"""What runs a RUN's network on this machine."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from regraft.backbones import Backbone
from regraft.errors import RunError
from regraft.features import engines
from regraft.features.engines import Build, Calibration, Engine, Pixels, carried, store
from regraft.plan.definition import Plan


class Fitted(Protocol):
    """What a `regraft.results.result.Result` has that decides what runs it."""

    @property
    def plan(self) -> Plan:
        """What was decided."""

    @property
    def metrics(self) -> Mapping[str, Any]:
        """The engine of the report is in it."""

    @property
    def record(self) -> Backbone:
        """The network as it is now."""

    @property
    def network(self) -> Build:
        """Builds it."""

    @property
    def cache(self) -> Path:
        """The cache folder."""

    @property
    def folder(self) -> Path | None:
        """Where the RUN lies."""


def found(result: Fitted) -> tuple[Engine, Calibration | None]:
    """Return the engine, and how it was chosen, None for the reference: it is not remembered.

    What is remembered of the backbone counts where nothing was trained. Then comes what
    ``regraft export --to serve`` put into the RUN: there is nothing to choose about that.

    Raises:
        RunError: there is neither, and no torch.
    """
    plan, build, known = result.plan, result.network, None
    records = [plan.backbone] if plan.case in (1, 2) else []
    for record in [*records, result.record]:
        for wish in dict.fromkeys([own(result), ""]):
            known = known or engines.remembered(
                record, result.cache, build=build, wish=wish, taps=plan.taps
            )
    if known is not None:
        return known
    trunk = None
    if result.folder is not None:
        place = result.folder / carried.FOLDER
        trunk = carried.find(result.record, plan.taps, place, own(result))
    if trunk is not None:
        return trunk, Calibration(trunk.name)
    if find_spec("torch") is None:
        raise RunError(
            f"Without torch nothing here runs {plan.backbone.name}.",
            [
                f"'{result.folder}' has to hold {carried.FOLDER}/, whole and of its own weights.",
                "Where torch is installed, `regraft export RUN --to serve` puts it there.",
            ],
        )
    return engines.reference(result.record, plan.taps, build=build), None


def carried_of(result: Fitted) -> carried.Remembered:
    """Return where this machine remembers the network, as far as the RUN keeps it."""
    plan, record = result.plan, result.record
    if plan.case not in (1, 2):
        return carried.Remembered(store.home(result.cache, record), record.weights.sha256)
    cut = plan.cut if plan.cut < len(plan.backbone.stages) - 1 else None
    home = store.home(result.cache, plan.backbone)
    return carried.Remembered(home, record.weights.sha256, cut)


def exact(result: Fitted) -> Engine:
    """Return the same; instead of the reference the engine that `engines.exact` finds."""
    engine, known = found(result)
    if known is not None:
        return engine
    return engines.exact(result.record, result.plan.taps, result.cache, build=result.network)


def chosen(result: Fitted, pixels: Pixels) -> Engine:
    """Return an engine for the network as it is now: that of the report, if this machine has it."""
    return engines.choose(
        result.record,
        pixels,
        result.cache,
        build=result.network,
        wish=own(result),
        taps=result.plan.taps,
    )[0]


def own(result: Fitted) -> str:
    """Return the engine whose numbers the report shows; empty where there is none of that name."""
    name = str(result.metrics.get("engine", ""))
    return name if engines.is_known(name) else ""
