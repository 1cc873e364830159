"""Pictures of any number of channels, out of NumPy's .npy files.

Only the header and the plain bytes after it are read: what would need a pickle is refused, and
nothing is allocated that a header merely claims.
"""

from functools import cached_property
from math import prod
from typing import Any, Final

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray
from PIL import Image, ImageFile

MAGIC: Final = b"\x93NUMPY"
_HEADERS: Final = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


class NpyImageFile(ImageFile.ImageFile):
    """uint8 ``[height, width]`` or ``[height, width, channels]`` as a picture.

    As an image it is grey or RGB where it has one channel or three, and the mean of its channels in
    grey where it has others.
    """

    format = "NPY"
    channels = 1

    def _open(self) -> None:
        """Read the header. ValueError where it is not one of a picture in 8 bits."""
        assert self.fp is not None
        try:
            # the third version is for names of fields, which no picture has
            shape, self._by_columns, dtype = _HEADERS[npy.read_magic(self.fp)](self.fp)
        except (KeyError, ValueError) as error:
            early = str(error).startswith("EOF")
            raise ValueError("truncated" if early else "its header is damaged") from error
        if dtype != np.uint8:
            raise ValueError(f"its values must be uint8, got {dtype}; {_REMEDY}")
        if len(shape) not in (2, 3) or min(shape) < 1:
            wanted = "[height, width] or [height, width, channels], none of them 0"
            raise ValueError(f"its shape must be {wanted}, got {list(shape)}")
        self._start, self._shape = self.fp.tell(), shape
        self.channels = shape[2] if len(shape) == 3 else 1
        self._size = shape[1], shape[0]
        self._mode = "RGB" if self.channels == 3 else "L"

    @cached_property
    def pixels(self) -> NDArray[np.uint8]:
        """All of them, ``[height, width, channels]``. ValueError where some are missing."""
        assert self.fp is not None
        self.fp.seek(self._start)
        data = self.fp.read()
        if len(data) < prod(self._shape):
            raise ValueError("truncated")
        flat = np.frombuffer(data, np.uint8, prod(self._shape))
        array = flat.reshape(self._shape, order="F" if self._by_columns else "C")
        return array.reshape(self._size[1], self._size[0], self.channels)

    def load(self) -> Any:
        """Make the grey or RGB picture, once."""
        if self._im is None:
            grey = self.pixels if self.channels == 3 else self.pixels.mean(2, np.float32).round()
            self.im = Image.fromarray(np.ascontiguousarray(grey, np.uint8)).im
        return Image.Image.load(self)


_REMEDY: Final = "np.save(file, array.astype(np.uint8)) of values scaled to 0..255"
