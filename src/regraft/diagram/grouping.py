"""Neighbouring stages drawn as one block, so that a network of a hundred is no mile long."""

from collections.abc import Sequence
from dataclasses import replace
from math import log2

from regraft.diagram.scene import Block


def grouped(blocks: Sequence[Block], most: int) -> list[Block]:
    """Return the blocks, the most alike neighbours joined until there are at most so many.

    Only neighbours of the same fate and kind are joined, so that the cut and what is frozen stay in
    sight; those that differ in being read only when nothing else is left.
    """
    row = list(blocks)
    while len(row) > most:
        pairs = [i for i in range(len(row) - 1) if _same(row[i], row[i + 1])]
        if not pairs:
            break
        i = min(pairs, key=lambda i: (_difference(row[i], row[i + 1]), i))
        row[i : i + 2] = [_joined(row[i], row[i + 1])]
    return row


def _same(one: Block, other: Block) -> bool:
    return (one.fate, one.kind) == (other.fate, other.kind)


def _difference(one: Block, other: Block) -> float:
    """Return how much is lost by drawing two neighbours as one; long groups grow last."""
    before, after = one.stages[-1], other.stages[0]
    shape = abs(log2(max(before.channels, 1) / max(after.channels, 1)))
    shape += abs(log2(max(before.side, 1) / max(after.side, 1)))
    count = len(one.stages) + len(other.stages)
    apart = 100.0 * (one.read != other.read) + 3.0 * (one.sees != other.sees)
    return apart + shape + 0.25 * count


def _joined(one: Block, other: Block) -> Block:
    larger = one if len(one.stages) >= len(other.stages) else other
    return replace(larger, stages=(*one.stages, *other.stages), read=one.read or other.read)
