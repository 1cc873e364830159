"""A RUN folder -> a Result, ready to classify."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from regraft.backbones import Backbone
from regraft.errors import BackboneError, RunError, UsageError
from regraft.features.cache import cache_folder
from regraft.networks import factories
from regraft.networks.changes import Change
from regraft.plan import serialize
from regraft.plan.definition import Plan
from regraft.results.echo import ECHO, SAME, difference, echo
from regraft.results.folder import RunFiles, read_run
from regraft.results.result import Result

if TYPE_CHECKING:
    from torch import nn


def load(
    folder: str | os.PathLike[str],
    cache: str | os.PathLike[str] | None = None,
    *,
    network: object | None = None,
) -> Result:
    """Return the result of a RUN folder, which classifies new images.

    Args:
        folder: the RUN folder that `regraft.fit` or ``regraft fit`` made.
        cache: the cache folder; the user's where None.
        network: of a RUN that was made with a network of your own: that network, as a
            ``torch.nn.Module`` whose weights do not matter, or ``package.module:factory``.

    Returns:
        The result without its tables: ``result.predict(images)`` names the classes of a list of
        paths, files' bytes, PIL images or arrays ``[height, width(, 3)]`` of 0..255, or of floats
        in 0..1; ``result.predict_proba(images)`` gives probabilities ``[n, classes]``.

    Raises:
        RunError: there is none, or it is damaged; every problem is named. Or the network is not the
            one that the RUN was made with.
        PlanError: its plan is damaged.
        BackboneError: ``network`` is none.
        UsageError: a network for a RUN that needs none.
    """
    files = read_run(Path(folder))
    plan = serialize.loads(files.plan, f"{folder}/plan.json")
    whole = None if network is None else own_network(folder, plan.backbone, network)

    def build() -> "nn.Module":
        from regraft.networks.build import refilled

        return refilled(plan.backbone, files.tensors, plan.taps, whole)

    if whole is not None:
        check_own(folder, build, plan, files)

    return Result(
        plan=plan,
        classes=tuple(files.config["classes"]),
        metrics=files.metrics,
        tensors=files.tensors,
        changes=tuple(Change(**change) for change in files.config["surgery"]),
        predictions=None,
        log=(),
        audit=(),
        cache=cache_folder(cache),
        network=build,
        folder=Path(folder),
    )


def own_network(folder: str | os.PathLike[str], backbone: Backbone, network: object) -> "nn.Module":
    """Return the network that is handed over for a RUN, copied.

    Raises:
        UsageError: the RUN needs none.
        BackboneError: it is none, or cannot be imported.
    """
    if backbone.architecture:
        raise UsageError(
            f"The RUN '{folder}' was made with {backbone.name}, which regraft knows.",
            ["Leave out the network: it is for RUNs of a network of your own."],
        )
    from regraft.networks import own

    made = factories.make(network) if isinstance(network, str) else network
    return own.copied(own.unwrapped(own.checked(made)))


def check_own(
    folder: str | os.PathLike[str], build: Callable[[], "nn.Module"], plan: Plan, files: RunFiles
) -> None:
    """Make sure that a network takes a RUN's weights, and calculates what the RUN's did.

    Raises:
        RunError: it does not.
    """
    told = files.config.get(ECHO)  # older RUNs have none
    try:
        module = build()
        apart = 0.0 if told is None else difference(echo(module, plan, files.tensors), told)
        problems = (
            []
            if apart <= SAME
            else [
                "It takes the RUN's weights, but of one and the same image it gives other values: "
                f"they differ by {apart:.2g} of the largest, of which {SAME:g} may be rounding."
            ]
        )
    except (BackboneError, RunError) as error:
        problems = [error.headline, *error.problems]
    if problems:
        raise RunError(
            f"This is not the network that the RUN '{folder}' was made with.",
            [*problems, f"Hand over {plan.backbone.name} as it was then."],
        )
