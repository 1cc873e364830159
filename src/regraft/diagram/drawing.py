"""``regraft.draw``: a network, a plan or a case as a picture."""

import os
from dataclasses import dataclass
from pathlib import Path

from regraft import backbones
from regraft.backbones import Backbone
from regraft.diagram.markup import quarters, series, svg
from regraft.diagram.notebook import html, in_page
from regraft.diagram.planned import of_plan
from regraft.diagram.quarters_text import quarters_text
from regraft.diagram.scene import CASES, Scene, of_case, untouched
from regraft.diagram.scene import lesson as every_case
from regraft.diagram.terminal import text
from regraft.errors import UsageError
from regraft.networks import factories
from regraft.plan.choices import Choices, candidates, depth_of
from regraft.plan.definition import Plan
from regraft.plan.recipes import Init
from regraft.whole_file import write_whole


@dataclass(frozen=True)
class NetworkDrawing:
    """Pictures of one network, to be looked at in a notebook, printed, or written as an SVG."""

    scenes: tuple[Scene, ...]
    as_quarters: bool = False
    """Whether the scenes are the cases 1 to 4, as the quarters of one picture."""

    def __str__(self) -> str:
        if self.as_quarters:
            return quarters_text(self.scenes).plain
        return "\n\n".join(
            f"{scene.title}\n{scene.caption}\n\n{text(scene).plain}" for scene in self.scenes
        )

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        """Return the picture, for a notebook."""
        if self.as_quarters:
            return in_page(quarters(self.scenes, alone=False))
        return html(self.scenes[0] if len(self.scenes) == 1 else self.scenes)

    def svg(self) -> str:
        """Return the text of an SVG file."""
        if self.as_quarters:
            return quarters(self.scenes)
        return svg(self.scenes[0]) if len(self.scenes) == 1 else series(self.scenes)

    def save(self, out: str | os.PathLike[str]) -> None:
        """Write the SVG.

        Raises:
            UsageError: its name does not end in .svg, or its folder does not exist.
            RunError: it cannot be written.
        """
        check_picture(Path(out))
        write_whole(Path(out), self.svg(), "picture")


def draw(
    what: object,
    *,
    case: int | None = None,
    cut: str | None = None,
    trainable_from: str | None = None,
    init: Init | None = None,
    classes: int = 10,
    weights: str | os.PathLike[str] | None = None,
    lesson: bool = False,
    out: str | os.PathLike[str] | None = None,
) -> NetworkDrawing:
    """Draw a network and the surgery of a case or plan, from the image to the classes.

    Args:
        what: a bundled backbone or any timm model by its name, the record of one, a
            ``torch.nn.Module`` of your own or what `regraft.open_network` makes of it, or a
            plan, whose surgery is drawn. No weights are fetched for it.
        case: draw this case, 1 to 4; 0 is the untouched network. All five where nothing is named.
        cut: where case 2 cuts: a stage's name or number; after the first third where None.
        trainable_from: train this stage and those after it (case 3).
        init: what case 4 starts from: ``pretrained`` or ``random`` weights.
        classes: of the new layer.
        weights: a file whose tensors say the network's shape, where it is of another size.
        lesson: draw the four cases as the quarters of one picture, size across, similarity up.
        out: an SVG to write, ``NAME.svg``.

    Returns:
        The drawing. A notebook shows it, ``print`` gives it in characters, 76 wide; its shapes are
        channels, height and width of each stage's output.

    Raises:
        BackboneError: there is no such network.
        UsageError: choices that do not go together, or an ``out`` that cannot be written.
        RunError: the picture cannot be written.
    """
    if out is not None:
        check_picture(Path(out))
    choices = {"case": case, "cut": cut, "trainable_from": trainable_from, "init": init}
    if isinstance(what, Plan):
        _refuse_choices(**choices, lesson=lesson or None)
        found = NetworkDrawing((of_plan(what),))
    else:
        if lesson:
            _refuse_beside_lesson(**choices)
        record = what if isinstance(what, Backbone) else _record(what, weights)
        case = _implied(case, cut, trainable_from, init)
        if lesson:
            scenes = [of_case(record, case, classes=classes) for case in CASES[1:]]
            found = NetworkDrawing(tuple(scenes), as_quarters=True)
        elif case is None:
            found = NetworkDrawing(every_case(record, classes=classes))
        else:
            found = NetworkDrawing((_scene(record, case, cut, trainable_from, init, classes),))
    if out is not None:
        found.save(out)
    return found


def check_picture(out: Path) -> None:
    """Refuse before the work a picture that cannot be written after it.

    Raises:
        UsageError: its name does not end in .svg, or its folder does not exist.
    """
    problems = []
    if out.suffix.lower() != ".svg":
        problems.append(f"its name must end in .svg, got {out.name!r}.")
    if not os.path.isdir(out.parent):
        problems.append(f"the folder {out.parent} does not exist; make it first.")
    if os.path.isdir(out):
        problems.append("it is a folder; name a file in it.")
    if problems:
        raise UsageError(f"--out {out} cannot be written.", problems)


def _refuse_choices(**choices: object) -> None:
    named = [name for name, value in choices.items() if value is not None]
    if named:
        raise UsageError(
            f"A plan says what is done, so it is drawn without {' and '.join(named)}.",
            ["Leave that out, or draw the plan's backbone: draw(plan.backbone, ...)."],
        )


def _refuse_beside_lesson(**choices: object) -> None:
    named = [f"--{name.replace('_', '-')}" for name, value in choices.items() if value is not None]
    if named:
        raise UsageError(
            f"--lesson draws all four cases, so it goes without {' and '.join(named)}.",
            ["Leave that out, or draw one case without --lesson."],
        )


def _record(what: object, weights: str | os.PathLike[str] | None) -> Backbone:
    """Return the record of what is named or handed over."""
    if isinstance(what, str) and not factories.is_factory(what):
        return _named(what, weights)
    from regraft.networks import own

    if weights is not None:
        raise UsageError("A module has weights of its own, so it goes without weights=.")
    made, name = (factories.make(what), what) if isinstance(what, str) else (what, "")
    return own.opened(made, name=name)[0]


def _named(name: str, weights: str | os.PathLike[str] | None) -> Backbone:
    """Return the record; only the structure is drawn, so that no weights are fetched for it."""
    if name in backbones.names() and weights is None:
        return backbones.get(name)
    from regraft.networks import build

    return build.find(
        name, None if weights is None else Path(weights), seed=0 if weights is None else None
    )


def _implied(
    case: int | None, cut: str | None, trainable_from: str | None, init: Init | None
) -> int | None:
    """Return the case; where none is named, the one that goes with the other choices."""
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
        return untouched(record)
    if record.stages:
        candidates(record, Choices(case=case, cut=cut, init=init, trainable_from=trainable_from))
    taps = None if cut is None else (depth_of(record, cut),)
    first = None if trainable_from is None else depth_of(record, trainable_from)
    return of_case(
        record,
        case,
        taps=taps,
        classes=classes,
        trainable_from=None if first is None else record.stages[first].name,
        init=init,
    )
