"""What names say: of folders, in archives, of labels. One table for each kind."""

import io
import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from pictures import facts_of, in_memory, jpeg, lay_out, refusal
from regraft.data.audit import audit
from regraft.data.corrections import correct
from regraft.data.dataset import Dataset, clean_label

BOTH = ("cat", "dog")


def below(tops: Sequence[str], names: Sequence[str] = BOTH) -> list[str]:
    """An image in each of the folders ``names`` below each of ``tops``."""
    return [f"{top}/{name}/1.jpg" for top in tops for name in names]


def pack(place: Path, paths: Sequence[str], kind: str) -> Path:
    """The files as a folder or a zip."""
    files = {path: path.encode() for path in paths}
    if kind == "folder":
        return lay_out(place / "data", files)
    with zipfile.ZipFile(place / "data.zip", "w") as target:
        for name, data in files.items():
            target.writestr(name, data)
    return place / "data.zip"


def sides(dataset: Dataset) -> dict[str, list[str]]:
    """The labels of each split, in the order of the paths."""
    found: dict[str, list[str]] = {}
    for item in dataset.items:
        found.setdefault(item.split, []).append(item.label)
    return found


# Paths, and the labels that each split must have.
LAYOUTS: dict[str, tuple[list[str], dict[str, Sequence[str]]]] = {
    "training_set": (below(["training_set", "test_set"]), {"train": BOTH, "test": BOTH}),
    "seg_train": (below(["seg_train", "seg_test"]), {"train": BOTH, "test": BOTH}),
    "train_images": (below(["train_images", "test_images"]), {"train": BOTH, "test": BOTH}),
    "train_data": (below(["train_data", "val_data"]), {"train": BOTH, "val": BOTH}),
    "trainval": (below(["trainval", "test"]), {"train": BOTH, "test": BOTH}),
    "Train Set": (below(["Train Set", "Test Set"]), {"train": BOTH, "test": BOTH}),
    "holdout": (below(["train", "holdout"]), {"train": BOTH, "test": BOTH}),
    "hold-out set": (below(["train", "hold-out set"]), {"train": BOTH, "test": BOTH}),
    "eval": (below(["train", "eval"]), {"train": BOTH, "test": BOTH}),
    "eval beside test": (
        below(["train", "eval", "test"]),
        dict.fromkeys(("train", "val", "test"), BOTH),
    ),
    "Validation Images": (
        below(["Training Images", "Validation Images"]),
        {"train": BOTH, "val": BOTH},
    ),
    "x_train": (below(["x_train", "x_test"]), {"train": BOTH, "test": BOTH}),
    "train2017": (below(["train2017", "val2017"]), {"train": BOTH, "val": BOTH}),
    "trainImages": (below(["trainImages", "testImages"]), {"train": BOTH, "test": BOTH}),
    "the set's own name": (below(["pets_train", "pets_test"]), {"train": BOTH, "test": BOTH}),
    "train1, train2": (below(["train1", "train2", "test"]), {"train": BOTH * 2, "test": BOTH}),
    "twice around": (
        below(["seg_train/seg_train", "seg_test/seg_test"]),
        {"train": BOTH, "test": BOTH},
    ),
    "images between": (below(["train/images", "test/images"]), {"train": BOTH, "test": BOTH}),
    "folders around": (below(["a/b/train_set", "a/b/test_set"]), {"train": BOTH, "test": BOTH}),
    "unlabelled beside": (
        [*below(["seg_train", "seg_test"]), "seg_pred/1.jpg"],
        {"train": BOTH, "test": BOTH},
    ),
    "unlabelled, twice around": (
        [*below(["train", "test"]), "unlabeled/unlabeled/1.jpg"],
        {"train": BOTH, "test": BOTH},
    ),
    "images of no class": (
        [*below(["train", "test"]), "val/images/1.jpg"],
        {"train": BOTH, "test": BOTH},
    ),
    "below the classes": (below(BOTH, ["train", "test"]), {"train": BOTH, "test": BOTH}),
    "below, other names": (below(BOTH, ["Train Set", "Eval Set"]), {"train": BOTH, "test": BOTH}),
    "one folder in each class": (
        below(["train", "val"], ["cat/images", "dog/images"]),
        {"train": BOTH, "val": BOTH},
    ),
    "classes: a tube": (
        ["test_tube/1.jpg", "training_shoe/1.jpg", "mug/1.jpg"],
        {"": ("mug", "test_tube", "training_shoe")},
    ),
    "classes: a vehicle": (["bus/1.jpg", "train/1.jpg"], {"": ("bus", "train")}),
    "classes: valid": (["valid/1.jpg", "invalid/1.jpg"], {"": ("invalid", "valid")}),
    "classes: tests": (["test 1/1.jpg", "test 2/1.jpg"], {"": ("test 1", "test 2")}),
    "classes: views of some": (
        ["cat/front/1.jpg", "dog/1.jpg", "dog/front/1.jpg"],
        {"": ("cat", "dog", "dog")},
    ),
    "a class of digits alone in a split": (
        ["train/0/1.jpg", "train/1/1.jpg", "test/0/a/1.jpg"],
        {"train": ("0", "1"), "test": "0"},
    ),
}


@pytest.mark.parametrize("kind", ["folder", "zip"])
@pytest.mark.parametrize("case", LAYOUTS)
def test_folders(case: str, kind: str, tmp_path: Path) -> None:
    paths, wanted = LAYOUTS[case]
    dataset = Dataset.open(pack(tmp_path, paths, kind))
    assert sides(dataset) == {split: list(labels) for split, labels in wanted.items()}
    lost = set(paths) - {item.path for item in dataset.items}
    assert lost == {path for path, _ in dataset.skipped}


REFUSED: dict[str, tuple[list[str], str, str]] = {
    "parts": (below(["part1", "part2"]), "cannot be told", "put those at the top"),
    "days": (below(["day1", "day2", "day3"]), "cannot be told", "day1, day2, day3 all hold"),
    "views": (below(BOTH, ["front", "back"]), "cannot be told", "where cat, dog are the classes"),
    "parts below splits": (
        [path for split in ("train", "test") for path in below([f"{split}/a", f"{split}/b"])],
        "cannot be told", "a, b all hold"),
    "no word of ours": (below(["Lernen", "Probe"]), "cannot be told", "Lernen, Probe all hold"),
    "more than splits": ([*below(["train_set", "test_set"]), "extra/cat/1.jpg"],
        "mixes splits", "extra do not"),
    "some below a class": ([*below(BOTH, ["train", "test"]), "dog/9.jpg"],
        "below its classes", "other images lie in no folder"),
    "a split without classes": (["train_images/1.jpg", "test_images/1.jpg"],
        "has no class folders", "2 images"),
    "splits of boxes": (["train/images/1.jpg", "val/images/1.jpg"],
        "has no class folders", "2 images"),
    "a name that cannot be seen": (["cat/1.jpg", "\u200b/1.jpg"],
        "without a name", "u200b"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["folder", "zip"])
@pytest.mark.parametrize("case", REFUSED)
def test_folders_that_cannot_be_told(case: str, kind: str, tmp_path: Path) -> None:
    paths, headline, words = REFUSED[case]
    error = refusal(pack(tmp_path, paths, kind))
    assert headline in error.headline
    assert words in "\n".join(error.problems)


NOTED: dict[str, tuple[list[str], str]] = {
    "splits": (below(["seg_train", "seg_test"]), "seg_test as test, seg_train as train"),
    "splits below": (below(BOTH, ["train", "test"]), "below the class folders"),
    "some repeat": (
        [*below(["day1", "day2"]), "day3/cat/1.jpg"],
        "several of them hold folders of the same names: cat, dog",
    ),
    "twins": (["cat/1.jpg", "cat\u200b/1.jpg", "dog/1.jpg"], r"'cat' and 'cat\u200b'"),
}


@pytest.mark.parametrize("case", NOTED)
def test_what_was_understood_is_said(case: str, tmp_path: Path) -> None:
    paths, words = NOTED[case]
    [note] = Dataset.open(pack(tmp_path, paths, "folder")).notes
    assert words in note


def test_usual_names_are_not_spoken_of(tmp_path: Path) -> None:
    assert Dataset.open(pack(tmp_path, below(["train", "Val", "test"]), "folder")).notes == ()


# --- archives ------------------------------------------------------------------------------------


class Unflagged(zipfile.ZipInfo):
    """A member whose name is these bytes, in no encoding that the zip tells."""

    raw = b""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:
        return self.raw, self.flag_bits


def second_name(raw: bytes, name: str) -> bytes:
    """The extra field with a name in UTF-8, for a member of the name ``raw``."""
    data = b"\1" + zlib.crc32(raw).to_bytes(4, "little") + name.encode()
    return b"\x75\x70" + len(data).to_bytes(2, "little") + data


def zip_of(place: Path, names: Sequence[bytes], extra: bytes = b"") -> Path:
    with zipfile.ZipFile(place / "a.zip", "w") as target:
        for n, raw in enumerate(names):
            info = Unflagged(f"member{n}")
            info.raw, info.extra = raw, extra
            target.writestr(info, raw)
    return place / "a.zip"


ZIPS = {
    "UTF-8 without the flag": (["grün/1.jpg".encode()], b"", "grün", 0),
    "UTF-8, back slashes": (["grün\\1.jpg".encode()], b"", "grün", 0),
    "code page 437": (["grün/1.jpg".encode("cp437")], b"", "grün", 1),
    "code page 1252": (["grün/1.jpg".encode("cp1252")], b"", "grⁿn", 1),
    "Shift-JIS": (["表/1.jpg".encode("shift-jis")], b"", "ò\uff3c", 1),
    "a second name": (
        ["grün/1.jpg".encode("cp437")],
        second_name("grün/1.jpg".encode("cp437"), "grün/1.jpg"),
        "grün",
        0,
    ),
    "a second name of another": (
        ["grün/1.jpg".encode()],
        second_name(b"old", "alt/1.jpg"),
        "grün",
        0,
    ),
    "ASCII": ([b"green/1.jpg"], b"", "green", 0),
}


@pytest.mark.parametrize("case", ZIPS)
def test_names_in_a_zip(case: str, tmp_path: Path) -> None:
    names, extra, label, notes = ZIPS[case]
    dataset = Dataset.open(
        zip_of(tmp_path, [*names, b"plain/1.jpg"][: 2 if not extra else 1], extra)
    )
    assert dataset.items[0].label == label if extra else label in dataset.classes
    assert [note for note in dataset.notes if "code page 437" in note] == list(dataset.notes)
    assert len(dataset.notes) == notes
    assert dataset.read([item.label for item in dataset.items].index(label)) == names[0]


def test_one_name_that_is_no_utf_8_makes_a_guess_of_all(tmp_path: Path) -> None:
    gbk = [name.encode("gbk") for name in ("联通/1.jpg", "猫/1.jpg")]  # the first could be UTF-8
    dataset = Dataset.open(zip_of(tmp_path, gbk))
    assert set(dataset.classes) == {name.split(b"/")[0].decode("cp437") for name in gbk}
    assert len(dataset.notes) == 1


@pytest.mark.parametrize("raw", [b"gr\xfcn", b"green"])
def test_names_in_a_tar(raw: bytes, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as to:
        for name in (raw, b"plain"):
            to.addfile(tarfile.TarInfo(f"{name.decode('latin-1')}/1.jpg"), io.BytesIO(b""))
    dataset = Dataset.open(tmp_path / "a.tar")
    assert dataset.classes[0] == raw.decode("utf-8", "backslashreplace")
    assert ["no UTF-8" in note for note in dataset.notes] == [True] * (raw != b"green")


# --- corrections, pictures to predict ------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["cat\\1.jpg", ".\\cat\\1.jpg", "data\\cat\\1.jpg", "cat/1.jpg", "new\\9.jpg"]
)
def test_corrections_written_on_windows(path: str, tmp_path: Path) -> None:
    root = lay_out(tmp_path / "data", {"cat/1.jpg": b"1", "dog/1.jpg": b"2"})
    lay_out(tmp_path, {"new/9.jpg": b"9"})
    (tmp_path / "c.csv").write_text(f"path,label\n{path},dog\u200b\n", "utf-8")
    after = correct(Dataset.open(root), tmp_path / "c.csv", root).after
    corrected = {item.path: item.label for item in after.items if item.path in after.pinned}
    assert corrected == {"new/9.jpg" if "new" in path else "cat/1.jpg": "dog"}


# --- labels --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "label"),
    [
        ("cat\u200b", "cat"),
        ("\ufeffcat", "cat"),
        ("ca\xadt", "cat"),
        ("\u200ecat\u2069", "cat"),
        ("cat\u200d", "cat"),
        ("c\u200cat", "cat"),
        ("big\xa0cat", "big cat"),
        ("big\u2009cat\u3000", "big cat"),
        ("e\u0301", "\xe9"),
        ("\u200b\xa0", ""),
        ("\U0001f468\u200d\U0001f469", "\U0001f468\u200d\U0001f469"),  # one emoji of two
        ("\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u200c\u062e"),  # parts a Persian word
        ("m\xb2", "m\xb2"),
        ("\u211d", "\u211d"),  # the real numbers are not the letter R
        ("new\nline", "new\nline"),
    ],
)
def test_what_cannot_be_seen_makes_no_other_label(written: str, label: str) -> None:
    assert clean_label(written) == label


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (("Cat", "cat"), "'Cat', 'cat' differ in capitals only"),
        (("\uff43at", "cat"), "hardly differ"),
        (("big cat", "big_cat"), "'big cat', 'big_cat' hardly differ"),
    ],
)
def test_labels_that_look_alike_are_asked_about(labels: tuple[str, ...], words: str) -> None:
    files = {f"{label}/{i}.jpg": jpeg(10 * n + i) for n, label in enumerate(labels) for i in (1, 2)}
    dataset = in_memory(files)
    assert any(words in warning for warning in audit(dataset, facts_of(dataset)).warnings)


def test_the_audit_says_what_was_understood(tmp_path: Path) -> None:
    files = {path: jpeg(n) for n, path in enumerate(below(["train", "eval"]))}
    files |= {f"train/{name}/2.jpg": jpeg(9 + n) for n, name in enumerate(BOTH)}
    dataset = Dataset.open(lay_out(tmp_path, files))
    assert dataset.notes[0] in audit(dataset, facts_of(dataset)).warnings
