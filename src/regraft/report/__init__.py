"""report.html: what a run got, where it errs and how to use it, in one file.

`page` draws that of a RUN, `of_comparison` that of a comparison, and `report`
writes either; `of_ranking` draws that of networks side by side. Everything that a person can
have named (classes, files, the data set) is text to the page, never markup.
"""

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from regraft.data.dataset import Dataset
from regraft.data.readers.patterns import is_address
from regraft.errors import DataError, UsageError
from regraft.plan.data_place import data_from
from regraft.plan.ranked import Ranking
from regraft.results.card import model_card
from regraft.results.files import COMPARISON, PAGE, read_json
from regraft.results.load import load
from regraft.results.result import Result, folder_of, with_tables
from regraft.results.tables import Predictions, written
from regraft.verb import calls_package
from regraft.whole_file import check_page, write_whole

__all__ = ["of_comparison", "of_ranking", "page", "report"]

log = logging.getLogger("regraft")


@calls_package
def report(
    run: str | os.PathLike[str] | Result,
    out: str | os.PathLike[str] | None = None,
    *,
    data: str | os.PathLike[str] | Dataset | None = None,
    heat_maps: bool = False,
    tell: Callable[[str], None] = log.warning,
    network: object | None = None,
) -> Path:
    """Write report.html: what a run got, where it errs and how to use it, in one file.

    The figures are those of the RUN: nothing is judged anew. Shares are of the held-out images, in
    per cent; times are in seconds.

    Args:
        run: a RUN folder, the folder of a comparison, or a result.
        out: the page to write; ``report.html`` in the folder where None.
        data: the images, for thumbnails and heat maps; where the plan says where None.
        heat_maps: show where the network looked, on some of the images, even if that needs torch.
        tell: called with what the page does without, and why.
        network: of a RUN folder of a network of your own, for heat maps: that network; see
            `regraft.load`.

    Returns:
        The path of the page.

    Raises:
        RunError: the folder is none of a run or comparison, is damaged, or the page cannot be
            written.
        DataError: the images that are named cannot be used.
        UsageError: they are not those of the run, or heat maps are asked for and cannot be drawn.
    """
    place = Path(out) if out is not None else folder_of(run) / PAGE
    if out is not None:
        check_page(place)
    if not isinstance(run, Result) and (found := read_json(Path(run) / COMPARISON, [])) is not None:
        _refuse_images(data, heat_maps)
        write_whole(place, of_comparison(found, Path(run)), "page")
        return place
    if heat_maps:
        _check_heat()
    result, card = _opened(run, network)
    images = _images(result, data, tell)
    if images is not None and data is not None:
        _check_images(images, result.predictions)
    if images is None and heat_maps:
        raise UsageError(
            "Heat maps need the images, and they are not at hand.",
            [f"Name them too: regraft report {result.folder or 'RUN'} --heat-maps --data DATA."],
        )
    unasked = False if result.plan.start else None
    drawn = page(result, card, images, heat_maps=heat_maps or unasked, data=_named(data))
    write_whole(place, drawn, "page")
    return place


def page(
    result: Result,
    card: str,
    dataset: Dataset | None = None,
    *,
    heat_maps: bool | None = None,
    data: str = "",
) -> str:
    """Return the page of a run.

    Args:
        result: with its predictions, log and audit.
        card: the text of its ``README.md``, which says how the model is used.
        dataset: where the held-out images are read for thumbnails; None where it is not at hand.
        heat_maps: show where the network looked; None for where it is quick: of a frozen network
            whose places add up, and where it was trained, for torch is there already.
        data: where the images are, if not where the plan says, for the commands.
    """
    from regraft.report import number, run, several

    if result.kind != "one":
        drawn = number.render if result.kind == "number" else several.render
        return drawn(result, card, dataset, data=data)
    return run.render(result, card, dataset, heat_maps=heat_maps, data=data)


def of_comparison(document: Mapping[str, Any], folder: Path | None = None) -> str:
    """Return the page of a comparison, from what its ``comparison.json`` holds, and its folder."""
    from regraft.report import sides

    return sides.render(document, folder)


def of_ranking(found: Ranking, data: str = "") -> str:
    """Return the page of a ranking; ``data``: where the images are, for the commands."""
    from regraft.report import networks

    return networks.render(found, data)


def _opened(run: str | os.PathLike[str] | Result, network: object | None) -> tuple[Result, str]:
    """Return the result with its tables, and the text of its card."""
    result = run if isinstance(run, Result) else load(run, network=network)
    folder = result.folder
    if folder is None:
        return result, model_card(result.plan, result.metrics)
    if result.predictions is None:
        result = with_tables(result, folder)
    return result, (folder / "README.md").read_text("utf-8", errors="replace")


def _images(
    result: Result,
    data: str | os.PathLike[str] | Dataset | None,
    tell: Callable[[str], None],
) -> Dataset | None:
    """Return the images that are named, or those where the plan says, if they are still there."""
    if data is not None:
        return Dataset.open(data, **result.plan.looked_at.columns)
    folder = result.folder
    if folder is None or not result.plan.data:
        run = folder or "The result"
        tell(f"{run} does not say where its images are; --data DATA shows them on the page.")
        return None
    place = data_from(folder, result.plan)
    said = place if is_address(place) else os.path.normpath(place)
    try:
        return Dataset.open(place, **result.plan.looked_at.columns)
    except DataError:
        tell(f"The images are not at {said} any more; --data DATA shows them.")
        return None


def _named(data: str | os.PathLike[str] | Dataset | None) -> str:
    """Return where images are that are named; '' where they have no place."""
    return "" if data is None or isinstance(data, Dataset) else os.fspath(data)


def _check_heat() -> None:
    from regraft.report import heat

    if not heat.can_be_drawn():
        raise UsageError(
            "Heat maps need captum, which is not installed.",
            ["`pip install 'regraft[heat]'` brings it."],
        )


def _check_images(images: Dataset, found: Predictions | None) -> None:
    held = set() if found is None else set(map(written, found.paths))
    if held.isdisjoint(written(item.path) for item in images.items):
        raise UsageError(
            f"'{images.name}' holds none of the images that the run held out.",
            [f"One of them is '{min(held, default='')}'. Name the data that was fitted as --data."],
        )


def _refuse_images(data: str | os.PathLike[str] | Dataset | None, heat_maps: bool) -> None:
    named = [*(["--data"] if data is not None else []), *(["--heat-maps"] if heat_maps else [])]
    if named:
        raise UsageError(
            "The page of a comparison shows no images.", [f"Leave out {name}." for name in named]
        )
