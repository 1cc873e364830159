"""One way for every picture in memory: upright, without loss, as the bytes of a file.

So a picture is named by its content like a file is, and is decoded by what decodes files.
"""

import io
import os
from collections.abc import Iterable, Sequence
from numbers import Number
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from regraft.data.dataset import read_file
from regraft.data.images import formats

Array = NDArray[Any]

_CHANNELS: Final = (1, 3, 4)
_OF_IMAGES: Final = ((), (3,), (4,))  # what follows height and width
_ONE: Final = (str, bytes, bytearray, memoryview, os.PathLike, Image.Image, dict)
_KEPT: Final = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")  # modes that PNG keeps
_DEEP: Final = ("I", "F")  # those that TIFF keeps
_SAME: Final = {"RGBa": "RGBA", "La": "LA", "PA": "RGBA"}


def bytes_of(picture: Any, *, wide: bool = False) -> bytes:
    """Return a picture as the bytes of a file: of a path, bytes, or anything in memory.

    ``wide``: whole numbers are a part of more than 0..255, however small these are.

    Raises:
        OSError: it cannot be read, or is no picture; says why.
    """
    if isinstance(picture, bytes | bytearray):
        return bytes(picture)
    if isinstance(picture, str | os.PathLike):
        return read_file(os.fspath(picture))
    if isinstance(picture, memoryview) and picture.ndim == 1:
        return picture.tobytes()
    try:
        return _saved(
            _upright(picture) if isinstance(picture, Image.Image) else _drawn(picture, wide)
        )
    except (MemoryError, OSError):
        raise
    except Exception as error:  # converters raise nearly anything for what they do not take
        raise OSError(str(error) or type(error).__name__) from error


def objection(picture: Any) -> str:
    """Why something in memory is no picture; '' if it is one."""
    if isinstance(picture, Image.Image):
        return ""
    try:
        return _objection(_array(picture))
    except Exception as error:  # as above
        return str(error) or type(error).__name__


def several(images: Any) -> Sequence[Any]:
    """Return the pictures in what may be one or many; one alone is a list of one.

    An array is one picture where it has two axes, or three of which the last is of channels; a
    tensor where the first is. Other arrays of three axes are grey pictures ``[n, height, width]``.
    So it is with numbers in lists of lists; any other list is one of pictures.
    """
    if isinstance(images, _ONE):
        return [images]
    shape, kind = _shape(images), getattr(getattr(images, "dtype", None), "kind", "")
    first = len(shape) == 3 and shape[0] in _CHANNELS and hasattr(images, "detach")
    row = len(shape) == 1 and kind not in ("O", "U", "S", "T")  # numbers: no picture, named once
    if first or row or len(shape) == 2 or (len(shape) == 3 and shape[2] in _CHANNELS):
        return [images]
    try:
        return images if isinstance(images, Sequence) else list(images)
    except TypeError:  # a number, None: no picture either
        return [images]


def _shape(images: Any) -> tuple[int, ...]:
    """Of an array, or of numbers in lists of lists by their first entries; () of anything else."""
    if not isinstance(images, list | tuple):
        return tuple(getattr(images, "shape", ()))
    if not images:
        return ()
    if isinstance(images[0], Number):
        return (len(images),)
    inner = _shape(images[0]) if isinstance(images[0], list | tuple) else ()
    return (len(images), *inner) if inner else ()


def are_wide(pictures: Iterable[Any]) -> bool:
    """Return whether there are whole numbers beyond 0..255 in arrays that could hold them."""
    return any(_is_wide(_array(picture)) for picture in pictures if _is_array(picture))


def _is_array(picture: Any) -> bool:
    return not isinstance(picture, Image.Image | str | bytes | bytearray | os.PathLike)


def _is_wide(array: Array) -> bool:
    if array.dtype.kind not in "iu" or array.dtype == np.uint8 or not array.size:
        return False
    return bool(array.min() < 0 or array.max() > 255)


# --- arrays --------------------------------------------------------------------------------------


def _array(picture: Any) -> Array:
    """Return a picture ``[height, width]`` or with channels last, as far as it is one."""
    tensor = hasattr(picture, "numpy")
    array = _of_tensor(picture) if tensor else np.asarray(picture)
    if array.ndim != 3:
        return array
    first, last = array.shape[0] in _CHANNELS, array.shape[2] in _CHANNELS
    if (first and not last) or (tensor and (first or not last)):
        array = np.moveaxis(array, 0, -1)
    return array[..., 0] if array.shape[2] == 1 else array


def _of_tensor(tensor: Any) -> Array:
    """Return the values of a tensor, wherever it lives, torch itself not needed."""
    for step in ("detach", "cpu"):
        tensor = getattr(tensor, step)() if hasattr(tensor, step) else tensor
    try:
        return np.asarray(tensor.numpy())
    except TypeError:  # bfloat16, which numpy has not
        return np.asarray(tensor.float().numpy())


def _drawn(picture: Any, wide: bool) -> Image.Image | Array:
    """Return an array as an image, or as levels where no image has as many channels.

    ValueError says why it is no picture.
    """
    array = _array(picture)
    problem = _objection(array)
    if problem:
        raise ValueError(problem)
    if array.dtype.kind in "fb":
        array = np.round(array * np.float64(255))
    elif _is_wide(array) or (wide and array.dtype != np.uint8 and array.ndim == 2):
        deep = array.min() >= 0 and array.max() <= 65535
        return Image.fromarray(np.ascontiguousarray(array, np.uint16 if deep else np.int32))
    levels = np.ascontiguousarray(array.astype(np.uint8))
    return Image.fromarray(levels) if levels.shape[2:] in _OF_IMAGES else levels


def _objection(array: Array) -> str:
    """Why an array is no picture; '' if it is one."""
    shape, kind = list(array.shape), array.dtype.kind
    if len(shape) not in (2, 3) or 0 in shape:
        return f"it must be [height, width] or [height, width, channels], got shape {shape}"
    if kind not in "fiub":
        return f"its values must be numbers, got {array.dtype}"
    low, high = float(array.min()), float(array.max())
    if kind in "fb" and not (low >= 0 and high <= 1):  # also where one is nan
        return f"floats must lie in 0..1, got {low:g}..{high:g}: scale them (undo Normalize)"
    if len(shape) == 3 and not (low >= 0 and high <= 255):
        return (
            f"colours must lie in 0..255, got {low:g}..{high:g}: scale them, or give floats in 0..1"
        )
    if not (low >= -(2**31) and high < 2**31):
        return f"whole numbers must have at most 32 bits, got {low:g}..{high:g}"
    return ""


# --- PIL images ----------------------------------------------------------------------------------


def _upright(image: Image.Image) -> Image.Image:
    """Return the picture as its EXIF tag says, which is read as it is read of files."""
    image.load()
    if isinstance(image, TiffImagePlugin.TiffImageFile):  # loading has turned it
        return image
    turn = formats.exif_orientation(image.info.get("exif") or b"")
    return image.transpose(_TURNS[turn]) if turn in _TURNS else image


_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _saved(image: Image.Image | Array) -> bytes:
    """Return the bytes of a file that holds the image without loss, and without any EXIF tag."""
    buffer = io.BytesIO()
    if isinstance(image, np.ndarray):
        np.lib.format.write_array(buffer, image, allow_pickle=False)
        return buffer.getvalue()
    if image.mode.startswith("I;16"):
        image = Image.fromarray(np.asarray(image).astype(np.uint16))
    if image.mode not in (*_KEPT, *_DEEP):
        image = image.convert(_SAME.get(image.mode, "RGB"))
    if image.mode in _DEEP:
        Image.fromarray(np.asarray(image)).save(buffer, "TIFF")
    else:
        image.save(buffer, "PNG", compress_level=1, exif=b"")
    return buffer.getvalue()
