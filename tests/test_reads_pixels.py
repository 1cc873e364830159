"""What regraft makes of each kind of picture: one table a kind, each row a right value."""

import io
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from pictures import VIEW, encode, facts_of, in_memory, jpeg, lay_out, photo, seen
from regraft.cli.predict import find
from regraft.data.audit import audit
from regraft.data.dataset import Dataset
from regraft.data.images import View, formats, inspect
from regraft.data.readers.layout import is_image
from regraft.data.readers.pictures import bytes_of, several
from regraft.errors import DataError

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


# --- transparency, and pictures that show nothing ------------------------------------------------


def icon(colour: tuple[int, int, int], mode: str = "RGBA", edge: int = 255) -> bytes:
    """A bar of one colour on clear ground."""
    image = Image.new("RGBA", (60, 60), (0, 0, 0, 0))
    image.paste((*colour, edge), (20, 10, 40, 50))
    return encode(image.convert(mode), "PNG")


@pytest.mark.parametrize(
    ("data", "corner", "middle", "note"),
    [
        pytest.param(icon((255, 255, 255)), 0, 255, True, id="white"),
        pytest.param(icon((250, 240, 235)), 0, 242, True, id="nearly white"),
        pytest.param(icon((255, 255, 255), "LA"), 0, 255, True, id="white, grey and alpha"),
        pytest.param(icon((255, 255, 255), edge=99), 0, 99, True, id="white and half clear"),
        pytest.param(icon((0, 0, 0)), 255, 0, False, id="black"),
        pytest.param(icon((120, 120, 120)), 255, 120, False, id="grey"),
        pytest.param(icon((255, 210, 0)), 255, 155, False, id="yellow"),
    ],
)
def test_what_is_visible_differs_from_its_ground(
    data: bytes, corner: int, middle: int, note: bool
) -> None:
    facts, square = seen(data, View(60, 1.0))
    assert abs(float(square[0, 0].mean()) - corner) < 2
    assert abs(float(square[30, 30].mean()) - middle) < 2
    assert ("white-on-clear" in facts.notes) == note
    assert "blank" not in facts.notes


def noise(level: float, sigma: float, side: int = 64) -> Image.Image:
    drawn = np.random.default_rng(0).normal(level, sigma, (side, side, 3))
    return Image.fromarray(drawn.clip(0, 255).astype(np.uint8))


def dot() -> Image.Image:
    image = noise(200, 1)
    image.paste((90, 90, 90), (30, 30, 34, 34))
    return image


@pytest.mark.parametrize(
    ("image", "blank"),
    [
        pytest.param(noise(2, 1), True, id="black"),
        pytest.param(noise(253, 1), True, id="white"),
        pytest.param(noise(99, 1), True, id="one grey"),
        pytest.param(Image.new("RGBA", (64, 64), (9, 9, 9, 0)), True, id="all clear"),
        pytest.param(Image.new("I;16", (64, 64), 4000), True, id="16 bits of one value"),
        pytest.param(noise(99, 8), False, id="noise"),
        pytest.param(dot(), False, id="a dot"),
        pytest.param(photo(1), False, id="a photo"),
        pytest.param(photo(1).point(lambda level: level // 8), False, id="a dark photo"),
    ],
)
def test_a_picture_that_shows_nothing_is_noted(image: Image.Image, blank: bool) -> None:
    assert ("blank" in seen(encode(image, "PNG"))[0].notes) == blank


def test_the_audit_says_which_images_show_nothing() -> None:
    files = {
        f"{label}/{i}.png": encode(photo(i + 9 * (label == "a")), "PNG")
        for label in "ab"
        for i in range(4)
    }
    files["a/dark.png"] = encode(noise(2, 1), "PNG")
    dataset = in_memory(files)
    found = audit(dataset, facts_of(dataset))
    assert len(found.kept) == 9
    assert "1 image shows nothing but one colour, such as a/dark.png" in " ".join(found.warnings)


# --- pictures in memory --------------------------------------------------------------------------

GREY = np.asarray(PHOTO.convert("L"))
RGB = np.asarray(PHOTO)


def tagged(image: Image.Image, form: str, orientation: int = 6) -> Image.Image:
    """A photo as it is opened, with an orientation that is still to be applied."""
    tag = Image.Exif()
    tag[0x0112] = orientation
    return Image.open(io.BytesIO(encode(image, form, exif=tag)))


class Tensor:
    """As much of a tensor as is asked for: on another device, with a gradient."""

    def __init__(self, values: NDArray[np.generic], place: str = "cuda") -> None:
        self.values, self.place = values, place

    def detach(self) -> "Tensor":
        return self

    def cpu(self) -> "Tensor":
        return Tensor(self.values, "cpu")

    def numpy(self) -> NDArray[np.generic]:
        if self.place != "cpu":
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        return self.values


IN_MEMORY = [
    *(
        pytest.param(tagged(PHOTO, form), PHOTO.rotate(-90, expand=True), id=f"turned {form}")
        for form in ("PNG", "TIFF")
    ),
    *(
        pytest.param(PHOTO.convert(mode), PHOTO.convert(mode).convert("RGB"), id=f"PIL {mode}")
        for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "RGBX")
    ),
    pytest.param(RGB, RGB, id="[h, w, 3]"),
    pytest.param(np.moveaxis(RGB, -1, 0), RGB, id="[3, h, w]"),
    pytest.param(GREY, GREY, id="[h, w]"),
    pytest.param(GREY[..., None], GREY, id="[h, w, 1]"),
    pytest.param(GREY[None], GREY, id="[1, h, w]"),
    pytest.param(np.dstack([RGB, np.full_like(GREY, 255)]), RGB, id="[h, w, 4]"),
    *(
        pytest.param(RGB.astype(kind), RGB, id=f"{kind} of 0..255")
        for kind in ("int16", "uint16", "int32", "int64", "uint64")
    ),
    *(
        pytest.param((RGB / 255).astype(kind), RGB, id=f"{kind} of 0..1")
        for kind in ("float16", "float32", "float64")
    ),
    pytest.param(GREY > 99, (GREY > 99) * np.uint8(255), id="bool"),
    pytest.param(memoryview(RGB.tobytes()).cast("B", RGB.shape), RGB, id="memoryview"),
    pytest.param(RGB.tolist(), RGB, id="nested lists"),
    pytest.param(RGB[::-1, ::-1], RGB[::-1, ::-1], id="strides that go back"),
    pytest.param(Tensor(np.moveaxis(RGB, -1, 0)), RGB, id="a tensor elsewhere"),
    pytest.param(encode(PHOTO, "PNG"), PHOTO, id="a file's bytes"),
    pytest.param(bytearray(encode(PHOTO, "PNG")), PHOTO, id="a file's bytearray"),
]


@pytest.mark.parametrize(("picture", "wanted"), IN_MEMORY)
def test_every_picture_in_memory_goes_one_way(picture: object, wanted: object) -> None:
    expected = wanted if isinstance(wanted, Image.Image) else Image.fromarray(np.asarray(wanted))
    square = seen(bytes_of(picture))[1]
    assert np.abs(square.astype(int) - seen(encode(expected, "PNG"))[1]).max() <= 1
    if not isinstance(picture, bytes | bytearray):
        one = Dataset.from_arrays([picture, picture], ["a", "b"])
        assert one.read(0) == bytes_of(picture)
        assert Dataset.from_torch([(picture, 0), (picture, 1)]).read(1) == one.read(0)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_opened_is_the_photo_on_the_disk(form: str, orientation: int) -> None:
    opened = tagged(PHOTO, form, orientation)
    tag = Image.Exif()
    tag[0x0112] = orientation
    there = seen(encode(PHOTO, form, exif=tag))[1]
    here = seen(bytes_of(opened))[1]
    assert np.abs(here.astype(int) - there).mean() < 2


@pytest.mark.parametrize(
    ("images", "count"),
    [
        pytest.param(GREY.tolist(), 1, id="lists of numbers"),
        pytest.param(tuple(map(tuple, GREY.tolist())), 1, id="tuples of numbers"),
        pytest.param(RGB.tolist(), 1, id="lists of colours"),
        pytest.param([[1, 2], [3]], 1, id="ragged lists"),
        pytest.param([1, 2, 3], 1, id="a list of numbers"),
        pytest.param(np.zeros(9), 1, id="a row"),
        pytest.param(memoryview(encode(PHOTO, "PNG")), 1, id="a file's memoryview"),
        pytest.param({"image": RGB, "label": 0}, 1, id="a dict"),
        pytest.param(None, 1, id="None"),
        pytest.param((one for one in (RGB, GREY)), 2, id="a generator"),
    ],
)
def test_one_picture_or_many_to_predict(images: object, count: int) -> None:
    assert len(several(images)) == count


@pytest.mark.parametrize(
    ("shape", "as_tensor", "count"),
    [
        ((3, 40, 50), True, 1),
        ((1, 40, 50), True, 1),
        ((40, 50, 3), False, 1),
        ((40, 50), False, 1),
        ((3, 40, 50), False, 3),
        ((5, 40, 50), True, 5),
    ],
)
def test_one_array_or_several(shape: tuple[int, ...], as_tensor: bool, count: int) -> None:
    array = np.zeros(shape, np.uint8)
    given: Any = torch.from_numpy(array) if as_tensor else array
    assert len(several(given)) == count


def test_a_list_of_pictures_is_one_however_they_are_given() -> None:
    grey, colours, narrow = [GREY, GREY], [RGB.tolist()] * 2, [GREY[:, :3]]
    for pictures in (grey, colours, narrow, ["a.png", "b.png"], np.array(["a.png", "b.png"]), []):
        assert len(several(pictures)) == len(pictures)
    assert len(several(np.stack(grey).tolist())) == 2


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        pytest.param(np.zeros(9), "got shape [9]", id="a row"),
        pytest.param(np.zeros((2, 3, 9, 9)), "got shape [2, 3, 9, 9]", id="a batch"),
        pytest.param(np.full((9, 9), 255.0), "floats must lie in 0..1", id="floats of 0..255"),
        pytest.param(np.full((9, 9), np.nan), "got nan..nan", id="nan"),
        pytest.param(np.full((9, 9, 3), 4000), "colours must lie in 0..255", id="deep colour"),
        pytest.param([[1, 2], [3]], "inhomogeneous", id="ragged lists"),
        pytest.param(None, "shape []", id="None"),
        pytest.param(object(), "shape []", id="an object"),
        pytest.param({"image": 1}, "shape []", id="a dict"),
        pytest.param(np.array([["a"]]), "must be numbers", id="letters"),
        pytest.param(3, "shape []", id="a number"),
    ],
)
def test_what_is_no_picture_says_why(picture: object, words: str) -> None:
    with pytest.raises(OSError, match=re.escape(words)):
        bytes_of(picture)
    with pytest.raises(DataError) as caught:
        Dataset.from_arrays([RGB, picture], ["a", "b"])
    assert "image 1: " in str(caught.value)
    assert words in str(caught.value)
