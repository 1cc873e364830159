"""What is odd or damaged in shards is named, and costs that."""

import gc
import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pictures import check_reading, classes, facts_of, refusal
from regraft.data.audit import audit
from regraft.data.dataset import Dataset
from regraft.data.readers.tarmembers import tar_members
from shards import every, in_cls, in_json, samples, tar

CATS = classes({"cat": 6, "dog": 6}, 32, 32)


def spoilt(data: bytes, start: int, stop: int | None = None) -> bytes:
    """Bytes with some of them turned over; without an end, cut off there."""
    if stop is None:
        return data[:start]
    return data[:start] + bytes(255 - byte for byte in data[start:stop]) + data[stop:]


def cut_in(name: str) -> Callable[[bytes], bytes]:
    return lambda data: spoilt(data, data.index(name.encode()) + 600)


def no_header(name: str) -> Callable[[bytes], bytes]:
    return lambda data: spoilt(data, (place := data.index(name.encode())), place + 512)


DAMAGED: dict[str, tuple[Callable[[bytes], bytes], int, str, str]] = {
    "cut in an image": (cut_in("dog/001.jpg"), 7, "s/000.tar/dog/001.jpg", "cut short in it"),
    "cut between": (lambda d: spoilt(d, d.index(b"dog/001.jpg")), 7, "s/000.tar", "no end mark"),
    "an image's header": (no_header("cat/003.jpg"), 11, "s/000.tar", "after cat/002.cls"),
    "a header's date": (
        lambda d: spoilt(d, (p := d.index(b"cat/003.jpg") + 136), p + 4), 11,
        "s/000.tar", "after cat/002.cls"),
    "a label's header": (no_header("cat/003.cls"), 11, "cat/003.jpg", "no label"),
    "the first header": (no_header("cat/000.jpg"), 11, "s/000.tar", "at its start"),
    "no tar": (lambda data: b"nothing " * 999, 0, "s/000.tar", "it is no tar"),
    "empty": (lambda data: b"", 0, "s/000.tar", "it is empty"),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_shard_costs_what_is_damaged(case: str, tmp_path: Path) -> None:
    damage, left, path, words = DAMAGED[case]
    shard = tar(tmp_path / "s" / "000.tar", samples(CATS))
    shard.write_bytes(damage(shard.read_bytes()))
    more = classes({"cow": 3, "fox": 3}, 32, 32)
    tar(tmp_path / "s" / "001.tar", samples(more))
    dataset = Dataset.open(tmp_path / "s")
    check_reading(dataset, CATS | more)
    assert len(dataset) == left + 6
    found = {
        (entry.path, entry.reason, entry.detail)
        for entry in audit(dataset, facts_of(dataset)).left_out
    }
    path = path.removeprefix("s/")
    assert any(p == path and words in w and r in ("damaged-shard", "no-label") for p, r, w in found)


ODD: dict[str, tuple[dict[str, bytes], list[str], str, str]] = {
    "two of one name": (samples(CATS) | {"cat/000.jpg ": CATS["cat/001.jpg"]}, [],
        "cat/000.jpg", "repeated in its shard"),
    "no label": (samples(CATS) | {"cat/9.jpg": b"?"}, [], "cat/9.jpg", "no label"),
    "an empty label": (samples(CATS) | {"cat/9.jpg": b"?", "cat/9.cls": b" \n"}, [],
        "cat/9.jpg", "no label"),
    "a caption": (samples(CATS) | {"cat/9.jpg": b"?", "cat/9.txt": b"A cat.\nIt is grey."}, [],
        "cat/9.jpg", "no label"),
    "a long text": (samples(CATS) | {"cat/9.jpg": b"?", "cat/9.txt": b"cat " * 99}, [],
        "cat/9.jpg", "no label"),
    "bytes": (samples(CATS) | {"cat/9.jpg": b"?", "cat/9.cls": b"\xff\xfe\x00"}, [],
        "cat/9.jpg", "no label"),
    "no JSON": (samples(CATS) | {"cat/9.jpg": b"?", "cat/9.json": b"{"}, [],
        "cat/9.json", "no JSON"),
    "another picture": (samples(CATS) | {"cat/000.mask.png": b"?"}, [],
        "cat/000.mask.png", "no label"),
    "hidden": (samples(CATS) | {"cat/._000.jpg": b"?"}, [], "cat/._000.jpg", "hidden"),
    "leads out": (samples(CATS) | {"../e.jpg": b"?", "../e.cls": b"cat"}, [],
        "../e.jpg", "leads out"),
    "another kind": (samples(CATS) | {"cat/000.wav": b"?"}, [], "cat/000.wav", "not an image"),
    "two pictures of a key": ({"k.left.jpg": CATS["cat/000.jpg"], "k.cls": b"cat",
        "k.right.jpg": CATS["cat/001.jpg"]}, ["k.left.jpg", "k.right.jpg"], "", ""),
    "points in names": ({"1.5m.jpg": CATS["cat/000.jpg"], "1.5m.cls": b"cat"}, ["1.5m.jpg"],
        "", ""),
    "capital letters": ({"A.JPG": CATS["cat/000.jpg"], "A.cls": b"cat"}, ["A.JPG"], "", ""),
    "the label first": ({"a.cls": b"cat", "a.webp": CATS["cat/000.jpg"]}, ["a.webp"], "", ""),
    "cls before json": ({"a.jpg": CATS["cat/000.jpg"], "a.json": in_json("no"), "a.cls": b"cat",
        "a.txt": b"no"}, ["a.jpg"], "", ""),
    "a caption in json, a label in txt": ({"a.jpg": CATS["cat/000.jpg"], "a.json": b'{"url": "u"}',
        "a.txt": b"cat"}, ["a.jpg"], "", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", ODD)
def test_what_is_odd_in_a_shard(case: str, tmp_path: Path) -> None:
    files, names, path, words = ODD[case]
    dataset = Dataset.open(tar(tmp_path / "000.tar", files))
    assert [item.path for item in dataset.items] == (names or sorted(CATS))
    assert {item.label for item in dataset.items} <= {"cat", "dog"}
    found = {path.removeprefix("000.tar/"): why for path, why in dataset.skipped}
    assert words in found.get(path, "")


ODD_AND_EVEN = every(CATS, 0, 2), every(CATS, 1, 2)


def in_gzip(path: Path, files: dict[str, bytes], cut: int) -> None:
    """Write a compressed tar without its last bytes."""
    data = gzip.compress(tar(path, files).read_bytes())
    path.write_bytes(data[: len(data) - cut])


ACROSS: dict[str, tuple[Callable[[Path], object], int, tuple[str, ...], str]] = {
    "labels in one": (lambda place: tar(place / "1.tar", ODD_AND_EVEN[1]), 6,
        ("No image in 1.tar has a label.",), "cat/001.jpg: no label"),
    "another file of labels": (lambda place: tar(place / "1.tar", samples(ODD_AND_EVEN[1],
        "json", lambda label: b'{"class": "%s"}' % label.encode())), 12, (), ""),
    "another field": (lambda place: tar(place / "1.tar", samples(ODD_AND_EVEN[1],
        "json", lambda label: b'{"kind": "%s"}' % label.encode())), 6,
        ("No image in 1.tar has a label.",), "cat/001.jpg: no label"),
    "compressed": (lambda place: in_gzip(place / "1.tar.gz", samples(ODD_AND_EVEN[1]), 0),
        12, (), ""),
    "compressed and cut short": (lambda place: in_gzip(place / "1.tar.gz",
        samples(ODD_AND_EVEN[1]), 99), 6, (), "1.tar.gz: damaged in its shard: Compressed file"),
}  # fmt: skip


@pytest.mark.parametrize("case", ACROSS)
def test_shards_that_differ(case: str, tmp_path: Path) -> None:
    second, count, notes, words = ACROSS[case]
    tar(tmp_path / "0.tar", samples(ODD_AND_EVEN[0]))
    second(tmp_path)
    dataset = Dataset.open(tmp_path)
    assert len(dataset) == count
    assert dataset.classes == ("cat", "dog")
    assert dataset.notes[1:] == notes
    assert words in "\n".join(f"{path}: {why}" for path, why in dataset.skipped)


def test_an_image_that_cannot_be_used_is_named_with_its_shard(tmp_path: Path) -> None:
    for n in range(2):
        tar(tmp_path / f"{n}.tar", samples(every(CATS | {"cat/9.jpg": b"no photo"}, n, 2)))
    dataset = Dataset.open(tmp_path)
    [left] = audit(dataset, facts_of(dataset)).left_out
    assert (left.path, left.detail[-10:]) == ("cat/9.jpg", "(in 0.tar)")
    assert not Dataset.open(tar(tmp_path / "a" / "a.tar", CATS)).lies_in(0)


NAMES = ["a.jpg", "b/ü.jpg", "c/" + "n" * 98, "d" * 60 + "/" + "e" * 90 + ".jpg", "f" * 300, "g/"]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_are_those_that_tarfile_finds(form: int, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w", format=form) as target:
        for n, name in enumerate(NAMES):
            if len(name) < 200 or form != tarfile.USTAR_FORMAT:
                info = tarfile.TarInfo(name)
                info.size, info.uname = 512 * (n % 2) + n, "somebody"
                if name.endswith("/"):  # as old tars have folders
                    info.type, info.size = tarfile.AREGTYPE, 0
                target.addfile(info, io.BytesIO(bytes(5000)))
    with tarfile.open(tmp_path / "a.tar") as source, open(tmp_path / "a.tar", "rb") as stream:
        wanted = [(one.name, one.offset_data, one.size) for one in source if one.isreg()]
        assert list(tar_members(stream, lambda name, why: None)) == wanted


def test_damage_behind_a_long_name_costs_its_member_only(tmp_path: Path) -> None:
    long = "cat/" + "n" * 150
    files = {f"{long}.jpg": CATS["cat/000.jpg"], f"{long}.cls": b"cat"} | samples(CATS)
    shard = tar(tmp_path / "a.tar", files)
    data = shard.read_bytes()
    place = data.index(b"././@PaxHeader") if b"@PaxHeader" in data else data.index(b"@LongLink")
    shard.write_bytes(spoilt(data, place + 1024, place + 1536))
    dataset = Dataset.open(shard)
    assert {item.path for item in dataset.items} >= set(CATS)
    assert any("no header at byte" in why for _, why in dataset.skipped)


def test_a_header_for_all_members_is_no_damage(tmp_path: Path) -> None:
    options: Any = {"format": tarfile.PAX_FORMAT, "pax_headers": {"comment": "of an archive"}}
    with tarfile.open(tmp_path / "a.tar", "w", **options) as target:
        for name, data in samples(CATS).items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            target.addfile(info, io.BytesIO(data))
    assert Dataset.open(tmp_path / "a.tar").skipped == ()


def test_no_member_is_kept_while_a_tar_is_gone_through(tmp_path: Path) -> None:
    file = tar(tmp_path / "a.tar", {f"{'n' * 120}{n}.jpg": b"" for n in range(200)})
    with open(file, "rb") as stream:
        [*_, last] = tar_members(stream, lambda name, why: None)
        assert last.name.endswith("n199.jpg")
        passing = tar_members(stream, lambda name, why: None)
        for _ in range(150):
            next(passing)
        assert sum(type(one) is tarfile.TarInfo for one in gc.get_objects()) < 10


def test_a_shard_that_has_become_shorter_costs_its_images(tmp_path: Path) -> None:
    shard = tar(tmp_path / "a.tar", samples(CATS))
    dataset = Dataset.open(shard)
    shard.write_bytes(shard.read_bytes()[:1000])
    with pytest.raises(OSError, match="shorter than it was"):
        dataset.read(0)


def test_the_last_of_two_members_counts(tmp_path: Path) -> None:
    files = samples(CATS) | {"cat/000.jpg ": CATS["cat/001.jpg"]}
    assert Dataset.open(tar(tmp_path / "a.tar", files)).read(0) == CATS["cat/001.jpg"]


def test_names_that_begin_anew_in_every_shard_tell_the_shard(tmp_path: Path) -> None:
    for n, name in enumerate(("cat/000.jpg", "dog/000.jpg")):
        tar(tmp_path / f"train/{n}.tar", {"0.jpg": CATS[name], "0.cls": in_cls(name[:3])})
        tar(tmp_path / f"test/{n}.tar", {"0.jpg": CATS[name], "0.cls": in_cls(name[:3])})
    dataset = Dataset.open(tmp_path)
    assert [(item.path, item.label) for item in dataset.items] == [
        ("test/0/0.jpg", "cat"), ("test/1/0.jpg", "dog"),
        ("train/0/0.jpg", "cat"), ("train/1/0.jpg", "dog")]  # fmt: skip
    assert dataset.read(3) == CATS["dog/000.jpg"]


PICTURES = {f"{n}.jpg": data for n, data in enumerate(CATS.values())}


def beside(kind: str, data: bytes) -> dict[str, bytes]:
    return PICTURES | {f"{n}.{kind}": data for n in range(len(PICTURES))}


REFUSED: dict[str, tuple[dict[str, dict[str, bytes]], str, str]] = {
    "two fields": ({"s/0.tar": beside("json", b'{"label": 3, "class": "cat"}')}, "s",
        "0.tar/0.json: 'label' (3), 'class' ('cat')"),
    "no field": ({"s/0.tar": beside("json", b'{"url": 3, "caption": "a cat"}')}, "s",
        "fields of its .json: 'url' (12), 'caption' (12)"),
    "no labels": ({"s/0.tar": PICTURES}, "s", "found 12 images in 1 tar; beside KEY.jpg"),
    "nothing": ({"s/0.tar": {}}, "s", "found no image in 1 tar"),
    "too few names": ({"s/0.tar": samples(CATS, "cls", lambda label: b"7"),
        "s/classes.txt": {}}, "s", "classes.txt has 1 lines, from class 0 on; got 7"),
    "mixed": ({"s/train-0.tar": samples(CATS), "s/test-0.tar": samples(CATS),
        "s/extra-0.tar": samples(CATS)}, "s", "test, train name splits, extra do not"),
    "missing": ({"s/0.tar": samples(CATS)}, "s/{0..2}.tar", "s/1.tar'"),
    "far too many": ({"s/0.tar": samples(CATS)}, "s/{0..9999999}.tar", "at most 1,000,000"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_shards_that_are_refused(case: str, tmp_path: Path) -> None:
    shards, source, words = REFUSED[case]
    for name, files in shards.items():
        if name.endswith("txt"):
            (tmp_path / name).write_text("bird\n", "utf-8")
        else:
            tar(tmp_path / name, files)
    assert words in "\n".join(refusal(f"{tmp_path}/{source}").problems)


def test_a_tar_of_class_folders_with_captions_is_one(tmp_path: Path) -> None:
    dataset = Dataset.open(tar(tmp_path / "a.tar", samples(CATS, "txt", lambda label: b"a pet")))
    assert dataset.classes == ("cat", "dog")
    assert dataset.notes == ()


def test_what_a_tar_was_taken_for_is_said(tmp_path: Path) -> None:
    files = samples(every(CATS, 0, 2)) | samples(every(CATS, 1, 2), "json", in_json)
    notes = Dataset.open(tar(tmp_path / "a.tar", files)).notes
    assert notes == (
        "Taken as WebDataset samples: 12 images in 1 tar, their labels 6 in .cls, 6 in .json.",
    )


def test_the_field_of_the_label_may_be_named(tmp_path: Path) -> None:
    files = beside("json", b'{"label": 3, "class": "cat", "kind": "dog"}')
    dataset = Dataset.open(tar(tmp_path / "a.tar", files), label_column="kind")
    assert dataset.classes == ("dog",)
