"""What the audit says of the pictures themselves: of those that show nothing, or are deep."""

from collections.abc import Iterable

import numpy as np

from regraft.data.audit.rules import Rows
from regraft.data.dataset import Dataset
from regraft.data.images import FactsTable


def pixel_warnings(dataset: Dataset, kept: Rows, facts: FactsTable) -> Iterable[str]:
    """Sentences on the images that are kept, in no other order than theirs."""
    paths = dataset.columns.paths
    blank = [paths[i] for i in kept[facts.noted("blank")[kept]].tolist()]
    if blank:
        many = len(blank) != 1
        yield (
            f"{len(blank):,} image{'s' * many} show{'s' * (not many)} nothing but one colour, such "
            f"as {' and '.join(blank[:2])}: {'failed captures' if many else 'a failed capture'}? "
            f"{'They are' if many else 'It is'} kept."
        )
    deep = kept[facts.noted("16-bit")[kept]]
    colour = [paths[i] for i in deep[np.isnan(facts.levels[deep, 0])].tolist()]
    if colour:
        yield (
            f"Of {len(colour):,} colour image{'s' * (len(colour) != 1)} with 16 bits a channel, "
            f"such as {colour[0]}, the upper 8 bits are read."
        )
    if 0 < len(deep) < len(kept):
        yield (
            f"{len(deep):,} images have more than 8 bits a pixel and {len(kept) - len(deep):,} "
            "have 8: each is taken by its own depth."
        )
