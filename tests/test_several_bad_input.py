"""Labels, several of them and numbers, that cannot be used: what is said of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regraft.data.corrections import correct
from regraft.data.dataset import Dataset
from regraft.errors import DataError, RegraftError
from several import SQUARES, folders, opened, photos, table

MIXED = ["1", "nan", "inf", "cat", "", "-inf", "1e99", "2"]
BAD: dict[str, tuple[Callable[[Path], object], str, list[str]]] = {
    "many different numbers": (
        lambda p: opened(p, {**photos(30), "t.csv": table(range(30))}, "t.csv"),
        "The labels are numbers, and they may be classes or amounts.",
        ["30 images have 30 different ones, 0 to 29", "--target number estimates the number",
         "--labels one takes each different number for a class"],
    ),
    "numbers that are no whole ones": (
        lambda p: opened(p, {**photos(3), "t.csv": table([0.5, 1, 0.5])}, "t.csv"),
        "The labels are numbers, and they may be classes or amounts.",
        ["3 images have 2 different ones, 0.5 to 1", "--target number estimates the number",
         "--labels one takes each different number for a class"],
    ),
    "numbers in an array": (
        lambda _: Dataset.from_arrays(SQUARES, [0.5, 1, 3]),
        "The labels are numbers, and they may be classes or amounts.",
        ["3 images have 3 different ones, 0.5 to 3", "target='number' estimates the number",
         "several=False takes each different number for a class"],
    ),
    "nan, inf and text among numbers": (
        lambda p: opened(
            p, {**photos(8), "t.csv": table(MIXED)}, "t.csv", target="number", label_column="label"
        ),
        "'t.csv' has rows that cannot be used.",
        ["row 3 (1.jpg): 'nan' is no number", "row 4 (2.jpg): 'inf' is no number",
         "row 5 (3.jpg): 'cat' is no number", "row 6 (4.jpg): there is no number",
         "row 7 (5.jpg): '-inf' is no number", "row 8 (6.jpg): '1e99' is no number"],
    ),
    "more of them than are named": (
        lambda p: opened(
            p, {**photos(13), "t.csv": table(["1", *["x"] * 12])}, "t.csv", target="number",
            label_column="label",
        ),
        "'t.csv' has rows that cannot be used.",
        [*(f"row {n} ({n - 2}.jpg): 'x' is no number" for n in range(3, 13)),
         "... and 2 more like that"],
    ),
    "nan in an array": (
        lambda _: Dataset.from_arrays(SQUARES, np.array([1, np.nan, np.inf]), target="number"),
        "There are labels that cannot be used.",
        ["image 1: there is no number", "image 2: 'inf' is no number"],
    ),
    "two targets": (
        lambda p: opened(
            p, {**photos(2), "t.csv": "path,age,weight\n0.jpg,1,2\n1.jpg,3,4\n"}, "t.csv",
            target="number",
        ),
        "It cannot be told which column of 't.csv' is the number.",
        ["'age', 'weight' hold numbers; --label-column names one"],
    ),
    "no number at all": (
        lambda p: opened(
            p, {**photos(2), "t.csv": "path,name\n0.jpg,x\n1.jpg,y\n"}, "t.csv", target="number"
        ),
        "'t.csv' lacks a column.",
        ["there must be a column for the labels: label, class, target, labels, classname, "
         "classlabel or the like; --label-column names it", "its columns are 'path', 'name'"],
    ),
    "columns of nothing but 0": (
        lambda p: opened(p, {**photos(2), "t.csv": "path,a,b\n0.jpg,0,0\n1.jpg,0,0\n"}, "t.csv"),
        "'t.csv' lacks a column.",
        ["there must be a column for the labels: label, class, target, labels, classname, "
         "classlabel or the like; --label-column names it", "its columns are 'path', 'a', 'b'"],
    ),
    "corrections in columns of 0 and 1": (
        lambda p: correct(
            opened(p, {**photos(3), "t.csv": table("aba"), "r.csv": "path,a,b\n0.jpg,0,1\n"},
                   "t.csv"), p / "r.csv", p,
        ),
        "'r.csv' lacks a column.",
        ["there must be a column for the labels: label, class, target, labels, classname, "
         "classlabel or the like; --label-column names it", "its columns are 'path', 'a', 'b'"],
    ),
    "folders that are no numbers": (
        lambda p: opened(p / "photos", folders(0), target="number"),
        "The class folders of 'photos' are no numbers.",
        ["--target number needs one for each image, got 'a', 'b'; write a table with the columns "
         "path and label, the number"],
    ),
    "a name with what parts names": (
        lambda p: opened(
            p, {**photos(1), "t.jsonl": '{"path": "0.jpg", "label": ["a|b", "c"]}'}, "t.jsonl"
        ),
        "'t.jsonl' has rows that cannot be used.",
        ["row 1 (0.jpg): 'a|b' is one name with a '|' in it, which stands between labels"],
    ),
    "a folder with what parts names": (
        lambda p: opened(p / "photos", {"a|b/0.jpg": b"0", "c/1.jpg": b"1"}, labels="several"),
        "'photos' has class folders that cannot be one of several labels.",
        ["'a|b': '|' stands between labels; rename them"],
    ),
    "several where one is asked for": (
        lambda p: opened(
            p, {**photos(1), "t.jsonl": '{"path": "0.jpg", "label": ["a", "b"]}'}, "t.jsonl",
            labels="one",
        ),
        "'t.jsonl' has rows that cannot be used.",
        ["row 1 (0.jpg): has 2 labels, 'a', 'b'; --labels several"],
    ),
    "an array of more than 0 and 1": (
        lambda _: Dataset.from_arrays(SQUARES, np.array([[0, 1], [2, 0], [1, 1]])),
        "A table of labels must hold 0 and 1.",
        ["image 1, 0: got 2"],
    ),
    "both at once": (
        lambda p: opened(p, folders(0), labels="several", target="number"),
        "These choices cannot be followed.",
        ["--target number takes the label for a number, so it goes without --labels several."],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    act, headline, problems = BAD[case]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RegraftError) as caught:
        act(Path())
    assert (caught.value.headline, list(caught.value.problems)) == (headline, problems)


# --- corrections ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "words", "right", "label"),
    [
        (["a|b", "b", "a"], {}, "b| a", "a|b"),
        (["a|b", "b", "a"], {}, "|", ""),
        (["1", "2", "2"], {"target": "number"}, "2.50", "2.5"),
        (["a", "b", "a"], {}, "a|new", "a|new"),
    ],
)
def test_corrections_are_of_the_kind_of_the_data(
    labels: list[str], words: dict[str, Any], right: str, label: str, tmp_path: Path
) -> None:
    dataset = opened(tmp_path, {**photos(3), "t.csv": table(labels)}, "t.csv", **words)
    (tmp_path / "right.csv").write_text(f"path,label\n1.jpg,{right}\n", "utf-8")
    after = correct(dataset, tmp_path / "right.csv", tmp_path).after
    assert (after.kind, after.quantity) == (dataset.kind, dataset.quantity)
    assert after.items[1].label == label


@pytest.mark.parametrize(
    ("labels", "words", "right", "problem"),
    [
        (["1", "2", "2"], {"target": "number"}, "cat", "1.jpg: 'cat' is no number, as the labels "
         "of the data are"),
        (["a", "b", "a"], {}, "a|b", "1.jpg: 'a|b' are several labels, and images of the data "
         "have one"),
    ],
)  # fmt: skip
def test_corrections_of_another_kind_are_named(
    labels: list[str], words: dict[str, Any], right: str, problem: str, tmp_path: Path
) -> None:
    dataset = opened(tmp_path, {**photos(3), "t.csv": table(labels)}, "t.csv", **words)
    (tmp_path / "right.csv").write_text(f"path,label\n1.jpg,{right}\n", "utf-8")
    with pytest.raises(DataError) as caught:
        correct(dataset, tmp_path / "right.csv", tmp_path)
    assert caught.value.problems == (problem,)
