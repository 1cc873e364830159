"""The audit: which images are used, and why each other one is not.

It works on the facts that one decode of every file gave, and touches no file itself.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from regraft.data.audit.messages import IMBALANCE, by_class_and_split, check, warnings
from regraft.data.audit.pixels import pixel_warnings
from regraft.data.audit.rules import NOT_BY_NAME, LeftOut, NearCopies, apply_rules
from regraft.data.audit.series import proposed
from regraft.data.dataset import Dataset
from regraft.data.images import Facts, FactsTable
from regraft.data.kinds import ONE
from regraft.data.targets import LEAST

__all__ = [
    "IMBALANCE",
    "LEAST",
    "NOT_BY_NAME",
    "Audit",
    "LeftOut",
    "NearCopies",
    "audit",
    "counts",
    "fingerprint",
    "marks",
]


@dataclass(frozen=True, eq=False)
class Audit:
    """What is used of a data set, and what is not.

    ``kept``: indices into its items, ascending. ``groups`` [len(kept)]: the same number for copies
    of one capture and for what people know to belong together; such images stay on one side of
    every split. ``notes``: how many of the kept have each of ``Facts.notes``. ``warnings``:
    sentences. ``marks``: the `marks` of all files that were read, kept or not, each once,
    ascending.
    """

    kept: tuple[int, ...]
    left_out: tuple[LeftOut, ...]
    notes: dict[str, int]
    warnings: tuple[str, ...]
    groups: NDArray[np.int64]
    marks: NDArray[np.uint64] = field(default_factory=lambda: marks(()))

    @property
    def reasons(self) -> dict[str, int]:
        """How many paths are left out for each reason, the most frequent first."""
        return dict(Counter(entry.reason for entry in self.left_out).most_common())


def audit(
    dataset: Dataset,
    facts: Sequence[Facts],
    *,
    strict: bool = False,
    near_copies: NearCopies = "group",
    series: bool = True,
) -> Audit:
    """Decide which images are used; ``facts`` are those of the items, in their order.

    Left out are files with a problem, exact copies but the first, pictures under two labels, what
    copies a held-out image (exactly or nearly) on the training side, and classes with fewer than
    two images to train on. Of several labels an image, those that cannot be learnt are named, and
    the images stay. ``series``: whether series in the names are proposed as groups.

    Raises:
        DataError: fewer than two classes are left, or no label of several, or one number alone;
            nothing is left to train on or to test, or ``strict`` and anything is left out.
    """
    table = FactsTable.of(facts)
    found = apply_rules(dataset, table, near_copies)
    check(dataset, found.kept, found.left_out, strict)
    return Audit(
        tuple(found.kept.tolist()),
        found.left_out,
        table.notes(found.kept),
        (
            *warnings(dataset, found),
            *(proposed(dataset, found.kept, table) if series else ()),
            *pixel_warnings(dataset, found.kept, table),
        ),
        found.groups,
        np.unique(table.digests[table.read, 0]),
    )


def marks(digests: Iterable[str]) -> NDArray[np.uint64]:
    """Return the starts of files' digests (in hex) as numbers, 64 bits each, in their order."""
    return np.fromiter((int(digest[:16], 16) for digest in digests), np.uint64)


def counts(dataset: Dataset, audit: Audit) -> dict[str, dict[str, int]]:
    """Kept images by class and split ('' where the data has none)."""
    return by_class_and_split(dataset, np.asarray(audit.kept, np.int64))


def fingerprint(dataset: Dataset, audit: Audit, facts: Sequence[Facts]) -> str:
    """SHA-256 over path, label, split, group and content of every image kept, in any order.

    Of a set with several labels, or numbers, its kind comes first.
    """
    table, paths = FactsTable.of(facts), dataset.columns.paths
    rows = audit.kept if paths.ascend else sorted(audit.kept, key=paths.__getitem__)
    found = hashlib.sha256(b"" if dataset.kind == ONE else f"{dataset.kind}\n".encode())
    for place, i in enumerate(rows):
        item = dataset.items[i]
        parts = item.path, item.label, item.split, table.digest(i), *_if_any(item.group)
        found.update(("\n" * (place > 0) + "\0".join(parts)).encode())
    return found.hexdigest()


def _if_any(group: str) -> tuple[str, ...]:
    """Nothing where there is no group, so that the fingerprint stays what it was without groups."""
    return (group,) if group else ()
