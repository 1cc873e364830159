"""What is a copy and what is not: the same capture is, another capture of the same scene is not."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from pictures import encode, facts_of, in_memory, photo
from regraft.data.audit import Audit, NearCopies, audit
from regraft.data.dataset import Dataset
from regraft.data.images import likeness

Draw = Callable[[int], Image.Image]


def part(seed: int, fault: str = "") -> Image.Image:
    """One part on a plate under a fixed camera: another shift, light and noise in each capture."""
    random = np.random.default_rng([seed, len(fault)])
    plate = Image.new("RGB", (200, 200), (150, 150, 155))
    draw = ImageDraw.Draw(plate)
    draw.ellipse((30, 30, 170, 170), fill=(90, 95, 110))
    draw.ellipse((75, 75, 125, 125), fill=(150, 150, 155))
    plate = plate.filter(ImageFilter.GaussianBlur(2))
    draw = ImageDraw.Draw(plate)
    angle = random.uniform(0, 6.28)
    x, y = 100 + 47 * np.cos(angle), 100 + 47 * np.sin(angle)
    if fault == "scratch":
        draw.line((x - 15, y - 10, x + 15, y + 10), fill=(210, 210, 215), width=4)
    if fault == "hole":
        draw.ellipse((x - 8, y - 8, x + 8, y + 8), fill=(20, 20, 25))
    moved = (1, 0, random.uniform(-1, 1), 0, 1, random.uniform(-1, 1))
    plate = plate.transform(plate.size, Image.Transform.AFFINE, moved)
    grain = random.normal(0, 2, (200, 200, 3))
    return Image.fromarray(np.clip(np.asarray(plate, float) + grain, 0, 255).astype(np.uint8))


def digit(seed: int) -> Image.Image:
    """A stroke of a pen, 28 px square."""
    random = np.random.default_rng(seed)
    image = Image.new("L", (112, 112))
    points = [tuple(map(float, random.uniform(20, 92, 2))) for _ in range(5)]
    ImageDraw.Draw(image).line(points, fill=255, width=12, joint="curve")
    return image.resize((28, 28), Image.Resampling.LANCZOS)


def form(seed: int) -> Image.Image:
    """A white page with lines of text, as screenshots and forms are."""
    random = np.random.default_rng(seed)
    page = Image.new("RGB", (200, 260), "white")
    draw = ImageDraw.Draw(page)
    for line in range(14):
        if random.random() < 0.6:
            y, end = 15 + 17 * line, int(random.integers(50, 180))
            draw.rectangle((15, y, end, y + 5), fill=(40, 40, 40))
    return page


def sprite(seed: int) -> Image.Image:
    """A few big pixels in a few colours."""
    random = np.random.default_rng(seed)
    half = random.integers(0, 4, (12, 6))
    colours = random.integers(0, 256, (4, 3), dtype=np.uint8)
    return Image.fromarray(colours[np.concatenate([half, half[:, ::-1]], 1)]).resize((96, 96), 0)


def xray(seed: int) -> Image.Image:
    """A soft grey picture of the same layout as all others."""
    random = np.random.default_rng(seed)
    image = Image.new("L", (220, 200), 60)
    draw = ImageDraw.Draw(image)
    for x in (65, 155):
        w, h = random.uniform(25, 42), random.uniform(50, 80)
        draw.ellipse((x - w, 100 - h, x + w, 100 + h), fill=int(random.integers(10, 40)))
    for _ in range(7):
        x, y = random.uniform(20, 200, 2)
        w = random.uniform(8, 28)
        draw.ellipse((x - w, y - w, x + w, y + w), fill=int(random.integers(60, 200)))
    return image.filter(ImageFilter.GaussianBlur(6))


def again(image: Image.Image, how: str) -> bytes:
    """A copy of the picture."""
    width, height = image.size
    made = {
        "brighter": lambda: ImageEnhance.Brightness(image).enhance(1.1),
        "darker": lambda: ImageEnhance.Brightness(image).enhance(0.8),
        "double size": lambda: image.resize((2 * width, 2 * height), Image.Resampling.BICUBIC),
        "crop": lambda: image.crop(
            (width // 40, height // 40, width - width // 40, height - height // 40)
        ),
        "half size": lambda: image.resize((width // 2, height // 2), Image.Resampling.LANCZOS),
    }.get(how, lambda: image)()
    if how == "webp":
        return encode(made, "WEBP", quality=50)
    return encode(made, quality=60 if how == "jpeg 60" else 85)


def joined(found: Audit) -> int:
    """How many images share a group with another one."""
    return sum(count for count in Counter(found.groups.tolist()).values() if count > 1)


DRAWN: dict[str, Draw] = {
    "photos": lambda n: photo(n, 120, 90),
    "forms": form,
    "sprites": sprite,
    "X-rays": xray,
    "digits": digit,
}
COPIES = [
    *("jpeg 60", "jpeg 85", "webp", "double size", "half size", "brighter", "darker"),
    "crop",
]


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("kind", DRAWN)
def test_a_copy_is_the_same_capture(kind: str, how: str) -> None:
    draw = DRAWN[kind]
    files = {f"{'ab'[n % 2]}/{n:03}.png": encode(draw(n), "PNG") for n in range(80)}
    copies = {f"{'ab'[n % 2]}/{n:03}-copy.jpg": again(draw(n), how) for n in range(20)}
    dataset = in_memory(files | copies)
    found = audit(dataset, facts_of(dataset))
    group = {dataset.items[i].path: g for i, g in zip(found.kept, found.groups, strict=True)}
    same = [group[path] == group[path.replace("-copy.jpg", ".png")] for path in copies]
    assert sum(same) >= 19
    assert joined(found) == 2 * sum(same)


def test_halves_are_found_by_their_hashes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a set that is too large to compare all pairs."""
    monkeypatch.setattr(likeness, "_ALL", 0)
    files = {f"{'ab'[n % 2]}/{n:03}.png": encode(digit(n), "PNG") for n in range(60)}
    files |= {f"{'ab'[n % 2]}/{n:03}-copy.jpg": again(digit(n), "half size") for n in range(20)}
    dataset = in_memory(files)
    assert joined(audit(dataset, facts_of(dataset))) >= 2 * 19


@pytest.mark.parametrize("kind", DRAWN)
def test_different_captures_are_none(kind: str) -> None:
    files = {f"{'ab'[n % 2]}/{n:03}.png": encode(DRAWN[kind](n), "PNG") for n in range(200)}
    dataset = in_memory(files)
    assert joined(audit(dataset, facts_of(dataset))) == 0


def parts(split: bool) -> Dataset:
    """A fixed camera's pictures of good and bad parts, with or without a split of its own."""
    files = {}
    for side, share in (("train", 1.0), ("test", 0.3)) if split else (("", 1.0),):
        for fault, count in (("ok", 30), ("scratch", 16), ("hole", 16)):
            for n in range(int(share * count)):
                image = part(1000 * bool(side == "test") + n, "" if fault == "ok" else fault)
                files[f"{side}/{fault}/{n:03}.png".lstrip("/")] = encode(image, "PNG")
    return in_memory(files, ("train", "test") if split else ())


@pytest.mark.parametrize("split", [False, True], ids=["no split", "own split"])
def test_captures_of_a_fixed_camera_are_no_copies_and_it_is_said(split: bool) -> None:
    dataset = parts(split)
    found = audit(dataset, facts_of(dataset))
    assert found.left_out == ()
    assert joined(found) == 0
    (sentence,) = (one for one in found.warnings if "--group-by" in one)
    assert "held-out images look like training ones" in sentence


def test_half_of_a_set_may_be_copies() -> None:
    files = {}
    for n in range(24):
        image = photo(n, 160, 120)
        files[f"{'abc'[n % 3]}/{n:03}.png"] = encode(image, "PNG")
        files[f"{'abc'[n % 3]}/{n:03}-copy.jpg"] = again(image, COPIES[n % len(COPIES)])
    dataset = in_memory(files)
    found = audit(dataset, facts_of(dataset))
    assert joined(found) == 48
    assert len(set(found.groups.tolist())) == 24


def test_a_chain_joins_nothing_that_no_pair_joins() -> None:
    """One picture that turns slowly into another: neighbours are near, the ends are not."""
    first, last = photo(1, 120, 90), photo(2, 120, 90)
    files = {f"a/{n:03}.png": encode(Image.blend(first, last, n / 60), "PNG") for n in range(61)}
    files |= {f"b/{n:03}.png": encode(photo(n, 120, 90), "PNG") for n in range(10, 80)}
    dataset = in_memory(files)
    found = audit(dataset, facts_of(dataset))
    assert max(Counter(found.groups.tolist()).values()) <= 3


def test_failed_captures_are_no_copies_of_one_another() -> None:
    random = np.random.default_rng(0)
    files = {f"a/{n:03}.png": encode(photo(n), "PNG") for n in range(20)}
    for n in range(20):
        level = 2 if n % 2 else 253
        grain = np.clip(random.normal(level, 1, (64, 64, 3)), 0, 255).astype(np.uint8)
        files[f"b/{n:03}.png"] = encode(Image.fromarray(grain), "PNG")
    dataset = in_memory(files)
    assert joined(audit(dataset, facts_of(dataset))) == 0


@pytest.mark.parametrize("near_copies", ["group", "drop"])
def test_no_class_is_emptied_because_its_training_images_copy_held_out_ones(
    near_copies: NearCopies,
) -> None:
    files = {}
    for n in range(8):
        files[f"train/a/{n}.png"] = encode(photo(n, 120, 90), "PNG")
        files[f"test/a/{n}.jpg"] = again(photo(n, 120, 90), "jpeg 60")
        files[f"train/b/{n}.png"] = encode(photo(n + 50, 120, 90), "PNG")
        files[f"test/b/{n}.png"] = encode(photo(n + 90, 120, 90), "PNG")
    dataset = in_memory(files, ("train", "test"))
    found = audit(dataset, facts_of(dataset), near_copies=near_copies)
    assert len(found.kept) == 32
    (sentence,) = (one for one in found.warnings if "they are kept" in one)
    assert sentence.startswith("8 images of 'a' nearly copy others")


@pytest.mark.parametrize(
    ("near_copies", "left", "groups"), [("group", 20, 14), ("keep", 20, 20), ("drop", 14, 14)]
)
def test_what_is_done_with_copies(near_copies: NearCopies, left: int, groups: int) -> None:
    files = {f"{'ab'[n % 2]}/{n:02}.png": encode(photo(n, 120, 90), "PNG") for n in range(14)}
    files |= {f"{'ab'[n % 2]}/{n:02}-x.jpg": again(photo(n, 120, 90), "webp") for n in range(6)}
    dataset = in_memory(files)
    found = audit(dataset, facts_of(dataset), near_copies=near_copies)
    assert len(found.kept) == left
    assert len(set(found.groups.tolist())) == groups
    if near_copies == "drop":
        assert found.reasons == {"near-copy": 6}
        assert "nearly the same picture as a/00" in found.left_out[0].detail
