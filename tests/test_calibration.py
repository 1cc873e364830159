"""Calibration: an engine that agrees is chosen once, and remembered."""

import json
import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from calibrated import home, one_thread, pixels, record
from regraft.backbones import Backbone, View
from regraft.errors import UsageError
from regraft.features import engines
from regraft.features.engines import (
    REFERENCE,
    Agreement,
    Calibration,
    EngineTrial,
    Floats,
    Pixels,
    agreement,
    calibrate,
    openvino_engine,
    preference,
    store,
)
from regraft.features.engines.torch_engine import CONFIGS
from smallnet import SIZE, never, small

__all__ = ["home", "one_thread", "pixels", "record"]  # fixtures


def test_the_preferred_one_that_agrees_is_chosen(
    record: Backbone, pixels: Pixels, tmp_path: Path
) -> None:
    labels = [n % 3 for n in range(len(pixels))]
    engine, found = engines.choose(record, pixels, tmp_path, build=small, labels=labels)
    assert engine.name == found.chosen
    usable = {one.name: one.images_per_second for one in found.candidates if not one.refused}
    assert usable[found.chosen] * preference.MARGIN >= max(usable.values())
    assert {REFERENCE, openvino_engine.FULL, openvino_engine.HALF} <= {
        one.name for one in found.candidates
    }
    for one in found.candidates:
        if not one.refused and one.name != REFERENCE:
            assert one.agreement is not None
            assert agreement.objection(one.agreement) == ""
    assert found.seconds > 0
    assert found.images == len(pixels)


def test_the_choice_is_remembered(record: Backbone, home: Path, pixels: Pixels) -> None:
    engine, found = engines.choose(record, pixels, home, build=never)
    assert found.seconds == 0
    assert found == Calibration.from_json(json.loads(json.dumps(found.to_json())))
    if openvino_engine.is_graph(engine.name):
        assert len(engine(pixels[:3])) == len(record.stages)


HOT = """
import sys
from pathlib import Path
import numpy as np
from regraft import backbones
from regraft.features import engines, extract as features
from regraft.features.cache import Store

record = backbones.Backbone.from_json(eval(sys.argv[2]))
engine, _ = engines.remembered(record, Path(sys.argv[1]), build=None, only="openvino-f32")
assert "openvino" not in sys.modules, "not before it is needed"
engine(np.zeros((2, 32, 32, 3), np.uint8))
cut = engines.open_engine(record, (1,), Path(sys.argv[1]), build=None)
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_the_hot_path_imports_no_torch_and_no_telemetry(record: Backbone, home: Path) -> None:
    command = [sys.executable, "-c", HOT, str(home), repr(record.to_json())]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "openvino" in loaded
    assert not loaded & {"torch", "timm", "torchvision", "scipy", "openvino_telemetry"}


def test_another_network_or_preprocessing_has_its_own_place(record: Backbone) -> None:
    view = View(SIZE)
    spaces = {
        engines.space(record, view, "a"),
        engines.space(record, view, "b"),
        engines.space(record, replace(view, mirror=True), "a"),
        engines.space(replace(record, mean=(0.0, 0.0, 0.0)), view, "a"),
        engines.space(replace(record, weights=replace(record.weights, sha256="0" * 64)), view, "a"),
        engines.space(replace(record, stages=record.stages[:2]), view, "a"),
    }
    assert len(spaces) == 6
    assert engines.space(replace(record, name="renamed"), view, "a") in spaces


def test_an_engine_that_disagrees_is_refused(
    record: Backbone, pixels: Pixels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def noisy(self: openvino_engine.Graph, pixels: Pixels) -> list[Floats]:
        random = np.random.default_rng(len(pixels))
        return [
            random.normal(size=(len(pixels), width)).astype(np.float32) for width in record.widths
        ]

    monkeypatch.setattr(openvino_engine.Graph, "__call__", noisy)
    engine, found = engines.choose(record, pixels, tmp_path, build=small)
    refused = {
        one.name: one.refused for one in found.candidates if openvino_engine.is_graph(one.name)
    }
    assert refused
    assert all(refused.values())
    assert "cosine" in refused[openvino_engine.FULL]
    assert not openvino_engine.is_graph(engine.name)
    assert engines.features(engine, pixels[:2]).shape == (2, sum(record.widths))
    again, _ = engines.choose(record, pixels, tmp_path, build=small)
    assert again.name == engine.name
    assert_array_equal(engines.features(again, pixels), engines.features(engine, pixels))


def test_what_cannot_be_converted_is_run_by_torch(
    record: Backbone, pixels: Pixels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("at length\nno rule for aten::strange")

    monkeypatch.setattr(openvino_engine, "convert", fail)
    engine, found = engines.choose(record, pixels, tmp_path, build=small)
    refused = {one.name: one.refused for one in found.candidates}
    assert refused[openvino_engine.FULL] == "RuntimeError: no rule for aten::strange"
    assert engine.name in CONFIGS
    assert engines.remembered(record, tmp_path, build=small) is not None


def test_without_openvino_torch_remains(
    record: Backbone, pixels: Pixels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    engine, found = engines.choose(record, pixels, tmp_path, build=small)
    assert engine.name in CONFIGS
    assert any("openvino" in one.refused for one in found.candidates)


def test_one_engine_can_be_asked_for(record: Backbone, pixels: Pixels, home: Path) -> None:
    engine, found = engines.choose(record, pixels, home, build=small, only=REFERENCE)
    assert engine.name == found.chosen == REFERENCE
    _, remembered = engines.choose(record, pixels, home, build=never)
    assert remembered.usable(remembered.chosen), "the choice of all is not forgotten"


def test_an_engine_that_cannot_be_had_is_an_error_with_its_reason(
    record: Backbone, pixels: Pixels, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="fastest") as caught:
        engines.choose(record, pixels, tmp_path, build=small, only="fastest")
    assert "torch-fp32" in str(caught.value)
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="no CUDA device"):
            engines.choose(record, pixels, tmp_path, build=small, only="cuda-fp16")


@pytest.mark.parametrize("damage", ["cut short", "no json", "gone"])
def test_a_damaged_trunk_is_made_again(
    damage: str, record: Backbone, pixels: Pixels, tmp_path: Path
) -> None:
    engines.choose(record, pixels, tmp_path, build=small)
    path = store.home(tmp_path, record)
    if damage == "cut short":
        (path / store.WEIGHTS).write_bytes((path / store.WEIGHTS).read_bytes()[:-9])
    elif damage == "gone":
        (path / store.GRAPH).unlink()
    else:
        (path / store.META).write_text("{")
    assert engines.remembered(record, tmp_path, build=never) is None
    engine, found = engines.choose(record, pixels, tmp_path, build=small)
    assert found.seconds > 0
    assert engines.remembered(record, tmp_path, build=never) is not None
    assert len(engine(pixels[:1])) == len(record.stages)
    assert [p.name for p in path.parent.iterdir()] == [path.name], "nothing is left lying about"


def test_of_two_runs_at_once_the_first_choice_counts(
    record: Backbone, home: Path, tmp_path: Path, pixels: Pixels
) -> None:
    meta = (store.home(home, record) / store.META).read_text()
    with store.unfinished(home) as late:
        (late / "trunk.xml").write_text("of the second run")
        store.write_meta(late, record, Calibration(REFERENCE))
        store.move_in(late, store.home(home, record))
    assert (store.home(home, record) / store.META).read_text() == meta
    assert not late.exists()


@pytest.mark.parametrize("exact", [0, 2, 6, 7])
def test_as_few_stages_as_will_do_are_exact(exact: int, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def measure(name: str, *_: object) -> EngineTrial:
        tried.append(name)
        good = (
            name == openvino_engine.FULL
            or int(name.rpartition("-")[2].replace("bf16", "-1")) >= exact
        )
        return EngineTrial(name, 1.0, Agreement(1.0, 0, 1.0), "" if good else "too far off")

    monkeypatch.setattr(calibrate, "_measure", measure)
    monkeypatch.setattr(calibrate, "_convert", lambda trial: "")
    monkeypatch.setattr(calibrate, "_with_more_images", lambda trial, full: trial)
    trial: Any = SimpleNamespace(backbone=SimpleNamespace(stages=range(8)))
    found = calibrate._measure_graphs(trial, [])
    good = {one.name for one in found if not one.refused}
    assert openvino_engine.FULL in good
    assert (openvino_engine.name_of(exact) in good) == (exact < 7), (
        "all but the last stage can be exact"
    )
    assert openvino_engine.name_of(exact - 1) not in good
    assert len(tried) <= 2 + 3


def test_where_nothing_can_be_kept_the_run_goes_on(
    record: Backbone, pixels: Pixels, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    engine, found = engines.choose(record, pixels, tmp_path / "file" / "cache", build=small)
    assert engine.name == found.chosen
    assert engines.features(engine, pixels).shape == (len(pixels), sum(record.widths))
    [warning] = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert "cannot be remembered" in warning.getMessage()


def test_without_images_nothing_is_measured_or_kept(record: Backbone, tmp_path: Path) -> None:
    nothing = np.empty((0, SIZE, SIZE, 3), np.uint8)
    engine, found = engines.choose(record, nothing, tmp_path, build=never)
    assert engine.name == found.chosen == REFERENCE
    assert engines.remembered(record, tmp_path, build=never) is None


def test_to_predict_the_chosen_engine_is_opened_else_the_reference(
    record: Backbone, pixels: Pixels, home: Path, tmp_path: Path
) -> None:
    known = engines.open_engine(record, (2, 0), home, build=small)
    whole, _ = engines.choose(record, pixels, home, build=small)
    assert known.name == whole.name
    assert_array_equal(known(pixels)[0], whole(pixels)[2])
    assert_array_equal(known(pixels)[1], whole(pixels)[0])
    fresh = engines.open_engine(record, (2, 0), tmp_path, build=small)
    assert fresh.name == REFERENCE
    assert [depth.shape[1] for depth in fresh(pixels[:1])] == [record.widths[2], record.widths[0]]
