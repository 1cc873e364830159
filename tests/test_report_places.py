"""Where a frozen network looked: what each place adds to a class's score, exactly."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from regraft.backbones import View
from regraft.features.engines import carried, store
from regraft.features.engines.openvino_engine import runtime
from regraft.report import heat, places
from regraft.report.pictures import Shot, uri
from regraft.results.labelled import Labelled

SIDE, WIDTHS, CLASSES = 8, (4, 5, 4), ("x", "y", "z")
RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (SIDE, SIDE, 3), np.uint8)


def trunk(path: Path) -> None:
    """A converted trunk: two averages over places, the second folded, and a depth that is none."""
    ov = runtime()
    ops = ov.opset13
    pixels = ops.parameter([1, SIDE, SIDE, 3], np.uint8)
    x = ops.transpose(ops.convert(pixels, "f32"), [0, 3, 1, 2])
    one = _layer(ops, x, 3, WIDTHS[0], 1)
    two = _layer(ops, one, WIDTHS[0], WIDTHS[1], 2)
    depths = [
        ops.reduce_mean(one, np.array([2, 3]), keep_dims=False),
        ops.reshape(ops.reduce_mean(two, np.array([2, 3]), keep_dims=True), [1, WIDTHS[1]], False),
        ops.reduce_max(one, np.array([2, 3]), keep_dims=False),
    ]
    model = ov.Model([ops.result(depth) for depth in depths], [pixels])
    path.parent.mkdir(parents=True)
    ov.save_model(model, path, compress_to_fp16=False)


def _layer(ops: Any, x: Any, inputs: int, outputs: int, stride: int) -> Any:
    kernel = ops.constant(RANDOM.normal(0, 0.02, (outputs, inputs, 3, 3)).astype(np.float32))
    return ops.relu(ops.convolution(x, kernel, [stride] * 2, [1, 1], [1, 1], [1, 1]))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("cache") / "trunk"
    trunk(found / store.GRAPH)
    return found


def result_of(monkeypatch: pytest.MonkeyPatch, home: Path, taps: tuple[int, ...]) -> Any:
    monkeypatch.setattr(store, "home", lambda cache, backbone: home)
    width = sum(WIDTHS[tap] for tap in taps)
    weights = SimpleNamespace(sha256="ours")
    backbone = SimpleNamespace(widths=WIDTHS, view=View(SIDE), name="small", weights=weights)
    features, none = np.ones((2, width), np.float16), np.zeros(2, np.int64)
    return SimpleNamespace(
        cache=home.parent / "kept",
        folder=None,
        record=backbone,
        plan=SimpleNamespace(backbone=backbone, taps=taps),
        classes=CLASSES,
        tensors={"head.weight": RANDOM.normal(0, 1, (3, width)).astype(np.float32)},
        labelled=Labelled(features, none, none, np.zeros(1, np.uint64)),
    )


@pytest.mark.parametrize("taps", [(0,), (1,), (0, 1)])
def test_places_add_up_to_the_score(
    monkeypatch: pytest.MonkeyPatch, home: Path, taps: tuple[int, ...]
) -> None:
    made = result_of(monkeypatch, home, taps)
    usual = np.linspace(0, 1, sum(WIDTHS[tap] for tap in taps)).astype(np.float32)
    found = places.opened(made, usual, PIXELS)
    assert found is not None
    read = np.concatenate([v[0] for v in list(found.run(PIXELS[None]).values())[: len(taps)]])
    weight = made.tensors["head.weight"]
    for label, spoken in enumerate(found.spoke(PIXELS, range(3))):
        assert spoken.shape == ((4, 4) if 1 in taps else (8, 8))
        score = (weight[label] - weight.mean(0)) @ (read - usual)
        assert spoken.mean() == pytest.approx(score, abs=1e-3)


def test_what_is_bright_is_where_the_class_is(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    made = result_of(monkeypatch, home, (0,))
    found = places.opened(made, np.zeros(WIDTHS[0], np.float32), PIXELS)
    assert found is not None
    half = PIXELS.copy()
    half[:, SIDE // 2 :] = 0
    spoken = np.abs(found.spoke(half, [0])[0])
    assert spoken[:, : SIDE // 2].max() > 0
    assert spoken[:, SIDE // 2 + 1 :].max() == 0


@pytest.mark.parametrize("taps", [(2,), (0, 2)])
def test_a_depth_that_is_no_average_has_no_places(
    monkeypatch: pytest.MonkeyPatch, home: Path, taps: tuple[int, ...]
) -> None:
    made = result_of(monkeypatch, home, taps)
    usual = np.zeros(sum(WIDTHS[tap] for tap in taps), np.float32)
    assert places.opened(made, usual, PIXELS) is None


def test_a_trunk_that_was_not_converted_here_has_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = result_of(monkeypatch, tmp_path / "nothing", (0,))
    assert places.opened(made, np.zeros(WIDTHS[0], np.float32), PIXELS) is None
    assert heat.exact(made, [], pytest.fail) == heat.Heat()


@pytest.mark.parametrize(("weights", "found"), [("ours", True), ("of another", False)])
def test_a_run_that_carries_its_trunk_has_places_anywhere(
    monkeypatch: pytest.MonkeyPatch, home: Path, tmp_path: Path, weights: str, found: bool
) -> None:
    made = result_of(monkeypatch, tmp_path / "nothing", (0,))
    made.folder, made.record = tmp_path, SimpleNamespace(weights=SimpleNamespace(sha256="ours"))
    monkeypatch.setattr(carried, "_precision", lambda backbone, wish: "f32")
    place = tmp_path / carried.FOLDER
    shutil.copytree(home, place)
    meta = {"weights": weights, "files": carried._sizes(place)}
    (place / store.META).write_text(json.dumps(meta))
    opened = places.opened(made, np.zeros(WIDTHS[0], np.float32), PIXELS)
    assert (opened is not None) == found


def test_all_mistakes_that_are_shown_come_first(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    made = result_of(monkeypatch, home, (0,))
    monkeypatch.setattr(heat, "look", lambda path, find, view: (PIXELS, ""))
    right = [Shot(f"{n}.png", "x", "x", 0.4, 0.4, n) for n in range(9)]
    wrong = [Shot(f"{n}.png", "x", "y", 0.9, 0.1, n) for n in range(9, 24)]
    shown = heat.exact(made, [*right, *wrong, wrong[0]], str.encode).shown
    assert [one.path for one in shown] == [shot.path for shot in wrong[:12]]
    shown = heat.exact(made, [*right, wrong[0]], str.encode).shown
    assert [one.path for one in shown] == ["9.png", *(shot.path for shot in right[:5])]


def test_the_page_shows_them(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    made = result_of(monkeypatch, home, (0, 1))
    monkeypatch.setattr(heat, "look", lambda path, find, view: (PIXELS, ""))
    shots = [Shot("a.png", "x", "y", 0.9, 0.1, 0), Shot("b.png", "z", "z", 0.4, 0.4, 1)]
    found = heat.exact(made, shots, str.encode)
    assert "4 × 4 places" in found.place
    assert [[name for name, _ in one.maps] for one in found.shown] == [["y", "x"], ["z"]]
    assert found.shown[0].image == uri(heat._small(PIXELS))


@pytest.mark.parametrize(
    ("change", "again"),
    [
        pytest.param({}, False, id="nothing"),
        pytest.param({"find": lambda path: b"another"}, True, id="the file"),
        pytest.param({"prediction": "z"}, True, id="what it is taken for"),
        pytest.param({"truth": "z"}, True, id="what it is"),
        pytest.param({"path": "b.png"}, True, id="its name"),
        pytest.param({"weight": 2.0}, True, id="the head"),
        pytest.param({"usual": 2.0}, True, id="the mean image"),
        pytest.param({"weights": "of another"}, True, id="the network"),
        pytest.param({"view": View(SIDE, 0.5)}, True, id="how it is seen"),
    ],
)
def test_maps_are_drawn_again_where_what_they_follow_from_differs(
    monkeypatch: pytest.MonkeyPatch,
    home: Path,
    tmp_path: Path,
    change: dict[str, Any],
    again: bool,
) -> None:
    made = result_of(monkeypatch, home, (0,))
    made.cache = tmp_path
    monkeypatch.setattr(heat, "look", lambda path, find, view: (PIXELS, ""))
    shot = Shot("a.png", "x", "y", 0.9, 0.1, 0)
    first = heat.exact(made, [shot], str.encode)
    named = {name: change[name] for name in ("path", "prediction", "truth") if name in change}
    made.tensors["head.weight"] = made.tensors["head.weight"] * change.get("weight", 1.0)
    kept = made.labelled
    made.labelled = replace(kept, features=kept.features * np.float16(change.get("usual", 1.0)))
    made.plan.backbone.weights.sha256 = change.get("weights", "ours")
    made.plan.backbone.view = change.get("view", View(SIDE))
    asked: list[None] = []
    whole = places.opened

    def noted(*given: Any) -> Any:
        asked.append(None)
        return whole(*given)

    monkeypatch.setattr(places, "opened", noted)
    found = heat.exact(made, [replace(shot, **named)], change.get("find", str.encode))
    assert bool(asked) == again
    assert again or found == first
