"""The sub-commands for networks alone: which there are, how they look, what they see."""

from pathlib import Path
from typing import Annotated

import typer

from regraft.cli.app import app
from regraft.cli.options import DEFAULT, AsJson, Init, Network, TrainableFrom, WeightsFile


@app.command()
def models(as_json: AsJson = False) -> None:
    """List the backbones that are on hand."""
    from regraft.cli.models import run_models

    run_models(as_json)


@app.command()
def draw(
    backbone: Network = DEFAULT,
    case: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=4,
            show_default="all, one after another",
            help="Draw this case; 0 is the untouched network.",
        ),
    ] = None,
    cut: Annotated[
        str | None,
        typer.Option(
            metavar="STAGE", show_default="after the first third", help="Case 2: where to cut."
        ),
    ] = None,
    trainable_from: TrainableFrom = None,
    init: Annotated[
        Init | None,
        typer.Option(help="Case 4: draw what training starts from.", show_default=False),
    ] = None,
    classes: Annotated[int, typer.Option(min=2, help="Classes of the new layer.")] = 10,
    weights: WeightsFile = None,
    lesson: Annotated[
        bool,
        typer.Option("--lesson", help="Draw the four cases as the quarters of one picture."),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE.svg",
            show_default="draw in the terminal",
            help="Write an SVG.",
        ),
    ] = None,
) -> None:
    """Draw a network and the surgery of a case, from the image to the classes."""
    from regraft.cli.draw import run_draw

    run_draw(
        backbone,
        weights=weights,
        case=case,
        cut=cut,
        trainable_from=trainable_from,
        init=None if init is None else init.value,
        classes=classes,
        lesson=lesson,
        out=out,
    )


@app.command()
def look(
    backbone: Network = DEFAULT,
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA", show_default="those of the demo", help="Images as for plan."
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE.html", help="The page to write.")
    ] = Path("look.html"),
    most: Annotated[
        int, typer.Option(min=20, help="Images to look at; more than these are drawn from.")
    ] = 400,
    seed: Annotated[int, typer.Option(help="Of the drawn stimuli and the chosen images.")] = 0,
    weights: WeightsFile = None,
) -> None:
    """Show what each stage sees: kernels, the patches that excite it, what it can tell apart."""
    from regraft.cli.look import run_look

    run_look(backbone, data, weights=weights, out=out, most=most, seed=seed)
