"""Corrections of a data set: what they change, what they pin, and what they show."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import regraft
from command import Regraft, cli, own_log
from pictures import encode, facts_of, in_memory, lay_out, photo
from regraft.data.audit import audit
from regraft.data.corrections import correct
from regraft.data.dataset import Dataset
from regraft.data.splits import split as sides_of
from regraft.errors import DataError
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
    (folder / split / "rings/000.png").write_bytes(scene("rings", 500))
    rows = {f"data/{split}/rings/000.png": "squares"}
    done = correct(Dataset.open(folder), table(tmp_path / "c.csv", rows), folder)
    [item] = [item for item in done.after.items if item.path == f"{split}/rings/000.png"]
    assert item.split == "train"
    assert labels(done.before) == {
        path: label for path, label in labels(done.after).items() if path != item.path
    }
    for number, item in enumerate(done.before.items):
        assert done.before.read(number) == (folder / item.path).read_bytes()


def test_a_copy_of_an_image_corrects_the_image(tmp_path: Path) -> None:
    counts = each(8, "train/") | each(4, "val/")
    folder = lay_out(tmp_path / "data", scenes(counts))
    (folder / "val/rings/000.png").write_bytes(scene("rings", 500))
    (tmp_path / "mine.png").write_bytes((folder / "val/rings/000.png").read_bytes())
    (tmp_path / "other.png").write_bytes((folder / "train/rings/000.png").read_bytes())
    rows = {"mine.png": "rings", "other.png": "squares"}
    done = correct(Dataset.open(folder), table(tmp_path / "c.csv", rows), folder)
    assert (done.confirmed, done.relabelled) == (
        ("val/rings/000.png",),
        ("train/rings/000.png",),
    )
    assert not done.added
    assert done.named == "1 image relabelled, 1 confirmed, 0 added"
    sides = {item.path: (item.label, item.split) for item in done.after.items}
    assert sides["val/rings/000.png"] == ("rings", "train")
    assert sides["train/rings/000.png"] == ("squares", "train")
    both = table(tmp_path / "d.csv", {"mine.png": "rings", "data/val/rings/000.png": "squares"})
    with pytest.raises(DataError, match="has two labels"):
        correct(Dataset.open(folder), both, folder)


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
    assert "000.png: stands for 3 images of the data, rings/000.png and others" in said
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


def test_what_changes_nothing_is_told(cli: Regraft, folder: Path, tmp_path: Path) -> None:
    corrections = table(tmp_path / "c.csv", {"data/squares/r0.png": "alone"})
    words = ("fit", folder, "-b", "demonstration", "--case", "1", "--add", corrections)
    said = cli(*words, "--out", tmp_path / "run")
    assert said.code == 0, said.err
    assert "Of the corrected images 1 could not be used" in " ".join(said.out.split())
    assert "left out squares/r0.png" in said.err


def test_without_the_corrections_nothing_may_be_fitted(cli: Regraft, tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "data", scenes({"rings": 14, "squares": 14}))
    for item in folder.glob("squares/*"):
        item.rename(folder / "rings" / f"s{item.name}")
    rows = {f"data/rings/s{number:03}.png": "squares" for number in range(10)}
    words = ("fit", folder, "-b", "demonstration", "--case", "1", "--out", tmp_path / "run")
    said = cli(*words, "--add", table(tmp_path / "c.csv", rows), "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["before"] is None


def test_corrections_go_with_no_plan(cli: Regraft, folder: Path, tmp_path: Path) -> None:
    said = cli("fit", folder, "--plan", "p.json", "--add", "c.csv", "--out", tmp_path / "run")
    assert said.code == 2
    assert "--add changes the images" in said.err


@pytest.mark.parametrize("quality", [None, 90])
def test_a_copy_of_a_corrected_image_is_held_out_no_more(
    quality: int | None, tmp_path: Path
) -> None:
    """The same bytes or the same picture as another file: the corrected one stays."""
    files = scenes(each(6, "train/")) | scenes(each(3, "test/"), first=50)
    drawn = photo(7, 96, 96)
    files["test/rings/copy.png"] = encode(drawn, "PNG")
    form = encode(drawn, "PNG") if quality is None else encode(drawn, "JPEG", quality=quality)
    folder = lay_out(tmp_path / "data", files | {"train/rings/corrected.jpg": form})
    data = replace(Dataset.open(folder), pinned=frozenset({"train/rings/corrected.jpg"}))
    found = audit(data, facts_of(data))
    [gone] = found.left_out
    assert gone.path == "test/rings/copy.png"
    assert gone.reason == ("exact-copy" if quality is None else "copy-of-corrected")
    assert "train/rings/corrected.jpg" in gone.detail
    plain = replace(data, pinned=frozenset())
    [gone] = audit(plain, facts_of(plain)).left_out
    assert gone.path == "train/rings/corrected.jpg"
