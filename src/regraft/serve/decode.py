"""An image's bytes -> the square that the network sees, or why there is none.

What `regraft.data.images.inspect` refuses is refused here; before it, from the header alone,
what a stranger could keep a server busy with.
"""

import threading
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Final

from regraft.data.images import View, formats, inspect
from regraft.features.engines import Pixels
from regraft.serve.limits import Limits, Problem

_LARGE: Final = 12_000_000  # pixels; larger ones are decoded one after the other
_SCANS: Final = 100  # of a JPEG, of which progressive ones have about ten
_SCAN: Final = b"\xff\xda"


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """A uint8 ``[S, S, 3]`` square; ``warning`` says where the training images' scale cut it."""

    square: Pixels
    warning: str


@dataclass(frozen=True)
class Decoder:
    """Decodes images in any number of threads, at most one large one at a time."""

    view: View
    limits: Limits
    _large: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __call__(self, data: bytes) -> DecodedImage | Problem:
        """Return what the network sees of it, or what is wrong."""
        try:
            return self._bounded(data)
        except MemoryError:
            return _bad("memory", "it needs more memory than there is: make it smaller")

    def _bounded(self, data: bytes) -> DecodedImage | Problem:
        size, problem = self._look_ahead(data)
        if problem:
            return problem
        with self._large if size > _LARGE else nullcontext():
            return self._decode(data)

    def _look_ahead(self, data: bytes) -> tuple[int, Problem | None]:
        """Pixels as the header has them (0 where it cannot be read), and what it rules out."""
        try:
            image = formats.open_image(data)
            (width, height), more = image.size, formats.frames(image) > 1
        except MemoryError:
            raise
        except Exception:  # told in words when it is inspected
            return 0, None
        size = width * height
        if size > self.limits.pixels:
            most, found = f"{self.limits.pixels / 1e6:g}", f"{width:,} x {height:,} px"
            return size, _bad("bomb", f"{found}: more than {most} million pixels, make it smaller")
        if more:
            return size, _bad("animated", "more than one frame or page: send one of them")
        scans = data.count(_SCAN) if image.format == "JPEG" else 1
        if scans > _SCANS:
            return size, _bad(
                "unreadable", f"a JPEG of {scans:,} scans, {_SCANS} may be: save anew"
            )
        return size, None

    def _decode(self, data: bytes) -> DecodedImage | Problem:
        facts, squares = inspect(data, [self.view])
        if squares is None:
            return _bad(facts.problem, facts.detail)
        return DecodedImage(squares[0], facts.outside(self.view))


def _bad(code: str, detail: str) -> Problem:
    return Problem(415 if code == "not-an-image" else 422, code, detail)
