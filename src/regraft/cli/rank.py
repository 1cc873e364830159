"""``regraft rank``: networks side by side on the same images."""

import math
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rich.text import Text

from regraft.cli.rows import Fitting, Indented, Rows, lines
from regraft.cli.terminal import (
    linked,
    print_json,
    progress_bar,
    say,
    show,
    show_sections,
    show_warnings,
)
from regraft.data.dataset import few
from regraft.errors import BackboneError, UsageError
from regraft.plan.choices import Choices
from regraft.plan.ranked import Ranking, cells
from regraft.rank import ranked
from regraft.rank.ranking import Allowance, limit_of
from regraft.report import of_ranking
from regraft.whole_file import check_page, write_whole

WIDE, HIGH = 56, 9
"""Cells of the picture, where there is room for them."""
BESIDE = 10
"""Columns before its cells."""


def run_rank(
    data: str,
    backbones: list[str] | None,
    choices: Choices,
    *,
    latency: str | None,
    megabytes: float | None,
    strict: bool,
    as_json: bool,
    out: Path | None = None,
) -> None:
    """Print what to expect of each network, and which one to take; ``out``: a page of the same.

    Raises:
        BackboneError: after that, where no network is within the limits.
    """
    show_warnings()
    if out is not None:
        check_page(out)
    limits = Allowance(None if latency is None else _latency(latency), megabytes)
    try:
        with progress_bar("looking at the images") as report:
            found = ranked(data, backbones, limits, choices, strict=strict, progress=report)
    except KeyboardInterrupt:
        say("What was looked at is kept: the same command goes on from there.")
        raise
    lines = [f"left out {one}" for one in found.left_out]
    say(*few(lines, 5, "... and {:,} more (--json has all)"))
    if as_json:
        print_json(found.to_json())
    else:
        _show(found)
    if out is not None:
        write_whole(out, of_ranking(found, data), "page")
        say(Text.assemble("Written to ", linked(out), "."))
    if found.chosen is None:
        raise BackboneError(found.why, ["Allow more, or name a smaller network."])
    if not as_json:
        command = f"regraft fit {shlex.quote(data)} {_options(found.chosen, choices)}"
        say(f"`{command} --out RUN` goes on from what was looked at.")


def _options(chosen: str, choices: Choices) -> str:
    """Return what goes on with a network; the budget was the ranking's."""
    asked = [f"--backbone {chosen}", *replace(choices, budget=None).named()]
    if choices.test_fraction is not None:
        asked.append(f"--test-fraction {choices.test_fraction:g}")
    return " ".join([*asked, f"--seed {choices.seed}"])


def _latency(text: str) -> float:
    field, value = limit_of(text) or ("", 0.0)
    if field != "latency":
        raise UsageError(
            f"--latency must be a time, got {text!r}.", ["Write it like 10ms or 0.5s."]
        )
    return value


def _show(found: Ranking) -> None:
    title = f"{found.dataset}: cross-validated on {found.compared:,} of {found.train:,} images"
    show_sections({f"{title} to train on": ranked_table(found)})
    if len(found.compared_rows) > 1:
        show(Fitting(lambda wide: Text("\n").join(_picture(found, min(wide - BESIDE, WIDE)))), "")
    show(Text(found.why), "", Indented(lines(_remarks(found), "dim")), "")


def _letters(found: Ranking) -> dict[str, str]:
    """Return a letter for each network that was ranked; they begin anew after Z."""
    return {one.backbone: chr(ord("A") + place % 26) for place, one in enumerate(found.measured)}


def ranked_table(found: Ranking) -> Rows:
    """Return the networks with their figures, the best first; the chosen one is green."""
    head = ("", "network", "expected", "95%", "difference", "ms", "MB", "case", "dropped")
    table = Rows(head, right=range(2, 9), lead=2)
    letters = _letters(found)
    for one in found.measured:
        ours = one.backbone == found.chosen
        style = "bold green" if ours else "" if one.allowed else "dim"
        name = f"{one.backbone}{'' if one.allowed else '*'}"
        table.add(letters[one.backbone], name, *cells(one), style=style)
    return table


def _picture(found: Ranking, wide: int) -> Iterator[Text]:
    """Yield the lines of accuracy over milliseconds; whom nobody beats in both is green."""
    letters = _letters(found)
    spots = found.compared_rows
    x = _placed([math.log(one.on_axis) for one in spots], wide)
    y = _placed([one.expected or 0.0 for one in spots], HIGH)
    grid = [[" "] * wide for _ in range(HIGH)]
    taken = ""
    for one, column, row in zip(spots, x, y, strict=True):
        line_of = grid[HIGH - 1 - row]
        free = [place for place in range(wide) if line_of[place] == " "]
        line_of[min(free, key=lambda place: abs(place - column))] = letters[one.backbone]
        taken += letters[one.backbone] if one.backbone in found.front else ""
    high, low = (pick(one.expected or 0.0 for one in spots) for pick in (max, min))
    for number, cells_of in enumerate(grid):
        edge = {0: f"{high:.1%}", HIGH - 1: f"{low:.1%}"}.get(number, "")
        line = Text(f"{edge:>8} │")
        line.append_text(Text("".join(cells_of)))
        line.highlight_regex(f"(?<=│)?[{taken}]", "bold green")
        yield line
    fast, slow = (pick(one.on_axis for one in spots) for pick in (min, max))
    yield Text(f"{'':>8} └{'─' * wide}")
    yield Text(f"{'':>10}{f'{fast:.1f} ms':<{wide - 10}}{f'{slow:.1f} ms':>10}", style="dim")


def _placed(values: list[float], cells_there: int) -> list[int]:
    """Cells 0 to ``cells_there`` - 1 of values, the least in the first."""
    low, span = min(values), max(values) - min(values)
    return [round((cells_there - 1) * (value - low) / span) if span else 0 for value in values]


def _remarks(found: Ranking) -> Iterator[str]:
    """Yield what table and picture leave open, and who is not in them."""
    yield from table_notes(found)
    yield from found.remarks
    for one in found.failed:
        yield f"{one.backbone} is not ranked. {one.problem}"


def table_notes(found: Ranking) -> Iterator[str]:
    """Yield what the columns of the table are."""
    yield "expected: accuracy of the frozen network on images never seen, cross-validated"
    beside = found.chosen or "the best"
    yield f"difference: to {beside}, in points ± standard error, image by image"
    yield "ms: an image alone, decoding not counted; MB: what is kept, in float32"
    if any(one.dropped_at for one in found.measured):
        yield "dropped: after so many images, which its figures are of; too far behind, or over"
    if not all(one.allowed for one in found.measured):
        limits = Allowance(found.latency, found.megabytes)
        yield f"* over the limit of {limits}, and not chosen for that"
