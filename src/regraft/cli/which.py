"""The sub-command for what comes before the others: which network."""

from pathlib import Path
from typing import Annotated

import typer

from regraft.cli.app import app
from regraft.cli.options import (
    AsJson,
    Budget,
    ClassWeights,
    ClassWeightsName,
    Data,
    EngineName,
    Fit,
    FitImage,
    GroupBy,
    LabelColumn,
    LabelsName,
    NearCopies,
    NearCopiesName,
    PathColumn,
    Recipe,
    RecipeName,
    Seed,
    Strict,
    TargetName,
    TestFraction,
    choices_of,
)


@app.command()
def rank(
    data: Data,
    backbone: Annotated[
        list[str] | None,
        typer.Option(
            "--backbone",
            "-b",
            metavar="NAME",
            help="A bundled backbone, any timm model, or your own as package.module:factory; once "
            "for each.",
            show_default="all that are on this machine",
        ),
    ] = None,
    latency: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Choose among those that take no longer for an image alone (10ms), decoding not "
            "counted.",
            show_default=False,
        ),
    ] = None,
    megabytes: Annotated[
        float | None,
        typer.Option(
            metavar="MB",
            help="Choose among those that are no larger in float32, the new layer included.",
            show_default=False,
        ),
    ] = None,
    test_fraction: TestFraction = None,
    seed: Seed = 0,
    recipe: RecipeName = Recipe.tuned,
    class_weights: ClassWeightsName = ClassWeights.auto,
    budget: Budget = None,
    engine: EngineName = None,
    group_by: GroupBy = None,
    near_copies: NearCopiesName = NearCopies.group,
    fit_image: FitImage = Fit.auto,
    path_column: PathColumn = None,
    label_column: LabelColumn = None,
    labels: LabelsName = None,
    target: TargetName = None,
    strict: Strict = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help="Write a page of it (.html).", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Rank networks on the same images: what to expect of each, its time and size; choose one."""
    from regraft.cli.rank import run_rank

    choices = choices_of(
        recipe=recipe,
        class_weights=class_weights,
        seed=seed,
        test_fraction=test_fraction,
        learning_rate=None,
        budget=budget,
        engine=engine,
        group_by=group_by,
        near_copies=near_copies,
        fit_image=fit_image,
        path_column=path_column,
        label_column=label_column,
        labels=labels,
        target=target,
    )
    run_rank(
        data,
        backbone or None,
        choices,
        latency=latency,
        megabytes=megabytes,
        strict=strict,
        as_json=as_json,
        out=out,
    )
