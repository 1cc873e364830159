"""Pictures of more than 8 bits, and long ones: what of them a network sees, over a whole set."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import regraft
from pictures import VIEW, encode, in_memory, jpeg, photo, seen
from regraft.data.dataset import Dataset
from regraft.data.images import View
from regraft.data.images.view import BORDER
from regraft.errors import UsageError
from regraft.plan.choices import Choices
from regraft.plan.definition import Ran
from regraft.plan.wording import once
from regraft.run.fit_image import is_better, scaled

NETWORK = "demonstration"


# --- pictures of more than 8 bits: one scale for a set -------------------------------------------


def ramp(low: float, high: float, kind: str) -> Image.Image:
    """A picture that goes from one value to another."""
    values = np.linspace(low, high, 64 * 64).reshape(64, 64)
    return Image.fromarray(
        values.astype(kind) if kind == "float32" else values.round().astype(kind)
    )


def stored(image: Image.Image) -> bytes:
    return encode(image, "PNG" if image.mode == "I;16" else "TIFF")


@pytest.mark.parametrize(
    ("pictures", "scale"),
    [
        pytest.param([ramp(0, top, "uint16") for top in (90, 200)], (0, 255), id="8 bits in 16"),
        pytest.param([ramp(0, top, "uint16") for top in (90, 900)], (0, 1023), id="10 bits in 16"),
        pytest.param([ramp(0, 4000, "uint16")], (0, 4095), id="12 bits in 16"),
        pytest.param([ramp(0, top, "uint16") for top in (900, 16000)], (0, 16383), id="14 bits"),
        pytest.param([ramp(3000, 64000, "uint16")], (0, 65535), id="16 bits"),
        pytest.param([ramp(0, 90_000, "int32")], (0, 131071), id="17 bits in 32"),
        pytest.param([ramp(-1000, 3000, "int32")], (-996, 2996), id="with a sign"),
        pytest.param([ramp(0, 1, "float32")], (0, 1), id="floats of 0..1"),
        pytest.param([ramp(0, 250, "float32")], (0, 255), id="floats of 0..255"),
        pytest.param([ramp(0, 0.01, "float32")], (0, 0.00999), id="small floats"),
        pytest.param([ramp(-4, 4, "float32")], (-3.992, 3.992), id="floats with a sign"),
    ],
)
def test_a_set_has_one_scale(pictures: list[Image.Image], scale: tuple[float, float]) -> None:
    facts = [seen(stored(picture))[0] for picture in pictures]
    view = scaled(VIEW, facts)
    found = view.floats if facts[0].mode == "F" else view.integers
    assert found == pytest.approx(scale, rel=2e-3)
    assert scaled(VIEW, [seen(jpeg(1))[0]]) == VIEW


def test_one_hot_pixel_and_one_failed_picture_set_no_scale() -> None:
    pictures = [np.full((64, 64), 100 * i, np.uint16) for i in range(1, 40)]
    for picture in pictures:
        picture[0, 0] = 65535
    pictures[7][:] = 65535
    facts = [seen(stored(Image.fromarray(picture)))[0] for picture in pictures]
    assert scaled(VIEW, facts).integers == (0, 4095)


@pytest.mark.parametrize(
    ("value", "kind", "view", "level"),
    [
        pytest.param(1000, "uint16", {"integers": (0, 65535)}, 3, id="dark in 16 bits"),
        pytest.param(1000, "uint16", {"integers": (0, 4095)}, 62, id="the same in 12"),
        pytest.param(9000, "uint16", {"integers": (0, 4095)}, 255, id="brighter than white"),
        pytest.param(1000, "int32", {"integers": (-1000, 3000)}, 127, id="with a sign"),
        pytest.param(-5000, "int32", {"integers": (-1000, 3000)}, 0, id="darker than black"),
        pytest.param(0.5, "float32", {"floats": (0, 1)}, 127, id="floats"),
        pytest.param(0.5, "float32", {"floats": (0, 5)}, 25, id="floats of a set up to 5"),
        pytest.param(1000, "uint16", {}, 62, id="without a scale: by itself"),
    ],
)
def test_a_view_scales_deep_pictures(
    value: float, kind: str, view: dict[str, tuple[float, float]], level: int
) -> None:
    image = Image.fromarray(np.full((64, 64), value, kind))
    square = seen(stored(image), View(32, 0.8, **view))[1]  # type: ignore[arg-type]
    assert set(square.ravel().tolist()) == {level}


def test_8_bits_are_the_same_under_any_scale() -> None:
    plain = seen(jpeg(1))[1]
    scaled_view = View(32, 0.8, integers=(0, 4095), floats=(0, 1))
    assert np.array_equal(seen(jpeg(1), scaled_view)[1], plain)
    keys = {VIEW.key, scaled_view.key, View(32, 0.8, integers=(0, 65535)).key}
    assert len(keys) == 3
    assert VIEW.key == "32-0.8-bicubic"


# --- long pictures -------------------------------------------------------------------------------


def strip(width: int, height: int) -> Image.Image:
    """Red at one end, blue at the other, green between."""
    image = Image.new("RGB", (width, height), (0, 200, 0))
    near, far = ((9, height), (width - 9, 0)) if width > height else ((width, 9), (0, height - 9))
    image.paste((200, 0, 0), (0, 0, *near))
    image.paste((0, 0, 200), (*far, width, height))
    return image


@pytest.mark.parametrize("size", [(200, 40), (40, 200), (151, 33)])
@pytest.mark.parametrize(
    ("fit", "ends", "border"),
    [("crop", False, False), ("pad", True, True), ("squash", True, False)],
)
def test_what_a_square_shows_of_a_strip(
    size: tuple[int, int], fit: str, ends: bool, border: bool
) -> None:
    square = seen(encode(strip(*size), "PNG"), View(64, 0.875, fit=fit))[1].astype(int)
    red = (square[..., 0] > 150) & (square[..., 1] < 90)
    blue = (square[..., 2] > 150) & (square[..., 1] < 90)
    assert (bool(red.any()), bool(blue.any())) == (ends, ends)
    assert bool((np.abs(square - BORDER).max(-1) == 0).any()) == border
    turned = seen(
        encode(strip(*size).transpose(Image.Transpose.ROTATE_180), "PNG"), View(64, 0.875, fit=fit)
    )[1].astype(int)
    assert np.abs(square - turned[::-1, ::-1]).max() <= 2


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
def test_an_export_sees_the_same_square(fit: str) -> None:
    from torch import from_numpy

    from regraft.export.classifier import square

    image = photo(5, 150, 40)
    view = View(48, 0.875, "bilinear", fit=fit)
    pixels = from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None].float()
    made = square(pixels, view)[0].permute(1, 2, 0).numpy()
    assert np.abs(made - seen(encode(image, "PNG"), view)[1]).max() <= 2


# --- whole runs ----------------------------------------------------------------------------------


def exposures(brightest: int = 65535) -> Dataset:
    """Three exposures of one 16-bit camera; each picture by itself looks like all others."""
    files = {}
    for label, share in {"low": 0.06, "mid": 0.25, "high": 0.95}.items():
        for i in range(12):
            grey = np.asarray(photo(37 * i + int(100 * share)).convert("L"), float)
            top = share * brightest * (1 - 0.01 * (i % 5))
            picture = np.round((0.5 + 0.5 * grey / grey.max()) * top).astype(np.uint16)
            files[f"{label}/{i:02}.png"] = encode(Image.fromarray(picture), "PNG")
    return in_memory(files)


def ends(width: int = 320, height: int = 64) -> Dataset:
    """Strips with a red or a blue end."""
    files = {}
    for n, (label, colour) in enumerate({"red": (220, 30, 30), "blue": (30, 30, 220)}.items()):
        for i in range(14):
            image = photo(100 * n + i, width, height)
            left = 4 if i % 2 else width - 52
            image.paste(colour, (left, 8, left + 48, 56))
            files[f"{label}/{i:02}.png"] = encode(image, "PNG")
    return in_memory(files)


def test_a_run_keeps_the_scale_of_its_set(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = exposures()
    fitted = regraft.fit(data, NETWORK, choices=Choices(case=1), out=tmp_path / "run")
    assert fitted.plan.backbone.view.integers == (0, 65535)
    assert fitted.metrics["accuracy"] > 0.9
    assert "whole numbers from 0 (black) to 65,535 (white)" in fitted.plan.explain()
    loaded = regraft.load(tmp_path / "run")
    files = [data.read(i) for i in range(len(data))]
    right = [
        p.label == item.label for p, item in zip(loaded.predict(files), data.items, strict=True)
    ]
    assert sum(right) > 32
    assert "65,535" in (tmp_path / "run" / "README.md").read_text("utf-8")
    bright = np.full((64, 64), 300_000, np.int32)
    with caplog.at_level(logging.WARNING, "regraft"):
        loaded.predict([files[0], bright])
    assert "image 1: its values lie in 300,000..300,000" in caplog.text
    assert "image 0" not in caplog.text


def test_only_training_images_set_the_scale() -> None:
    data = exposures(4000)
    bright = encode(Image.fromarray(np.full((64, 64), 60_000, np.uint16)), "PNG")
    items = tuple(
        replace(item, split="test" if item.path.endswith(("1.png", "7.png")) else "train")
        for item in data.items
    )
    split = replace(data, items=items)
    held = next(i for i, item in enumerate(items) if item.split == "test")
    odd = replace(split, read=lambda i: bright if i == held else data.read(i))
    plans = [regraft.propose(one, NETWORK, case=1) for one in (split, odd)]
    assert [plan.backbone.view.integers for plan in plans] == [(0, 4095), (0, 4095)]


def test_a_plan_that_is_followed_keeps_its_view(tmp_path: Path) -> None:
    data = ends()
    plan = regraft.propose(data, NETWORK, case=1, fit_image="squash")
    assert plan.backbone.view.fit == "squash"
    assert "--fit-image squash" in plan.overrides
    result = regraft.apply(plan, data, out=tmp_path / "run")
    assert result.plan.backbone.view == plan.backbone.view
    assert regraft.load(tmp_path / "run").plan.backbone.view == plan.backbone.view


def test_long_pictures_are_padded_where_that_is_clearly_better() -> None:
    plan = regraft.propose(ends(), NETWORK, case=1)
    assert plan.backbone.view.fit == "pad"
    said = plan.explain()
    assert "typically 5.0 times as long as wide" in said
    assert "a border is put around them (pad)" in said
    cropped = regraft.propose(ends(), NETWORK, case=1, fit_image="crop")
    assert cropped.backbone.view.fit == "crop"
    assert plan.evidence.expected > cropped.evidence.expected + 0.1
    assert "80% of such a picture is never looked at" in cropped.explain()
    usual = regraft.propose(ends(96, 64), NETWORK, case=1)
    assert usual.backbone.view.fit == "crop"
    assert "border" not in usual.explain()


@pytest.mark.parametrize("data", [ends(), exposures()], ids=["border", "scale"])
def test_what_a_part_of_the_images_decided_is_said(data: Dataset, tmp_path: Path) -> None:
    """Each image is held out once, and how all are seen was chosen with four fifths of them."""
    plan = regraft.fit(data, NETWORK, choices=Choices(case=1), out=tmp_path / "run").plan
    assert plan.proof == "cross-validated"
    some = {reason.once for reason in plan.reasons} - {0}
    assert some == {len(data) - 6}
    said = f"Chosen once, not anew: how pictures are seen (scale, crop or border), on {max(some)}"
    page_of_run = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert said in page_of_run
    assert said in (tmp_path / "run" / "README.md").read_text("utf-8")
    assert f" {max(some)} images" in plan.explain()
    bordered = "sees it, all of it within a border" in page_of_run
    assert bordered == (plan.backbone.view.fit == "pad")
    ran = Ran("frozen", 1, 0.9, (0.8, 1.0), 0.1, 0, "", handed_over=True)
    assert "that it is no trained network, on 5 of them" in once(
        replace(plan, ran=(ran,), validation=5)
    )
    assert not once(replace(plan, split="test"))


@pytest.mark.parametrize(
    ("padded", "cropped", "better"),
    [
        pytest.param([1] * 60, [1] * 40 + [0] * 20, True, id="by far"),
        pytest.param([1] * 42 + [0] * 18, [1] * 40 + [0] * 20, False, id="within noise"),
        pytest.param([1] * 40 + [0] * 20, [1] * 60, False, id="worse"),
        pytest.param([1] * 60, [1] * 60, False, id="the same"),
    ],
)
def test_a_border_has_to_win_by_more_than_noise(
    padded: list[int], cropped: list[int], better: bool
) -> None:
    assert is_better(np.array(padded, bool), np.array(cropped, bool)) == better


def test_a_fit_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match=r"--fit-image must be auto, crop, pad, squash, got 'box'"):
        regraft.propose(ends(), NETWORK, fit_image="box")
