"""Corrections of a data set: what they change, what they pin, and what they show."""

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import regraft
from command import Regraft, cli, own_log
from pictures import facts_of, in_memory, lay_out
from regraft.audit import audit
from regraft.corrections import correct
from regraft.dataset import Dataset
from regraft.errors import DataError
from regraft.splits import split as sides_of
from scenes import each, scene, scenes

__all__ = ["cli", "own_log"]  # fixtures

WHOLE = in_memory(scenes(each(14)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures of three kinds, three of the rings among the squares."""
    files = scenes(each(14))
    for number in range(3):
        files[f"squares/r{number}.png"] = scene("rings", 100 + number)
    return lay_out(tmp_path / "data", files)


def table(place: Path, rows: dict[str, str]) -> Path:
    with place.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "label"), *rows.items()])
    return place


def labels(data: Dataset) -> dict[str, str]:
    return {item.path: item.label for item in data.items}


def test_an_image_of_the_data_gets_another_label_and_a_new_one_is_added(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "new.png").write_bytes(scene("stripes", 300))
    rows = {"data/squares/r0.png": "rings", "r1.png": "rings", "new.png": "stripes"}
    data = Dataset.open(folder)
    done = correct(data, table(tmp_path / "c.csv", rows), folder)
    assert done.relabelled == ("squares/r0.png", "squares/r1.png")
    assert done.added == ("new.png",)
    changed = {"squares/r0.png": "rings", "squares/r1.png": "rings", "new.png": "stripes"}
    assert labels(done.after) == labels(data) | changed
    assert labels(done.before) == labels(data)
    assert done.after.pinned == {"new.png", *done.relabelled}
    assert done.before.pinned == set(done.relabelled)
    paths = [item.path for item in done.after.items]
    assert paths == sorted(paths)
    for number, path in enumerate(paths):
        file = tmp_path / path if path == "new.png" else folder / path
        assert done.after.read(number) == file.read_bytes()


@pytest.mark.parametrize("split", ["test", "val"])
def test_a_held_out_image_that_is_corrected_is_held_out_no_more(split: str, tmp_path: Path) -> None:
    counts = each(8, "train/") | each(4, f"{split}/")
    folder = lay_out(tmp_path / "data", scenes(counts))
    rows = {f"data/{split}/rings/000.png": "squares"}
    done = correct(Dataset.open(folder), table(tmp_path / "c.csv", rows), folder)
    for data in (done.after, done.before):
        [item] = [item for item in data.items if item.path == f"{split}/rings/000.png"]
        assert item.split == "train"


@settings(max_examples=15)
@given(st.sets(st.sampled_from([f"{kind}/{n:03}.png" for kind in each(1) for n in range(14)])))
def test_what_is_corrected_is_never_held_out(paths: set[str]) -> None:
    data = Dataset("d", WHOLE.items, (), WHOLE.read, frozenset(paths))
    found = audit(data, facts_of(data))
    try:
        sides = sides_of(data, found, test_fraction=None, seed=0)
    except DataError:
        assert len(paths) > 12
        return
    held = {data.items[found.kept[i]].path for i in sides.test}
    assert not held & paths


def test_every_mistake_is_named_at_once(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "c.csv"
    place.write_text(
        "path,label\nnowhere.png,rings\n000.png,rings\ndata/squares/r0.png,rings\nr0.png,stripes\n",
        "utf-8",
    )
    with pytest.raises(DataError) as caught:
        correct(Dataset.open(folder), place, folder)
    said = str(caught.value)
    assert "nowhere.png: no such file beside the table, and no such image in the data" in said
    assert "000.png: no such file" in said  # there are three of that name
    assert "has two labels, 'rings' and 'stripes'" in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "is not there"),
        ("path,label\n", "a row for each image"),
        ("path,label\n,rings\n", "row 2 has no path"),
        ("path,label\nr0.png,\n", "has no label"),
        ("name,kind\na,b\n", "path"),
    ],
)
def test_a_table_that_cannot_be_used(
    text: str | None, words: str, folder: Path, tmp_path: Path
) -> None:
    place = tmp_path / "c.csv"
    if text is not None:
        place.write_text(text, "utf-8")
    with pytest.raises(DataError, match=words):
        correct(Dataset.open(folder), place, folder)


def test_fit_shows_before_and_after_on_the_same_images(
    cli: Regraft, folder: Path, tmp_path: Path
) -> None:
    rows = {f"data/squares/r{number}.png": "rings" for number in range(3)}
    corrections = table(tmp_path / "c.csv", rows)
    words = ("fit", folder, "-b", "demonstration", "--case", "1", "--add", corrections)
    said = cli(*words, "--out", tmp_path / "run")
    assert said.code == 0, said.err
    flat = " ".join(said.out.split())
    assert "With the corrections (3 images relabelled, 0 added): " in flat
    assert "without them" in flat
    result = regraft.load(tmp_path / "run")
    assert any("--add (3 images relabelled, 0 added;" in said for said in result.plan.overrides)
    predicted = (tmp_path / "run" / "predictions.csv").read_text("utf-8")
    assert not [path for path in rows if path.removeprefix("data/") in predicted]
    as_json = cli(*words, "--out", tmp_path / "again", "--json")
    document = json.loads(as_json.out)
    assert 0 <= document["before"] <= 1
    assert document["accuracy"] == result.metrics["accuracy"]


def test_corrections_go_with_no_plan(cli: Regraft, folder: Path, tmp_path: Path) -> None:
    said = cli("fit", folder, "--plan", "p.json", "--add", "c.csv", "--out", tmp_path / "run")
    assert said.code == 2
    assert "--add changes the images" in said.err
