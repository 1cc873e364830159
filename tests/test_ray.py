"""The pass on a Ray cluster gives the RUN of one process, also where a worker is killed."""

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import regraft
from pictures import lay_out
from regraft.data.dataset import Dataset
from regraft.errors import DataError, RunError, UsageError
from regraft.ray import Features
from regraft.run import on_ray
from regraft.run.measure import measure
from regraft.run.pretrained import open_network
from scenes import each, scenes

ray = pytest.importorskip("ray")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = scenes(each(8)) | {"rings/broken.png": b"\x89PNG\r\n\x1a\nno picture"}
    return lay_out(tmp_path_factory.mktemp("data") / "scenes", files)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A real one, of two workers on this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setattr(on_ray, "LOT", 5)
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            object_store_memory=100 << 20,
            _node_ip_address="127.0.0.1",
        )
        yield
        ray.shutdown()


def deadly(dataset: Dataset, image: int, once: Path) -> Dataset:
    """The data set, and whoever is the first to read an image of it is killed."""

    def read(index: int) -> bytes:  # within a function, so that it goes to workers by value
        if index == image and not once.exists():
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return dataset.read(index)

    return replace(dataset, read=read)


def test_a_killed_worker_costs_a_lot_and_the_run_is_that_of_one_process(
    data: Path, tmp_path: Path, cluster: None
) -> None:
    alone = regraft.fit(data, "demonstration", seed=3)
    once = tmp_path / "killed"
    lethal = deadly(Dataset.open(data), 13, once)
    together = regraft.fit(lethal, "demonstration", seed=3, on="ray")
    assert once.exists()
    assert together.plan == alone.plan
    for name, tensor in alone.tensors.items():
        np.testing.assert_array_equal(together.tensors[name], tensor, name)
    assert together.plan.left_out == 1


def test_a_worker_that_is_lost_again_and_again_is_told(
    data: Path, tmp_path: Path, cluster: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_ray, "TRIES", 0)
    lethal = deadly(Dataset.open(data), 13, tmp_path / "killed")
    with pytest.raises(RunError, match=r"Ray lost the worker of images 11 to 15 1 times") as said:
        regraft.propose(lethal, "demonstration", on="ray")
    assert "the same command goes on" in said.value.problems[1]


def test_other_versions_on_a_worker_are_named(
    data: Path, cluster: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = on_ray.versions() | {"Python": "2.7"}
    monkeypatch.setattr(on_ray, "versions", lambda: here)
    with pytest.raises(RunError, match="has other versions than the driver") as said:
        regraft.propose(data, "demonstration", on="ray")
    assert said.value.problems[0].startswith("Python: 3.")
    assert said.value.problems[0].endswith("there, 2.7 here")


@pytest.mark.parametrize("on", ["spark", "rays", "ray;x"])
def test_what_is_no_cluster_is_refused_before_the_work(on: str, data: Path) -> None:
    with pytest.raises(UsageError, match="ray:ADDRESS"):
        regraft.propose(data, "demonstration", on=on)


def test_without_ray_it_says_how_to_get_it(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match="pip install 'regraft\\[ray\\]'"):
        regraft.propose(data, "demonstration", on="ray")


def test_a_pipeline_of_ones_own_has_the_same_features(data: Path) -> None:
    dataset = Dataset.open(data)
    network = open_network("demonstration")
    measured = measure(dataset, network, regraft.Choices())
    files = [dataset.read(i) for i in range(len(dataset))]
    features = Features("demonstration")
    batch: dict[str, Any] = {"image": files, "id": list(range(len(files)))}
    found = features(batch)
    assert found["id"] == batch["id"]
    assert [bool(problem) for problem in found["problem"]] == [
        i not in measured.audit.kept for i in range(len(files))
    ]
    np.testing.assert_array_equal(found["features"][list(measured.audit.kept)], measured.features)
    good = measured.audit.kept[0]
    for other in ({"bytes": files[good], "path": None}, memoryview(files[good])):
        np.testing.assert_array_equal(
            features({"image": [other]})["features"], found["features"][[good]]
        )
    picture = Image.open(data / dataset.items[good].path)
    for one in (picture, np.asarray(picture)):
        np.testing.assert_array_equal(
            features({"image": [one]})["features"], found["features"][[good]]
        )
    assert features({"image": [None, "a.jpg"]})["problem"].tolist() == [
        "no image: NoneType",
        "no image: str",
    ]
    with pytest.raises(DataError, match="no column 'image'"):
        features({"photo": files})
