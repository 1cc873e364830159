"""Plan -> Scene."""

from dataclasses import replace

from regraft.diagram.scene import Scene, of_case
from regraft.plan.definition import Plan
from regraft.plan.recipes import Init


def of_plan(plan: Plan) -> Scene:
    """Return the surgery of a plan; in a RUN, that of the network that was handed over."""
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


def _start(plan: Plan) -> Init | None:
    """Return what training starts from.

    None where both are planned and neither is handed over yet.
    """
    if plan.ran:
        return plan.start or "pretrained"
    starts = {training.init for training in plan.trainings}
    return next(iter(starts)) if len(starts) == 1 else None
