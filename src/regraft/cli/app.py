"""The sub-commands and their options; each calls one function of its own file when it is run."""

from pathlib import Path
from typing import Annotated

import typer

from regraft import __version__
from regraft.cli.options import (
    DEFAULT,
    AsJson,
    Augment,
    BackboneName,
    Budget,
    Case,
    Check,
    ClassWeights,
    ClassWeightsName,
    ComparedFraction,
    Cut,
    Data,
    EngineName,
    Fit,
    FitImage,
    GroupBy,
    InitName,
    LabelColumn,
    LabelsName,
    LearningRate,
    Log,
    NearCopies,
    NearCopiesName,
    On,
    PathColumn,
    Recipe,
    RecipeName,
    Seed,
    Strict,
    TargetName,
    TestFraction,
    TrainableFrom,
    WeightsFile,
    choices_of,
)

app = typer.Typer(
    name="regraft",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def regraft(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Transfer learning on images that measures before it cuts."""
    if version:
        typer.echo(f"regraft {__version__}")
        raise typer.Exit


@app.command()
def plan(
    data: Data,
    backbone: BackboneName = DEFAULT,
    weights: WeightsFile = None,
    test_fraction: TestFraction = None,
    seed: Seed = 0,
    case: Case = None,
    cut: Cut = None,
    recipe: RecipeName = Recipe.tuned,
    class_weights: ClassWeightsName = ClassWeights.auto,
    init: InitName = None,
    trainable_from: TrainableFrom = None,
    learning_rate: LearningRate = None,
    budget: Budget = None,
    engine: EngineName = None,
    group_by: GroupBy = None,
    near_copies: NearCopiesName = NearCopies.group,
    fit_image: FitImage = Fit.auto,
    path_column: PathColumn = None,
    label_column: LabelColumn = None,
    labels: LabelsName = None,
    target: TargetName = None,
    augment: Augment = False,
    strict: Strict = False,
    check: Check = False,
    on: On = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write the plan as JSON.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure the images, decide the case, explain it; change nothing."""
    from regraft.cli.plan import run_plan

    choices = choices_of(
        case=case,
        cut=cut,
        recipe=recipe,
        class_weights=class_weights,
        seed=seed,
        test_fraction=test_fraction,
        init=init,
        trainable_from=trainable_from,
        learning_rate=learning_rate,
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
    run_plan(
        data,
        backbone,
        choices,
        weights=weights,
        augment=augment,
        strict=strict,
        check=check,
        on=on,
        out=out,
        as_json=as_json,
    )


@app.command()
def fit(
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            show_default=False,
            help="As for plan. With --plan it may be left out: the plan knows where it is.",
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="RUN", help="The folder to make.")
    ] = Path("run"),
    plan: Annotated[
        Path | None,
        typer.Option("--plan", metavar="FILE", help="Do what this plan says.", show_default=False),
    ] = None,
    add: Annotated[
        Path | None,
        typer.Option(
            "--add",
            metavar="FILE",
            show_default=False,
            help="Corrections: a table of paths and right labels. They are trained on, never held "
            "out; before and after are shown.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier RUN of that name.")
    ] = False,
    backbone: BackboneName = DEFAULT,
    weights: WeightsFile = None,
    test_fraction: TestFraction = None,
    seed: Seed = 0,
    case: Case = None,
    cut: Cut = None,
    recipe: RecipeName = Recipe.tuned,
    class_weights: ClassWeightsName = ClassWeights.auto,
    init: InitName = None,
    trainable_from: TrainableFrom = None,
    learning_rate: LearningRate = None,
    budget: Budget = None,
    engine: EngineName = None,
    group_by: GroupBy = None,
    near_copies: NearCopiesName = NearCopies.group,
    fit_image: FitImage = Fit.auto,
    path_column: PathColumn = None,
    label_column: LabelColumn = None,
    labels: LabelsName = None,
    target: TargetName = None,
    augment: Augment = False,
    strict: Strict = False,
    check: Check = False,
    on: On = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a training that was interrupted.")
    ] = False,
    log: Annotated[
        Log | None,
        typer.Option(help="Log training for TensorBoard too, in RUN.unfinished, then RUN."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Do it: measure and decide (or take a plan), cut, fit, judge on held-out images, save."""
    from regraft.cli.fit import run_fit

    choices = choices_of(
        case=case,
        cut=cut,
        recipe=recipe,
        class_weights=class_weights,
        seed=seed,
        test_fraction=test_fraction,
        init=init,
        trainable_from=trainable_from,
        learning_rate=learning_rate,
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
    run_fit(
        data,
        backbone,
        choices,
        plan_file=plan,
        add=add,
        weights=weights,
        augment=augment,
        strict=strict,
        check=check,
        on=on,
        out=out,
        overwrite=overwrite,
        resume=resume,
        tensorboard=log is not None,
        as_json=as_json,
    )


@app.command()
def compare(
    data: Data,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="RUN", help="The folder to make.")
    ] = Path("comparison"),
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier comparison of that name.")
    ] = False,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="Leave out the cases that are absurd for the size instead of training them "
            "briefly: case 3 below 500 images unless fit would train too, random weights below "
            "10,000.",
        ),
    ] = False,
    backbone: BackboneName = DEFAULT,
    weights: WeightsFile = None,
    test_fraction: ComparedFraction = None,
    seed: Seed = 0,
    recipe: RecipeName = Recipe.tuned,
    class_weights: ClassWeightsName = ClassWeights.auto,
    learning_rate: LearningRate = None,
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
    as_json: AsJson = False,
) -> None:
    """Run all four cases on the same images, judge them side by side, mark what fit hands over."""
    from regraft.cli.compare import run_compare

    choices = choices_of(
        recipe=recipe,
        class_weights=class_weights,
        seed=seed,
        test_fraction=test_fraction,
        learning_rate=learning_rate,
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
    run_compare(
        data,
        backbone,
        choices,
        weights=weights,
        quick=quick,
        strict=strict,
        out=out,
        overwrite=overwrite,
        as_json=as_json,
    )


@app.command()
def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove everything in it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show or clear the cache of features and converted networks (its place: REGRAFT_CACHE)."""
    from regraft.cli.cache import run_cache

    run_cache(clear, as_json)


@app.command()
def demo(
    context: typer.Context,
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where to lay out images and results.")
    ] = Path("regraft-demo"),
) -> None:
    """Two real sets, start to end, offline: grocery photos and handwritten digits."""
    from regraft.cli.demo import run_demo

    run_demo(folder, context.obj)
