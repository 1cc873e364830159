"""report.html: the images it shows, and drawing it anew."""

import importlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import regraft
from command import Regraft, cli, own_log
from pictures import jpeg, lay_out
from regraft.data.dataset import Dataset, Item
from regraft.errors import RunError
from regraft.report import page as page_of
from regraft.report import pictures, template, words
from regraft.results.result import Result, with_tables
from regraft.results.tables import Predictions
from reported import Reader, data, drawn, made_up, run, whole
from scenes import each, scenes

__all__ = ["cli", "data", "own_log", "run", "whole"]  # fixtures

report = importlib.import_module("regraft.report")  # regraft.report is the verb

# ---- the images


def big(count: int) -> Dataset:
    """Large, grainy pictures, whose thumbnails take as much room as any."""
    random = np.random.default_rng(5)
    noise = [random.integers(0, 256, (200, 260, 3), np.uint8) for _ in range(4)]
    files = Dataset.from_arrays(noise, list("abab"))
    items = tuple(Item(f"k/{n}.png", "k") for n in range(count))
    return Dataset("noise", items, (), lambda n: files.read(n % 4))


def test_the_page_is_small_with_pictures_that_are_hard_to_compress(whole: Result) -> None:
    base = made_up(whole, [f"kind {n}" for n in range(30)], 300, seed=2)
    assert base.predictions is not None
    shares = np.random.default_rng(3).dirichlet(np.ones(30), 300)
    paths = [f"k/{n}.png" for n in range(300)]
    found = replace(base.predictions, paths=paths, probabilities=shares)
    text = page_of(replace(base, predictions=found), "", big(300))
    shown = [attrs["src"] or "" for attrs in Reader(text).all("img")]
    assert pictures.ROOM * 0.9 < sum(map(len, shown)) <= pictures.ROOM
    assert template.size(text) < template.LARGEST


def test_mistakes_and_doubts_are_the_right_ones() -> None:
    shares = np.array([[0.9, 0.1], [0.4, 0.6], [0.55, 0.45], [0.2, 0.8]])
    found = Predictions(["a", "b", "c", "d"], np.array([1, 0, 0, 1]), shares)
    wrong = pictures.mistakes(found, ["x", "y"])
    assert [(s.path, s.truth, s.prediction, s.confidence) for s in wrong] == [
        ("a", "y", "x", 0.9), ("b", "x", "y", 0.6),
    ]  # fmt: skip
    assert [shot.path for shot in pictures.unsure(found, ["x", "y"])] == ["c", "b", "d", "a"]


def test_a_thumbnail_is_of_the_image_that_it_names(data: Path, run: Path, whole: Result) -> None:
    dataset = Dataset.open(data)
    shots = pictures.unsure(whole.predictions, whole.classes)  # type: ignore[arg-type]
    seen = pictures.seen(shots, pictures.finder(dataset), whole.plan.backbone.view)
    place = {item.path: n for n, item in enumerate(dataset.items)}
    for shot in seen:
        square, _ = pictures.look(
            shot.path, lambda path: dataset.read(place[path]),
            replace(whole.plan.backbone.view, size=pictures.SIDE),
        )  # fmt: skip
        assert square is not None
        assert shot.uri == pictures.uri(square)
        assert shot.uri in drawn(run)


def test_what_is_gone_or_damaged_is_named(whole: Result, data: Path, tmp_path: Path) -> None:
    copied = lay_out(tmp_path / "copy", scenes(each(4, "test/"), first=60))
    assert whole.predictions is not None
    first, second, *_ = (copied / path for path in whole.predictions.paths)
    first.unlink()
    second.write_bytes(b"no image any more")
    page = Reader(page_of(whole, "", Dataset.open(copied)))
    assert f"{whole.predictions.paths[0]} (not in copy)" in page.text
    assert f"{whole.predictions.paths[1]} (" in page.text
    assert page.all("img")


# ---- drawn anew


def test_a_page_drawn_anew_is_the_same(cli: Regraft, run: Path, data: Path) -> None:
    before = drawn(run)
    assert cli("report", run, "--data", data).code == 0
    after = drawn(run)
    (run / "report.html").write_text(before, "utf-8")
    assert f"regraft fit {data} -b " in Reader(after).text
    assert f"{words.place(run)} --heat-maps --data {data}<" in after
    assert after.replace(str(data), "DATA") == before
    assert not [name for name in os.listdir(run) if name.startswith(".")]


def test_without_its_images_it_names_them(cli: Regraft, run: Path) -> None:
    before = drawn(run)
    said = cli("report", run)
    page = Reader(drawn(run))
    (run / "report.html").write_text(before, "utf-8")
    assert said.code == 0
    assert "--data DATA" in said.err
    assert page.all("img") == []
    assert "The images are not at hand" in page.text
    assert "test/" in page.text


def test_images_that_have_gone_are_named_by_their_place(run: Path, whole: Result) -> None:
    told: list[str] = []
    moved = replace(whole, plan=replace(whole.plan, data="../gone"))
    assert report._images(moved, None, told.append) is None
    assert told == [
        f"The images are not at {run.parent / 'gone'} any more; --data DATA shows them."
    ]


def test_heat_maps_show_where_it_looked(cli: Regraft, run: Path, data: Path) -> None:
    before = drawn(run)
    assert cli("report", run, "--data", data, "--heat-maps").code == 0
    page = Reader(drawn(run))
    (run / "report.html").write_text(before, "utf-8")
    assert "Where it looked" in page.text
    assert "of 4 × 4 places" in page.text
    assert [a for a in page.all("img") if (a["alt"] or "").startswith("what spoke for")]


def test_where_they_are_not_quick_the_page_says_what_draws_them(run: Path, whole: Result) -> None:
    assert words.commands(whole.plan, run, 0.0).heat in drawn(run)
    assert "Where it looked" not in drawn(run)


def test_heat_maps_name_the_package_they_need(
    cli: Regraft, run: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regraft.report.heat.find_spec", lambda name: None)
    said = cli("report", run, "--data", data, "--heat-maps")
    assert (said.code, "pip install 'regraft[heat]'" in said.err) == (2, True)


@pytest.mark.parametrize("words", [["--heat-maps"], ["--data", "nowhere"]])
def test_mistakes_are_explained(cli: Regraft, run: Path, words: list[str]) -> None:
    said = cli("report", run, *words)
    assert said.code in (1, 2)
    assert "DATA" in said.err or "nowhere" in said.err


def test_other_images_are_refused(cli: Regraft, run: Path, tmp_path: Path) -> None:
    before = (run / "report.html").read_bytes()
    other = lay_out(tmp_path / "other", {"cats/one.jpg": jpeg(1), "dogs/two.jpg": jpeg(2)})
    said = cli("report", run, "--data", other)
    assert said.code == 2
    assert "holds none of the images that the run held out" in said.err
    assert (run / "report.html").read_bytes() == before


def test_a_damaged_table_is_named(cli: Regraft, whole: Result, run: Path, tmp_path: Path) -> None:
    (tmp_path / "predictions.csv").write_text("path,truth\r\na,b\r\n")
    for name in ("log.csv", "audit.csv"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    with pytest.raises(RunError, match=r"predictions\.csv"):
        with_tables(regraft.load(run), tmp_path)


def test_no_run_is_explained(cli: Regraft, tmp_path: Path) -> None:
    said = cli("report", tmp_path)
    assert said.code == 1
    assert "no regraft run" in said.err
