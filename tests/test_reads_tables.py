"""What the columns of a table say: one table for each kind."""

import csv
from pathlib import Path

import pytest

from pictures import check_reading, lay_out, refusal, rows
from regraft.data.dataset import Dataset
from regraft.data.readers.known import with_groups
from regraft.errors import DataError


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


ONE = b"file_name,label\n0.jpg,cat\n1.jpg,dog\n"
LINES = (
    b'{"file_name": "0.jpg", "boxes": [1], "label": "cat"}\n\n{"file_name": "1.jpg", "label": 7}\n'
)
TWO_IMAGES = {"0.jpg": b"0", "1.jpg": b"1"}
METADATA: dict[str, tuple[dict[str, bytes], list[tuple[str, str, str]]]] = {
    "a CSV": ({"metadata.csv": ONE} | TWO_IMAGES, [("0.jpg", "cat", ""), ("1.jpg", "dog", "")]),
    "lines of JSON": ({"metadata.jsonl": LINES} | TWO_IMAGES,
        [("0.jpg", "cat", ""), ("1.jpg", "7", "")]),
    "one folder below": ({"metadata.csv": ONE.replace(b"\n0", b"\ni/0").replace(b"\n1", b"\ni/1"),
        "i/0.jpg": b"0", "i/1.jpg": b"1"}, [("i/0.jpg", "cat", ""), ("i/1.jpg", "dog", "")]),
    "one in each split": ({"train/metadata.csv": ONE, "test/metadata.jsonl": LINES}
        | {f"{part}/{n}.jpg": b"1" for part in ("train", "test") for n in range(2)},
        [("test/0.jpg", "cat", "test"), ("test/1.jpg", "7", "test"),
         ("train/0.jpg", "cat", "train"), ("train/1.jpg", "dog", "train")]),
    "beside class folders": ({"metadata.csv": ONE, "ant/0.jpg": b"0", "bee/1.jpg": b"1"},
        [("ant/0.jpg", "ant", ""), ("bee/1.jpg", "bee", "")]),
}  # fmt: skip


@pytest.mark.parametrize("case", METADATA)
def test_images_with_metadata_beside_them(case: str, tmp_path: Path) -> None:
    files, wanted = METADATA[case]
    dataset = Dataset.open(lay_out(tmp_path, files))
    assert rows(dataset) == wanted
    check_reading(dataset, files)


def test_folders_are_splits_only_where_all_are(tmp_path: Path) -> None:
    table = b"file_name,label\ntrain/0.jpg,cat\nmore/1.jpg,dog\n"
    lay_out(tmp_path, {"metadata.csv": table, "train/0.jpg": b"0", "more/1.jpg": b"1"})
    dataset = Dataset.open(tmp_path, label_column="label")
    assert rows(dataset) == [("more/1.jpg", "dog", ""), ("train/0.jpg", "cat", "")]


def test_an_image_in_no_metadata_is_named(tmp_path: Path) -> None:
    lay_out(tmp_path, {"metadata.csv": ONE, "2.jpg": b"2"} | TWO_IMAGES)
    assert Dataset.open(tmp_path).skipped == (("2.jpg", "no label: it is in no metadata.csv"),)


def test_lines_of_json_that_are_none(tmp_path: Path) -> None:
    lay_out(tmp_path, {"t.jsonl": LINES + b"{", "a.jsonl": b"[1]\n"})
    assert "after row 3" in refusal(tmp_path / "t.jsonl").problems[0]
    assert "each line is one {...}" in refusal(tmp_path / "a.jsonl").problems[0]


def test_groups_of_lines_of_json(tmp_path: Path) -> None:
    text = "".join(f'{{"path": "{n}.jpg", "label": "x", "scan": "{n // 2}"}}\n' for n in range(6))
    lay_out(tmp_path, {"t.jsonl": text.encode(), "0.jpg": b"0"})
    dataset = with_groups(Dataset.open(tmp_path / "t.jsonl"), "scan")
    assert [item.group for item in dataset.items] == ["0", "0", "1", "1", "2", "2"]


def test_a_cell_with_a_line_separator_ends_no_row(tmp_path: Path) -> None:
    line = '{"path": "%d.jpg", "note": "a\u2028b", "label": "x", "scan": "%d"}\n'
    lines = "".join(line % (n, n // 2) for n in range(6))
    cells = "".join(f"{n}.jpg,a\u2028\x0bb,x,{n // 2}\n" for n in range(6))
    lay_out(tmp_path, {"0.jpg": b"0", "t.jsonl": lines.encode(),
        "t.csv": f"path,note,label,scan\n{cells}".encode()})  # fmt: skip
    for name in ("t.jsonl", "t.csv"):
        dataset = with_groups(Dataset.open(tmp_path / name), "scan")
        assert [item.group for item in dataset.items] == ["0", "0", "1", "1", "2", "2"]


NAMED = b"subject,ref,path,label\nx,0.jpg,n,a\ny,1.jpg,n,b\n"
HERE = {"0.jpg": b"0", "1.jpg": b"1"}
OF_NAMES: dict[str, tuple[dict[str, bytes], str, list[tuple[str, str, str]]]] = {
    "a CSV": ({"t.csv": NAMED} | HERE, "t.csv", [("0.jpg", "x", ""), ("1.jpg", "y", "")]),
    "metadata": ({"metadata.csv": NAMED} | HERE, "", [("0.jpg", "x", ""), ("1.jpg", "y", "")]),
}


@pytest.mark.parametrize("case", OF_NAMES)
def test_columns_that_are_named(case: str, tmp_path: Path) -> None:
    files, source, wanted = OF_NAMES[case]
    dataset = Dataset.open(
        lay_out(tmp_path, files) / source, path_column="ref", label_column="Subject"
    )
    assert rows(dataset) == wanted


NOT_THERE: dict[str, tuple[dict[str, bytes], str, str]] = {
    "a CSV": ({"t.csv": NAMED} | HERE, "t.csv", "there is no column 'nobody' for the labels"),
    "a folder": ({"a/0.jpg": b"0", "b/1.jpg": b"1"}, "", "got --label-column 'nobody'"),
}


@pytest.mark.parametrize("case", NOT_THERE)
def test_named_columns_that_are_not_there(case: str, tmp_path: Path) -> None:
    files, source, words = NOT_THERE[case]
    with pytest.raises(DataError) as caught:
        Dataset.open(lay_out(tmp_path, files) / source, label_column="nobody")
    assert words in caught.value.problems[0]


IDS: dict[str, tuple[list[str], list[str]]] = {
    "ids": (["0", "1"], ["train_images/0.jpg", "train_images/1.png"]),
    "names without their folder": (["0.jpg", "1.png"], ["x/0.jpg", "x/y/1.png"]),
    "ids with a folder": (["a/0", "b/0"], ["a/0.jpg", "b/0.jpg"]),
}


@pytest.mark.parametrize("case", IDS)
def test_ids_without_suffix(case: str, tmp_path: Path) -> None:
    ids, files = IDS[case]
    table = "".join(
        ["image_id,label,scan\n", *[f"{name},x{n},s{n}\n" for n, name in enumerate(ids)]]
    )
    lay_out(tmp_path, {"t.csv": table.encode()} | {name: name.encode() for name in files})
    dataset = with_groups(Dataset.open(tmp_path / "t.csv"), "scan")
    assert [(i.path, i.label, i.group) for i in dataset.items] == [
        (name, f"x{n}", f"s{n}") for n, name in enumerate(files)]  # fmt: skip
    check_reading(dataset, {name: name.encode() for name in files})
    assert dataset.notes[0].startswith("No path led to a file; 2 were found")


def test_an_id_of_two_files_is_refused(tmp_path: Path) -> None:
    lay_out(tmp_path, {"t.csv": b"id,image_id,label\n1,7,x\n2,8,y\n"}
        | {name: b"" for name in ("train/7.jpg", "test/7.jpg", "test/8.jpg")})  # fmt: skip
    [problem] = refusal(tmp_path / "t.csv").problems
    assert "row 2: 7 stands for 2 files, " in problem
