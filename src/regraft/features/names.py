"""What files contain, known by how they look from outside: the second pass reads none of them.

A *stamp* tells a file's path, its place on the disk, its size and times
(`regraft.data.readers.streams`). The cache maps it to the digest of the content that was read under
it, as git's index does.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

from regraft.data.images import digest
from regraft.features.cache import Store
from regraft.features.threads import ahead, in_lots

_SPACE = "names-1"
_LOT = 256  # stamps looked up and written down at once


class StampedImage(NamedTuple):
    """An image, the digest of its stamp, and that of its content where the cache knows it."""

    image: int
    stamp: str = ""
    digest: str = ""


@dataclass
class Names:
    """The names of one pass. ``stamp`` gives that of image i, '' where it has to be read.

    With ``check`` all are read, and what is remembered of them is put right.
    """

    store: Store | None
    stamp: Callable[[int], str] | None
    check: bool = False
    new: dict[str, str] = field(default_factory=dict)

    def of(self, readers: ThreadPoolExecutor, order: Iterable[int]) -> Iterator[StampedImage]:
        """Yield the images in order, a bounded number of them ahead."""
        if self.store is None or self.stamp is None:
            yield from map(StampedImage, order)
            return
        for lot in in_lots(ahead(readers, self._stamped, order, _LOT), _LOT):
            asked = [image.stamp for image in lot if image.stamp and not self.check]
            known = self.store.facts(_SPACE, asked)
            yield from (image._replace(digest=known.get(image.stamp, "")) for image in lot)

    def _stamped(self, index: int) -> StampedImage:
        stamp = self.stamp(index) if self.stamp else ""
        return StampedImage(index, digest(stamp.encode()) if stamp else "")

    def note(self, stamp: str, content: str) -> None:
        """Remember the digest of what was read under a stamp; soon, where there are many."""
        if stamp:
            self.new[stamp] = content
        if len(self.new) >= _LOT:
            self.write_down()

    def write_down(self) -> None:
        """Remember what is new now."""
        if self.store is not None:
            self.store.put_facts(_SPACE, self.new)
        self.new = {}
