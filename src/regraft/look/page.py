"""A look as one page: a single HTML file that needs nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass

from regraft.backbones import View
from regraft.data.images.view import drawn as seen
from regraft.look import chart, words
from regraft.look.examination import Look, Sight
from regraft.look.maps import MOST
from regraft.look.patches import CHANNELS, PATCHES
from regraft.look.pictures import Shown, patches, pixels, whole
from regraft.look.stimuli import ORIENTATION, SHAPE, DrawnTask
from regraft.look.words import ProbedTask, percent, spread
from regraft.report.jinja import templates


@dataclass(frozen=True)
class _Row:
    """One channel in the page."""

    number: int
    standing: float
    patches: Sequence[Shown]


@dataclass(frozen=True)
class _Block:
    """One stage in the page."""

    name: str
    what: str
    sees: str
    channels: Sequence[_Row]


def render(look: Look) -> str:
    """Return the page as text."""
    names = [sight.stage.name for sight in look.sights]
    return (
        templates("look")
        .get_template("page.html.jinja")
        .render(
            look=look,
            backbone=look.backbone,
            sample=look.sample,
            names=names,
            kernels=_kernels(look),
            blocks=_blocks(look),
            examples=_examples(look),
            together=chart.together(look.tasks, names),
            charts=[chart.alone(task, n, names) for n, task in enumerate(look.tasks)],
            swatches=[chart.swatch(n) for n in range(len(look.tasks))],
            verdict=words.verdict(look.tasks, words.spoken(names)),
            said=[words.sentences(task, words.spoken(names)) for task in look.tasks],
            table=_table(look.tasks, names),
            chance=words.chance,
            CHANNELS=CHANNELS,
            PATCHES=PATCHES,
            MOST=MOST,
        )
    )


def _kernels(look: Look) -> list[Shown]:
    if look.kernels is None:
        return []
    pairs = zip(look.kernels.numbers, look.kernels.pictures, strict=True)
    return [pixels(picture, f"kernel {number}") for number, picture in pairs]


def _blocks(look: Look) -> list[_Block]:
    pictures = patches(look.sample, [(sight.field, sight.channels) for sight in look.sights])
    return [
        _Block(
            sight.stage.name,
            _what(sight),
            sees(sight, look.backbone.view),
            [
                _Row(channel.number, channel.standing, shown)
                for channel, shown in zip(sight.channels, of_stage, strict=True)
            ],
        )
        for sight, of_stage in zip(look.sights, pictures, strict=True)
    ]


def _what(sight: Sight) -> str:
    """Return the stage's channels and places, in words."""
    channels, cells = f"{sight.stage.channels:,} channels", sight.field.cells
    if cells.count == 1:
        return f"{channels}, one value each an image"
    if cells.rows == 1:
        return f"{channels} of {cells.columns:,} places"
    return f"{channels} of {cells.rows} × {cells.columns} places"


def sees(sight: Sight, view: View) -> str:
    """Return how much of the image a unit sees, in words."""
    field, whole = sight.field, f"{view.shape[0]} × {view.shape[1]} px"
    if field.whole and field.cells.count == 1:
        return f"It sees the whole image ({whole})."
    if field.whole:
        return f"Every unit sees the whole image ({whole})."
    if not field.regular:
        return "Fields differ from unit to unit; each patch’s own was computed."
    if field.cells.count == 1:
        left, top, right, bottom = field.box(0)
        return f"It sees {right - left} × {bottom - top} px."
    size = whole if view.width else f"{view.size} px"
    wide, high = field.columns.extent, field.rows.extent
    if wide is None or high is None:
        return f"A unit sees more than the image ({size}) in the middle, and less at its border."
    more = (
        f", which is more than the image ({size})"
        if wide > view.shape[1] and high > view.shape[0]
        else ""
    )
    step = f"; the next unit’s lies {field.columns.step} px on" if field.cells.columns > 1 else ""
    return f"A unit sees {wide} × {high} px{more}{step}."


def _examples(look: Look) -> list[tuple[str, list[Shown]]]:
    """Return a few pictures of each task."""
    view, sample = look.backbone.view, look.sample
    size = view.longest

    def drawn(task: DrawnTask) -> list[Shown]:
        count = len(task.classes)
        return [
            whole(seen(task.draw(n, size, look.seed), view), task.classes[n]) for n in range(count)
        ]

    some = [round(n * (len(sample) - 1) / 7) for n in range(8)]
    real = [whole(sample.square(n), sample.items[n].label) for n in dict.fromkeys(some)]
    shown = [drawn(ORIENTATION), drawn(SHAPE), real]
    return [(task.name, pictures) for task, pictures in zip(look.tasks, shown, strict=False)]


@dataclass(frozen=True)
class _Cell:
    """One number of the table. ``best``: nothing is better beyond noise."""

    accuracy: str
    interval: str
    untrained: str
    best: bool


def _table(tasks: Sequence[ProbedTask], names: Sequence[str]) -> list[tuple[str, list[_Cell]]]:
    return [(name, [_cell(task, depth) for task in tasks]) for depth, name in enumerate(names)]


def _cell(task: ProbedTask, depth: int) -> _Cell:
    curve, other = task.curve, task.untrained
    return _Cell(
        percent(curve.accuracies[depth]),
        spread(curve.intervals[depth]),
        percent(other.accuracies[depth]) if other is not None else "",
        curve.told and depth in curve.plateau,
    )
