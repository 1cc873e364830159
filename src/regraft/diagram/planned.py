"""Plan -> Scene, and what a notebook shows of a plan."""

from dataclasses import replace

from markupsafe import Markup

from regraft.data.splits import EACH_ONCE
from regraft.diagram.scene import Scene, of_case
from regraft.diagram.summary import Figure, isolated, summary
from regraft.heads.tasks.words import words_of
from regraft.plan import kind_wording
from regraft.plan.definition import Plan
from regraft.plan.recipes import Init
from regraft.plan.similarity import SIMILAR
from regraft.plan.size import LARGE


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
    assert scene.new is not None, "a plan puts a new layer in"
    new = replace(scene.new, kind=plan.kind)
    return replace(scene, case=plan.case, title=plan.dataset, caption=f"{plan.title}.", new=new)


def summary_of(plan: Plan) -> str:
    """Show what is expected of a plan on images never seen, its surgery, steps and reasons."""
    evidence, words = plan.evidence, words_of(plan.kind)
    return summary(
        Markup("{}: {}").format(isolated(plan.dataset), kind_wording.outputs(plan)),
        about=about(plan),
        figures=[
            Figure(
                f"expected {words.measure}{' of the frozen network' if plan.trainings else ''}",
                words.told(evidence.expected),
                f"{words.span(evidence.expected_interval)} (95% interval, cross-validated)",
            ),
            *more_images(plan),
            Figure("guessing", words.told(evidence.guess), words.guess),
            Figure("similarity", f"{evidence.similarity:.2f}", f"similar from {SIMILAR}"),
            Figure("size", f"{evidence.size:.2f}", f"large from {LARGE}"),
        ],
        picture=of_plan(plan),
        lists={"What is done": [step.sentence for step in plan.steps()], "Why": reasons(plan)},
        unfolded=True,
    )


def more_images(plan: Plan) -> list[Figure]:
    """Show what twice the images would bring, where that can be told."""
    curve = plan.learning_curve
    if curve is None or curve.untold:
        return []
    twice = curve.times(2)
    low, high = twice.interval
    interval = f"{low:.1%} to {high:.1%} (90% interval)"
    return [Figure("with twice the images", f"{twice.accuracy:.1%}", interval)]


def about(plan: Plan) -> str:
    """Name the network of a plan, and how many images it is fitted on and judged by."""
    turns = " once, in turn" if plan.split == EACH_ONCE else ""
    images = f"{plan.train:,} images to train on, {plan.test:,} held out{turns}"
    return f"{plan.backbone.name}, trained on {plan.backbone.source}; {images}."


def reasons(plan: Plan) -> list[str]:
    """Return the reasons of a plan, a sentence each with its source."""
    return [f"{reason.rule} {reason.fact} [{reason.source}]" for reason in plan.reasons]


def _start(plan: Plan) -> Init | None:
    """Return what training starts from.

    None where both are planned and neither is handed over yet.
    """
    if plan.ran:
        return plan.start or "pretrained"
    starts = {training.init for training in plan.trainings}
    return next(iter(starts)) if len(starts) == 1 else None
