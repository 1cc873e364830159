"""``regraft draw``: a network and the surgery of a case, in the terminal or as an SVG."""

import os
from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from regraft import backbones, diagram
from regraft.backbones import Backbone
from regraft.cli.terminal import results, say
from regraft.cli.whole import explained
from regraft.diagram import Scene
from regraft.errors import UsageError
from regraft.plan.choices import Choices, candidates, depth_of
from regraft.plan.recipes import Init
from regraft.whole_file import replace_file


def run_draw(
    backbone: str,
    weights: Path | None,
    case: int | None,
    cut: str | None,
    trainable_from: str | None,
    init: Init | None,
    classes: int,
    out: Path | None,
) -> None:
    """Draw one case, or all five pictures where none is asked for."""
    if out is not None:
        _check_out(out)
    record = _record(backbone, weights)
    case = _implied(case, cut, trainable_from, init)
    scenes = (
        diagram.lesson(record, classes=classes)
        if case is None
        else (_scene(record, case, cut, trainable_from, init, classes),)
    )
    if out is None:
        _show(scenes)
        return
    picture = diagram.svg(scenes[0]) if len(scenes) == 1 else diagram.series(scenes)
    with explained(out, "picture"):
        replace_file(out, picture)
    say(f"Written to {out}.")


def _record(name: str, weights: Path | None) -> Backbone:
    """The record; only the structure is drawn, so that no weights are fetched for it."""
    if name in backbones.names() and weights is None:
        return backbones.get(name)
    from regraft.networks import build

    return build.find(name, weights, seed=0 if weights is None else None)


def _implied(
    case: int | None, cut: str | None, trainable_from: str | None, init: Init | None
) -> int | None:
    """The case; where none is named, the one that goes with the other choices."""
    if case is None:
        if cut is None and trainable_from is None and init is not None:
            raise UsageError("--init says what case 4 starts from.", ["Add --case 4."])
        return 2 if cut is not None else None if trainable_from is None else 3
    given = {"--cut": cut, "--trainable-from": trainable_from, "--init": init}
    wrong = [flag for flag, value in given.items() if value is not None]
    if case == 0 and wrong:
        raise UsageError(
            f"--case 0 draws the untouched network, so it goes without {' and '.join(wrong)}.",
            ["Leave that out, or name a case from 1 to 4."],
        )
    if case != 2 and cut is not None:
        raise UsageError(
            f"--cut says where case 2 cuts, got --case {case}.",
            ["Leave out --cut, or draw --case 2."],
        )
    return case


def _scene(
    record: Backbone,
    case: int,
    cut: str | None,
    trainable_from: str | None,
    init: Init | None,
    classes: int,
) -> Scene:
    """One picture, of choices that go together."""
    if case == 0:
        return diagram.untouched(record)
    if record.stages:
        candidates(record, Choices(case=case, cut=cut, init=init, trainable_from=trainable_from))
    taps = None if cut is None else (depth_of(record, cut),)
    first = None if trainable_from is None else depth_of(record, trainable_from)
    return diagram.of_case(
        record,
        case,
        taps=taps,
        classes=classes,
        trainable_from=None if first is None else record.stages[first].name,
        init=init,
    )


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


def _check_out(out: Path) -> None:
    problems = []
    if out.suffix.lower() != ".svg":
        problems.append(f"its name must end in .svg, got {out.name!r}.")
    if not os.path.isdir(out.parent):
        problems.append(f"the folder {out.parent} does not exist; make it first.")
    if os.path.isdir(out):
        problems.append("it is a folder; name a file in it.")
    if problems:
        raise UsageError(f"--out {out} cannot be written.", problems)
