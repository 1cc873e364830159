from typing import Any

import numpy as np
import pytest
from PIL import Image

from pictures import encode, jpeg, photo
from regraft.data.images import Facts, inspect
from regraft.data.images.likeness import likeness, near_groups


def usable(data: bytes) -> Facts:
    facts = inspect(data, [])[0]
    assert facts.problem == ""
    return facts


def one_colour(mode: str, colour: Any) -> Image.Image:
    return Image.new(mode, (40, 40), colour)


def group(*data: bytes) -> list[int]:
    facts = [usable(one) for one in data]
    thumbs = np.frombuffer(b"".join(fact.thumb for fact in facts), np.uint8).reshape(-1, 256)
    groups = near_groups(np.array([fact.phash for fact in facts], np.uint64), thumbs)
    first: dict[int, int] = {}
    return [first.setdefault(int(number), i) for i, number in enumerate(groups)]


@pytest.mark.parametrize("seed", range(12))
def test_a_photo_encoded_anew_or_rescaled_is_a_near_copy(seed: int) -> None:
    image = photo(seed, 240, 170)
    copies = [
        encode(image, "PNG"),
        encode(image, quality=60),
        encode(image.resize((168, 119)), quality=85),
        encode(image.resize((120, 85)), quality=60),
        encode(image.resize((480, 340)), quality=75),
        encode(image, "WEBP", quality=50),
        encode(image.point([min(255, level * 27 // 25) for level in range(256)] * 3), quality=90),
    ]
    assert group(*copies, jpeg(seed + 100, 240, 170)) == [0] * len(copies) + [len(copies)]


def test_different_photos_are_not() -> None:
    assert group(*(jpeg(seed, 48, 48) for seed in range(200))) == list(range(200))


def test_plain_areas_are_never_near_copies() -> None:
    assert group(*(encode(one_colour("L", level), "PNG") for level in (0, 0, 128, 255))) == [
        *range(4)
    ]


def test_the_same_shape_in_another_light_is_not() -> None:
    dark = photo(3, 90, 60).point([level // 2 for level in range(256)] * 3)
    light = dark.point([min(255, level + 100) for level in range(256)] * 3)
    assert group(encode(dark, "PNG"), encode(light, "PNG")) == [0, 1]


@pytest.mark.parametrize("flips", range(5))
def test_every_pair_within_four_bits_is_found(flips: int) -> None:
    random = np.random.default_rng(flips)
    thumb = random.integers(0, 256, 256, dtype=np.uint8)
    for _ in range(50):
        hashes = random.integers(0, 1 << 63, 40, dtype=np.uint64)
        places = random.choice(64, flips, replace=False)
        hashes[31] = hashes[7] ^ np.uint64(sum(1 << int(place) for place in places))
        thumbs = random.integers(0, 256, (40, 256), dtype=np.uint8)
        thumbs[[7, 31]] = thumb
        groups = near_groups(hashes, thumbs)
        assert groups[7] == groups[31]
        assert len(set(groups.tolist())) == 39


@pytest.mark.parametrize(("loss", "groups"), [(0.012, 1), (0.03, 2)])
def test_thumbnails_must_agree_closely(loss: float, groups: int) -> None:
    random = np.random.default_rng(0)
    one, other = random.normal(0, 40, (2, 256))
    other -= one * (one @ other) / (one @ one)
    mixed = one * (1 - loss) + other * np.linalg.norm(one) / np.linalg.norm(other) * np.sqrt(
        1 - (1 - loss) ** 2
    )
    thumbs = np.stack([one, mixed]).clip(-127, 127) + 128
    found = near_groups(np.zeros(2, np.uint64), thumbs.astype(np.uint8))
    assert len(set(found.tolist())) == groups


def test_a_trace_of_contrast_is_nothing_to_go_by() -> None:
    faint = np.tile(np.repeat(np.array([100, 101, 103], np.uint8), [200, 50, 6]), (2, 1))
    assert near_groups(np.zeros(2, np.uint64), faint).tolist() == [0, 1]
    assert near_groups(np.zeros(2, np.uint64), faint * np.uint8(2)).tolist() == [0, 1]
    strong = (faint - 100) * np.uint8(40)
    assert near_groups(np.zeros(2, np.uint64), strong).tolist() == [0, 0]


def test_a_hash_alone_does_not_make_a_copy() -> None:
    thumbs = np.random.default_rng(0).integers(0, 256, (300, 256), dtype=np.uint8)
    assert len(set(near_groups(np.zeros(300, np.uint64), thumbs).tolist())) == 300


def test_copies_of_copies_are_one_group() -> None:
    hashes = np.array([0b0, 0b1111, 0b11111111, 1 << 40], np.uint64)
    thumbs = np.tile(np.arange(256, dtype=np.uint8), (4, 1))
    groups = near_groups(hashes, thumbs)
    assert groups[0] == groups[1] == groups[2]


def test_thousands_that_are_alike_take_moments_and_are_no_copies() -> None:
    random = np.random.default_rng(0)
    still = random.integers(2, 250, 256)
    thumbs = (still + random.integers(-1, 2, (3000, 256))).astype(np.uint8)
    found = likeness(np.full(3000, 77, np.uint64), thumbs, np.zeros(3000, np.int64))
    assert len(set(found.groups.tolist())) == 3000
    assert found.crowded == {0}
