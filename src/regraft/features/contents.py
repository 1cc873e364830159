"""Which of very many images had the same content first, in some thirty bytes an image."""

from array import array
from typing import Final

_BYTES: Final = 16  # of a digest


class Contents:
    """The contents seen so far, of up to ``count`` images: a hash table with open addressing."""

    def __init__(self, count: int) -> None:
        self._mask = (1 << (2 * count + 1).bit_length()) - 1
        self._table = array("l", [-1]) * (self._mask + 1)
        self._names = bytearray(_BYTES * count)

    def place(self, digest: str, index: int) -> int:
        """Return the first image of this content (in hex), which is ``index`` where it is new."""
        name = bytes.fromhex(digest)
        slot = int.from_bytes(name[:8], "big") & self._mask
        while (first := self._table[slot]) >= 0:
            if self._names[first * _BYTES : (first + 1) * _BYTES] == name:
                return first
            slot = (slot + 1) & self._mask
        self._table[slot] = index
        self._names[index * _BYTES : (index + 1) * _BYTES] = name
        return index
