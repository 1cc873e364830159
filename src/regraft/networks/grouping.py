"""Long rows of stages in groups, as people speak of a network: by resolution, else in quarters."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from regraft.backbones import Stage

MOST = 7
"""So many stages stand each for itself; in a longer row they are grouped."""

PARTS = 4
"""A long row of one resolution (the blocks of a ViT) is read at the ends of so many even parts, as
DINOv2's depth estimators read theirs (``blocks`` 2, 5, 8, 11 of a ViT-B)."""


@dataclass(frozen=True)
class StageGroup:
    """Neighbours that are one stage: it is read where the last of them ends."""

    end: int
    name: str


def grouped(stages: Sequence[Stage]) -> list[StageGroup]:
    """Return the groups of a row of stages, each of one stage where there are few.

    Args:
        stages: from the image on, without the one that is the input of the head.
    """
    row = range(len(stages))
    if len(stages) <= MOST:
        return [StageGroup(place, stages[place].name) for place in row]
    runs = [list(run) for _, run in groupby(row, key=lambda place: stages[place].side)]
    if len(runs) == 1:
        ends = [len(stages) * part // PARTS for part in range(PARTS + 1)]
        runs = [[*row[start:end]] for start, end in pairwise(ends)]
    return [StageGroup(run[-1], _name([stages[place].name for place in run])) for run in runs]


def _name(names: Sequence[str]) -> str:
    """Name of a group: ``blocks.3-5``; that of the last where they are not numbered alike."""
    first, last = names[0], names[-1]
    parent, _, start = first.rpartition(".")
    if first == last or not start.isdecimal() or last.rpartition(".")[0] != parent:
        return last
    return f"{first}-{last.rpartition('.')[2]}"
