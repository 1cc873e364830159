"""Held-out images as thumbnails: the most confident mistakes, and the least sure ones."""

import base64
import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regraft.data import images
from regraft.data.dataset import Dataset
from regraft.data.images import View
from regraft.distributed import cores
from regraft.features.cache.products import OfFile, kept_of_files
from regraft.results.tables import Predictions, written

SIDE = 160
"""Px of a thumbnail's side."""

MOST = 12
"""Thumbnails of a kind."""

SUSPECTS = 24
"""Thumbnails of images whose labels look wrong; suspects.csv has all."""

ROOM = 1_700_000
"""Bytes that the pictures of a page may take: the rest is for what it says."""

FULL = "no room left on this page"

Pixels = NDArray[np.uint8]
Find = Callable[[str], bytes]
"""The bytes of an image by its path; OSError says why there are none."""


@dataclass(frozen=True)
class Shot:
    """One held-out image: what it is, what it was taken for, and its picture or why it has none."""

    path: str
    truth: str
    prediction: str
    confidence: float
    share: float
    """Of the true class."""
    row: int
    """Its place among the held-out images."""
    uri: str = ""
    problem: str = ""
    anchor: str = ""
    """Where on the page it is shown, if it is there for the first time."""

    @property
    def right(self) -> bool:
        """Whether the prediction is the truth."""
        return self.truth == self.prediction


def finder(dataset: Dataset | None) -> Find:
    """Read held-out images by the paths that they have in ``predictions.csv``."""
    paths = () if dataset is None else dataset.columns.paths
    names = np.fromiter((hash(written(path)) for path in paths), np.int64)  # a dict takes 150 MB
    order = np.argsort(names, kind="stable")  # for a million images

    def place_of(path: str) -> int | None:
        first = int(np.searchsorted(names, hash(path), sorter=order))
        alike = takewhile(lambda n: names[n] == hash(path), order[first:])
        return next((int(n) for n in alike if written(paths[int(n)]) == path), None)

    def find(path: str) -> bytes:
        place = place_of(written(path))
        if dataset is None:
            raise FileNotFoundError("the images are not at hand")
        if place is None:
            raise FileNotFoundError(f"not in {dataset.name}")
        return dataset.read(place)

    return find


def mistakes(found: Predictions, classes: Sequence[str]) -> list[Shot]:
    """Images that are taken for something else, the most confident first."""
    wrong = np.flatnonzero(found.best != found.truth)
    order = np.argsort(-found.confidence[wrong], kind="stable")
    return shots_of(found, classes, wrong[order][:MOST])


def unsure(found: Predictions, classes: Sequence[str]) -> list[Shot]:
    """Images whose likeliest class has the least probability, the least sure first."""
    order = np.argsort(found.confidence, kind="stable")
    return shots_of(found, classes, order[:MOST])


def shots_of(found: Predictions, classes: Sequence[str], rows: NDArray[np.integer]) -> list[Shot]:
    """Return held-out images by their rows."""
    return [_shot(found, classes, int(row)) for row in rows]


def shown(found: Predictions, rows: Sequence[int], album: "Album") -> list[Shot]:
    """Return held-out images with their pictures, of which no class is said."""
    return album.show([Shot(written(found.paths[row]), "", "", 0.0, 0.0, row) for row in rows])


def _shot(found: Predictions, classes: Sequence[str], row: int) -> Shot:
    shares = found.probabilities[row]
    best, truth = int(shares.argmax()), int(found.truth[row])
    path = written(found.paths[row])
    named = classes[truth], classes[best]
    return Shot(path, *named, float(shares[best]), float(shares[truth]), row)


def seen(shots: Sequence[Shot], find: Find, view: View, cache: Path | None = None) -> list[Shot]:
    """Return the same with their pictures: what the network sees, small.

    Each image is decoded once, and where the ``cache`` knows its picture not at all.
    """
    high, wide, _ = view.shape
    tall = round(SIDE * min(high / wide, 1))
    small = replace(view, size=tall, width=round(tall * wide / high) if view.width else 0)
    paths = list(dict.fromkeys(shot.path for shot in shots))
    with (
        kept_of_files(cache, "pictures", small) as kept,
        ThreadPoolExecutor(cores()) as pool,
    ):
        drawn = pool.map(lambda path: picture(path, find, small, kept, _letters), paths)
        made = dict(zip(paths, drawn, strict=True))
    return [
        replace(shot, uri=made[shot.path][0].decode(), problem=made[shot.path][1]) for shot in shots
    ]


def picture(
    path: str, find: Find, view: View, kept: OfFile, draw: Callable[[Pixels], bytes]
) -> tuple[bytes, str]:
    """Return what is drawn of an image as a network sees it; or nothing, and why."""
    try:
        data = find(path)
    except OSError as error:
        return b"", _why(error)
    problem = ""

    def make() -> bytes:
        nonlocal problem
        square, problem = look(path, lambda _: data, view)
        return b"" if square is None else draw(square)

    return kept(data, make), problem


class Album:
    """The pictures of a page: each is decoded once, and no more are shown than there is room for.

    Args:
        find: reads an image by its path.
        view: how the network sees it.
        room: bytes that all of them may take.
        cache: the cache folder that remembers them, if any does.
    """

    def __init__(self, find: Find, view: View, room: int = ROOM, cache: Path | None = None) -> None:
        self.find, self.view, self.cache, self.room = find, view, cache, room
        self.anchors: dict[str, str] = {}
        """Where on the page an image is shown first, by its path."""
        self._made: dict[str, tuple[str, str]] = {}

    def show(self, shots: Sequence[Shot]) -> list[Shot]:
        """Return the same with their pictures, or why they have none."""
        fresh = [shot for shot in shots if shot.path not in self._made]
        if fresh and self.room > 0:
            done = seen(fresh, self.find, self.view, self.cache)
            self._made |= {shot.path: (shot.uri, shot.problem) for shot in done}
        return [self._placed(shot) for shot in shots]

    def _placed(self, shot: Shot) -> Shot:
        picture, problem = self._made.get(shot.path, ("", FULL))
        if not picture:
            return replace(shot, problem=problem)
        if len(picture) > self.room:
            return replace(shot, problem=FULL)
        self.room -= len(picture)
        if shot.path in self.anchors:
            return replace(shot, uri=picture)
        self.anchors[shot.path] = f"photo-{len(self.anchors) + 1}"
        return replace(shot, uri=picture, anchor=self.anchors[shot.path])


def look(path: str, find: Find, view: View) -> tuple[Pixels | None, str]:
    """Return the square that a network sees of an image; or None, and why."""
    try:
        data = find(path)
    except OSError as error:
        return None, _why(error)
    facts, squares = images.inspect(data, [view], describe=False)
    return (None, facts.detail or facts.problem) if squares is None else (squares[0], "")


def _why(error: OSError) -> str:
    return error.strerror or str(error) or "cannot be read"


def _letters(square: Pixels) -> bytes:
    return uri(square).encode()


def uri(square: Pixels) -> str:
    """Return a picture as a data URI.

    Drawn anew from its pixels, so nothing else of the file is in it.
    """
    buffer = io.BytesIO()
    Image.fromarray(images.in_colour(square)).save(buffer, "WEBP", quality=78, method=2)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
