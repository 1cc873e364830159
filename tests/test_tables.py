import sys
from pathlib import Path
from typing import Any

import pytest

from pictures import facts_of, lay_out, refusal, rows
from regraft.data.dataset import Dataset


def table(root: Path, text: str, name: str = "photos.csv", encoding: str = "utf-8") -> Path:
    (root / name).write_bytes(text.encode(encoding))
    return root / name


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return lay_out(tmp_path, {f"img/{name}.jpg": name.encode() for name in "abcd"})


def test_a_table_of_paths_and_labels(photos: Path) -> None:
    dataset = Dataset.open(
        table(photos, "path,label,split\nimg/b.jpg,dog,test\n\nimg/a.jpg, cat ,train\n")
    )
    assert dataset.name == "photos"
    assert rows(dataset) == [("img/a.jpg", "cat", "train"), ("img/b.jpg", "dog", "test")]
    assert [dataset.read(i) for i in range(2)] == [b"a", b"b"]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize(
    "header", ["path label", "FILE Class", "id filename target", "image label x"]
)
def test_tables_are_written_in_many_ways(
    photos: Path, separator: str, encoding: str, header: str
) -> None:
    names = header.split()
    image, label = ("bir,d;s", "Ä")
    lay_out(photos, {f"img/{image}.jpg": b"!"})
    cells = {"path": f'"img/{image}.jpg"', "label": label}
    place = {"file": "path", "filename": "path", "image": "path", "class": "label"}
    place["target"] = "label"
    row = [cells.get(place.get(name.lower(), name.lower()), "7") for name in names]
    text = f"{separator.join(names)}\r\n{separator.join(row)}\r\n"
    dataset = Dataset.open(table(photos, text, encoding=encoding))
    assert rows(dataset) == [(f"img/{image}.jpg", label, "")]
    assert dataset.read(0) == b"!"


def test_numbers_become_names(photos: Path) -> None:
    def labels(cells: list[str]) -> list[str]:
        lines = [f"img/{name}.jpg,{cell}" for name, cell in zip("abcd", cells, strict=True)]
        dataset = Dataset.open(table(photos, "\n".join(["path,label", *lines])))
        return [item.label for item in dataset.items]

    assert labels(["3", "10", "3", "-1"]) == ["3", "10", "3", "-1"]
    assert labels(["3.0", "10.0", "3.0", "-1.0"]) == ["3", "10", "3", "-1"]
    assert labels(["3.0", "3.1", "3.0", "3.1"]) == ["3.0", "3.1", "3.0", "3.1"]
    assert labels(["007", "08", "07", "7"]) == ["007", "08", "07", "7"]


def test_a_table_of_absolute_and_other_paths(photos: Path) -> None:
    sub = photos / "sub"
    sub.mkdir()
    text = f"path,label\n{photos}/img/a.jpg,x\n../img/b.jpg,x\n{sub}/c.jpg,y\nd\\e.jpg,y\n"
    lay_out(sub, {"c.jpg": b"c", "d/e.jpg": b"e"})
    dataset = Dataset.open(table(sub, text))
    paths = [item.path for item in dataset.items]
    assert paths == sorted([f"{photos}/img/a.jpg", "../img/b.jpg", "c.jpg", "d/e.jpg"])
    assert sorted(dataset.read(i) for i in range(4)) == [b"a", b"b", b"c", b"e"]


def test_a_row_that_repeats_another_is_listed(photos: Path) -> None:
    text = "path,label\nimg/a.jpg,x\nimg/b.jpg,y\nimg/a.jpg,x\n./img/a.jpg,x\n"
    dataset = Dataset.open(table(photos, text))
    assert [item.path for item in dataset.items] == ["img/a.jpg", "img/b.jpg"]
    assert dataset.skipped == (
        ("img/a.jpg", "a repeated row: row 4 says what row 2 does"),
        ("img/a.jpg", "a repeated row: row 5 says what row 2 does"),
    )


def test_some_missing_files_are_for_the_audit(photos: Path) -> None:
    dataset = Dataset.open(table(photos, "path,label\nimg/a.jpg,x\nimg/gone.jpg,y\n"))
    assert [fact.problem for fact in facts_of(dataset)] == ["not-an-image", "missing"]


def test_a_table_without_its_columns(photos: Path) -> None:
    error = refusal(table(photos, "thing,kind\nimg/a.jpg,x\n"))
    assert error.headline.endswith("lacks a column.")
    assert len(error.problems) == 3
    assert "paths: path, file, filename, image" in error.problems[0]
    assert "labels: label, class, target" in error.problems[1]
    assert "'thing', 'kind'" in error.problems[2]


def test_every_mistake_of_a_table_is_named_at_once(photos: Path) -> None:
    lines = ["path,label,split", ",x,train", "img/a.jpg,,train", "img/b.jpg,x,tset"]
    lines += ["img/c.jpg,x,train", "img/c.jpg,y,train", "img/d.jpg,x,train", "img/d.jpg,x,test"]
    lines += ["img/e,f.jpg,x,train"]
    problems = "\n".join(refusal(table(photos, "\n".join(lines))).problems)
    for words in (
        "row 2 has no path",
        "row 3 (img/a.jpg) has no label",
        "row 4: a split must be train, val or test, or empty, got 'tset'",
        "row 6 calls img/c.jpg 'y', row 5 'x'",
        "row 8 puts img/d.jpg into 'test', row 7 into 'train'",
        "row 9 has more cells than the table has columns",
    ):
        assert words in problems


def test_many_mistakes_of_a_kind_are_counted(photos: Path) -> None:
    text = "path,label\nimg/a.jpg,x\n" + "".join(f"img/{i}.jpg,\n" for i in range(1234))
    problems = refusal(table(photos, text)).problems
    assert len(problems) == 11
    assert problems[-1] == "... and 1,224 more like that"


def test_a_table_whose_paths_lead_nowhere(photos: Path) -> None:
    (problem,) = refusal(table(photos, "path,label\nno.jpg,x\nnor.jpg,y\n")).problems
    assert "none of its 2 paths leads to a file, the first 'no.jpg'" in problem
    assert str(photos) in problem


def test_a_table_without_rows(photos: Path) -> None:
    assert "has no rows" in refusal(table(photos, "path,label\n")).headline
    assert "lacks a column" in refusal(table(photos, "")).headline


def test_a_table_that_is_no_text(photos: Path) -> None:
    text = "path,label\nimg/a.jpg,Ä\n"
    assert "UTF-8" in refusal(table(photos, text, encoding="latin-1")).problems[0]
    assert "UTF-8" in refusal(table(photos, text, encoding="utf-16")).problems[0]
    assert "after row 2" in refusal(table(photos, 'path,label\nimg/a.jpg,x\n"a"b,c')).problems[0]


def write_parquet(path: Path, columns: dict[str, Any]) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table(columns), path)
    return path


def test_a_parquet_table(photos: Path) -> None:
    columns = {"file": ["img/b.jpg", "img/a.jpg"], "label": [3.0, 4.0], "split": [None, "val"]}
    dataset = Dataset.open(write_parquet(photos / "t.parquet", columns | {"more": [{"a": 1}, {}]}))
    assert rows(dataset) == [("img/a.jpg", "4", "val"), ("img/b.jpg", "3", "")]


def test_a_parquet_table_of_bytes_holds_its_images(photos: Path) -> None:
    path = write_parquet(photos / "t.parquet", {"image": [b"\xff\xd8"], "label": ["x"]})
    dataset = Dataset.open(path)
    assert [item.label for item in dataset.items] == ["x"]
    assert dataset.read(0) == b"\xff\xd8"


def test_a_damaged_parquet_table(photos: Path) -> None:
    pytest.importorskip("pyarrow")
    assert "Parquet" in refusal(table(photos, "PAR1 nothing", "t.parquet")).headline


def test_parquet_without_pyarrow(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    error = refusal(table(photos, "PAR1", "t.parquet"))
    assert "needs the package pyarrow" in error.headline
    assert "regraft[table]" in error.problems[0]
