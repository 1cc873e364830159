"""The sub-commands for what a RUN is good for: to be read, taken elsewhere, and called."""

import enum
from pathlib import Path
from typing import Annotated

import typer

from regraft.cli.app import app
from regraft.cli.options import AsJson, OwnNetwork

Run = Annotated[Path, typer.Argument(metavar="RUN", help="A folder that fit made.")]


class Target(enum.StrEnum):
    """What a RUN can become."""

    onnx = "onnx"
    torch = "torch"
    timm = "timm"
    openvino = "openvino"
    serve = "serve"
    hub = "hub"


@app.command()
def predict(
    run: Run,
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMAGES", help="Files, folders or quoted glob patterns."),
    ],
    top: Annotated[int, typer.Option("--top", "-k", min=1, help="How many classes to name.")] = 1,
    network: OwnNetwork = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Write a table (.csv or .json) instead.",
            show_default=False,
        ),
    ] = None,
    sort_into: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Copy the images there, a folder for each class; what is like no training image "
            "apart.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace that table.")] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV; in UTF-8 in a file or pipe.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Classify images with a RUN."""
    from regraft.cli.predict import run_predict

    run_predict(
        run,
        images,
        top=top,
        network=network,
        as_csv=as_csv,
        as_json=as_json,
        out=out,
        folder=sort_into,
        overwrite=overwrite,
    )


@app.command()
def report(
    run: Run,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="DATA",
            show_default="where the plan says",
            help="The images, for thumbnails and heat maps.",
        ),
    ] = None,
    heat_maps: Annotated[
        bool,
        typer.Option("--heat-maps", help="Show where the network looked, on some of the images."),
    ] = False,
    network: OwnNetwork = None,
) -> None:
    """Write report.html of a RUN anew: what it got, where it errs, how to use it."""
    from regraft.cli.report import run_report

    run_report(run, data=data, heat_maps=heat_maps, network=network)


@app.command()
def export(
    run: Run,
    to: Annotated[Target, typer.Option("--to", help="What to make.")],
    repository: Annotated[
        str | None,
        typer.Argument(metavar="OWNER/NAME", show_default=False, help="With --to hub: where."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="PATH", show_default="beside RUN", help="What to write."
        ),
    ] = None,
    pixels: Annotated[
        bool,
        typer.Option(
            "--pixels",
            help="onnx and torch: take decoded pixels 0 to 255 of any size and preprocess them "
            "inside.",
        ),
    ] = False,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="DATA",
            show_default="where the plan says",
            help="Images to check the export on.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier export.")
    ] = False,
    private: Annotated[
        bool, typer.Option("--private", help="With --to hub: make the repository private.")
    ] = False,
    network: OwnNetwork = None,
    as_json: AsJson = False,
) -> None:
    """Make a RUN into what other tools load, and check that it gives the same."""
    from regraft.cli.export import run_export

    run_export(
        run,
        to.value,
        repository,
        out=out,
        pixels=pixels,
        data=data,
        overwrite=overwrite,
        private=private,
        network=network,
        as_json=as_json,
    )


@app.command()
def serve(
    run: Run,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="REGRAFT_TOKEN",
            show_default=False,
            help="Ask for this bearer token in every request but for the page and its health.",
        ),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Images that are run together at most.")] = 32,
    wait: Annotated[
        float, typer.Option(min=0, help="Milliseconds that an image waits for others.")
    ] = 3.0,
    waiting: Annotated[
        int, typer.Option(min=1, help="Images that may wait; more are refused with 503.")
    ] = 256,
    workers: Annotated[
        int,
        typer.Option(help="Processes, each with a model of its own and a share of the cores."),
    ] = 1,
    cors: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN",
            show_default=False,
            help="Let pages of this origin ask, like https://a.example; may be given again.",
        ),
    ] = None,
    access_log: Annotated[
        bool,
        typer.Option(
            "--access-log/--no-access-log", help="Print a line for every request, on stderr."
        ),
    ] = True,
    network: OwnNetwork = None,
) -> None:
    """Answer over HTTP: an API, a page to drop images on, metrics."""
    from regraft.cli.serve import run_serve

    run_serve(
        run,
        host=host,
        port=port,
        token=token,
        batch=batch,
        wait=wait,
        waiting=waiting,
        workers=workers,
        cors=cors or [],
        access_log=access_log,
        network=network,
    )


class By(enum.StrEnum):
    """How images are chosen."""

    auto = "auto"
    doubt = "doubt"
    random = "random"


@app.command("next")
def next_(
    run: Run,
    pool: Annotated[
        list[str],
        typer.Argument(metavar="POOL", help="Images without labels: folders, files or globs."),
    ],
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many to name.")] = 50,
    by: Annotated[
        By,
        typer.Option(
            help="Choose what the network is unsure of, or draw at random; auto: at random where "
            "choosing saves nothing."
        ),
    ] = By.auto,
    seed: Annotated[int, typer.Option(help="Of what is drawn.")] = 0,
    network: OwnNetwork = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE.csv",
            help="Write a table to fill the labels in, for fit --add.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace that table.")] = False,
    as_json: AsJson = False,
) -> None:
    """Name the images of a pool to label next, and what choosing them saves."""
    from regraft.cli.next import run_next

    run_next(
        run,
        pool,
        count=count,
        by=by.value,
        seed=seed,
        network=network,
        out=out,
        overwrite=overwrite,
        as_json=as_json,
    )
