"""Engines: the fastest that agrees is chosen, remembered, and gives the same numbers ever after."""

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn

from pictures import photo
from regraft import backbones, engines, networks
from regraft.backbones import Backbone, View
from regraft.engines import (
    REFERENCE,
    Agreement,
    Calibration,
    Engine,
    Floats,
    Measured,
    Pixels,
    agreement,
    calibrate,
    graph,
    trunks,
)
from regraft.engines.eager import MODES, Eager
from regraft.errors import UsageError

SIZE = 32


class Small(nn.Module):
    """Three stages with a residual, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.two = nn.Sequential(nn.Conv2d(8, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU())
        self.three = nn.Sequential(nn.Conv2d(16, 16, 3, 1, 1), nn.ReLU())
        self.head = nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.two(self.one(x))
        x = self.three(x) + x
        return self.head(x.mean((2, 3)))  # type: ignore[no-any-return]


def small() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return Small().eval()


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Small networks are not worth the threads, which wait for each other on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def record() -> Backbone:
    return networks.describe_module(
        small(),
        ["one", "two", "three"],
        view=View(SIZE),
        mean=(0.4, 0.5, 0.6),
        std=(0.2, 0.3, 0.25),
        head="head",
        name="small",
    )


@pytest.fixture(scope="module")
def pixels() -> Pixels:
    return np.stack([np.asarray(photo(seed, SIZE, SIZE)) for seed in range(40)])


@pytest.fixture(scope="module")
def home(record: Backbone, pixels: Pixels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder in which the small network is calibrated."""
    folder = tmp_path_factory.mktemp("cache")
    engines.choose(record, pixels, folder, build=small)
    return folder


def never() -> nn.Module:
    pytest.fail("the network is not to be built")


def openvino(name: str) -> pytest.MarkDecorator:
    """Skip what this CPU cannot run."""
    return pytest.mark.skipif(bool(graph.objection(name)), reason="the CPU has no bfloat16")


def reference(record: Backbone, pixels: Pixels) -> list[Floats]:
    """Features computed the plain way."""
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    x = (x - torch.tensor(record.mean).view(3, 1, 1)) / torch.tensor(record.std).view(3, 1, 1)
    with torch.no_grad():
        depths = networks.trunk(small(), record, range(len(record.stages)))(x)
    return [depth.numpy() for depth in depths]


# --- the engines ----------------------------------------------------------------------------------

ALL = [
    REFERENCE,
    "torch-fp32-channels-last",
    "torch-bf16-channels-last",
    graph.FULL,
    pytest.param(graph.HALF, marks=openvino(graph.HALF)),
    pytest.param(graph.name_of(1), marks=openvino(graph.HALF)),
]


@pytest.fixture
def make(record: Backbone, home: Path) -> Callable[[str], Engine]:
    every = range(len(record.stages))

    def engine(name: str) -> Engine:
        if graph.is_graph(name):
            return graph.Graph(name, trunks.home(home, record) / trunks.GRAPH, every)
        return Eager(name, lambda: networks.trunk(small(), record, every), record)

    return engine


@pytest.mark.parametrize("name", ALL)
def test_features_are_those_of_the_network(
    name: str, make: Callable[[str], Engine], record: Backbone, pixels: Pixels
) -> None:
    error = 0.02 if "bf16" in name else 1e-5
    engine = make(name)
    assert engine.name == name
    for mine, plain, stage in zip(
        engine(pixels), reference(record, pixels), record.stages, strict=True
    ):
        assert mine.dtype == np.float32
        assert mine.shape == (len(pixels), stage.channels)
        assert_allclose(mine, plain, atol=error * np.abs(plain).max())


@pytest.mark.parametrize("name", ALL)
def test_an_image_does_not_depend_on_its_neighbours(
    name: str, make: Callable[[str], Engine], pixels: Pixels
) -> None:
    engine = make(name)
    together = engines.features(engine, pixels)
    assert_array_equal(engines.features(engine, pixels[::-1])[::-1], together)
    for some in (slice(5, 6), slice(3, 20)):
        assert_array_equal(engines.features(engine, pixels[some]), together[some])


@pytest.mark.parametrize(
    "name",
    [graph.FULL, *(pytest.param(n, marks=openvino(n)) for n in (graph.HALF, graph.name_of(0)))],
)
@pytest.mark.parametrize("taps", [(0,), (2,), (2, 0)])
def test_a_cut_network_gives_the_numbers_of_the_whole(
    name: str, taps: tuple[int, ...], record: Backbone, home: Path, pixels: Pixels
) -> None:
    path = trunks.home(home, record) / trunks.GRAPH
    whole = graph.Graph(name, path, range(len(record.stages)))(pixels)
    for depth, mine in zip(taps, graph.Graph(name, path, taps)(pixels), strict=True):
        assert_array_equal(mine, whole[depth])


@openvino(graph.HALF)
def test_stages_that_are_to_be_exact_are_exact(
    record: Backbone, home: Path, pixels: Pixels
) -> None:
    path = trunks.home(home, record) / trunks.GRAPH
    full, half, after = (
        graph.Graph(name, path, range(len(record.stages)))(pixels)
        for name in (graph.FULL, graph.HALF, graph.name_of(1))
    )
    errors = [[np.abs(a - b).max() for a, b in zip(x, full, strict=True)] for x in (half, after)]
    assert min(errors[0]) > 1e-4, "bfloat16 shows at every depth"
    assert max(errors[1][:2]) < 1e-5
    assert errors[1][2] > 1e-4, "and here only after depth 1"


def test_features_are_rounded_to_float16_and_finite() -> None:
    class Loud:
        name, batch = "loud", 4

        def __call__(self, pixels: Pixels) -> list[Floats]:
            return [np.array([[1e6, 0.1]], np.float32), np.array([[-1e6]], np.float32)]

    found = engines.features(Loud(), np.zeros((1, 2, 2, 3), np.uint8))
    assert_array_equal(found, np.array([[65504, 0.1, -65504]], np.float16))


def test_memory_that_does_not_suffice_halves_the_batch(
    record: Backbone, pixels: Pixels, make: Callable[[str], Engine]
) -> None:
    class Narrow(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk = networks.trunk(small(), record, range(len(record.stages)))

        def forward(self, x: torch.Tensor) -> Any:
            if len(x) > 3:
                raise torch.cuda.OutOfMemoryError("too much")
            return self.trunk(x)

    engine = Eager(REFERENCE, Narrow, record)
    for mine, plain in zip(engine(pixels), make(REFERENCE)(pixels), strict=True):
        assert_allclose(mine, plain, atol=1e-5)
    assert engine.batch == 2


def test_the_network_given_is_left_as_it_is(record: Backbone, pixels: Pixels) -> None:
    module = small()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    engine = Eager(
        "torch-bf16-channels-last", lambda: networks.trunk(module, record, (0, 1, 2)), record
    )
    engine(pixels[:2])
    for key, value in module.state_dict().items():
        assert value.dtype == before[key].dtype
        assert torch.equal(value, before[key])


# --- agreement ------------------------------------------------------------------------------------


def scattered(rows: int = 60) -> engines.Features:
    return np.random.default_rng(0).normal(1, 1, (rows, 30)).astype(np.float16)


def test_the_same_features_agree_wholly() -> None:
    found = agreement.compare(scattered(), scattered(), [10, 20])
    assert found.cosine == pytest.approx(1)
    assert (found.same, found.images) == (1, 60)
    assert agreement.objection(found) == ""


def test_one_image_at_one_depth_is_enough_to_refuse() -> None:
    other = scattered()
    other[17, 12:15] *= -1
    found = agreement.compare(scattered(), other, [10, 20])
    assert found.depth == 1
    assert found.cosine < 0.999
    assert "depth 1" in agreement.objection(found)


def test_predictions_that_change_refuse_what_the_cosine_lets_pass() -> None:
    """A large value that all images share hides the small one that tells the classes apart."""
    labels = [n % 2 for n in range(60)]
    x = np.full((60, 8), 100.0)
    x[:, 0] += np.array(labels) * 0.5
    other = x.copy()
    other[:20, 0] += 0.5 - np.array(labels[:20])
    reference, other = x.astype(np.float16), other.astype(np.float16)
    found = agreement.compare(reference, other, [8], labels)
    assert found.cosine > 0.9999
    assert found.same < 0.9
    assert "predictions" in agreement.objection(found)


@pytest.mark.parametrize("labels", [None, [0] * 60])
def test_without_labels_classes_are_made_up(labels: list[int] | None) -> None:
    assert agreement.compare(scattered(), scattered(), [10, 20], labels).same == 1
    shuffled = scattered()[::-1]
    assert agreement.compare(scattered(), shuffled, [10, 20], labels).same < 0.9


def test_dead_channels_and_black_images_agree_with_themselves() -> None:
    x = scattered()
    x[:, :10] = 0
    x[3] = 0
    assert agreement.objection(agreement.compare(x, x.copy(), [10, 20])) == ""
    broken = x.copy()
    broken[3, 5] = 1
    assert agreement.objection(agreement.compare(x, broken, [10, 20]))


def test_what_is_no_number_is_refused() -> None:
    broken = scattered()
    broken[1, 1] = np.nan
    assert agreement.objection(agreement.compare(scattered(), broken, [10, 20]))


# --- the choice -----------------------------------------------------------------------------------


def test_the_fastest_that_agrees_is_chosen(
    record: Backbone, pixels: Pixels, tmp_path: Path
) -> None:
    labels = [n % 3 for n in range(len(pixels))]
    engine, found = engines.choose(record, pixels, tmp_path, build=small, labels=labels)
    assert engine.name == found.chosen
    usable = {one.name: one.images_per_second for one in found.candidates if not one.refused}
    assert usable[found.chosen] == max(usable.values())
    assert {REFERENCE, graph.FULL, graph.HALF} <= {one.name for one in found.candidates}
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
    if graph.is_graph(engine.name):
        assert len(engine(pixels[:3])) == len(record.stages)


HOT = """
import sys
from pathlib import Path
import numpy as np
from regraft import backbones, engines, features
from regraft.cache import Store

record = backbones.Backbone.from_json(eval(sys.argv[2]))
engine, _ = engines.remembered(record, Path(sys.argv[1]), build=None, only="openvino-f32")
assert "openvino" not in sys.modules, "not before it is needed"
engine(np.zeros((2, 32, 32, 3), np.uint8))
cut = engines.open_engine(record, (1,), Path(sys.argv[1]), trunk=None)
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_the_hot_path_imports_no_torch_and_no_telemetry(record: Backbone, home: Path) -> None:
    command = [sys.executable, "-c", HOT, str(home), repr(record.to_json())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
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
    def noisy(self: graph.Graph, pixels: Pixels) -> list[Floats]:
        random = np.random.default_rng(len(pixels))
        return [
            random.normal(size=(len(pixels), width)).astype(np.float32) for width in record.widths
        ]

    monkeypatch.setattr(graph.Graph, "__call__", noisy)
    engine, found = engines.choose(record, pixels, tmp_path, build=small)
    refused = {one.name: one.refused for one in found.candidates if graph.is_graph(one.name)}
    assert refused
    assert all(refused.values())
    assert "cosine" in refused[graph.FULL]
    assert not graph.is_graph(engine.name)
    assert engines.features(engine, pixels[:2]).shape == (2, sum(record.widths))
    again, _ = engines.choose(record, pixels, tmp_path, build=small)
    assert again.name == engine.name
    assert_array_equal(engines.features(again, pixels), engines.features(engine, pixels))


def test_what_cannot_be_converted_is_run_by_torch(
    record: Backbone, pixels: Pixels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("at length\nno rule for aten::strange")

    monkeypatch.setattr(graph, "convert", fail)
    engine, found = engines.choose(record, pixels, tmp_path, build=small)
    refused = {one.name: one.refused for one in found.candidates}
    assert refused[graph.FULL] == "RuntimeError: no rule for aten::strange"
    assert engine.name in MODES
    assert engines.remembered(record, tmp_path, build=small) is not None


def test_without_openvino_torch_remains(
    record: Backbone, pixels: Pixels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    engine, found = engines.choose(record, pixels, tmp_path, build=small)
    assert engine.name in MODES
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
    path = trunks.home(tmp_path, record)
    if damage == "cut short":
        (path / trunks.WEIGHTS).write_bytes((path / trunks.WEIGHTS).read_bytes()[:-9])
    elif damage == "gone":
        (path / trunks.GRAPH).unlink()
    else:
        (path / trunks.META).write_text("{")
    assert engines.remembered(record, tmp_path, build=never) is None
    engine, found = engines.choose(record, pixels, tmp_path, build=small)
    assert found.seconds > 0
    assert engines.remembered(record, tmp_path, build=never) is not None
    assert len(engine(pixels[:1])) == len(record.stages)
    assert [p.name for p in path.parent.iterdir()] == [path.name], "nothing is left lying about"


def test_of_two_runs_at_once_the_first_choice_counts(
    record: Backbone, home: Path, tmp_path: Path, pixels: Pixels
) -> None:
    meta = (trunks.home(home, record) / trunks.META).read_text()
    with trunks.unfinished(home) as late:
        (late / "trunk.xml").write_text("of the second run")
        trunks.write_meta(late, record, Calibration(REFERENCE))
        trunks.move_in(late, trunks.home(home, record))
    assert (trunks.home(home, record) / trunks.META).read_text() == meta
    assert not late.exists()


@pytest.mark.parametrize("exact", [0, 2, 6, 7])
def test_as_few_stages_as_will_do_are_exact(exact: int, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def measure(name: str, *_: object) -> Measured:
        tried.append(name)
        good = name == graph.FULL or int(name.rpartition("-")[2].replace("bf16", "-1")) >= exact
        return Measured(name, 1.0, Agreement(1.0, 0, 1.0), "" if good else "too far off")

    monkeypatch.setattr(calibrate, "_measure", measure)
    monkeypatch.setattr(calibrate, "_convert", lambda trial: "")
    monkeypatch.setattr(calibrate, "_with_more_images", lambda trial, full: trial)
    trial: Any = SimpleNamespace(backbone=SimpleNamespace(stages=range(8)))
    found = calibrate._measure_graphs(trial, [])
    good = {one.name for one in found if not one.refused}
    assert graph.FULL in good
    assert (graph.name_of(exact) in good) == (exact < 7), "all but the last stage can be exact"
    assert graph.name_of(exact - 1) not in good
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
    def trunk() -> nn.Module:
        return networks.trunk(small(), record, (2, 0))

    known = engines.open_engine(record, (2, 0), home, trunk=trunk)
    whole, _ = engines.choose(record, pixels, home, build=small)
    assert known.name == whole.name
    assert_array_equal(known(pixels)[0], whole(pixels)[2])
    assert_array_equal(known(pixels)[1], whole(pixels)[0])
    fresh = engines.open_engine(record, (2, 0), tmp_path, trunk=trunk)
    assert fresh.name == REFERENCE
    assert [depth.shape[1] for depth in fresh(pixels[:1])] == [record.widths[2], record.widths[0]]


# --- the bundled network --------------------------------------------------------------------------


@openvino(graph.HALF)
def test_the_bundled_network_is_exact_enough_after_its_first_stages(tmp_path: Path) -> None:
    """Even areas show what bfloat16 in the first layers does: that is refused, the rest is not."""
    record = backbones.get("efficientnet-lite0")
    every = range(len(record.stages))
    trunk = networks.trunk(networks.build(record), record, every)
    path = tmp_path / trunks.GRAPH
    graph.convert(trunk, record, path)
    even = [np.full((224, 224, 3), value, np.uint8) for value in (9, 201)]
    pixels = np.stack([*(np.asarray(photo(seed, 224, 224)) for seed in range(10)), *even])
    full, half, after = (
        engines.features(graph.Graph(name, path, every), pixels)
        for name in (graph.FULL, graph.HALF, graph.name_of(3))
    )
    plain = engines.features(Eager(REFERENCE, lambda: trunk, record), pixels[:8])
    assert agreement.compare(plain, full[:8], record.widths).cosine > 0.999999
    assert agreement.compare(full, half, record.widths).cosine < agreement.COSINE
    assert agreement.compare(full, after, record.widths).cosine >= agreement.COSINE
