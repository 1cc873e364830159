"""Several labels an image, and numbers, as files and arrays have them."""

import json
import tarfile
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from regraft.data.dataset import Dataset
from regraft.data.kinds import NUMBER, ONE, SEVERAL
from regraft.data.readers.known import with_groups
from regraft.errors import DataError
from several import folders, labels_of, lay, opened, photos, table

# --- tables --------------------------------------------------------------------------------------

PARTED = ["cat|dog", "dog", " dog | cat | dog", "", "bird"]
KNOWN = ["cat|dog", "dog", "cat|dog", "", "bird"]


@pytest.mark.parametrize(
    ("labels", "words", "kind", "taken", "note"),
    [
        (PARTED, {}, SEVERAL, KNOWN, "Labels with '|' between them are several of one image; "
         "--labels one takes each text for one label."),
        (["a|b", "c|d", "e"], {}, ONE, ["a|b", "c|d", "e"], ""),
        (["a|b", "b|c", "e"], {"labels": "one"}, ONE, ["a|b", "b|c", "e"], ""),
        (["a|b", "c|d", ""], {"labels": "several"}, SEVERAL, ["a|b", "c|d", ""],
         "Labels with '|' between them are several of one image."),
        (["a; b", "b", ""], {"labels": "several"}, SEVERAL, ["a|b", "b", ""],
         "Labels with ';' between them are several of one image."),
        (['"b,a"', "b", "a"], {"labels": "several"}, SEVERAL, ["a|b", "b", "a"],
         "Labels with ',' between them are several of one image."),
        (["a;b", "b;c", "b"], {}, ONE, ["a;b", "b;c", "b"], ""),
        (["a", "b", "a"], {"labels": "several"}, SEVERAL, ["a", "b", "a"], ""),
        (["1.50", "-2", "3e1"], {"target": "number"}, NUMBER, ["1.5", "-2", "30"],
         "The numbers are those in the column 'label'."),
        (["1.5", "2", "1.5"], {"labels": "one"}, ONE, ["1.5", "2", "1.5"], ""),
        (list(range(20)), {}, ONE, [*map(str, range(20))], ""),
        ([n % 25 for n in range(1250)], {}, ONE, [str(n % 25) for n in range(1250)], ""),
    ],
)  # fmt: skip
def test_a_text_column(
    labels: Sequence[object], words: dict[str, Any], kind: str, taken: list[str], note: str,
    tmp_path: Path,
) -> None:  # fmt: skip
    files = {**photos(len(labels)), "t.csv": table(labels, "path,label")}
    dataset = opened(tmp_path, files, "t.csv", **words)
    found = {item.path: item.label for item in dataset.items}
    assert (dataset.kind, [found[f"{n}.jpg"] for n in range(len(labels))]) == (kind, taken)
    assert dataset.notes == ((note,) if note else ())
    assert dataset.quantity == ("label" if kind == NUMBER else "")


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
@pytest.mark.parametrize("labels", [[["b", "a"], ["b"], [], ["a", "a"]], ["a|b", "b", "", "a"]])
def test_lists_and_texts_in_other_tables(labels: list[Any], kind: str, tmp_path: Path) -> None:
    records = [{"image": f"{n}.jpg", "labels": label} for n, label in enumerate(labels)]
    lay(tmp_path, photos(4))
    if kind == "jsonl":
        (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, records)), "utf-8")
    else:
        import pyarrow as pa
        from pyarrow import parquet

        parquet.write_table(pa.Table.from_pylist(records), tmp_path / "t.parquet")
    dataset = Dataset.open(tmp_path / f"t.{kind}")
    assert (dataset.kind, labels_of(dataset)) == (SEVERAL, ["a|b", "b", "", "a"])
    assert dataset.classes == ("a", "b")


@pytest.mark.parametrize(
    ("rows", "column"),
    [
        (["path,target,age", "0.jpg,1,5", "1.jpg,2,6"], "target"),
        (["path,label,age", "0.jpg,x,5", "1.jpg,7,6", "2.jpg,y,7"], "age"),
    ],
)
def test_the_number_is_in_the_column_that_can_be_it(
    rows: list[str], column: str, tmp_path: Path
) -> None:
    dataset = opened(tmp_path, {**photos(3), "t.csv": "\n".join(rows)}, "t.csv", target="number")
    assert dataset.quantity == column


def test_a_usual_column_parts_numbers_too(tmp_path: Path) -> None:
    rows = [f"{n}.jpg,{n / 4},p{n % 6}" for n in range(12)]
    files = {**photos(12), "t.csv": "\n".join(["path,age,patient", *rows])}
    dataset = with_groups(
        opened(tmp_path, files, "t.csv", target="number", label_column="age"), None
    )
    assert len({*dataset.columns.groups}) == 6


def test_rows_of_one_image_are_its_labels_where_it_is_said(tmp_path: Path) -> None:
    rows = "path,label\n0.jpg,b\n1.jpg,a\n0.jpg,a\n0.jpg,a\n"
    files = {**photos(2), "t.csv": rows}
    dataset = opened(tmp_path, files, "t.csv", labels="several")
    assert (labels_of(dataset), dataset.skipped) == (["a|b", "a"], ())
    assert "2 rows name an image again, which has the labels of all its rows." in dataset.notes
    with pytest.raises(DataError, match="one label; or, by --labels several, all of them"):
        Dataset.open(tmp_path / "t.csv")


# --- a column for each label ---------------------------------------------------------------------


def test_columns_of_0_and_1(tmp_path: Path) -> None:
    rows = [
        "file,split,cat,dog,age,owl,batch",
        *("0.jpg,train,1,0,7,0,1", "1.jpg,test,1.0, 1,3,0,1", "2.jpg,,0,0,1,0,0"),
    ]
    dataset = opened(tmp_path, {**photos(3), "t.csv": "\n".join(rows)}, "t.csv")
    assert (dataset.kind, labels_of(dataset)) == (SEVERAL, ["cat", "cat|dog", ""])
    assert [item.split for item in dataset.items] == ["train", "test", ""]
    assert dataset.notes == (
        "The labels are the columns of 0 and 1, 'cat', 'dog', 'owl'.",
        "The column 'age' was not used.",
    )


def test_what_is_not_known_is_0_and_said(tmp_path: Path) -> None:
    rows = "file,cat,dog\n0.jpg,1,-1\n1.jpg,1,1\n2.jpg,,0\n"
    dataset = opened(tmp_path, {**photos(3), "t.csv": rows}, "t.csv")
    assert labels_of(dataset) == ["cat", "cat|dog", ""]
    assert dataset.notes[1] == "In 2 rows -1, or an empty cell, is taken for 0."


def test_a_single_1_in_each_row_is_one_label(tmp_path: Path) -> None:
    rows = "file,cat,dog\n0.jpg,1,0\n1.jpg,0,1\n2.jpg,1,0\n"
    dataset = opened(tmp_path, {**photos(3), "t.csv": rows}, "t.csv")
    assert (dataset.kind, labels_of(dataset)) == (ONE, ["cat", "dog", "cat"])
    assert dataset.notes[1].startswith("Each row has a single 1, so an image has one label;")
    assert Dataset.open(tmp_path / "t.csv", labels="several").kind == SEVERAL


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_columns_of_0_and_1_in_other_tables(kind: str, tmp_path: Path) -> None:
    records = [
        {"path": f"{n}.jpg", "cat": cat, "dog": dog} for n, (cat, dog) in enumerate(
            [(1, 0), (1, 1), (0, 0)]
        )
    ]  # fmt: skip
    lay(tmp_path, photos(3))
    if kind == "jsonl":
        (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, records)), "utf-8")
    else:
        import pyarrow as pa
        from pyarrow import parquet

        parquet.write_table(pa.Table.from_pylist(records), tmp_path / "t.parquet")
    assert labels_of(Dataset.open(tmp_path / f"t.{kind}")) == ["cat", "cat|dog", ""]


def test_classes_beside_the_images_of_each_split(tmp_path: Path) -> None:
    """As Roboflow writes it; of the test images alone each happens to have one label."""
    names = {"train": "1, 1, 0", "valid": "0, 1, 1", "test": "0, 0, 1"}
    files: dict[str, bytes | str] = {"README.txt": "from there"}
    for split, flags in names.items():
        files[f"{split}/a.jpg"] = split.encode()
        files[f"{split}/_classes.csv"] = f"filename, cat, dog, red bird\na.jpg, {flags}\n"
    dataset = opened(tmp_path, files)
    assert {item.path: (item.label, item.split) for item in dataset.items} == {
        "train/a.jpg": ("cat|dog", "train"),
        "valid/a.jpg": ("dog|red bird", "val"),
        "test/a.jpg": ("red bird", "test"),
    }
    assert dataset.kind == SEVERAL
    assert dataset.notes[1] == "The labels are the columns of 0 and 1, 'cat', 'dog', 'red bird'."


def test_many_columns_are_few_steps(tmp_path: Path) -> None:
    names = [f"l{n}" for n in range(5000)]
    rows = [["0"] * 5000 for _ in range(20)]
    for n, row in enumerate(rows):
        row[n] = row[-n - 1] = "1"
    lines = [",".join(["path", *names]), *(f"{n}.jpg,{','.join(r)}" for n, r in enumerate(rows))]
    dataset = opened(tmp_path, {**photos(20), "t.csv": "\n".join(lines)}, "t.csv")
    assert dataset.items[0].label == "l0|l4999"
    assert len(dataset.classes) == 40


# --- images in tables, shards, sets in memory ----------------------------------------------------


def image_table(path: Path, labels: Sequence[Any], feature: object = None) -> Path:
    import pyarrow as pa
    from pyarrow import parquet

    records = [
        {"image": {"bytes": bytes([n, 1]), "path": f"{n:03}.jpg"}, "label": label}
        for n, label in enumerate(labels)
    ]
    found = pa.Table.from_pylist(records)
    if feature is not None:
        told = {"info": {"features": {"label": feature}}}
        found = found.replace_schema_metadata({"huggingface": json.dumps(told)})
    parquet.write_table(found, path)
    return path


CLASS = {"names": ["cat", "dog", "owl"], "_type": "ClassLabel"}


@pytest.mark.parametrize(
    ("labels", "feature", "taken"),
    [
        ([["b", "a"], [], ["b"]], None, ["a|b", "", "b"]),
        ([[0, 2], [], [1]], {"feature": CLASS, "_type": "Sequence"}, ["cat|owl", "", "dog"]),
        ([[0, 1, 1], [0, 0, 0], [1, 0, 0]], {"feature": CLASS, "_type": "List"},
         ["dog|owl", "", "cat"]),
        (["a|b", "b", "a"], None, ["a|b", "b", "a"]),
    ],
)  # fmt: skip
def test_lists_in_tables_with_images(
    labels: list[Any], feature: object, taken: list[str], tmp_path: Path
) -> None:
    dataset = Dataset.open(image_table(tmp_path / "a.parquet", labels, feature))
    assert (dataset.kind, labels_of(dataset)) == (SEVERAL, taken)


def test_numbers_in_tables_with_images(tmp_path: Path) -> None:
    path = image_table(tmp_path / "a.parquet", [1.5, None, 3.0])
    dataset = Dataset.open(path, target="number")
    assert (dataset.kind, dataset.quantity, labels_of(dataset)) == (NUMBER, "label", ["1.5", "3"])
    assert dataset.skipped == (("001.jpg", "no label in its row"),)
    with pytest.raises(DataError, match="may be classes or amounts"):
        Dataset.open(path)


def packed(folder: Path, tags: Mapping[str, str]) -> None:
    """A tar of these files, each with an image of its name."""
    with tarfile.open(folder / "a.tar", "w") as tar:
        for name, text in tags.items():
            for member, content in ((name, text.encode()), (f"{name.split('.')[0]}.jpg", b"x")):
                info = tarfile.TarInfo(member)
                info.size = len(content)
                tar.addfile(info, BytesIO(content))


def test_the_numbers_of_classes_in_shards_are_not_asked_about(tmp_path: Path) -> None:
    packed(tmp_path, {f"{n:02}.cls": str(n) for n in range(30)})
    assert len(Dataset.open(tmp_path / "a.tar").classes) == 30
    packed(tmp_path, {f"{n:02}.json": json.dumps({"label": n}) for n in range(30)})
    with pytest.raises(DataError, match="30 images have 30 different ones"):
        Dataset.open(tmp_path / "a.tar")


@pytest.mark.parametrize(
    ("tags", "words", "kind", "taken"),
    [
        ([["b", "a"], [], ["a"]], {}, SEVERAL, ["a|b", "", "a"]),
        ([0.5, 2, 3], {"target": "number"}, NUMBER, ["0.5", "2", "3"]),
    ],
)
def test_fields_of_shards(
    tags: list[Any], words: dict[str, Any], kind: str, taken: list[str], tmp_path: Path
) -> None:
    packed(tmp_path, {f"{n}.json": json.dumps({"label": label}) for n, label in enumerate(tags)})
    dataset = Dataset.open(tmp_path / "a.tar", **words)
    assert (dataset.kind, labels_of(dataset), dataset.skipped) == (kind, taken, ())
    (tmp_path / "classes.txt").write_text("x\n", "utf-8")  # names classes, and no number
    if kind == NUMBER:
        assert labels_of(Dataset.open(tmp_path / "a.tar", **words)) == taken


# --- class folders -------------------------------------------------------------------------------


def test_photos_in_several_folders_have_several_labels(tmp_path: Path) -> None:
    dataset = opened(tmp_path, folders(2))
    assert (dataset.kind, len(dataset)) == (SEVERAL, 20)
    assert [item.path for item in dataset.items if item.label == "a|b"] == ["a/0.jpg", "a/1.jpg"]
    places = {item.path: n for n, item in enumerate(dataset.items)}
    assert dataset.read(places["b/19.jpg"]) == bytes([19, 7])
    assert dataset.stamp(places["b/19.jpg"]).endswith("19.jpg") or not dataset.stamp(0)
    assert dataset.notes == (
        "2 of 20 photos lie in several class folders; each is one image with all those labels, by "
        "its first path; --labels one takes them for contradictions.",
    )


def test_few_doubles_are_no_labels_unless_it_is_said(tmp_path: Path) -> None:
    assert opened(tmp_path, folders(1)).kind == ONE
    assert len(Dataset.open(tmp_path)) == 21
    dataset = Dataset.open(tmp_path, labels="several")
    assert (dataset.kind, len(dataset)) == (SEVERAL, 20)
    assert opened(tmp_path, folders(9), labels="one").kind == ONE


def test_doubles_of_other_names_count_where_it_is_said(tmp_path: Path) -> None:
    assert opened(tmp_path, folders(9, lambda n: f"copy{n}.jpg")).kind == ONE
    assert labels_of(Dataset.open(tmp_path, labels="several")).count("a|b") == 9


def test_same_names_and_sizes_are_not_the_same_photo(tmp_path: Path) -> None:
    files = {f"{folder}/{n}.jpg": f"{folder}{n % 10}" for folder in "ab" for n in range(20)}
    dataset = opened(tmp_path, files)
    assert (dataset.kind, len(dataset), dataset.notes) == (ONE, 40, ())


def test_doubles_in_a_zip_and_across_splits(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, content in folders(3).items():
            archive.writestr(name, content)
    assert labels_of(Dataset.open(tmp_path / "a.zip")).count("a|b") == 3
    parted = {f"{'train' if 'a/' in n else 'test'}/{n}": c for n, c in folders(9).items()}
    more = {"train/b/x.jpg": b"x", "test/a/y.jpg": b"y"}
    assert opened(tmp_path / "parted", {**parted, **more}).kind == ONE


def test_folders_without_doubles_have_one_label_an_image(tmp_path: Path) -> None:
    dataset = opened(tmp_path, folders(0), labels="several")
    assert (dataset.kind, {*labels_of(dataset)}) == (SEVERAL, {"a", "b"})


def test_folders_that_are_numbers(tmp_path: Path) -> None:
    files = {f"{n // 2}/{n}.jpg": bytes([n]) for n in range(60)}
    assert opened(tmp_path, files).kind == ONE
    dataset = Dataset.open(tmp_path, target="number")
    assert (dataset.kind, dataset.items[-1].label) == (NUMBER, "9")
    assert dataset.notes == ("The names of the class folders are taken for the numbers.",)


def test_class_folders_and_a_table_at_once(tmp_path: Path) -> None:
    files = {**folders(0), "metadata.csv": "file_name,label\na/0.jpg,x\na/2.jpg,y\n"}
    dataset = opened(tmp_path, files)
    assert dataset.classes == ("a", "b")
    assert dataset.notes == (
        "The class folders are the labels; metadata.csv is not used: --label-column COLUMN takes "
        "labels from there.",
    )
    assert Dataset.open(tmp_path, label_column="label").classes == ("x", "y")


def test_groups_below_the_folders_of_several_labels(tmp_path: Path) -> None:
    files = {n.replace("/", f"/{n[0]}{int(n[2:-4]) % 5}/in/"): c for n, c in folders(4).items()}
    dataset = with_groups(opened(tmp_path, files), "folder")
    assert dataset.kind == SEVERAL
    assert {*dataset.columns.groups} == {f"{folder}{n}/in" for folder in "ab" for n in range(5)}
