import os
import sys
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pictures import SPLITS, TWO, check_reading, classes, facts_of, jpeg, lay_out, refusal, rows
from regraft.data.dataset import Dataset


def test_a_folder_of_class_folders(tmp_path: Path) -> None:
    dataset = Dataset.open(lay_out(tmp_path / "pets", TWO))
    assert dataset.name == "pets"
    assert dataset.classes == ("cat", "dog")
    assert rows(dataset) == [
        ("cat/000.jpg", "cat", ""),
        ("cat/001.jpg", "cat", ""),
        ("dog/000.jpg", "dog", ""),
        ("dog/001.jpg", "dog", ""),
    ]
    assert dataset.skipped == ()
    assert len(dataset) == 4
    check_reading(dataset, TWO)


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("train", "test"), {"train", "test"}),
        (("Train", "VAL"), {"train", "val"}),
        (("training", "validation", "testing"), {"train", "val", "test"}),
        (("train", "valid", "dev"), {"train", "val"}),
    ],
)
def test_a_folder_with_splits(tmp_path: Path, names: tuple[str, ...], splits: set[str]) -> None:
    lay_out(tmp_path, classes({f"{name}/{label}": 1 for name in names for label in ("a", "b")}))
    dataset = Dataset.open(tmp_path)
    assert {item.split for item in dataset.items} == splits
    assert dataset.classes == ("a", "b")


def test_labels_are_matched_by_name_across_splits(tmp_path: Path) -> None:
    lay_out(tmp_path, classes({"train/a": 1, "train/c": 1, "test/b": 1, "test/c": 1}))
    assert rows(Dataset.open(tmp_path)) == [
        ("test/b/000.jpg", "b", "test"),
        ("test/c/000.jpg", "c", "test"),
        ("train/a/000.jpg", "a", "train"),
        ("train/c/000.jpg", "c", "train"),
    ]


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    dataset = Dataset.open(lay_out(tmp_path, classes({"bus": 1, "train": 1})))
    assert rows(dataset) == [("bus/000.jpg", "bus", ""), ("train/000.jpg", "train", "")]


def test_images_deeper_in_a_class_folder_belong_to_it(tmp_path: Path) -> None:
    lay_out(tmp_path, {"cat/2021/may/a.jpg": b"1", "cat/b.jpg": b"2", "dog/c.jpg": b"3"})
    assert rows(Dataset.open(tmp_path)) == [
        ("cat/2021/may/a.jpg", "cat", ""),
        ("cat/b.jpg", "cat", ""),
        ("dog/c.jpg", "dog", ""),
    ]


def test_a_folder_around_the_folder_is_stepped_over(tmp_path: Path) -> None:
    lay_out(tmp_path, {f"photos/all/{path}": data for path, data in SPLITS.items()})
    dataset = Dataset.open(tmp_path)
    assert dataset.classes == ("cat", "dog")
    assert Counter(item.split for item in dataset.items) == {"train": 4, "test": 2}
    assert dataset.items[0].path == "photos/all/test/cat/000.jpg"


def test_a_folder_with_images_of_its_own_is_not_stepped_over(tmp_path: Path) -> None:
    lay_out(tmp_path, {"cats/kittens/a.jpg": b"1", "cats/b.jpg": b"2"})
    assert Dataset.open(tmp_path).classes == ("cats",)


def test_hidden_files_and_other_files_are_listed(tmp_path: Path) -> None:
    lay_out(
        tmp_path,
        TWO
        | {".DS_Store": b"", "cat/._000.jpg": b"", ".git/HEAD": b"", ".git/a/b.jpg": b""}
        | {"README.md": b"", "dog/notes": b"", "loose.JPG": jpeg(1), "__MACOSX/x.jpg": b""}
        | {"empty/": b"", "dog/empty/": b"", "cat/000.HEIC": b"\0\0\0\x18ftypheic"},
    )
    dataset = Dataset.open(tmp_path)
    assert dict(dataset.skipped) == {
        ".DS_Store": "a hidden file",
        ".git/": "a hidden folder",
        "__MACOSX/": "a hidden folder",
        "cat/._000.jpg": "a hidden file",
        "README.md": "not an image by its name (.md)",
        "dog/notes": "not an image by its name (no suffix)",
        "loose.JPG": "an image outside any class folder",
        "empty/": "a class folder without images",
    }
    assert [item.path for item in dataset.items if "HEIC" in item.path] == ["cat/000.HEIC"]


def test_an_empty_class_folder_of_one_split_is_listed(tmp_path: Path) -> None:
    dataset = Dataset.open(lay_out(tmp_path, SPLITS | {"train/owl/": b"", "test/owl/": b""}))
    assert [path for path, _ in dataset.skipped] == ["test/owl/", "train/owl/"]


NAMES = [
    "with space",
    "Ärger",
    "猫と犬",
    "emoji 🐈",
    "semi;colon,comma",
    "q'uo\"te",
    "n" * 200,
    "new\nline",
]


@pytest.mark.parametrize("name", NAMES)
def test_unusual_names(tmp_path: Path, name: str) -> None:
    files = {f"{name}/{name}.jpg": jpeg(1), "dog/a.jpg": jpeg(2)}
    dataset = Dataset.open(lay_out(tmp_path, files))
    assert set(dataset.classes) == {name, "dog"}
    check_reading(dataset, files)


def test_composed_and_decomposed_accents_are_one_class(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))
    files = {f"train/{composed}/a.jpg": b"1", f"test/{decomposed}/a.jpg": b"2"}
    files |= {"train/x/a.jpg": b"3"}
    if composed == decomposed or len(os.listdir(lay_out(tmp_path, files) / "train")) < 2:
        pytest.skip("the file system composes names itself")
    dataset = Dataset.open(tmp_path)
    assert dataset.classes == ("x", composed)
    check_reading(dataset, files)


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux alone")
def test_a_name_that_is_no_text_is_shown_escaped(tmp_path: Path) -> None:
    lay_out(tmp_path, TWO)
    with open(os.fsencode(tmp_path) + b"/cat/\xff.jpg", "wb") as file:
        file.write(b"here")
    dataset = Dataset.open(tmp_path)
    index = next(i for i, item in enumerate(dataset.items) if "xff" in item.path)
    assert dataset.items[index].path == "cat/\\xff.jpg"
    assert dataset.read(index) == b"here"


def test_a_folder_is_read_wherever_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(tmp_path / "data", TWO)
    monkeypatch.chdir(tmp_path)
    dataset = Dataset.open("data")
    monkeypatch.chdir("/")
    check_reading(dataset, TWO)


# --- links ---------------------------------------------------------------------------------------


def link(path: Path, target: str | Path) -> None:
    try:
        path.symlink_to(target)
    except OSError:
        pytest.skip("no links here")


def test_links_to_class_folders_and_files_are_followed(tmp_path: Path) -> None:
    lay_out(tmp_path / "store", TWO)
    (tmp_path / "data" / "bird").mkdir(parents=True)
    link(tmp_path / "data" / "cat", tmp_path / "store" / "cat")
    link(tmp_path / "data" / "bird" / "a.jpg", tmp_path / "store" / "dog" / "000.jpg")
    dataset = Dataset.open(tmp_path / "data")
    assert [item.path for item in dataset.items] == ["bird/a.jpg", "cat/000.jpg", "cat/001.jpg"]
    assert dataset.read(0) == TWO["dog/000.jpg"]


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    root = lay_out(tmp_path / "data", TWO)
    link(root / "cat" / "up", "..")
    link(root / "dog" / "over", "../cat")
    link(root / "cat" / "over", "../dog")
    link(root / "dog" / "out", tmp_path)
    link(root / "dog" / "self", "self")
    dataset = Dataset.open(root)
    assert [item.path for item in dataset.items] == sorted(TWO)
    assert dict(dataset.skipped) == {
        "cat/up/": "the same folder as '.'",
        "dog/over/": "the same folder as 'cat'",
        "cat/over/": "the same folder as 'dog'",
        "dog/out/": "a link to a folder that holds this one",
        "dog/self": "not an image by its name (no suffix)",
    }


def test_a_folder_keeps_its_own_name_beside_a_link_to_it(tmp_path: Path) -> None:
    root = lay_out(tmp_path, TWO)
    link(root / "a", "dog")
    dataset = Dataset.open(root)
    assert dataset.classes == ("cat", "dog")
    assert dataset.skipped == (("a/", "the same folder as 'dog'"),)


def test_a_link_to_nothing_is_a_missing_image(tmp_path: Path) -> None:
    root = lay_out(tmp_path, TWO)
    link(root / "cat" / "gone.jpg", "nowhere.jpg")
    link(root / "cat" / "self.jpg", "self.jpg")
    dataset = Dataset.open(root)
    facts = facts_of(dataset)
    lost = [item.path for item, fact in zip(dataset.items, facts, strict=True) if fact.problem]
    assert lost == ["cat/gone.jpg", "cat/self.jpg"]
    assert {fact.problem for fact in facts} == {"", "missing"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    root = lay_out(tmp_path, TWO)
    os.mkfifo(root / "cat" / "pipe.jpg")
    assert Dataset.open(root).skipped == (("cat/pipe.jpg", "not a regular file"),)


# --- folders that cannot be used -----------------------------------------------------------------


def test_no_such_folder(tmp_path: Path) -> None:
    error = refusal(tmp_path / "a" / "b")
    assert error.headline == f"There is no '{tmp_path / 'a' / 'b'}'."
    assert f"looked in '{tmp_path}'" in error.problems[0]


def test_a_folder_of_images_without_class_folders(tmp_path: Path) -> None:
    error = refusal(lay_out(tmp_path, {"a.jpg": b"", "b.png": b""}))
    assert error.headline == f"'{tmp_path}' has no class folders."
    assert "2 images, the first 'a.jpg'" in error.problems[0]
    assert "folder named after it" in error.problems[0]


def test_splits_without_class_folders(tmp_path: Path) -> None:
    error = refusal(lay_out(tmp_path, {"train/a.jpg": b"", "test/b.jpg": b""}))
    assert "has no class folders" in error.headline


def test_a_folder_without_images_says_what_it_holds(tmp_path: Path) -> None:
    error = refusal(lay_out(tmp_path, {"a/x.txt": b"", "a/y.txt": b"", "b/z": b""}))
    assert error.headline == f"'{tmp_path}' holds no images."
    assert "2 .txt, 1 no suffix" in error.problems[0]
    (tmp_path / "void").mkdir()
    assert "no files at all" in refusal(tmp_path / "void").problems[0]


def test_a_file_instead_of_a_folder(tmp_path: Path) -> None:
    error = refusal(lay_out(tmp_path, {"cat.jpg": jpeg(1)}) / "cat.jpg")
    assert "is a file that regraft cannot take as data" in error.headline
    assert "'cat.jpg'" in error.problems[0]


def test_splits_beside_other_folders(tmp_path: Path) -> None:
    error = refusal(lay_out(tmp_path, SPLITS | classes({"extra/cat": 1})))
    assert "mixes splits and other folders" in error.headline
    assert "test, train name splits, extra do not" in error.problems[0]


def test_splits_without_training_images(tmp_path: Path) -> None:
    error = refusal(lay_out(tmp_path, classes({"val/a": 1, "test/a": 1})))
    assert "no training images" in error.headline


def test_folders_that_may_not_be_opened_are_all_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = lay_out(tmp_path, TWO)
    scandir = os.scandir

    def guarded(path: str) -> Any:
        if os.path.basename(path) in ("cat", "dog"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    error = refusal(root)
    assert error.problems == ("cat: Permission denied", "dog: Permission denied")
