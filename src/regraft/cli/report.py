"""``regraft report``: write report.html of a RUN, or of a comparison, anew."""

from pathlib import Path

from regraft import report
from regraft.cli.terminal import say, show_warnings
from regraft.cli.whole import write_page
from regraft.compare import comparison
from regraft.data.dataset import Dataset
from regraft.errors import DataError, UsageError
from regraft.plan.definition import Plan
from regraft.report import heat
from regraft.results.files import PAGE, read_json
from regraft.results.load import load
from regraft.results.result import with_tables
from regraft.results.tables import Predictions, written


def run_report(run: Path, data: str | None, heat_maps: bool) -> None:
    """Draw the page from what lies in the folder, and from the images where they are at hand."""
    show_warnings()
    if (compared := read_json(run / comparison.FILE, [])) is not None:
        _refuse_images(data, heat_maps)
        write_page(report.of_comparison(compared), run / PAGE)
        return
    if heat_maps and not heat.can_be_drawn():
        raise UsageError(
            "Heat maps need captum, which is not installed.",
            ["`pip install 'regraft[heat]'` brings it."],
        )
    loaded = load(run)
    found = with_tables(loaded, run)
    images = _images(loaded.plan, run, data)
    if images is not None and data is not None:
        _check_images(images, found.predictions)
    if images is None and heat_maps:
        raise UsageError(
            "Heat maps need the images, and they are not at hand.",
            [f"Name them too: regraft report {run} --heat-maps --data DATA."],
        )
    card = (run / "README.md").read_text("utf-8", errors="replace")
    write_page(report.page(found, card, images, heat_maps=heat_maps), run / PAGE)


def _images(plan: Plan, run: Path, data: str | None) -> Dataset | None:
    """The images that are named, or those where the plan says, if they are still there."""
    if data is not None:
        return Dataset.open(data)
    if not plan.data:
        say(f"{run} does not say where its images are; --data DATA shows them on the page.")
        return None
    try:
        return Dataset.open(run / plan.data)
    except DataError:
        say(f"The images are not at {run / plan.data} any more; --data DATA shows them.")
        return None


def _check_images(images: Dataset, found: Predictions | None) -> None:
    held = set() if found is None else set(map(written, found.paths))
    if held.isdisjoint(written(item.path) for item in images.items):
        raise UsageError(
            f"'{images.name}' holds none of the images that the run held out.",
            [f"One of them is '{min(held, default='')}'. Name the data that was fitted as --data."],
        )


def _refuse_images(data: str | None, heat_maps: bool) -> None:
    named = [*(["--data"] if data is not None else []), *(["--heat-maps"] if heat_maps else [])]
    if named:
        raise UsageError(
            "The page of a comparison shows no images.", [f"Leave out {name}." for name in named]
        )
