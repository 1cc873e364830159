"""Engines: whatever runs a trunk gives the features of the network, whole or cut."""

import os
import platform
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn

import smallnet
from calibrated import home, one_thread, pixels, record
from pictures import encode, photo
from regraft import backbones
from regraft.backbones import Backbone
from regraft.features import engines
from regraft.features.engines import (
    REFERENCE,
    Engine,
    Floats,
    Pixels,
    agreement,
    openvino_engine,
    store,
)
from regraft.features.engines.preference import CPU
from regraft.features.engines.torch_engine import Eager
from regraft.features.extract import extract
from regraft.networks import build
from rounding import FLOAT16, FLOAT32, same_within_rounding
from smallnet import runs, small

__all__ = ["home", "one_thread", "pixels", "record"]  # fixtures

NAMES = (REFERENCE, *CPU, openvino_engine.FULL, openvino_engine.HALF, openvino_engine.name_of(1))
ALL = [pytest.param(name, marks=runs(name)) for name in NAMES]


@pytest.fixture
def make(record: Backbone, home: Path) -> Callable[[str], Engine]:
    every = range(len(record.stages))

    def engine(name: str) -> Engine:
        if openvino_engine.is_graph(name):
            return openvino_engine.Graph(name, store.home(home, record) / store.GRAPH, every)
        return Eager(name, lambda: build.trunk(small(), record, every), record)

    return engine


@pytest.mark.parametrize("name", ALL)
def test_features_are_those_of_the_network(
    name: str, make: Callable[[str], Engine], record: Backbone, pixels: Pixels
) -> None:
    error = 0.02 if "bf16" in name else FLOAT32
    engine = make(name)
    assert engine.name == name
    for mine, plain, stage in zip(
        engine(pixels), smallnet.plain_features(), record.stages, strict=True
    ):
        assert mine.dtype == np.float32
        assert mine.shape == (len(pixels), stage.channels)
        assert same_within_rounding(mine, plain, error)


@pytest.mark.parametrize("name", ALL)
def test_an_image_does_not_depend_on_its_neighbours(
    name: str, make: Callable[[str], Engine], pixels: Pixels
) -> None:
    """Bit for bit where each image is run alone, else within rounding."""
    engine = make(name)
    together = engines.features(engine, pixels)
    error = 0.0 if openvino_engine.is_graph(name) else FLOAT16
    assert_array_equal(engines.features(engine, pixels), together)
    assert same_within_rounding(engines.features(engine, pixels[::-1])[::-1], together, error)
    for some in (slice(5, 6), slice(3, 20)):
        assert same_within_rounding(engines.features(engine, pixels[some]), together[some], error)


def test_calls_from_two_threads_keep_apart(make: Callable[[str], Engine], record: Backbone) -> None:
    """And a call may have more images than the engine runs at once, and none."""
    engine, rng = make(openvino_engine.FULL), np.random.default_rng(0)
    side = record.view.size
    two = [rng.integers(0, 256, (n, side, side, 3), dtype=np.uint8) for n in (1, 70)]
    apart = [np.concatenate([np.hstack(engine(one[None])) for one in some]) for some in two]
    with ThreadPoolExecutor(2) as pool:
        asked = [two[n % 2] for n in range(24)]
        found = list(pool.map(lambda some: np.hstack(engine(some)), asked))
    for n, rows in enumerate(found):
        assert_array_equal(rows, apart[n % 2])
    assert np.hstack(engine(two[0][:0])).shape == (0, sum(s.channels for s in record.stages))


@pytest.mark.parametrize("failed", [KeyboardInterrupt, RuntimeError])
def test_a_call_that_was_broken_off_leaves_the_engine_free(
    failed: type[BaseException], make: Callable[[str], Engine], pixels: Pixels
) -> None:
    engine: Any = make(openvino_engine.FULL)
    usual = np.hstack(engine(pixels))
    first = engine._requests[0]

    class Broken:
        def start_async(self) -> None:
            first.start_async()

        def wait(self) -> None:
            if engine._requests[0] is first:
                first.wait()
                return
            engine._requests[0] = first
            raise failed

    engine._requests[0] = Broken()
    with pytest.raises(failed):
        engine(pixels)
    assert_array_equal(np.hstack(engine(pixels)), usual)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=runs(n))
        for n in (openvino_engine.FULL, openvino_engine.HALF, openvino_engine.name_of(0))
    ],
)
@pytest.mark.parametrize("taps", [(0,), (2,), (2, 0)])
def test_a_cut_network_gives_the_numbers_of_the_whole(
    name: str, taps: tuple[int, ...], record: Backbone, home: Path, pixels: Pixels
) -> None:
    path = store.home(home, record) / store.GRAPH
    whole = openvino_engine.Graph(name, path, range(len(record.stages)))(pixels)
    for depth, mine in zip(taps, openvino_engine.Graph(name, path, taps)(pixels), strict=True):
        assert_array_equal(mine, whole[depth])


@runs(openvino_engine.HALF)
def test_stages_that_are_to_be_exact_are_exact(
    record: Backbone, home: Path, pixels: Pixels
) -> None:
    path = store.home(home, record) / store.GRAPH
    full, half, after = (
        openvino_engine.Graph(name, path, range(len(record.stages)))(pixels)
        for name in (openvino_engine.FULL, openvino_engine.HALF, openvino_engine.name_of(1))
    )
    errors = [[np.abs(a - b).max() for a, b in zip(x, full, strict=True)] for x in (half, after)]
    assert min(errors[0]) > 1e-4, "bfloat16 shows at every depth"
    assert max(errors[1][:2]) < 1e-5
    assert errors[1][2] > 1e-4, "and here only after depth 1"


LIMITED = """
import sys
from pathlib import Path
import numpy as np
from regraft.features.engines import openvino_engine

print(openvino_engine.objection(openvino_engine.HALF))
engine = openvino_engine.Graph(openvino_engine.FULL, Path(sys.argv[1]), range(int(sys.argv[4])))
pixels = np.load(sys.argv[2])["pixels"]
np.savez(sys.argv[3], *engine(pixels))
"""


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="the limit is one of x86 processors"
)
def test_a_processor_without_avx512_gives_the_features_of_the_network(
    home: Path, record: Backbone, pixels: Pixels, tmp_path: Path
) -> None:
    """And says that it has no bfloat16; the libraries are told to use no more than AVX2."""
    given, found = tmp_path / "given.npz", tmp_path / "found.npz"
    np.savez(given, pixels=pixels)
    graph = store.home(home, record) / store.GRAPH
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, graph, given, found, str(len(record.stages))],
        env=os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "the CPU has no bfloat16"
    with np.load(found) as arrays:
        for mine, plain in zip(arrays.values(), smallnet.plain_features(), strict=True):
            assert same_within_rounding(mine, plain, FLOAT32)


def test_one_core_gives_the_same_features_as_two(
    home: Path, record: Backbone, pixels: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a call to the engine, and of a pass over files, bit for bit."""
    files = [encode(photo(seed, 40, 36), "PNG") for seed in range(40)]
    called, passed = [], []
    for count in (1, 2):
        monkeypatch.setattr(openvino_engine, "cores", lambda count=count: count)
        monkeypatch.setattr(engines, "cores", lambda count=count: count)
        path = store.home(home, record) / store.GRAPH
        engine = openvino_engine.Graph(openvino_engine.FULL, path, range(len(record.stages)))
        called.append(np.hstack(engine(pixels)))
        seen = extract(
            files.__getitem__,
            len(files),
            [record.view],
            sum(record.widths),
            engine=engine,
            choose=lambda *_: pytest.fail("the engine is known"),
        )
        assert seen.computed == len(files)
        passed.append(seen.features[0])
    assert_array_equal(called[0], called[1])
    assert_array_equal(passed[0], passed[1])


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
            self.trunk = build.trunk(small(), record, range(len(record.stages)))

        def forward(self, x: torch.Tensor) -> Any:
            if len(x) > 3:
                raise torch.cuda.OutOfMemoryError("too much")
            return self.trunk(x)

    engine = Eager(REFERENCE, Narrow, record)
    for mine, plain in zip(engine(pixels), make(REFERENCE)(pixels), strict=True):
        assert_allclose(mine, plain, atol=1e-5)
    assert engine.batch == 2


@runs("torch-bf16-channels-last")
def test_the_network_given_is_left_as_it_is(record: Backbone, pixels: Pixels) -> None:
    module = small()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    engine = Eager(
        "torch-bf16-channels-last", lambda: build.trunk(module, record, (0, 1, 2)), record
    )
    engine(pixels[:2])
    for key, value in module.state_dict().items():
        assert value.dtype == before[key].dtype
        assert torch.equal(value, before[key])


@runs(openvino_engine.HALF)
def test_the_bundled_network_is_exact_enough_after_its_first_stages(tmp_path: Path) -> None:
    """Even areas show what bfloat16 in the first layers does: that is refused, the rest is not."""
    record = backbones.get("efficientnet-lite0")
    every = range(len(record.stages))
    trunk = build.trunk(build.build(record), record, every)
    path = tmp_path / store.GRAPH
    openvino_engine.convert(trunk, record, path)
    even = [np.full((224, 224, 3), value, np.uint8) for value in (9, 201)]
    pixels = np.stack([*(np.asarray(photo(seed, 224, 224)) for seed in range(10)), *even])
    full, half, after = (
        engines.features(openvino_engine.Graph(name, path, every), pixels)
        for name in (openvino_engine.FULL, openvino_engine.HALF, openvino_engine.name_of(3))
    )
    plain = engines.features(Eager(REFERENCE, lambda: trunk, record), pixels[:8])
    assert agreement.compare(plain, full[:8], record.widths).cosine > 0.999999
    assert agreement.compare(full, half, record.widths).cosine < agreement.COSINE
    assert agreement.compare(full, after, record.widths).cosine >= agreement.COSINE
