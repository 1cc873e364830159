"""The real images that an export is checked on."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from regraft.backbones import View
from regraft.data.dataset import Dataset, some
from regraft.data.images import Pixels, colours, deep, formats, inspect
from regraft.data.readers.patterns import is_address, is_pattern
from regraft.data.splits import EACH_ONCE
from regraft.errors import DataError
from regraft.plan.data_place import data_from
from regraft.plan.definition import Plan
from regraft.results.tables import read_predictions
from regraft.run.api import Data

MOST = 32

_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True, eq=False)
class ParityImages:
    """Images by their files' bytes, and as the network sees them.

    ``squares`` is uint8 ``[n, S, S, 3]``; ``recorded`` ``[m, classes]`` what the RUN gave for the
    first m of them when it was made, where they are among its held-out images; none where each
    image was held out once, and so judged by another layer than the one that is handed over.
    """

    files: tuple[bytes, ...]
    squares: Pixels
    recorded: np.ndarray[tuple[int, int], np.dtype[np.float64]]

    def __len__(self) -> int:
        """Return how many images there are."""
        return len(self.squares)


def draw(run: Path, plan: Plan, data: Data | None, most: int = MOST) -> ParityImages:
    """Up to ``most`` images from all over a data set, those held out when the RUN was made first.

    Raises:
        DataError: nobody says where the images are, or none can be used.
    """
    place = data if data is not None else _home(run, plan)
    dataset = Dataset.open(place, **plan.looked_at.columns)
    recorded = {} if plan.split == EACH_ONCE else _recorded(run, plan)
    held_out = [i for i, item in enumerate(dataset.items) if item.path in recorded]
    known = list(islice(_usable(dataset, held_out, plan.backbone.view), most))
    others = sorted(set(range(len(dataset))) - set(held_out)) if len(known) < most else []
    more = list(islice(_usable(dataset, others, plan.backbone.view), most - len(known)))
    if not known and not more:
        problems = [f"{item.path} cannot be used for it" for item in dataset.items]
        rule = "it must be readable"
        raise DataError("There is no image to check the export on.", [rule, *some(problems)])
    rows = [recorded[dataset.items[index].path] for index, _, _ in known]
    classes = len(plan.evidence.classes)
    return ParityImages(
        files=tuple(file for _, file, _ in known + more),
        squares=np.stack([square for _, _, square in known + more]),
        recorded=np.array(rows, np.float64).reshape(len(rows), classes),
    )


def picture(data: bytes, view: View) -> Pixels:
    """Return a whole picture as others decode it: upright, opaque, RGB; uint8 ``[H, W, 3]``.

    Where it has more than 8 bits a pixel, the view's scale has made them 8.
    """
    array = formats.kind(data) == "NPY"  # which Pillow alone does not open
    opened = formats.open_image(data) if array else Image.open(io.BytesIO(data))
    image = ImageOps.exif_transpose(opened)
    values = deep.values_of(image)
    if values is not None:
        image = Image.fromarray(deep.to_8_bit(values, view, floats=image.mode == "F"))
    return np.array(colours.plain(image)[0].convert("RGB"))


def _home(run: Path, plan: Plan) -> str:
    """Where the plan says that the images are."""
    place = data_from(run, plan)
    several = is_address(place) or is_pattern(place)
    if not plan.data or not (several or Path(place).exists()):
        found = f"'{plan.data}', which is not there" if plan.data else "nothing"
        raise DataError(
            "An export is checked on real images, and none are known.",
            [f"The plan of '{run}' says of where they are: {found}.", "Name them with --data."],
        )
    return place


def _recorded(run: Path, plan: Plan) -> dict[str, NDArray[Any]]:
    """Return the answer to each held-out image, ``[classes]``, by its path."""
    classes, answer = plan.evidence.classes, plan.evidence.answer
    found = read_predictions(
        run / "predictions.csv",
        classes,
        least=0,
        kind=plan.kind,
        thresholds=() if answer is None else answer.thresholds,
    )
    rows = found.probabilities.reshape(len(found.paths), -1)
    return dict(zip(found.paths, rows, strict=True))


def _usable(
    dataset: Dataset, indices: list[int], view: View
) -> Iterator[tuple[int, bytes, Pixels]]:
    """Yield the images that can be decoded; the start of any length is spread over all of them."""
    for place in np.argsort(np.arange(len(indices)) * _GOLDEN % 1).tolist():
        try:
            file = dataset.read(indices[place])
        except OSError:
            continue
        _, squares = inspect(file, [view])
        if squares:
            yield indices[place], file, squares[0]
