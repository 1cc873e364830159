"""What the audit says of the pictures themselves: of those that show nothing, or are deep."""

from collections.abc import Iterable, Sequence

from regraft.data.dataset import Dataset
from regraft.data.images import Facts


def pixel_warnings(dataset: Dataset, kept: Sequence[int], facts: Sequence[Facts]) -> Iterable[str]:
    """Sentences on the images that are kept, in no other order than theirs."""
    blank = [dataset.items[i].path for i in kept if "blank" in facts[i].notes]
    if blank:
        many = len(blank) != 1
        yield (
            f"{len(blank):,} image{'s' * many} show{'s' * (not many)} nothing but one colour, such "
            f"as {' and '.join(blank[:2])}: {'failed captures' if many else 'a failed capture'}? "
            f"{'They are' if many else 'It is'} kept."
        )
    deep = [i for i in kept if "16-bit" in facts[i].notes]
    colour = [dataset.items[i].path for i in deep if not facts[i].levels]
    if colour:
        yield (
            f"Of {len(colour):,} colour image{'s' * (len(colour) != 1)} with 16 bits a channel, "
            f"such as {colour[0]}, the upper 8 bits are read."
        )
    if deep and len(deep) < len(kept):
        yield (
            f"{len(deep):,} images have more than 8 bits a pixel and {len(kept) - len(deep):,} "
            "have 8: each is taken by its own depth."
        )
