"""The pass on a Ray cluster gives the RUN of one process, also where a worker is killed."""

import io
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
from command import Regraft, cli, own_log
from regraft.data.dataset import Dataset
from regraft.errors import DataError, RunError, UsageError
from regraft.ray import Features
from regraft.run import on_ray
from regraft.run.measure import measure
from regraft.run.pretrained import open_network
from scenes import each, scenes

__all__ = ["cli", "own_log"]  # fixtures

ray, pyarrow = pytest.importorskip("ray"), pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table whose rows are not in the order of their names, so that lots are not either."""
    files = scenes(each(8)) | {"rings/broken.png": b"\x89PNG\r\n\x1a\nno picture"}
    names = sorted(files, key=lambda name: name[::-1])
    images = [{"bytes": files[name], "path": name} for name in names]
    rows = {"image": images, "label": [name.split("/")[0] for name in names]}
    file = tmp_path_factory.mktemp("data") / "scenes.parquet"
    parquet.write_table(pyarrow.table(rows), file, row_group_size=7)
    return file


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
    """The data set, and whoever is the first to read an image of it is killed.

    Beside ``once`` stands which processes have opened it, line by line.
    """

    class Reader:  # within a function, so that it goes to workers by value
        def __getstate__(self) -> str:
            return "sent"

        def __setstate__(self, state: str) -> None:
            with open(once.with_name("opened"), "a", encoding="ascii") as file:
                file.write(f"{os.getpid()}\n")

        def __call__(self, index: int) -> bytes:
            here = ray.get_runtime_context().get_task_id() is None  # and not on a worker
            if index == image and not here and not once.exists():
                once.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return dataset.read(index)

    return replace(dataset, read=Reader())


def test_a_killed_worker_costs_a_lot_and_the_run_is_that_of_one_process(
    data: Path, tmp_path: Path, cluster: None
) -> None:
    alone = regraft.fit(data, "demonstration", seed=3)
    once = tmp_path / "killed"
    lethal = deadly(Dataset.open(data), 13, once)
    together = regraft.fit(lethal, "demonstration", seed=3, on="ray")
    assert once.exists()
    opened = (tmp_path / "opened").read_text("ascii").split()
    assert len(opened) == len(set(opened)), "once by each worker, not for each of ten lots"
    assert together.plan == alone.plan
    for name, tensor in alone.tensors.items():
        np.testing.assert_array_equal(together.tensors[name], tensor, name)
    assert together.plan.left_out == 1


def test_a_worker_that_is_lost_again_and_again_is_told(
    data: Path, tmp_path: Path, cluster: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_ray, "TRIES", 0)
    dataset = Dataset.open(data)
    assert dataset.order is not None
    image = int(dataset.order[0])
    assert image >= 5
    lethal = deadly(dataset, image, tmp_path / "killed")
    with pytest.raises(RunError, match="Ray lost the worker of images 1 to 5 1 times") as said:
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


def test_what_no_worker_can_read_is_told_and_what_is_under_way_ends(
    data: Path, cluster: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, ended = Dataset.open(data), list[object]()

    def refuse(index: int) -> bytes:
        if ray.get_runtime_context().get_task_id() is None:  # here, and not on a worker
            return dataset.read(index)
        raise DataError("'s3://bucket/0.tar' cannot be read.", ["access is refused (403)"])

    monkeypatch.setattr(ray, "cancel", ended.append)
    with pytest.raises(DataError, match=r"s3://bucket/0\.tar") as said:
        regraft.propose(replace(dataset, read=refuse), "demonstration", on="ray")
    assert list(said.value.problems) == ["access is refused (403)"]
    assert ended


@pytest.mark.parametrize("verb", ["plan", "fit"])
def test_that_training_stays_here_is_said(
    verb: str,
    data: Path,
    cluster: None,
    cli: Regraft,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def enough(*_: object, **__: object) -> None:
        raise RunError("That is enough.")

    monkeypatch.setattr("regraft.finetune.speed_of", lambda *_: 100.0)
    monkeypatch.setattr("regraft.cli.fit.carry_out", enough)
    words = [data, "--backbone", "demonstration", "--case", "3", "--out", tmp_path / "out"]
    sentence = "training runs on the machine with the command"
    assert sentence in cli(verb, *words, "--on", "ray").err
    assert sentence not in cli(verb, *words).err


def test_what_is_open_here_alone_is_refused(data: Path, cluster: None) -> None:
    dataset = Dataset.open(data)
    with open(data, "rb") as stream:
        bound = replace(dataset, read=lambda i: stream.read(0) or dataset.read(i))
        with pytest.raises(RunError, match="cannot be sent to the workers") as said:
            regraft.propose(bound, "demonstration", on="ray")
    assert "BufferedReader" in said.value.problems[0]
    assert "compressed tar" in said.value.problems[1]


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
    picture = Image.open(io.BytesIO(files[good]))
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
