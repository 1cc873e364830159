"""What names say: of folders, of columns, in archives, of labels. One table for each kind."""

import csv
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from pictures import facts_of, in_memory, jpeg, lay_out, refusal
from regraft.audit import audit
from regraft.dataset import Dataset, clean_label

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


# --- tables --------------------------------------------------------------------------------------


def written(place: Path, columns: dict[str, list[object]], kind: str = "csv") -> Path:
    """A table of a.jpg, b.jpg ... and these columns."""
    count = len(next(iter(columns.values())))
    names = [f"{letter}.jpg" for letter in "abcdefgh"[:count]]
    lay_out(place, {name: b"1" for name in names})
    whole: dict[str, list[object]] = {"path": [*names], "label": ["x", "y"] * (count // 2)}
    whole |= columns
    if kind == "parquet":
        pyarrow, parquet = (pytest.importorskip(n) for n in ("pyarrow", "pyarrow.parquet"))
        parquet.write_table(pyarrow.table(whole), place / "t.parquet")
        return place / "t.parquet"
    with open(place / "t.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([whole, *zip(*whole.values(), strict=True)])
    return place / "t.csv"


TRAIN_TEST = ["train", "test"]
COLUMNS: dict[str, tuple[dict[str, list[object]], list[str]]] = {
    "split": ({"split": ["Train", "TEST"]}, TRAIN_TEST),
    "Split ": ({"Split ": ["training_set", "test set"]}, TRAIN_TEST),
    "data set": ({"data set": ["train", "test"]}, TRAIN_TEST),
    "Data_Set": ({"Data_Set": ["Training", "Testing"]}, TRAIN_TEST),
    "subset": ({"subset": ["TRAIN", "VALIDATION"]}, ["train", "val"]),
    "partition": ({"partition": ["dev", "train"]}, ["val", "train"]),
    "phase": ({"phase": ["train", ""]}, ["train", ""]),
    "set": ({"set": ["trainval", "test"]}, TRAIN_TEST),
    "stage": ({"stage": ["train", "holdout"]}, TRAIN_TEST),
    "Usage": ({"Usage": ["Training", "PrivateTest"]}, TRAIN_TEST),
    "fold of names": ({"fold": ["train_set", "eval_set"]}, TRAIN_TEST),
    "is_valid": ({"is_valid": [True, False]}, ["val", "train"]),
    "is_valid in numbers": ({"is_valid": [1, 0]}, ["val", "train"]),
    "is_test in words": ({"isTest": ["no", "Yes"]}, TRAIN_TEST),
    "is_train": ({"is_train": [True, False]}, TRAIN_TEST),
    "is_valid and is_test": (
        {"is_valid": [0, 1, 0, 0], "is_test": [0, 0, 1, 0]}, ["train", "val", "test", "train"]),
    "is_train and is_test": (
        {"is_train": [1, 0, 0, 1], "is_test": [0, 0, 1, 0]}, ["train", "val", "test", "train"]),
    "two that agree": ({"subset": TRAIN_TEST, "is_valid": [0, 1]}, TRAIN_TEST),  # type: ignore[dict-item]
    "split beside another": ({"split": TRAIN_TEST, "set": ["test", "train"]}, TRAIN_TEST),  # type: ignore[dict-item]
    "k folds": ({"fold": [0, 1]}, ["", ""]),
    "another data set": ({"dataset": ["flickr", "mine"]}, ["", ""]),
    "a part": ({"part": ["wheel", "door"]}, ["", ""]),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("case", COLUMNS)
def test_split_columns(case: str, kind: str, tmp_path: Path) -> None:
    columns, wanted = COLUMNS[case]
    dataset = Dataset.open(written(tmp_path, columns, kind))
    assert [item.split for item in dataset.items] == wanted


REFUSED_COLUMNS: dict[str, tuple[dict[str, list[object]], str]] = {
    "unknown": ({"split": ["train", "tset"]}, "row 3: a split must be train, val or test"),
    "half unknown": ({"set": ["train", "extra"]}, "got 'extra' in column 'set' (rename it"),
    "two that disagree": (
        {"subset": ["train", "test"], "is_valid": [0, 0]},
        "row 3 is in test by 'subset' and in train by 'is_valid'"),
    "flags of one row": ({"is_valid": [1, 0], "is_test": [1, 0]},
        "row 2: 'is_valid' and 'is_test' contradict each other"),
    "no flag": ({"is_valid": ["True", "maybe"]}, "'is_valid' must be true or false, or empty"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED_COLUMNS)
def test_split_columns_that_cannot_be_followed(case: str, tmp_path: Path) -> None:
    columns, words = REFUSED_COLUMNS[case]
    assert words in "\n".join(refusal(written(tmp_path, columns)).problems)


NOTED_COLUMNS: dict[str, tuple[dict[str, list[object]], list[str]]] = {
    "nothing": ({"split": ["train", "test"]}, []),
    "row numbers": ({"": [0, 1]}, []),
    "read": ({"subset": ["train", "test"]}, ["'subset' is read as the split: 1 train, 1 test"]),
    "not used": ({"age": [40, 50], "fold": [0, 1]}, ["'fold' and 'age' were not used"]),
    "a split by its values": ({"role": ["train", "test"]}, [
        "'role' holds test, train, but is not read as the split", "'role' was not used"]),
    "another label": ({"species": ["u", "v"]}, ["'species' was not used"]),
    "split says otherwise": ({"split": ["train", "test"], "is_valid": [0, 0]},
        ["not used: split says otherwise (row "]),
    "twins": ({"label": ["x", "x\u200b", "y", "y"]}, [r"'x' and 'x\u200b'"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("case", NOTED_COLUMNS)
def test_what_is_made_of_columns_is_said(case: str, kind: str, tmp_path: Path) -> None:
    columns, words = NOTED_COLUMNS[case]
    notes = Dataset.open(written(tmp_path, columns, kind)).notes
    assert len(notes) == len(words)
    assert all(word in note for word, note in zip(words, notes, strict=True))


@pytest.mark.parametrize("path", ["image_id", "File Name", "img", "Image-Path", "filename"])
@pytest.mark.parametrize("label", ["category", "species", "class_name", "Class Label", "y", "dx"])
def test_usual_names_of_columns(path: str, label: str, tmp_path: Path) -> None:
    lay_out(tmp_path, {"a.jpg": b"1"})
    (tmp_path / "t.csv").write_text(f"{path},{label},{path} of another\na.jpg,cat,b.jpg\n", "utf-8")
    [item] = Dataset.open(tmp_path / "t.csv").items
    assert (item.path, item.label) == ("a.jpg", "cat")


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
