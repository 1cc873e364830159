"""report.html: what a run got, where it errs and how to use it, in one file.

:func:`page` draws that of a RUN, :func:`of_comparison` that of a comparison. Everything that a
person can have named (classes, files, the data set) is text to the page, never markup.
"""

from collections.abc import Mapping
from typing import Any

from regraft.data.dataset import Dataset
from regraft.results.result import Result

__all__ = ["of_comparison", "page"]


def page(
    result: Result, card: str, dataset: Dataset | None = None, *, heat_maps: bool | None = None
) -> str:
    """The page of a run.

    Args:
        result: with its predictions, log and audit.
        card: the text of its ``README.md``, which says how the model is used.
        dataset: where the held-out images are read for thumbnails; None where it is not at hand.
        heat_maps: show where the network looked, which needs torch; None for where the network
            was trained, and torch is there already.
    """
    from regraft.report import run

    return run.render(result, card, dataset, heat_maps=heat_maps)


def of_comparison(document: Mapping[str, Any]) -> str:
    """The page of a comparison, from what its ``comparison.json`` holds."""
    from regraft.report import sides

    return sides.render(document)
