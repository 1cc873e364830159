"""Which pictures are copies of one capture: re-encoded, rescaled, cropped or brightened a little.

Each picture has a perceptual hash and a thumbnail (`regraft.data.images.miniature`), and its
middle has both too: they are the whole of a copy that lost a little at each edge. So has a small
picture at half its size: fewer pixels blur it, and its copy of half the size is as blurred. The
hash finds candidates fast, the thumbnails confirm them, and what else is about them decides
(`likeness`). The limits were set by planting copies in sets of photos, X-rays and digits:
``docs/benchmarks.md``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from regraft.data.images.thumbnails import CHUNK, CONTRAST, SMALLER, Halves, Near, Thumbnails

BITS: Final = 6  # near copies differ in at most so many of the 64
LOSS: Final = 0.02  # and 1 - correlation of their thumbnails, their distance, is below this
APART: Final = 4.0  # and everything else is at least so many times as far away
LEAST: Final = 3e-4  # distances below this are noise of encoding, and count as this
NEAR: Final = 0.006  # pictures this near that are no copies are alike: they show the same scene
SHARE: Final = 0.1  # of a class that may be alike; of more than that nothing is called a copy
FEW: Final = 12  # pictures that a group of copies may have; in a small class, half of it
_BANDS: Final = 5  # pairs that differ in 4 bits agree in one of 5 bands: those are all found
_REACH: Final = 2000  # neighbours compared within a band, so that masses of blanks stay cheap
_ALL: Final = 4096  # pictures of which all pairs are compared, not only those of like hashes
_MOST: Final = 32  # near pairs of an image that are looked for: one with more has no copy
_WORK: Final = 1 << 29  # distances computed at most to find what else is near
_SIDE: Final = 2048  # pictures that are compared with as many others at a time

Inner = tuple[NDArray[np.uint64], NDArray[np.uint8]]
"""Hashes [n] and thumbnails [n, 256] of the middles of pictures."""


@dataclass(frozen=True)
class Likeness:
    """What looks alike. ``groups`` [n]: a number, the same for copies of one capture.

    ``near`` [n]: the picture has one that is as near as a copy and is none. ``crowded``: numbers of
    the classes of which too many are like that; none of their pictures is called a copy.
    """

    groups: NDArray[np.int64]
    near: NDArray[np.bool_]
    crowded: frozenset[int] = frozenset()


def near_groups(hashes: NDArray[np.uint64], thumbs: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return a group number for each of ``hashes`` [n] and ``thumbs`` [n, 256].

    Near copies share one.
    """
    return likeness(hashes, thumbs).groups


def likeness(
    hashes: NDArray[np.uint64],
    thumbs: NDArray[np.uint8],
    labels: NDArray[np.int64] | None = None,
    inner: Inner | None = None,
    halves: Halves | None = None,
) -> Likeness:
    """Find the copies among pictures, and the classes (``labels`` [n]) whose pictures are alike.

    Two captures of one scene can be nearer to each other than a picture to its re-encoded copy, so
    nearness alone makes no copy. Copies come in small groups, all near the group's middle, with
    nothing else about: the next picture is ``APART`` times as far away. A fixed camera has many at
    like distances. Where more than ``SHARE`` of a class is near without being apart, that is a
    property of the class, and the few that seem apart there are chance.

    ``inner``: what the middles look like, to find cropped copies as well. ``halves``: what small
    pictures look like at half their size, compared only with pictures that are that much smaller.
    Memory grows with n alone, time with the pairs that share a band of the hash.
    """
    n = len(hashes)
    pictures = Thumbnails.of(thumbs, None if inner is None else inner[1], halves)
    label = np.zeros(n, np.int64) if labels is None else labels
    i, j, distance = _near_pairs(hashes, pictures, inner, halves)
    rows = np.unique(np.concatenate([i, j]))
    sizes = np.bincount(label, minlength=1)
    limit = np.minimum(FEW, np.maximum(3, sizes // 2 if labels is not None else sizes))
    found = [
        (members, far)
        for row, others, away in _neighbours(pictures, rows, i, j, distance)
        for members, far in [_apart(row, others, away, int(limit[label[row]]))]
        if len(members)
    ]
    groups = np.arange(n)
    taken = np.zeros(n, bool)
    for members, _ in sorted(found, key=lambda one: (-len(one[0]), one[1], one[0][0])):
        if not taken[members].any():
            groups[members] = members.min()
            taken[members] = True
    near = np.zeros(n, bool)
    close = pictures.distance(i, j, whole=True) < NEAR
    close &= groups[i] != groups[j]
    near[i[close]] = near[j[close]] = True
    crowded = _crowded(near, label) if labels is not None else frozenset()
    if crowded:
        dense = np.isin(label, list(crowded))
        dense |= np.isin(groups, groups[dense])
        groups[dense] = np.flatnonzero(dense)
    return Likeness(groups, near, crowded)


def _crowded(near: NDArray[np.bool_], label: NDArray[np.int64]) -> frozenset[int]:
    """Return the classes of which too many pictures have near ones.

    All where that is so of the set.
    """
    sizes, alike = np.bincount(label), np.bincount(label, weights=near)
    if near.sum() > max(SHARE * len(near), 2):
        return frozenset(np.flatnonzero(sizes).tolist())
    return frozenset(np.flatnonzero(alike > np.maximum(SHARE * sizes, 2)).tolist())


def _near_pairs(
    hashes: NDArray[np.uint64], pictures: Thumbnails, inner: Inner | None, halves: Halves | None
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Pairs i, j whose thumbnails are near, and how far they are from each other.

    Of more than ``_ALL`` pictures those whose hashes differ in up to 4 bits are all found, and most
    that differ in 5 or 6. Both until each picture has ``_MOST``.
    """
    worth = np.flatnonzero(pictures.spread >= CONTRAST)
    degree = np.zeros(len(hashes), np.int64)
    found: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]] = []
    bands = range(_BANDS if len(worth) > _ALL else 1)
    few = len(worth) <= _ALL
    for band in bands:
        for i, j in (
            _likely(pictures, worth) if few else _hashed(hashes, worth, inner, halves, band)
        ):
            open_ = (degree[i] < _MOST) | (degree[j] < _MOST)
            i, j = i[open_], j[open_]
            distance = pictures.distance(i, j)
            near = distance < LOSS
            if near.any():
                i, j = np.minimum(i, j)[near], np.maximum(i, j)[near]
                found.append((i, j, distance[near]))
                degree += np.bincount(np.concatenate([i, j]), minlength=len(degree))
    if not found:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32)
    i, j, distance = (np.concatenate(parts) for parts in zip(*found, strict=True))
    once = np.unique(i * len(hashes) + j, return_index=True)[1]
    return i[once], j[once], distance[once]


def _likely(pictures: Thumbnails, worth: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Pairs [2, m] of pictures of ``worth`` that are near; of each the ``_MOST`` nearest."""
    size = max(1, (CHUNK << 8) // max(len(worth), 1))
    for start in range(0, len(worth), size):
        block = pictures.distances(worth[start : start + size], worth[start:])
        for row, far in enumerate(block):
            near = row + 1 + np.flatnonzero(far[row + 1 :] < LOSS)
            near = near[np.argsort(far[near], kind="stable")[:_MOST]]
            if len(near):
                yield worth[np.stack([np.full(len(near), start + row), start + near])]


def _neighbours(
    pictures: Thumbnails,
    rows: NDArray[np.int64],
    i: NDArray[np.int64],
    j: NDArray[np.int64],
    distance: NDArray[np.float32],
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.float32]]]:
    """Of each of ``rows`` the nearest pictures, in order, and how far away they are.

    All pictures are compared, or where those are too many an even part of them beside its pairs.
    """
    n = len(pictures.mean)
    step = max(1, len(rows) * n // _WORK)
    columns = np.arange(0, n, step)
    ends = np.concatenate([i, j])
    order = np.argsort(ends, kind="stable")
    ends, others = ends[order], np.concatenate([j, i])[order]
    away = np.concatenate([distance, distance])[order]
    for start in range(0, len(rows), _SIDE):
        part = rows[start : start + _SIDE]
        own = slice(*np.searchsorted(ends, [part[0], part[-1] + 1]))
        row = np.searchsorted(part, ends[own])
        found = row, others[own], away[own]
        for first in range(0, len(columns), _SIDE):
            about = pictures.about(
                part, columns[first : first + _SIDE], row, others[own], APART * LOSS
            )
            found = _nearest(found, about)
        places = np.searchsorted(found[0], np.arange(len(part) + 1))
        for name, begin, end in zip(part, places, places[1:], strict=False):
            yield int(name), found[1][begin:end], found[2][begin:end]


def _nearest(found: Near, more: Near) -> Near:
    """Return the ``_MOST + 1`` nearest of each row, in order; of equals those that came first."""
    row, names = np.append(found[0], more[0]), np.append(found[1], more[1])
    away = np.append(found[2], more[2])
    order = np.lexsort((away, row))
    row, names, away = row[order], names[order], away[order]
    kept = np.arange(len(row)) - np.searchsorted(row, row) <= _MOST
    return row[kept], names[kept], away[kept]


def _apart(
    row: int, others: NDArray[np.int64], away: NDArray[np.float32], limit: int
) -> tuple[NDArray[np.int64], float]:
    """Return the largest group around a picture that is apart from the rest, and how wide it is."""
    beyond = np.append(away[1:], np.inf)
    good = (away < LOSS) & (beyond >= APART * np.maximum(away, LEAST))
    good[limit - 1 :] = False
    if not good.any():
        return np.zeros(0, np.int64), 0.0
    last = int(np.flatnonzero(good)[-1])
    return np.append(row, others[: last + 1]), float(away[last])


def _candidates(hashes: NDArray[np.uint64], band: int) -> Iterator[NDArray[np.int64]]:
    """Pairs [2, m] that agree in every ``_BANDS``-th bit and are close in all."""
    keys = hashes & np.uint64(sum(1 << bit for bit in range(band, 64, _BANDS)))
    order = np.lexsort((hashes, keys))
    keys, hashes = keys[order], hashes[order]
    alive = np.arange(len(keys))
    for reach in range(1, _REACH + 1):
        alive = alive[alive < len(keys) - reach]
        alive = alive[keys[alive] == keys[alive + reach]]
        if not len(alive):
            return
        close = alive[np.bitwise_count(hashes[alive] ^ hashes[alive + reach]) <= BITS]
        if len(close):
            yield np.stack([order[close], order[close + reach]])


def _hashed(
    hashes: NDArray[np.uint64],
    worth: NDArray[np.int64],
    inner: Inner | None,
    halves: Halves | None,
    band: int,
) -> Iterator[NDArray[np.int64]]:
    """Pairs [2, m] of pictures of ``worth`` with like hashes: of wholes, of middles, of halves."""
    for pairs in _candidates(hashes[worth], band):
        yield worth[pairs]
    if inner is not None:
        yield from _across(inner[0], worth, hashes, worth, band)
    if halves is not None:
        side = halves.sides[worth]
        small = worth[side <= SMALLER * side.max(initial=0)]
        large = worth[halves.thumbs[worth].any(1)]
        yield from _across(halves.hashes, large, hashes, small, band)


def _across(
    parts: NDArray[np.uint64],
    rows: NDArray[np.int64],
    wholes: NDArray[np.uint64],
    columns: NDArray[np.int64],
    band: int,
) -> Iterator[NDArray[np.int64]]:
    """As `_candidates`: pairs of ``rows`` and ``columns`` whose part and whole are alike."""
    mask = np.uint64(sum(1 << bit for bit in range(band, 64, _BANDS)))
    columns = columns[np.argsort(wholes[columns] & mask, kind="stable")]
    whole = wholes[columns]
    keys = whole & mask
    rows = rows[np.argsort(parts[rows] & mask, kind="stable")]  # so that memory is read in order
    part = parts[rows]
    place = np.searchsorted(keys, part & mask, "left")
    end = np.minimum(np.searchsorted(keys, part & mask, "right"), place + _REACH)
    while len(place):
        open_ = place < end
        rows, part, place, end = rows[open_], part[open_], place[open_], end[open_]
        close = np.flatnonzero(np.bitwise_count(part ^ whole[place]) <= BITS)
        pairs = np.stack([rows[close], columns[place[close]]])
        yield pairs[:, pairs[0] != pairs[1]]
        place = place + 1
