"""What kind of file some bytes are, opened quietly.

``PIL.Image.open`` asks every plugin it has (one of them starts Ghostscript) and warns of large or
oddly tagged photos through the warning filters of the whole process, which no thread may touch.
Here the first bytes decide who reads a file, and only formats of photos are read.
"""

import io
import struct
from functools import cache
from typing import Any, Final

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    ImageFile,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from regraft.data.images import arrays

# The last part of a file's name, as images have it. Those in UNREAD are no less images, only not
# ones that regraft reads: they are named among the unusable, not passed over.
READ: Final = frozenset(
    [
        *("jpg", "jpeg", "jpe", "jfif", "mpo", "png", "gif", "bmp", "webp", "tif", "tiff"),
        *("ppm", "pgm", "pbm", "pnm", "avif", "jp2", "j2k", "jpx", "heic", "heif", "hif", "npy"),
    ]
)
UNREAD: Final = frozenset(
    [
        *("svg", "psd", "ico", "tga"),
        *("dng", "cr2", "cr3", "nef", "arw", "orf", "rw2", "raf"),
    ]
)

_ORIENTATION: Final = 0x0112
_SUBFILE: Final = 0x00FE  # of a TIFF's page; its lowest bit says: a smaller copy of another page
_THUMBNAIL: Final = 4  # a page whose sides are at most a quarter of the first's is a preview of it

# What a file of the ISO media kind is, by its brands. "mif1" says no more than "a picture".
_AVIF: Final = frozenset([b"avif", b"avis"])
_HEIF: Final = frozenset(
    [b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"]
)


class _Jpeg(JpegImagePlugin.JpegImageFile):
    """A JPEG whose EXIF is not searched for a resolution: that is slow, and warns when damaged."""

    def _read_dpi_from_exif(self) -> None:
        return


_STARTS: Final[tuple[tuple[bytes, str, Any], ...]] = (
    (b"\xff\xd8\xff", "JPEG", _Jpeg),
    (b"\x89PNG\r\n\x1a\n", "PNG", PngImagePlugin.PngImageFile),
    (b"GIF87a", "GIF", GifImagePlugin.GifImageFile),
    (b"GIF89a", "GIF", GifImagePlugin.GifImageFile),
    (b"BM", "BMP", BmpImagePlugin.BmpImageFile),
    (b"II*\0", "TIFF", TiffImagePlugin.TiffImageFile),
    (b"MM\0*", "TIFF", TiffImagePlugin.TiffImageFile),
    (b"II+\0", "TIFF", TiffImagePlugin.TiffImageFile),
    (b"MM\0+", "TIFF", TiffImagePlugin.TiffImageFile),
    (b"\xff\x4f\xff\x51", "JPEG2000", Jpeg2KImagePlugin.Jpeg2KImageFile),
    (b"\0\0\0\x0cjP  ", "JPEG2000", Jpeg2KImagePlugin.Jpeg2KImageFile),
    (arrays.MAGIC, "NPY", arrays.NpyImageFile),
    *((b"P%d" % n, "PPM", PpmImagePlugin.PpmImageFile) for n in range(1, 7)),
)


def kind(data: bytes) -> str:
    """Return the format that the first bytes announce; empty where regraft reads none such."""
    return _reader(data)[0]


def open_image(data: bytes) -> ImageFile.ImageFile:
    """Read the header. Raises whatever the decoder raises for a damaged one."""
    reader = _reader(data)[1]
    if reader is None:
        raise ValueError("no image format that regraft reads starts like this")
    image: ImageFile.ImageFile = reader(io.BytesIO(data))
    return image


def _reader(data: bytes) -> tuple[str, Any]:
    """Name and opener of the announced format; '' and None where there is none."""
    for start, name, reader in _STARTS:
        if data.startswith(start):
            return name, reader
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP", WebPImagePlugin.WebPImageFile
    brands = _brands(data)
    if brands & _AVIF:
        return "AVIF", AvifImagePlugin.AvifImageFile
    if brands & _HEIF and heif_reader() is not None:
        return "HEIF", heif_reader()
    return "", None


def _brands(data: bytes) -> set[bytes]:
    """Return what a file of the ISO media kind says that it is.

    Its first brand and those it fits.
    """
    if data[4:8] != b"ftyp":
        return set()
    head = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
    return {head[:4], *(head[i : i + 4] for i in range(8, len(head), 4))}


@cache
def heif_reader() -> Any:
    """Return what opens HEIC and HEIF; None where the package for it is not installed."""
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        return None
    return HeifImageFile


def frames(image: ImageFile.ImageFile) -> int:
    """Return how many pictures follow each other in the file.

    A JPEG or HEIC that carries more (a phone's depth map, a preview) is still one photo, and so is
    a TIFF whose other pages are small copies of the first.
    """
    if image.format == "HEIF":
        return 1
    if isinstance(image, TiffImagePlugin.TiffImageFile) and image.n_frames > 1:
        return _pages(image)
    count: int = getattr(image, "n_frames", 1)
    return count


def _pages(image: TiffImagePlugin.TiffImageFile) -> int:
    """Return the pages of a TIFF, without previews of the first, and make that current again."""
    width, height = image.size
    count = 1
    for number in range(1, image.n_frames):
        image.seek(number)
        small = max(image.width / width, image.height / height) * _THUMBNAIL <= 1
        count += not (small or int(image.tag_v2.get(_SUBFILE, 0)) & 1)
    image.seek(0)
    return count


def orientation(image: ImageFile.ImageFile) -> int:
    """EXIF orientation, 1 to 8 (1: as it is)."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        value = image.tag_v2.get(_ORIENTATION, 1)
    else:
        value = exif_orientation(image.info.get("exif") or b"")
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def turns_itself(image: ImageFile.ImageFile) -> bool:
    """Return whether Pillow applies this file's orientation, to its size and in decoding."""
    return isinstance(image, TiffImagePlugin.TiffImageFile)


def exif_orientation(exif: bytes) -> int:
    """Return the tag in a block's first directory; 1 where there is none or it is damaged.

    Read here, because Pillow parses every tag for it and warns of each damaged one.
    """
    block = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", block, 4)
        (count,) = struct.unpack_from(f"{order}H", block, start)
        for entry in range(count):
            tag, form, _, value = struct.unpack_from(f"{order}HHIH", block, start + 2 + 12 * entry)
            if tag == _ORIENTATION and form == 3:
                return int(value)
    except struct.error:
        pass
    return 1


def diagnose(data: bytes, error: Exception) -> tuple[str, str]:
    """Code (as in ``Facts.problem``) and words for bytes that a decoder refused with this error."""
    name = kind(data)
    if not name:
        return "not-an-image", _guess(data)
    words = " ".join(str(error).split()) or type(error).__name__
    if "truncated" in words.lower() or _ends_early(name, data):
        return "truncated", f"ends after {len(data):,} bytes, before the picture is complete"
    return "unreadable", words if name == "NPY" else f"damaged {name}: {words}"


def _ends_early(name: str, data: bytes) -> bool:
    """Return whether the end that the format prescribes is missing."""
    if name == "WEBP":
        return len(data) < 8 + int.from_bytes(data[4:8], "little")
    end = {"JPEG": b"\xff\xd9", "PNG": b"IEND", "GIF": b";"}.get(name)
    return end is not None and end not in data[-1024:]


def _guess(data: bytes) -> str:
    """Return what a file that is no readable image seems to be."""
    if _brands(data) & _HEIF:
        return "a HEIC photo, which needs a package: pip install 'regraft[heic]'"
    start = data[:256].lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    for prefix, what in (
        (b"<svg", "an SVG drawing: export it as PNG"),
        (b"<!doctype html", "a web page, not the image that it showed"),
        (b"<html", "a web page, not the image that it showed"),
        (b"%pdf", "a PDF document"),
        (b"pk\x03\x04", "a zip archive"),
        (b"8bps", "a Photoshop document: export it as PNG"),
    ):
        if start.startswith(prefix):
            return what
    return f"{len(data):,} bytes that start like no image: {data[:8].hex(' ')}"
