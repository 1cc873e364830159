"""Small pictures of the dots of the map, all in one picture, as many as there is room for."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from regraft.data.images import View, in_colour
from regraft.distributed import cores
from regraft.features.cache.products import kept_of_files, recalled
from regraft.report.pictures import Find, Pixels, picture, uri

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


def sprite(
    paths: Sequence[str], find: Find, view: View, room: int, cache: Path | None = None
) -> Sprite:
    """Return the first of some images, as many as are quickly read and fit.

    Args:
        paths: the images, those first that matter most; what cannot be read is left out.
        find: reads an image by its path.
        view: how the network sees it.
        room: letters that the data URI may take.
        cache: the cache folder that remembers each, if any does.
    """
    small = replace(view, size=SIDE, width=SIDE if view.width else 0)
    files = dict(_files(paths, find))
    with kept_of_files(cache, "dots", small) as kept, ThreadPoolExecutor(cores()) as pool:
        drawn = list(
            pool.map(lambda path: picture(path, files.__getitem__, small, kept, _dot)[0], files)
        )
    found = [(path, dot) for path, dot in zip(files, drawn, strict=True) if dot]
    while found:
        whole = _encoded(_joined([dot for _, dot in found]), cache)
        if len(whole) <= room:
            return Sprite(whole, {path: cell for cell, (path, _) in enumerate(found)})
        found = found[: int(0.9 * len(found) * room / len(whole))]
    return Sprite()


def _encoded(whole: Pixels, cache: Path | None) -> str:
    """Return the picture of all dots as a data URI."""
    if cache is None:
        return uri(whole)
    made = recalled(
        cache, "sprite", whole, lambda: {"uri": np.frombuffer(uri(whole).encode(), np.uint8)}
    )
    return made["uri"].tobytes().decode()


def _dot(square: Pixels) -> bytes:
    return in_colour(square).tobytes()


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


def _joined(dots: Sequence[bytes]) -> Pixels:
    across = min(ACROSS, len(dots))
    whole = np.zeros((-(-len(dots) // across), SIDE, across, SIDE, 3), np.uint8)
    for cell, dot in enumerate(dots):
        square = np.frombuffer(dot, np.uint8).reshape(SIDE, SIDE, 3)
        whole[cell // across, :, cell % across] = square
    return whole.reshape(len(whole) * SIDE, across * SIDE, 3)
