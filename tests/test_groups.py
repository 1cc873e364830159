"""What people know to belong together: columns, folders and patterns of names."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pictures import classes, facts_of, in_memory, lay_out
from regraft.data.audit import audit, fingerprint
from regraft.data.dataset import Dataset, Item
from regraft.data.readers.known import with_groups
from regraft.data.splits import folds, split
from regraft.errors import DataError, RegraftError, UsageError


def table(tmp_path: Path, header: str, cells: Sequence[str], form: str = "csv") -> Dataset:
    """A table of so many pictures of two classes, with more columns."""
    names = [f"pictures/{i:02}.jpg" for i in range(len(cells))]
    data = classes({"a": len(cells)})
    lay_out(tmp_path, dict(zip(names, data.values(), strict=True)))
    lines = [f"path,label,{header}"]
    lines += [
        f"{name},{'ab'[i % 2]},{cell}"
        for i, (name, cell) in enumerate(zip(names, cells, strict=True))
    ]
    path = tmp_path / f"table.{form}"
    if form == "csv":
        path.write_text("\n".join(lines))
        return Dataset.open(path)
    arrow = pytest.importorskip("pyarrow")
    columns = zip(*(line.split(",") for line in lines), strict=True)
    from pyarrow import parquet

    parquet.write_table(arrow.table({name: list(rest) for name, *rest in columns}), path)
    return Dataset.open(path)


def groups(dataset: Dataset) -> list[str]:
    return [item.group for item in dataset.items]


PATIENTS = [f"p{i // 3}" for i in range(18)]


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("name", ["group", "Patient_ID", "subject", "video", "Speaker", "part"])
def test_a_column_of_a_usual_name_is_taken_and_said(tmp_path: Path, name: str, form: str) -> None:
    found = with_groups(table(tmp_path, name, PATIENTS, form), None)
    assert groups(found) == PATIENTS
    assert found.notes[-1].startswith(f"Groups by the column {name!r}: 6, each")


def test_of_several_columns_one_is_taken_and_the_others_are_named(tmp_path: Path) -> None:
    dataset = table(tmp_path, "session,patient", [f"{i // 2},{p}" for i, p in enumerate(PATIENTS)])
    found = with_groups(dataset, None)
    assert groups(found) == PATIENTS
    assert "(not 'session'; --group-by takes another)" in found.notes[-1]
    assert groups(with_groups(dataset, "session")) == [str(i // 2) for i in range(18)]
    assert set(groups(with_groups(dataset, "none"))) == {""}


def test_a_column_of_few_values_is_named_and_not_taken(tmp_path: Path) -> None:
    dataset = table(tmp_path, "camera", ["left", "right"] * 9)
    assert set(groups(with_groups(dataset, None))) == {""}
    assert "'camera': fewer than 5 values" in with_groups(dataset, None).notes[-1]
    assert groups(with_groups(dataset, "camera")) == ["left", "right"] * 9


def drawn_names(*paths: str) -> Dataset:
    items = tuple(Item(path, path.split("/")[0]) for path in sorted(paths))
    return Dataset("names", items, (), lambda _: b"")


TRACKS = drawn_names(
    *(f"{label}/{n:05}_{i:05}.ppm" for label in "ab" for n in (1, 2) for i in (0, 1))
)
FOLDERS = drawn_names("a/x/1.jpg", "a/x/2.jpg", "a/y/1.jpg", "b/z/deep/1.jpg", "b/2.jpg")


@pytest.mark.parametrize(
    ("dataset", "by", "expected"),
    [
        (TRACKS, r"^(\d+)_", ["00001", "00001", "00002", "00002"] * 2),
        (TRACKS, r"^\d+", ["00001", "00001", "00002", "00002"] * 2),
        (TRACKS, r"(\w/\d+)_", [f"{c}/0000{n}" for c in "ab" for n in (1, 1, 2, 2)]),
        (TRACKS, r"0000[2]", ["", "", "00002", "00002"] * 2),
        (FOLDERS, "folder", ["x", "x", "y", "", "z/deep"]),
    ],
    ids=["file name", "whole match", "path", "some match", "folder"],
)
def test_groups_by_names(dataset: Dataset, by: str, expected: list[str]) -> None:
    if by == r"0000[2]":
        with pytest.raises(UsageError, match="parts nothing"):
            with_groups(dataset, by)
        return
    found = with_groups(dataset, by)
    assert groups(found) == expected
    alone = sum(not group for group in expected)
    assert (f"{alone} images have none" in found.notes[-1]) == bool(alone)


@pytest.mark.parametrize(
    ("dataset", "by", "said"),
    [
        (TRACKS, "(", "missing"),
        (TRACKS, "patient", "must match file names such as 'a/00001_00000.ppm'"),
        (TRACKS, r"\.ppm$", "got one group, '.ppm'"),
        (TRACKS, "folder", "got no group"),
    ],
    ids=["no pattern", "no match", "one group", "no folders"],
)
def test_groups_that_cannot_be_are_refused(dataset: Dataset, by: str, said: str) -> None:
    with pytest.raises(RegraftError) as caught:
        with_groups(dataset, by)
    assert said in " ".join([caught.value.headline, *caught.value.problems])


def test_an_image_in_two_groups_is_refused(tmp_path: Path) -> None:
    dataset = table(tmp_path, "patient", PATIENTS)
    path = tmp_path / "table.csv"
    path.write_text(path.read_text() + "\npictures/00.jpg,a,p9")
    with pytest.raises(DataError) as caught:
        with_groups(Dataset.open(path), "patient")
    assert "has two, 'p0' and 'p9'" in caught.value.problems[0]
    assert len(dataset) == 18


@pytest.mark.parametrize("seed", range(5))
def test_known_groups_stay_on_one_side_of_test_and_folds(seed: int) -> None:
    dataset = with_groups(
        in_memory(classes({"a": 30, "b": 30})), r"(\d)\d\.jpg"
    )  # 000 to 009, 010 to 019 ... of both classes
    found = audit(dataset, facts_of(dataset))
    sides = split(dataset, found, test_fraction=None, seed=seed)
    known = np.array([dataset.items[i].group for i in found.kept])
    assert len(set(known)) == 3
    assert set(known[sides.train]).isdisjoint(known[sides.test])
    labels = np.array([dataset.items[i].label for i in found.kept])
    fold = folds(labels, found.groups, 3, seed)
    assert all(len(set(fold[known == name])) == 1 for name in set(known))


def test_a_group_on_both_sides_of_the_datas_own_split_is_named() -> None:
    files = classes({"train/a": 4, "train/b": 4, "test/a": 2, "test/b": 2})
    dataset = with_groups(in_memory(files, ("train", "test")), r"00(\d)")
    found = audit(dataset, facts_of(dataset))
    assert len(found.kept) == 12
    (sentence,) = (one for one in found.warnings if "both sides" in one)
    assert "puts 2 known groups on both sides, such as '0', '1'; it is followed" in sentence


def test_another_grouping_is_another_fingerprint() -> None:
    dataset = in_memory(classes({"a": 6, "b": 6}))
    facts = facts_of(dataset)

    def mark(by: str | None) -> str:
        grouped = with_groups(dataset, by)
        return fingerprint(grouped, audit(grouped, facts), facts)

    assert mark(None) == mark("none") != mark(r"00(\d)") != mark(r"(a|b)?/?00\d")
