"""``regraft draw``: a network and the surgery of a case, in the terminal or as an SVG."""

from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from regraft import diagram
from regraft.cli.terminal import results, say
from regraft.diagram import Scene
from regraft.diagram.drawing import draw
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
    out: Path | None,
) -> None:
    """Draw one case, or all five pictures where none is asked for."""
    drawn = draw(
        backbone,
        case=case,
        cut=cut,
        trainable_from=trainable_from,
        init=init,
        classes=classes,
        weights=weights,
        out=out,
    )
    if out is None:
        _show(drawn.scenes)
    else:
        say(f"Written to {out}.")


def _show(scenes: Sequence[Scene]) -> None:
    """Draw on standard output."""
    console = results()
    console.print(Text(scenes[0].network, style="bold"))
    for scene in scenes:
        console.print()
        console.print(Text(scene.title, style="bold"))
        console.print(Text(scene.caption))
        console.print()
        console.print(diagram.text(scene))
