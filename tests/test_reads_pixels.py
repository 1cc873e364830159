"""What regraft makes of each kind of picture: one table a kind, each row a right value."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pictures import encode, jpeg, lay_out, photo
from regraft.cli.predict import find
from regraft.images import Facts, View, formats, inspect
from regraft.readers.layout import is_image

VIEW = View(32, 0.8)


def seen(data: bytes, view: View = VIEW) -> tuple[Facts, NDArray[np.uint8]]:
    """The facts and the square of a file that can be used."""
    facts, squares = inspect(data, [view])
    assert not facts.problem, facts
    assert squares is not None
    return facts, squares[0]


# --- files and formats ---------------------------------------------------------------------------


def heic(image: Image.Image, orientation: int = 1) -> bytes:
    from pillow_heif.as_plugin import _save_heif

    tag, buffer = Image.Exif(), io.BytesIO()
    tag[0x0112] = orientation
    image = image.copy()
    image.encoderinfo = {"exif": tag.tobytes(), "quality": 95}
    _save_heif(image, buffer, "x.heic")
    return buffer.getvalue()


def branded(data: bytes, major: bytes) -> bytes:
    """The same file of the ISO media kind under another first brand."""
    assert data[4:8] == b"ftyp"
    return data[:8] + major + data[12:]


def pages(first: Image.Image, second: Image.Image, subfile: int | None = None) -> bytes:
    """A TIFF of two pages, the second one perhaps marked as a smaller copy of the first."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    tags = ImageFileDirectory_v2()
    if subfile is not None:
        tags[254] = subfile
    second.encoderinfo = {"tiffinfo": tags}
    return encode(first, "TIFF", save_all=True, append_images=[second])


PHOTO = photo(3, 160, 120)


@pytest.mark.parametrize(
    ("data", "form"),
    [
        pytest.param(heic(PHOTO), "HEIF", id="heic"),
        pytest.param(branded(heic(PHOTO), b"mif1"), "HEIF", id="heic of brand mif1"),
        pytest.param(branded(encode(PHOTO, "AVIF"), b"mif1"), "AVIF", id="avif of brand mif1"),
        pytest.param(pages(PHOTO, photo(3, 80, 60), 1), "TIFF", id="tiff with a reduced page"),
        pytest.param(pages(PHOTO, photo(3, 40, 30)), "TIFF", id="tiff with a small page"),
        pytest.param(encode(PHOTO, "MPO", save_all=True, append_images=[PHOTO]), "JPEG", id="mpo"),
    ],
)
def test_one_photo_is_read_whatever_its_wrapping(data: bytes, form: str) -> None:
    facts, square = seen(data)
    assert (facts.format, facts.width, facts.height) == (form, 160, 120)
    wanted = seen(encode(PHOTO, "PNG"))[1]
    assert np.abs(square.astype(int) - wanted).mean() < 4


def test_two_pages_of_a_tiff_are_two_pictures() -> None:
    facts, _ = inspect(pages(PHOTO, photo(4, 160, 120)), [VIEW])
    assert (facts.problem, facts.detail) == ("animated", "2 pages")


def test_a_heic_photo_is_upright_once() -> None:
    facts, square = seen(heic(PHOTO, 6))
    assert (facts.width, facts.height) == (120, 160)
    wanted = seen(encode(PHOTO.transpose(Image.Transpose.ROTATE_270), "PNG"))[1]
    assert np.abs(square.astype(int) - wanted).mean() < 4


def test_heic_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "heif_reader", lambda: None)
    facts, _ = inspect(heic(PHOTO), [VIEW])
    assert facts.problem == "not-an-image"
    assert "pip install 'regraft[heic]'" in facts.detail


@pytest.mark.parametrize("suffix", sorted(formats.READ | formats.UNREAD))
def test_predict_finds_in_a_folder_what_fit_reads(suffix: str, tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "new", {f"a.{suffix.upper()}": b"x", "notes.txt": b"words"})
    found = find([str(folder)])
    assert found.images == [str(folder / f"a.{suffix.upper()}")]
    assert found.others == [str(folder / "notes.txt")]
    assert all(map(is_image, found.images))


def test_predict_follows_the_links_that_fit_follows(tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "new", {"own.jpg": jpeg(1), "sub/": b""})
    beside = lay_out(tmp_path / "beside", {"far.jpg": jpeg(2)})
    os.symlink(beside, folder / "link")
    os.symlink(folder, folder / "sub" / "circle")
    os.symlink(beside / "far.jpg", folder / "z.jpg")
    names = [str(Path(path).relative_to(folder)) for path in find([str(folder)]).images]
    assert names == ["own.jpg", "z.jpg", "link/far.jpg"]
