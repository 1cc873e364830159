"""The engine and the mode of training are chosen by order and margin: no race decides weights."""

import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import regraft
from calibrated import one_thread, pixels, record
from command import Regraft, cli, own_log
from pictures import lay_out
from regraft.backbones import Backbone
from regraft.errors import PlanError, UsageError
from regraft.features import engines
from regraft.features.engines import (
    REFERENCE,
    Calibration,
    Engine,
    EngineTrial,
    Features,
    Pixels,
    calibrate,
    openvino_engine,
    preference,
    store,
    torch_engine,
)
from regraft.finetune import modes
from regraft.plan import serialize
from regraft.plan.choices import Choices
from regraft.results.result import Result
from regraft.run import api, measure
from regraft.run.pretrained import open_network
from rounding import FLOAT16, same_within_rounding
from scenes import each, scenes
from smallnet import never, small

__all__ = ["cli", "one_thread", "own_log", "pixels", "record"]  # fixtures

LAST = "torch-fp32-channels-last"
HALF_LAST = "torch-bf16-channels-last"
AFTER = openvino_engine.name_of(2)


@pytest.mark.parametrize(
    ("speeds", "chosen"),
    [
        pytest.param(
            {openvino_engine.FULL: 100, LAST: 100},
            openvino_engine.FULL,
            id="equally fast: the first",
        ),
        pytest.param(
            {openvino_engine.FULL: 100, LAST: 130},
            openvino_engine.FULL,
            id="a little faster: the first",
        ),
        pytest.param(
            {openvino_engine.FULL: 130, LAST: 100}, openvino_engine.FULL, id="the first is faster"
        ),
        pytest.param(
            {openvino_engine.FULL: 100, LAST: 199}, openvino_engine.FULL, id="up to twice as fast"
        ),
        pytest.param({openvino_engine.FULL: 100, LAST: 201}, LAST, id="clearly faster"),
        pytest.param(
            {openvino_engine.HALF: 90, HALF_LAST: 110}, openvino_engine.HALF, id="two in bfloat16"
        ),
        pytest.param(
            {openvino_engine.HALF: 110, HALF_LAST: 90},
            openvino_engine.HALF,
            id="two in bfloat16, turned",
        ),
        pytest.param(
            {openvino_engine.FULL: 120, openvino_engine.HALF: 100},
            openvino_engine.HALF,
            id="half before full",
        ),
        pytest.param({openvino_engine.FULL: 120, AFTER: 100}, AFTER, id="partly half before full"),
        pytest.param(
            {openvino_engine.name_of(3): 120, AFTER: 100},
            AFTER,
            id="as few exact stages as will do",
        ),
        pytest.param({LAST: 30, REFERENCE: 40}, LAST, id="torch alone"),
        pytest.param({LAST: 15, REFERENCE: 40}, REFERENCE, id="torch alone, clearly faster"),
        pytest.param({"cuda-fp16": 900, "cuda-bf16": 990}, "cuda-fp16", id="two on a GPU"),
    ],
)
def test_an_order_and_a_margin_choose(speeds: Mapping[str, float], chosen: str) -> None:
    measured = [EngineTrial(REFERENCE, 20.0)] if REFERENCE not in speeds else []
    measured += [EngineTrial(name, speed) for name, speed in speeds.items()]
    measured.append(EngineTrial("cuda-fp32", 1e6, refused="it disagrees"))
    assert preference.best(measured).name == chosen
    assert preference.best(measured[::-1]).name == chosen


# --- a race that ends either way -----------------------------------------------------------------

RACES = {
    "torch wins": {REFERENCE: 60.0, openvino_engine.FULL: 100.0, LAST: 140.0},
    "OpenVINO wins": {REFERENCE: 60.0, openvino_engine.FULL: 140.0, LAST: 100.0},
    "torch stumbles": {REFERENCE: 60.0, openvino_engine.FULL: 140.0, LAST: 10.0},
    "the reference wins": {REFERENCE: 150.0, openvino_engine.FULL: 100.0, LAST: 90.0},
}

Race = Callable[[str], None]


@pytest.fixture
def race(monkeypatch: pytest.MonkeyPatch) -> Race:
    """Plant how a race ends. Engines in bfloat16 are left out, which not every machine has."""
    blocks = calibrate._blocks

    def without(name: str) -> str:
        return "not in this race" if "bf16" in name or "cuda" in name else ""

    def plant(ending: str) -> None:
        def timed(engine: Engine, some: Pixels) -> Iterator[tuple[float, Features]]:
            for _, rows in blocks(engine, some):
                yield RACES[ending][engine.name], rows

        monkeypatch.setattr(calibrate, "_blocks", timed)

    monkeypatch.setattr(openvino_engine, "objection", without)
    monkeypatch.setattr(torch_engine, "objection", without)
    return plant


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = scenes(each(8, "train/")) | scenes(each(3, "test/"), first=50)
    return lay_out(tmp_path_factory.mktemp("data") / "scenes", files)


def test_a_race_that_ends_either_way_gives_the_same_weights(
    race: Race, data: Path, tmp_path: Path
) -> None:
    runs = {}
    for ending in RACES:
        race(ending)
        runs[ending] = regraft.fit(data, "demonstration", cache=tmp_path / ending)
    texts = {serialize.dumps(one.plan) for one in runs.values()}
    assert len(texts) == 1
    assert {one.metrics["engine"] for one in runs.values()} == {openvino_engine.FULL}
    assert len({_bytes(one) for one in runs.values()}) == 1


def _bytes(result: Result) -> bytes:
    return b"".join(np.asarray(result.tensors[name]).tobytes() for name in sorted(result.tensors))


@pytest.mark.parametrize("ending", RACES)
def test_without_images_too(race: Race, ending: str, record: Backbone, tmp_path: Path) -> None:
    race(ending)
    assert engines.exact(record, (2,), tmp_path, build=small).name == openvino_engine.FULL


def test_a_disturbed_measurement_is_made_again(
    race: Race, record: Backbone, pixels: Pixels, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """OpenVINO is slowed down to a tenth, but for its third measurement."""
    race("OpenVINO wins")
    blocks, seen = calibrate._blocks, list[str]()

    def disturbed(engine: Engine, some: Pixels) -> Iterator[tuple[float, Features]]:
        seen.append(engine.name)
        slow = (
            0.1
            if engine.name == openvino_engine.FULL and seen.count(openvino_engine.FULL) < 3
            else 1.0
        )
        return ((speed * slow, rows) for speed, rows in blocks(engine, some))

    monkeypatch.setattr(calibrate, "_blocks", disturbed)
    _, found = engines.choose(record, pixels, tmp_path, build=small)
    assert found.chosen == openvino_engine.FULL
    assert seen.count(openvino_engine.FULL) == seen.count(REFERENCE) == 3


def test_engines_agree_on_so_many_images_however_long_it_takes(
    record: Backbone, pixels: Pixels, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hours = iter(range(0, 10**9, 3600))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(hours)))
    _, found = engines.choose(record, pixels, tmp_path, build=small)
    assert found.images == len(pixels)
    large = dataclasses.replace(record, multiply_adds_to=(10, 10**9, 4 * 10**8))
    assert calibrate._enough(record) > len(pixels)
    assert calibrate._enough(large) == 40
    assert calibrate._enough(dataclasses.replace(record, multiply_adds_to=(10**12,))) == 16


@pytest.mark.parametrize(
    ("speeds", "chosen"),
    [
        pytest.param((100, 120), "32-true-channels-last", id="about equally fast"),
        pytest.param((120, 100), "32-true-channels-last", id="turned"),
        pytest.param((100, 220), "32-true-channels-last", id="as the demonstration network"),
        pytest.param((100, 310), "bf16-mixed-channels-last", id="clearly faster"),
    ],
)
@pytest.mark.parametrize("bfloat16", [True, False])
def test_a_mode_of_training_is_chosen_so_too(
    speeds: Sequence[int], chosen: str, bfloat16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = dict(zip(["32-true", "bf16-mixed"], speeds, strict=True))

    def speed(network: object, precision: str, channels_last: bool, *_: object) -> float:
        return float(planted[precision]) - (0 if channels_last else 20)

    monkeypatch.setattr(modes, "_speed", speed)
    monkeypatch.setattr(modes, "has_bfloat16", lambda: bfloat16)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    network: Any = None
    light, heavy = (modes.find(network, 8, (32, 32, 3), work).name for work in (1e6, 1e9))
    assert light == (chosen if bfloat16 else "32-true-channels-last")
    assert heavy == ("bf16-mixed-channels-last" if bfloat16 else "32-true-channels-last")
    assert modes.find(network, 8, (32, 32, 3), 1e9, only="32-true").name == "32-true"


def test_a_busy_machine_slows_no_mode_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the timed steps the fastest counts: nine of ten are disturbed here."""
    clock, took = [0.0], iter([5.0, *(0.02, 0.02, 0.01, 0.02, 0.02), *[0.02] * 5])
    begun: list[bool] = []

    def now() -> float:
        clock[0] += next(took) if len(begun) % 2 else 0.0
        begun.append(True)
        return clock[0]

    monkeypatch.setattr(time, "perf_counter", now)
    network: Any = nn.Conv2d(3, 1, 1)
    speed = modes._speed(network, "32-true", False, 8, (4, 4, 3), torch.device("cpu"))
    assert speed == pytest.approx(8 / 0.01)
    assert len(begun) == 2 * (modes.STEPS + 1)


# --- the engine in the plan ----------------------------------------------------------------------


def test_a_plan_names_its_engine_and_apply_uses_it(
    race: Race, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    race("OpenVINO wins")
    plan = regraft.propose(data, "demonstration", engine=REFERENCE, cache=tmp_path / "a")
    assert (plan.engine, plan.pinned) == (REFERENCE, REFERENCE)
    assert f"--engine {REFERENCE}" in plan.overrides
    assert f"{REFERENCE} runs it" in plan.explain()
    first = regraft.apply(plan, data, cache=tmp_path / "a")
    again = regraft.apply(plan, data, cache=tmp_path / "b")
    for one in (first, again):
        assert one.plan.engine == one.metrics["engine"] == one.engine().name == REFERENCE
    assert _bytes(first) == _bytes(again)
    assert not caplog.records
    usual = regraft.propose(data, "demonstration", cache=tmp_path / "a")
    assert usual.engine != REFERENCE, "the choice of all is not forgotten"
    assert not usual.pinned


def test_a_plan_from_before_is_read_and_its_engine_chosen(data: Path, tmp_path: Path) -> None:
    raw = json.loads(serialize.dumps(regraft.propose(data, "demonstration", cache=tmp_path)))
    chosen = raw.pop("engine")
    for training in raw["trainings"]:
        training.pop("mode", None)
    plan = serialize.loads(json.dumps(raw))
    assert plan.engine == ""
    assert "runs it" not in plan.explain()
    assert regraft.apply(plan, data, cache=tmp_path).plan.engine == chosen


def test_where_the_engine_of_a_plan_is_not_to_be_had_another_is_used_and_named(
    race: Race, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    race("OpenVINO wins")
    plan = regraft.propose(data, "demonstration", cache=tmp_path)
    elsewhere = dataclasses.replace(plan, engine=openvino_engine.HALF)
    with caplog.at_level("WARNING"):
        result = regraft.apply(elsewhere, data, cache=tmp_path)
    [warning] = [one.getMessage() for one in caplog.records]
    assert (
        f"the engine {openvino_engine.HALF}, which is not to be had here: not in this race"
        in warning
    )
    assert f"{openvino_engine.FULL} is used instead" in warning
    assert "within rounding" in warning
    assert result.plan.engine == result.metrics["engine"] == openvino_engine.FULL


def test_an_engine_that_a_person_asks_for_is_used_or_the_reason_told(
    race: Race, data: Path, tmp_path: Path
) -> None:
    race("OpenVINO wins")
    with pytest.raises(UsageError, match="cannot be used for demonstration") as caught:
        regraft.propose(data, "demonstration", engine=openvino_engine.HALF, cache=tmp_path)
    assert "Reason: not in this race." in str(caught.value)
    with pytest.raises(UsageError, match="no engine named 'fast'") as caught:
        regraft.propose(data, "demonstration", engine="fast", cache=tmp_path)
    assert all(name in str(caught.value) for name in preference.ORDER)
    plan = regraft.propose(data, "demonstration", cache=tmp_path)
    with pytest.raises(PlanError, match="engine that there is not: 'fast'"):
        regraft.apply(dataclasses.replace(plan, engine="fast"), data, cache=tmp_path)


def test_one_that_was_given_up_is_measured_when_it_is_asked_for_and_remembered(
    race: Race, record: Backbone, pixels: Pixels, tmp_path: Path
) -> None:
    race("torch stumbles")
    _, found = engines.choose(record, pixels, tmp_path, build=small)
    assert not found.usable(LAST)
    assert found.objection(LAST) is None, "it was not measured to the end"
    engine, _ = engines.choose(record, pixels, tmp_path, build=small, only=LAST)
    assert engine.name == LAST
    known = engines.remembered(record, tmp_path, build=never, only=LAST)
    assert known is not None
    usual = engines.remembered(record, tmp_path, build=never)
    assert usual is not None
    assert usual[0].name == openvino_engine.FULL
    assert sorted(_names(usual[1])) == sorted(set(_names(found)))
    assert len(list(store.home(tmp_path, record).parent.iterdir())) == 1


def _names(found: Calibration) -> list[str]:
    return [one.name for one in found.candidates]


@pytest.mark.parametrize("verb", ["plan", "fit", "compare"])
def test_the_command_takes_an_engine(verb: str, data: Path, tmp_path: Path, cli: Regraft) -> None:
    more = {"plan": "--case 1", "fit": "--case 1", "compare": "--quick"}[verb].split()
    words = (verb, data, "-b", "demonstration", "-o", tmp_path / "out", *more, "--engine")
    refused = cli(*words, "sail")
    assert refused.code == 2
    assert "There is no engine named 'sail'." in refused.err
    assert all(name in refused.err for name in preference.ORDER)
    done = cli(*words, REFERENCE, "--json")
    assert done.code == 0
    found = done.json["cases"] if verb == "compare" else [done.json]
    assert REFERENCE in {one["engine"] for one in found}


def test_another_engine_gives_the_same_within_rounding(data: Path, tmp_path: Path) -> None:
    files = sorted((data / "test").rglob("*.png"))
    usual, plain = (
        api.fit(data, "demonstration", choices=Choices(case=1, engine=name), cache=tmp_path)
        for name in (openvino_engine.FULL, REFERENCE)
    )
    assert (usual.plan.engine, plain.plan.engine) == (openvino_engine.FULL, REFERENCE)
    assert same_within_rounding(usual.predict_proba(files), plain.predict_proba(files))


def test_a_measured_plan_keeps_its_engine_for_the_mirror_images(data: Path, tmp_path: Path) -> None:
    measured = measure.measure(
        regraft.Dataset.open(data),
        open_network("demonstration"),
        Choices(engine=REFERENCE),
        cache=tmp_path,
    )
    assert measured.engine == REFERENCE
    assert measure.mirrored(measured, measured.split.train).shape == (24, len(measured.features.T))
    spaces = {p.name for p in (tmp_path / "trunks").iterdir()}
    assert len(spaces) == 1


@pytest.mark.parametrize("name", [openvino_engine.FULL, REFERENCE, LAST])
def test_a_pass_that_was_interrupted_goes_on_to_the_same(
    name: str, data: Path, tmp_path: Path
) -> None:
    """Bit for bit where each image is run alone, else within rounding: batches are others then."""
    dataset, choices = regraft.Dataset.open(data), Choices(case=1, engine=name)
    network = open_network("demonstration")
    whole = measure.measure(dataset, network, choices, cache=tmp_path / "whole")
    part = dataclasses.replace(dataset, items=dataset.items[3:], read=lambda i: dataset.read(i + 3))
    measure.measure(part, network, choices, cache=tmp_path / "part")
    later = measure.measure(dataset, network, choices, cache=tmp_path / "part")
    error = 0.0 if openvino_engine.is_graph(name) else FLOAT16
    assert same_within_rounding(later.features, whole.features, error)
    assert later.fingerprint == whole.fingerprint
