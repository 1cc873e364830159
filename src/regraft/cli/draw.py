"""``regraft draw``: a network and the surgery of a case, in the terminal or as an SVG."""

from pathlib import Path

from rich.text import Text

from regraft import diagram
from regraft.cli.terminal import results, say
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
    console = results()
    console.print(Text(drawn.scenes[0].network, style="bold"))
    if drawn.as_quarters:
        console.print()
        console.print(diagram.quarters_text(drawn.scenes, console.width))
        return
    for scene in drawn.scenes:
        console.print()
        console.print(Text(scene.title, style="bold"))
        console.print(Text(scene.caption))
        console.print()
        console.print(diagram.text(scene))
