"""Fixtures: the small network, calibrated in a cache folder of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import smallnet
from regraft.backbones import Backbone
from regraft.features import engines
from regraft.features.engines import Calibration, Pixels, openvino_engine
from smallnet import small


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Small networks are not worth the threads, which wait for each other on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def record() -> Backbone:
    return smallnet.record()


@pytest.fixture(scope="module")
def pixels() -> Pixels:
    return smallnet.photos()


@pytest.fixture(scope="module")
def home(record: Backbone, pixels: Pixels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder in which the small network is calibrated."""
    folder = tmp_path_factory.mktemp("cache")
    engines.choose(record, pixels, folder, build=small)
    return folder


def converted(known: Calibration) -> bool:
    """Whether OpenVINO in float32 was measured and may be used."""
    [full] = [one for one in known.candidates if one.name == openvino_engine.FULL]
    return not full.refused and full.images_per_second > 0
