"""Small pictures of the dots of the map, all in one picture, as many as there is room for."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np

from regraft.data.images import View, in_colour
from regraft.distributed import cores
from regraft.report.pictures import Find, Pixels, look, uri

SIDE = 44
"""Px of a small picture's side."""

ACROSS = 25
"""Small pictures in a row."""

READ = 40_000_000
"""Bytes of files that are decoded for them: of photos, a second or two on two cores."""


@dataclass(frozen=True)
class Sprite:
    """Small pictures in one, row by row, as a data URI, and the place of each by its path."""

    uri: str = ""
    cells: Mapping[str, int] = field(default_factory=dict)

    @property
    def grid(self) -> list[int]:
        """Px of a side, and how many are in a row."""
        return [SIDE, min(ACROSS, len(self.cells))]


def sprite(paths: Sequence[str], find: Find, view: View, room: int) -> Sprite:
    """Return the first of some images, as many as are quickly read and fit.

    Args:
        paths: the images, those first that matter most; what cannot be read is left out.
        find: reads an image by its path.
        view: how the network sees it.
        room: letters that the data URI may take.
    """
    small = replace(view, size=SIDE, width=SIDE if view.width else 0)

    def seen(one: tuple[str, bytes]) -> tuple[str, Pixels | None]:
        return one[0], look(one[0], lambda path: one[1], small)[0]

    with ThreadPoolExecutor(cores()) as pool:
        found = [
            (path, in_colour(square))
            for path, square in pool.map(seen, list(_files(paths, find)))
            if square is not None
        ]
    while found:
        whole = uri(_joined([square for _, square in found]))
        if len(whole) <= room:
            return Sprite(whole, {path: cell for cell, (path, _) in enumerate(found)})
        found = found[: int(0.9 * len(found) * room / len(whole))]
    return Sprite()


def _files(paths: Sequence[str], find: Find) -> Iterator[tuple[str, bytes]]:
    """Yield files until they are too much to be decoded."""
    left = READ
    for path in paths:
        try:
            data = find(path)
        except OSError:
            continue
        left -= len(data)
        if left < 0:
            return
        yield path, data


def _joined(squares: Sequence[Pixels]) -> Pixels:
    across = min(ACROSS, len(squares))
    whole = np.zeros((-(-len(squares) // across), SIDE, across, SIDE, 3), np.uint8)
    for cell, square in enumerate(squares):
        whole[cell // across, :, cell % across] = square
    return whole.reshape(len(whole) * SIDE, across * SIDE, 3)
