"""Series in the file names: frames of one video, takes of one speaker. Proposed, never acted on."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from regraft.data.audit.rules import Rows
from regraft.data.dataset import Dataset
from regraft.data.images import FactsTable
from regraft.data.images.facts_table import WHOLE
from regraft.data.kinds import ONE
from regraft.data.readers.known import with_groups
from regraft.errors import RegraftError

NUMBERED: Final = r"([^/]+/[^/]*?)[-_. ]*\d+\.\w+$"
"""``signs/00012_00007.png`` -> ``signs/00012``: what stands before the last number, class by class,
for equal numbers in two classes are two things."""

NAMED: Final = r"(?:^|[-_. ])([^-_. ]*[A-Za-z][^-_. ]*)[-_. ]+\d+\.\w+$"
"""``3_george_12.png`` -> ``george``: a word before the last number, whatever the class."""

_MEMBERS: Final = 3  # of a series, and series in all
_GAP: Final = 0.05  # correlation by which members of a series must be more alike than others
_EACH: Final = 200  # images of a class that are compared


def proposed(dataset: Dataset, kept: Rows, facts: FactsTable) -> Iterator[str]:
    """Yield a sentence where names form series of alike members, with the pattern that parts them.

    Not where groups are known already, nor where the images of each class are merely numbered.
    """
    if any(dataset.columns.groups.different):
        return
    labels = dataset.columns.labels[kept] if dataset.kind == ONE else [""] * len(kept)
    for pattern in (NAMED, NUMBERED):
        groups = _groups(dataset, kept, pattern)
        series = _series(groups, labels, shared=pattern == NAMED)
        if series and _alike(groups, labels, facts, kept, series):
            yield _sentence(dataset, kept, groups, series, pattern)
            return


def _groups(dataset: Dataset, kept: Rows, pattern: str) -> list[str]:
    """Return what ``--group-by pattern`` would give; '' where it finds nothing."""
    try:
        groups: list[str] = with_groups(dataset, pattern).columns.groups[kept]
    except RegraftError:  # it finds nothing, or one group only
        return [""] * len(kept)
    return groups


def _series(groups: Sequence[str], labels: Sequence[str], *, shared: bool) -> dict[str, int]:
    """Return the series and their sizes; none where they part too little.

    They have to be in classes with several, none of which is most of its class, to cover half of
    the images, and (``shared``) to be in several classes.
    """
    whole = Counter(labels)
    sizes: dict[str, int] = defaultdict(int)
    classes: dict[str, set[str]] = defaultdict(set)
    inside: dict[str, set[str]] = defaultdict(set)
    for group, label in zip(groups, labels, strict=True):
        if group:
            sizes[group] += 1
            classes[group].add(label)
            inside[label].add(group)
    found = {
        group: size
        for group, size in sizes.items()
        if size >= _MEMBERS
        and all(len(inside[label]) >= _MEMBERS for label in classes[group])
        and 2 * size <= sum(whole[label] for label in classes[group])
        and (not shared or len(classes[group]) > 1)
    }
    enough = len(found) >= _MEMBERS and 2 * sum(found.values()) >= len(groups)
    return found if enough else {}


def _alike(
    groups: Sequence[str],
    labels: Sequence[str],
    facts: FactsTable,
    kept: Rows,
    series: Mapping[str, int],
) -> bool:
    """Return whether members are clearly more alike than others of their class, in most classes."""
    rows: dict[str, list[int]] = defaultdict(list)
    for i, (group, label) in enumerate(zip(groups, labels, strict=True)):
        if group in series and len(rows[label]) < _EACH and facts.there[kept[i], WHOLE]:
            rows[label].append(i)
    thumbs = facts.pictures[WHOLE]
    gaps = [_gap([groups[i] for i in some], thumbs[kept[some]]) for some in rows.values()]
    known = np.array([gap for gap in gaps if gap is not None])
    if not len(known):
        return False
    error = known.std() / np.sqrt(max(len(known) - 1, 1))
    return bool(known.mean() > _GAP and known.mean() > 2 * error)


def _gap(groups: Sequence[str], thumbs: NDArray[np.uint8]) -> float | None:
    """Mean correlation of pictures within series minus that of others; None without either."""
    grey = thumbs.astype(np.float32)
    grey -= grey.mean(1, keepdims=True)
    grey /= np.linalg.norm(grey, axis=1, keepdims=True) + 1e-6
    name = np.unique(groups, return_inverse=True)[1]
    same = name[:, None] == name
    pairs = np.triu(np.ones_like(same), 1)
    alike, other = same & pairs, ~same & pairs
    if not alike.any() or not other.any():
        return None
    correlation = grey @ grey.T
    return float(correlation[alike].mean() - correlation[other].mean())


def _sentence(
    dataset: Dataset, kept: Rows, groups: Sequence[str], series: Mapping[str, int], pattern: str
) -> str:
    largest = max(series, key=series.__getitem__)
    rows = kept[[n for n, group in enumerate(groups) if group == largest]]
    own = sorted(dataset.items[i].path for i in rows.tolist())
    typical = int(np.median(list(series.values())))
    return (
        f"The names form {len(series):,} series of about {typical:,} alike images, such as "
        f"{own[0]} to {own[-1]}. If each is of one thing, person or video, hold it together: "
        f"--group-by '{pattern}'"
    )
