import io
import struct
import threading
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pictures import encode, jpeg, photo
from regraft.data.images import MAX_PIXELS, Facts, View, absent, digest, facts_key, inspect
from regraft.data.images.likeness import BITS

VIEW = View(32, 0.8)
FILTERS = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3}


def usable(data: bytes, *views: View) -> tuple[Facts, list[NDArray[np.uint8]]]:
    facts, squares = inspect(data, views)
    assert facts.problem == "", facts
    assert squares is not None
    bare, alone = inspect(data, views, describe=False)
    assert (bare.digest, bare.phash, bare.thumb) == (facts.digest, 0, b"")
    assert np.array_equal(alone, squares)  # type: ignore[arg-type]
    return facts, squares


def problem(data: bytes) -> Facts:
    facts, squares = inspect(data, [VIEW])
    assert squares is None
    assert facts.problem
    assert facts.detail
    assert (facts.phash, facts.thumb) == (0, b"")
    return facts


def slowly(image: Image.Image, view: View) -> NDArray[np.uint8]:
    """The textbook way: the whole photo to the size, then the middle of it."""
    image = image.convert("RGB")
    scale = view.size / view.crop * view.zoom / min(image.size)
    whole = image.resize(
        (round(image.width * scale), round(image.height * scale)), FILTERS[view.interpolation]
    )
    left, top = (whole.width - view.size) // 2, (whole.height - view.size) // 2
    return np.asarray(whole.crop((left, top, left + view.size, top + view.size)))


def difference(a: NDArray[Any], b: NDArray[Any]) -> float:
    return float(np.abs(a.astype(float) - b.astype(float)).mean())


def bits(a: Facts, b: Facts) -> int:
    return (a.phash ^ b.phash).bit_count()


# --- squares -------------------------------------------------------------------------------------


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize(("width", "height"), [(160, 100), (100, 160), (200, 200)])
@pytest.mark.parametrize("crop", [0.8, 1.0])
def test_the_square_is_the_middle_of_the_resized_photo(
    width: int, height: int, crop: float, interpolation: str
) -> None:
    view = View(40, crop, interpolation)
    image = photo(1, width, height)
    (square,) = usable(encode(image, "PNG"), view)[1]
    assert square.shape == (40, 40, 3)
    assert square.dtype == np.uint8
    assert difference(square, slowly(image, view)) < 2.5
    assert difference(square, slowly(photo(2, width, height), view)) > 20


@pytest.mark.parametrize(("width", "height"), [(720, 480), (737, 521), (483, 1025)])
def test_a_large_jpeg_is_decoded_small_without_moving_the_square(width: int, height: int) -> None:
    data = jpeg(3, width, height)
    (square,) = usable(data, VIEW)[1]
    side = min(width, height) * VIEW.crop
    left, top = (width - side) / 2, (height - side) / 2

    def middle(shift: float) -> NDArray[np.uint8]:
        box = (left + shift, top, left + side + shift, top + side)
        whole = Image.open(io.BytesIO(data))
        return np.asarray(whole.resize((32, 32), Image.Resampling.BICUBIC, box))

    assert difference(square, middle(0)) < 1
    assert difference(square, middle(side / 64)) > 2  # half a pixel of the square


@pytest.mark.parametrize(("side", "decoded"), [(255, 255), (256, 128), (400, 200), (513, 129)])
def test_decoding_small_never_falls_below_what_the_view_needs(
    side: int, decoded: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    convert = Image.Image.convert

    def watch(image: Image.Image, *rest: Any, **options: Any) -> Image.Image:
        seen.append(min(image.size))
        return convert(image, *rest, **options)

    data = jpeg(0, side + 40, side)
    monkeypatch.setattr(Image.Image, "convert", watch)
    usable(data, View(112, 0.875))  # needs 128
    assert seen[0] == decoded


def test_views_that_are_mirrored_or_zoomed() -> None:
    image = photo(4, 160, 120)
    views = [VIEW, View(32, 0.8, mirror=True), View(32, 0.8, zoom=1.5)]
    plain, mirrored, zoomed = usable(encode(image, "PNG"), *views)[1]
    assert np.array_equal(mirrored, plain[:, ::-1])
    assert difference(zoomed, slowly(image, views[2])) < 2.5
    assert all(square.flags.c_contiguous and square.flags.writeable for square in (plain, mirrored))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied(orientation: int, form: str) -> None:
    image = photo(5, 60, 40)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(image, form, exif=exif, **({"quality": 95} if form == "JPEG" else {}))
    facts, (square,) = usable(data, VIEW)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert (facts.width, facts.height) == upright.size
    assert ("rotated" in facts.notes) == (orientation > 1)
    assert difference(square, slowly(upright, VIEW)) < 3
    again = usable(encode(upright, "PNG"))[0]
    assert bits(facts, again) <= BITS
    seen, wanted = (np.frombuffer(fact.thumb, np.uint8) for fact in (facts, again))
    assert difference(seen, wanted) < 2


@pytest.mark.parametrize(
    "exif", [b"", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\0\x09xx"]
)
def test_damaged_exif_is_no_problem(exif: bytes) -> None:
    assert usable(encode(photo(6), exif=exif))[0].notes == ()


# --- colour --------------------------------------------------------------------------------------


def one_colour(mode: str, colour: Any) -> Image.Image:
    return Image.new(mode, (40, 40), colour)


@pytest.mark.parametrize(
    ("image", "form", "rgb", "notes"),
    [
        (one_colour("L", 90), "PNG", (90, 90, 90), ("grey",)),
        (one_colour("L", 90), "JPEG", (90, 90, 90), ("grey",)),
        (one_colour("1", 1), "PNG", (255, 255, 255), ("grey",)),
        (one_colour("P", 0), "GIF", (0, 0, 0), ("palette",)),
        (one_colour("RGBA", (200, 0, 0, 255)), "PNG", (200, 0, 0), ()),
        (one_colour("RGBA", (200, 0, 0, 0)), "PNG", (255, 255, 255), ("alpha",)),
        (one_colour("RGBA", (200, 0, 0, 51)), "PNG", (244, 204, 204), ("alpha",)),
        (one_colour("LA", (0, 0)), "PNG", (255, 255, 255), ("grey", "alpha")),
        (one_colour("CMYK", (0, 255, 255, 0)), "TIFF", (255, 0, 0), ("cmyk",)),
        (one_colour("CMYK", (0, 255, 255, 0)), "JPEG", (255, 0, 0), ("cmyk",)),
        (one_colour("I;16", 40 * 256), "PNG", (40, 40, 40), ("16-bit", "grey")),
        (one_colour("I;16", 40 * 16), "PNG", (40, 40, 40), ("16-bit", "grey")),
        (one_colour("I;16", 40), "TIFF", (40, 40, 40), ("16-bit", "grey")),
        (one_colour("I", 40 * 256), "TIFF", (40, 40, 40), ("16-bit", "grey")),
        (one_colour("F", 0.5), "TIFF", (127, 127, 127), ("16-bit", "grey")),
        (one_colour("RGB", (9, 99, 199)), "BMP", (9, 99, 199), ()),
        (one_colour("RGB", (9, 99, 199)), "PPM", (9, 99, 199), ()),
        (one_colour("RGB", (9, 99, 199)), "AVIF", (9, 99, 199), ()),
        (one_colour("RGB", (9, 99, 199)), "JPEG2000", (9, 99, 199), ()),
    ],
)
def test_every_kind_of_colour_becomes_rgb(
    image: Image.Image, form: str, rgb: tuple[int, int, int], notes: tuple[str, ...]
) -> None:
    facts, (square,) = usable(encode(image, form), VIEW)
    assert np.abs(square.astype(int) - rgb).max() <= 3
    assert facts.notes == (*notes, "blank")
    assert (facts.width, facts.height, facts.format) == (40, 40, form)


def test_palette_with_transparency_is_composited_on_white() -> None:
    image = one_colour("P", 1)
    image.putpalette([0, 0, 0, 200, 0, 0])
    facts, (square,) = usable(encode(image, "PNG", transparency=b"\xff\x00"), VIEW)
    assert facts.notes == ("palette", "alpha", "blank")
    assert square.min() == 255


def test_colour_of_16_bits_is_noted() -> None:
    rows = (b"\0" + struct.pack(">HHH", 0xFFFF, 0x8000, 0) * 40) * 40
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 40, 40, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
    facts, (square,) = usable(data, VIEW)
    assert facts.notes == ("16-bit", "blank")
    assert np.abs(square.astype(int) - (255, 128, 0)).max() <= 1


# --- problems ------------------------------------------------------------------------------------


def test_an_empty_file() -> None:
    assert problem(b"").problem == "empty"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"hello, I am a text", "68 65 6c"),
        (b"<!DOCTYPE html><html>404", "web page"),
        (b"<svg xmlns='x'/>", "SVG"),
        (b"%PDF-1.7", "PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "25 21 50"),
    ],
)
def test_what_is_not_an_image(data: bytes, words: str) -> None:
    facts = problem(data)
    assert facts.problem == "not-an-image"
    assert words in facts.detail


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.97])
def test_a_truncated_file(form: str, share: float) -> None:
    image = photo(7, 200, 150)
    data = encode(image.quantize(64) if form == "GIF" else image, form)
    cut = data[: int(len(data) * share)]
    facts = problem(cut)
    assert facts.problem in ("truncated", "unreadable")
    if form in ("JPEG", "PNG", "WEBP", "GIF"):
        assert facts.problem == "truncated"
        assert f"{len(cut):,} bytes" in facts.detail


def test_a_progressive_jpeg_that_ends_early() -> None:
    data = encode(photo(7, 200, 150), progressive=True)
    assert problem(data[: len(data) // 2]).problem == "truncated"
    assert usable(data)


def test_a_large_jpeg_is_decoded_to_its_end() -> None:
    data = jpeg(7, 1200, 900)
    facts, _ = inspect(data[: int(len(data) * 0.95)], [View(64)])
    assert facts.problem == "truncated"


def test_a_damaged_file() -> None:
    data = bytearray(encode(photo(8), "PNG"))
    data[60:90] = bytes(30)
    facts = problem(bytes(data))
    assert facts.problem == "unreadable"
    assert "damaged PNG" in facts.detail


def test_an_animation_says_how_many_frames() -> None:
    frames = [photo(i, 20, 20) for i in range(3)]
    for form in ("GIF", "WEBP", "PNG", "AVIF"):
        facts = problem(encode(frames[0], form, save_all=True, append_images=frames[1:]))
        assert (facts.problem, facts.detail) == ("animated", "3 frames")
    facts = problem(encode(frames[0], "TIFF", save_all=True, append_images=frames[1:]))
    assert (facts.problem, facts.detail) == ("animated", "3 pages")
    assert usable(encode(frames[0].quantize(), "GIF"))[0].notes == ("small", "palette")


def test_a_phone_photo_with_a_second_picture_inside_is_one_photo() -> None:
    data = encode(photo(1), "MPO", save_all=True, append_images=[photo(2, 40, 40)])
    assert usable(data)[0].format == "JPEG"


@pytest.mark.parametrize(
    ("width", "height", "notes"), [(8, 90, ("small",)), (31, 90, ("small",)), (32, 90, ())]
)
def test_a_small_image_is_used_and_noted(width: int, height: int, notes: tuple[str, ...]) -> None:
    facts, (square,) = usable(encode(photo(1, width, height), "PNG"), VIEW)
    assert facts.notes == notes
    assert square.shape == (32, 32, 3)


def test_a_tiny_image() -> None:
    facts = problem(encode(photo(1, 90, 7), "PNG"))
    assert facts.problem == "tiny"
    assert "90 x 7 px" in facts.detail


def test_a_bomb_is_refused_by_its_header() -> None:
    side = int(MAX_PIXELS**0.5) + 1
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    crc = struct.pack(">I", zlib.crc32(b"IHDR" + header))
    data = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + header + crc + b"\0\0\0\1IDATx\0\0\0\0"
    facts = problem(data)
    assert facts.problem == "bomb"
    assert f"{side:,} x {side:,} px" in facts.detail


def test_a_large_photo_that_is_no_bomb_raises_no_warning() -> None:
    grey = Image.new("L", (10_000, 9_100), 128)  # more than Pillow lets pass without a word
    assert usable(encode(grey), VIEW)[0].problem == ""


@given(st.binary(max_size=300))
def test_no_bytes_make_it_raise(data: bytes) -> None:
    assert (inspect(data, [VIEW])[1] is None) == bool(inspect(data, [VIEW])[0].problem)


@given(
    st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "JPEG2000", "AVIF"]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8),
    st.floats(0, 1),
)
def test_no_damage_makes_it_raise(
    form: str, damage: list[tuple[float, int]], length: float
) -> None:
    image = photo(9, 30, 20)
    data = bytearray(encode(image.quantize(16) if form == "GIF" else image, form))
    for place, value in damage:
        data[int(place * len(data))] = value
    facts, squares = inspect(bytes(data[: int(len(data) * length)]), [VIEW])
    assert (squares is None) == bool(facts.problem)


def test_pillow_is_left_as_it_was() -> None:
    from PIL import ImageFile

    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)
    inspect(jpeg(1)[:500], [VIEW])
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)


def test_threads_find_the_same() -> None:
    data = [jpeg(i, 300, 200) for i in range(8)]
    wanted = [usable(one, VIEW) for one in data]
    found: list[Any] = [None] * 32

    def work(start: int) -> None:
        for i in range(start, 32, 4):
            found[i] = inspect(data[i % 8], [VIEW])

    threads = [threading.Thread(target=work, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, (facts, squares) in enumerate(found):
        assert facts == wanted[i % 8][0]
        assert np.array_equal(squares[0], wanted[i % 8][1][0])


# --- facts ---------------------------------------------------------------------------------------


def test_facts_survive_json() -> None:
    for data in (jpeg(1), b"", encode(one_colour("I;16", 9), "PNG"), jpeg(1)[:200]):
        facts, _ = inspect(data, [VIEW])
        text = facts.to_json()
        assert Facts.from_json(text) == facts
        assert "\n" not in text
    missing = absent(FileNotFoundError(2, "No such file"))
    assert Facts.from_json(missing.to_json()) == missing
    assert missing.problem == "missing"


def test_facts_tell_size_and_digest() -> None:
    data = jpeg(1, 70, 50)
    facts, _ = usable(data)
    assert (facts.format, facts.mode, facts.width, facts.height) == ("JPEG", "RGB", 70, 50)
    assert facts.digest == digest(data)
    assert len(facts.digest) == 32
    assert facts.digest != inspect(data + b"\0", [])[0].digest


def test_views_have_keys() -> None:
    assert View(224, 0.875, "bicubic").key == "224-0.875-bicubic"
    assert View(224, 1.0, "bilinear", mirror=True).key == "224-1-bilinear-mirror"
    views = [View(224), View(225), View(224, 0.9), View(224, 0.9, "nearest")]
    views += [View(224, zoom=1.2), View(224, mirror=True)]
    assert len({view.key for view in views}) == 6


def test_a_view_names_all_that_is_wrong_with_it() -> None:
    with pytest.raises(ValueError, match=r"size .*0.*crop .*1\.5.*interpolation .*'box'.*zoom"):
        View(0, 1.5, "box", zoom=0.5)


def test_the_key_of_facts_follows_the_finest_view() -> None:
    assert facts_key([View(32)]) == facts_key([View(16), View(32)])
    assert facts_key([View(224)]) != facts_key([View(384)])
    assert View(224, 0.875).need == 256
    assert View(224, 0.9).need == 249
