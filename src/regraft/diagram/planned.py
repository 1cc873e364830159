"""Plan -> Scene. A plan stands below this room, so that what is read of one is said here."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from regraft.backbones import Backbone
from regraft.diagram.scene import Scene, of_case
from regraft.heads.ridge import Taps
from regraft.plan.evidence import Evidence
from regraft.plan.recipes import Init, Training


class Planned(Protocol):
    """What is read of a :class:`regraft.plan.definition.Plan`, which stands below this room."""

    @property
    def backbone(self) -> Backbone:
        """The network."""

    @property
    def dataset(self) -> str:
        """Name of the data set."""

    @property
    def title(self) -> str:
        """The case in a sentence."""

    @property
    def case(self) -> int:
        """1 to 4."""

    @property
    def taps(self) -> Taps:
        """Depths that are read."""

    @property
    def trainings(self) -> tuple[Training, ...]:
        """How the network is trained, if it is."""

    @property
    def frozen(self) -> tuple[str, ...]:
        """Names of the frozen stages."""

    @property
    def start(self) -> Init | None:
        """In a RUN: what training began from, if a trained network was handed over."""

    @property
    def unchanged(self) -> Init | None:
        """In a RUN: the start, where no epoch of training was better than it."""

    @property
    def recipe(self) -> str:
        """How the new layer is made."""

    @property
    def ran(self) -> Sequence[object]:
        """In a RUN: the candidates."""

    @property
    def evidence(self) -> Evidence:
        """What was measured, with the classes."""


def of_plan(plan: Planned) -> Scene:
    """The surgery of a plan; in a RUN, that of the network that was handed over."""
    names = [stage.name for stage in plan.backbone.stages]
    trained = plan.case in (3, 4) and len(plan.frozen) < len(names)
    training = plan.trainings[0] if plan.case in (3, 4) and plan.trainings else None
    still = plan.unchanged == "pretrained"  # drawn as what it is: all frozen under a new layer
    scene = of_case(
        plan.backbone,
        1 if still else plan.case,
        taps=training.taps if training and not plan.ran else plan.taps,
        classes=plan.evidence.classes,
        trainable_from=names[len(plan.frozen)] if trained else None,
        init=_start(plan),
        fitted=training.fitted if training else plan.recipe == "tuned",
    )
    return replace(scene, case=plan.case, title=plan.dataset, caption=f"{plan.title}.")


def _start(plan: Planned) -> Init | None:
    """What training starts from; None where both are planned and neither is handed over yet."""
    if plan.ran:
        return plan.start or "pretrained"
    starts = {training.init for training in plan.trainings}
    return next(iter(starts)) if len(starts) == 1 else None
