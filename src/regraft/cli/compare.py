"""``regraft compare``: all four cases on the same images, side by side."""

import shlex
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

from rich.text import Text

from regraft.cli.plan import measured_from
from regraft.cli.rows import Indented, Rows, lines
from regraft.cli.terminal import linked, print_json, say, show, show_sections, training_bar
from regraft.compare import Comparison, Outcome, check, side_by_side
from regraft.heads.tasks.words import words_of
from regraft.networks.factories import is_factory
from regraft.plan.choices import Choices
from regraft.plan.data_place import absolute
from regraft.report.sides import beside_of, of_one
from regraft.results.files import PAGE


def run_compare(
    data: str,
    backbone: str,
    choices: Choices,
    *,
    weights: Path | None,
    quick: bool,
    strict: bool,
    out: Path,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Make the folder, and print what each case got."""
    check(choices, out, overwrite=overwrite)
    measured = measured_from(
        data, backbone, choices, weights=weights, strict=strict, budget=choices.budget
    )
    with training_bar() as on_event:
        found = side_by_side(measured, choices, quick=quick, on_event=on_event)
    found = replace(found, data=absolute(data))
    found.save(out, overwrite=overwrite)
    if as_json:
        print_json(found.to_json())
        return
    title = f"{found.dataset}: {found.train:,} images to train on, {found.test:,} held out"
    show_sections({title: _table(found)})
    show(Text(found.verdict), "", Indented(lines(_remarks(found), "dim")), "")
    name = backbone if is_factory(backbone) else found.backbone  # a module's own is no place
    options = of_one({**found.to_json(), "backbone": name})
    say(
        Text.assemble(f"Written to {out}. ", linked(out / PAGE), " shows it with pictures."),
        f"`regraft fit {shlex.quote(data)} {options} --case N --out RUN` makes a network of one "
        "case.",
    )


def _table(found: Comparison) -> Rows:
    names = [name for name, _ in beside_of(found.kind, asdict(found.cases[0]))[:2]]
    names = ["loss", "ece"] if found.kind == "one" else names
    measure = words_of(found.kind).head
    head = ("case", "", measure, "95%", *names, "params", "time", "img/s")
    table = Rows(head, right=(0, *range(2, 9)), fold=1, lead=2)
    for one in found.cases:
        ours = one.case == found.chosen
        first, *others = _row(one, found.kind)
        table.add(f"→ {first}" if ours else first, *others, style="bold green" if ours else "")
    return table


def _row(one: Outcome, kind: str) -> tuple[str, ...]:
    words, (low, high) = words_of(kind), one.accuracy_interval
    told = [text for _, text in beside_of(kind, asdict(one))]
    return (
        str(one.case),
        f"{one.name}{'*' if one.brief else ''}",
        words.told(one.accuracy),
        f"{100 * low:.1f}–{high:.1%}" if words.places is None else words.dashed((low, high)),
        *(told[1:] if kind == "one" else told[:2]),
        _short(one.parameters),
        f"{one.seconds:,.2f} s" if one.seconds < 1 else f"{one.seconds:,.0f} s",
        _short(round(one.images_per_second)),
    )


def _short(count: int) -> str:
    """Return three figures of a count, so that the table holds in 80 columns: 24.6 k, 3.37 M."""
    unit, name = (1e6, "M") if count >= 999_500 else (1e3, "k") if count >= 1_000 else (1, "")
    return f"{count / unit:.3g} {name}".strip()


def _remarks(found: Comparison) -> Iterator[str]:
    """Yield what the table leaves open.

    Its marks, how each case came about, what is absent, the time.
    """
    aim = "" if found.chosen == found.indicated else f" (it aims at case {found.indicated})"
    yield f"→ what fit hands over on these images{aim}"
    for reason, cases in _why_brief(found).items():
        yield f"* case {' and '.join(cases)} trained briefly: {reason}"
    for one in found.cases:
        yield f"case {one.case}: {one.note}"
    for absent in found.omitted:
        yield f"case {absent.case} is left out: {absent.why}"
    known = {
        "one": "loss: log loss; ece: expected calibration error, the mean distance of confidence "
        "from accuracy",
        "several": "mAP: mean average precision; F1: mean over the labels; all right: images with "
        "every label right",
        "number": "mean error: the mean absolute one; in the interval: images whose number lies in "
        "the one that is told",
    }[found.kind]
    yield (f"{known}; params: the parameters; time: of fitting or training; img/s: images a second")
    what = "accuracy" if found.kind == "one" else "squared error"
    yield f"noise: one standard error of the difference in {what}, image by image"
    yield (
        f"{found.seconds['total']:.1f} s in all, {found.seconds['shared']:.1f} s of them for "
        "looking at the images and deciding, which all cases share"
    )


def _why_brief(found: Comparison) -> dict[str, list[str]]:
    why: dict[str, list[str]] = {}
    for one in found.cases:
        if one.brief:
            why.setdefault(one.brief, []).append(str(one.case))
    return why
