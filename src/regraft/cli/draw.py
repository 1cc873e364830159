"""``regraft draw``: a network and the surgery of a case, in the terminal or as an SVG."""

from pathlib import Path

from rich.text import Text

from regraft import diagram
from regraft.cli.rows import Fitting
from regraft.cli.terminal import say, show
from regraft.diagram import Scene
from regraft.diagram.drawing import NetworkDrawing, draw
from regraft.plan.recipes import Init


def run_draw(
    backbone: str,
    *,
    weights: Path | None,
    case: int | None,
    cut: str | None,
    trainable_from: str | None,
    init: Init | None,
    classes: int,
    lesson: bool,
    out: Path | None,
) -> None:
    """Draw one case, the four as a lesson, or all five pictures where nothing is asked for."""
    drawn = draw(
        backbone,
        case=case,
        cut=cut,
        trainable_from=trainable_from,
        init=init,
        classes=classes,
        weights=weights,
        lesson=lesson,
        out=out,
    )
    if out is None:
        _show(drawn)
    else:
        say(f"Written to {out}.")


def _show(drawn: NetworkDrawing) -> None:
    """Draw on standard output."""
    show(Text(drawn.scenes[0].network, "bold"))
    if drawn.as_quarters:
        show("", Fitting(lambda wide: diagram.quarters_text(drawn.scenes, wide)))
        return
    for scene in drawn.scenes:
        show("", Text(scene.title, "bold"), Text(scene.caption), "", _picture(scene))


def _picture(scene: Scene) -> Fitting:
    return Fitting(lambda wide: diagram.text(scene, wide))
