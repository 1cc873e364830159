"""report.html: the map of a run's images, and the runs that have none."""

import base64
import io
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from pictures import encode
from regraft.data.dataset import Dataset
from regraft.data.images import View
from regraft.errors import RunError
from regraft.report import nearby, thumbnails
from regraft.report.charts.landscape import Dot, chart
from regraft.report.landscape import _some, landscape
from regraft.report.pictures import Album
from regraft.report.run import _dots
from regraft.report.thumbnails import SIDE, Sprite, sprite
from regraft.results.files import LABELLED_FILE
from regraft.results.labelled import Labelled, packed, read_labelled
from regraft.results.result import Result
from regraft.results.tables import Predictions
from reported import HOSTILE, Reader, data, drawn, run, whole

__all__ = ["data", "run", "whole"]  # fixtures


def clusters(each: int = 20) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Three groups that thirty of forty noisy features tell."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), each)
    return 2 * np.eye(3)[labels][:, np.arange(40) % 3] * (np.arange(40) < 30) + random.normal(
        0, 1, (3 * each, 40)
    ), labels


def test_what_is_alike_lies_together() -> None:
    features, labels = clusters()
    places = nearby.plane(features.astype(np.float16))
    assert places.shape == (60, 2)
    assert nearby.agreement(places, labels) > 0.95
    assert np.array_equal(places, nearby.plane(features.astype(np.float16)))
    assert nearby.agreement(places, np.roll(labels, 7)) < 0.8


@pytest.mark.parametrize("features", [np.zeros((9, 4)), np.ones((8, 1)), np.eye(12)[[0] * 12]])
def test_images_that_are_all_alike_have_places(features: np.ndarray[Any, Any]) -> None:
    assert np.isfinite(nearby.plane(features)).all()


def test_the_map_is_of_the_images_that_were_kept(run: Path, whole: Result) -> None:
    page = Reader(drawn(run))
    kept = read_labelled(run, whole.plan.inputs, len(whole.classes))
    assert kept is not None
    names, points = kept.names(), page.all("g") + page.all("a")
    assert names is not None
    assert len([one for one in points if one.get("class") == "point"]) == len(names)
    for name, label in zip(names, kept.labels.tolist(), strict=True):
        assert f"{name}, labelled {whole.classes[label]}" in page.text
    shown = {attrs["id"] for attrs in page.all("img") if "id" in attrs}
    linked = {(a["href"] or "")[1:] for a in page.all("a") if a.get("class") == "point"}
    assert linked
    assert linked <= shown


def test_mistakes_and_suspects_are_marked(whole: Result) -> None:
    features, labels = clusters()
    names = [f"{n}.png" for n in range(60)]
    seen = np.zeros(1, np.uint64)
    kept = Labelled(features.astype(np.float16), labels, labels, seen, packed(names))
    wrong = Predictions(names[:2], np.array([0, 0]), np.eye(3)[[1, 0]])
    suspect = {"path": "5.png", "label": "", "suggestion": "b", "belief": 0.1, "rank": 1}
    told = dict(whole.metrics) | {"suspects": {"images": [suspect]}}
    base = replace(whole, labelled=kept, predictions=wrong, metrics=told)
    asked: list[str] = []

    def small(paths: Sequence[str]) -> Sprite:
        asked.extend(paths)
        return Sprite()

    found = landscape(base, {"7.png": "photo-1"}, 1, small)
    assert (set(asked[:2]), len(asked)) == ({"0.png", "5.png"}, 59)
    titles = re.findall(r"<title>(\d+\.png, [^<]*)</title>", found.chart)
    assert sorted(one for one in titles if "taken" in one or "looks" in one) == [
        f"0.png, labelled {whole.classes[0]}, taken for {whole.classes[1]}",
        f"5.png, labelled {whole.classes[0]}, looks like b",
    ]
    assert (found.n, found.suspects, found.chart.count("<a ")) == (60, 1, 1)
    assert found.chance == pytest.approx(1 / 3)


def test_of_many_images_all_that_is_marked_is_shown() -> None:
    marked = [n % 100 == 0 for n in range(1000)]
    rows = _some(marked, 50).tolist()
    assert len(set(rows)) == 50
    assert set(range(0, 1000, 100)) <= set(rows)
    assert len(_some([True] * 1000, 50)) == 50


def test_small_pictures_are_of_the_images_that_they_name(monkeypatch: pytest.MonkeyPatch) -> None:
    greys = {name: 40 * n for n, name in enumerate("abcde", 1)}
    files = {name: encode(Image.new("L", (90, 60), grey), "PNG") for name, grey in greys.items()}
    files["c"] = b"no image"

    def find(path: str) -> bytes:
        if path == "b":
            raise FileNotFoundError
        return files[path]

    made = sprite("abcde", find, View(224), 10**6)
    assert made.cells == {"a": 0, "d": 1, "e": 2}
    whole = Image.open(io.BytesIO(base64.b64decode(made.uri.partition(",")[2])))
    assert whole.size == (3 * SIDE, SIDE)
    assert made.grid == [SIDE, 3]
    for name, cell in made.cells.items():
        assert abs(whole.getpixel((cell * SIDE + SIDE // 2, SIDE // 2))[0] - greys[name]) < 9  # type: ignore[index]
    few = sprite("abcde", find, View(224), len(made.uri) - 1)
    assert len(few.cells) < 3
    assert len(few.uri) < len(made.uri)
    assert sprite("ade", find, View(224), 0) == Sprite()
    monkeypatch.setattr(thumbnails, "READ", len(files["a"]) + len(files["d"]))
    assert sprite("ade", find, View(224), 10**6).cells == {"a": 0, "d": 1}


def test_small_pictures_that_are_known_are_not_drawn_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = (encode(Image.new("L", (90, 60), grey), "PNG") for grey in (40, 200))
    first = sprite("ab", {"a": one, "b": two}.__getitem__, View(224), 10**6, tmp_path)
    other = sprite("ab", {"a": two, "b": one}.__getitem__, View(224), 10**6, tmp_path)
    assert other.uri != first.uri
    monkeypatch.setattr(thumbnails, "uri", pytest.fail)
    assert sprite("ab", {"a": one, "b": two}.__getitem__, View(224), 10**6, tmp_path) == first


def test_every_dot_has_its_picture(run: Path) -> None:
    page = Reader(drawn(run))
    cells = [a.get("data-cell") for a in page.all("g") if a.get("class") == "point"]
    assert sorted(map(int, filter(None, cells))) == list(range(len(cells)))
    assert len(cells) > 0
    [look] = [a for a in page.all("div") if a.get("id") == "look"]
    assert (look["data-small"] or "").startswith("data:image/webp;")


def test_images_that_are_fetched_have_no_small_pictures() -> None:
    album, dataset = Album(pytest.fail, View(224)), Dataset("set", (), (), lambda row: b"")
    assert _dots(album, None, "photos")(["a"]) == Sprite()
    assert _dots(album, dataset, "s3://photos")(["a"]) == Sprite()
    with pytest.raises(pytest.fail.Exception):
        _dots(album, dataset, "photos")(["a"])


def test_names_in_the_map_are_text() -> None:
    drawn = chart([Dot(0, 0, 0, HOSTILE, HOSTILE, HOSTILE), Dot(1, 1, 0, "b")], [HOSTILE])
    assert "<script" not in drawn


def few(kept: Labelled) -> Labelled:
    names = packed(["a", "b"])
    return Labelled(kept.features[:2], kept.labels[:2], kept.groups[:2], kept.seen, names)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda kept: replace(kept, paths=None), "a version that did not keep"),
        (lambda kept: None, "a version that did not keep"),
        (lambda kept: few(kept), "so few images as 2"),
    ],
)  # fmt: skip
def test_runs_without_a_map_say_why(run: Path, whole: Result, change: Any, said: str) -> None:
    kept = read_labelled(run, whole.plan.inputs, len(whole.classes))
    found = landscape(replace(whole, labelled=change(kept), folder=None), {})
    assert (said in found.problem, found.chart) == (True, "")


@pytest.mark.parametrize("paths", [b"[]", b"no JSON", b"[1]", json.dumps("a").encode()])
def test_names_that_do_not_fit_are_damage(run: Path, whole: Result, paths: bytes) -> None:
    tensors = load_file(run / LABELLED_FILE) | {"paths": np.frombuffer(paths, np.uint8)}
    from safetensors.numpy import save_file

    folder = run.parent / "damaged"
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / LABELLED_FILE)
    with pytest.raises(RunError, match="damaged"):
        read_labelled(folder, whole.plan.inputs, len(whole.classes))
    assert "paths must be" in landscape(replace(whole, folder=folder, labelled=None), {}).problem
