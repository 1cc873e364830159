"""The run folder: what is written, what it may replace, every damage named at once."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from regraft.errors import RunError
from regraft.metrics import score
from regraft.plan.events import Epoch, LogRow, Note, StepDone
from regraft.results.files import FILES, METRICS, SUSPECTS_FILE
from regraft.results.folder import check_destination, metrics_of, read_run, write_run
from regraft.results.tables import Predictions, read_audit, read_log, read_predictions

CLASSES = ["Bär, brauner", 'a "b"', "\N{CAT FACE}"]


def parts(accuracy: float = 0.5) -> dict[str, Any]:
    """Return all that `write_run` takes, small; the accuracy tells one run from another."""
    p = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]], dtype=np.float32)
    truth = np.array([0, 2])
    seconds = dict.fromkeys(("audit", "probe", "fit", "evaluate", "total"), 1.0)
    metrics = metrics_of(
        score(p, truth, CLASSES).to_json(), case=1, taps=[7], proof="held out", seconds=seconds,
        engine="torch", images_per_second=90.0,
    )  # fmt: skip
    tensors = {
        "trunk.conv.weight": np.arange(12, dtype=np.float32).reshape(3, 4).T,
        "trunk.norm.num_batches_tracked": np.array(3),
        "head.weight": np.eye(3, 4, dtype=np.float32),
        "head.bias": np.zeros(3, dtype=np.float32),
    }
    return {
        "plan": '{"case": 1}\n',
        "config": {"classes": CLASSES, "preprocessing": {"size": 224}},
        "tensors": tensors,
        "metrics": metrics | {"accuracy": accuracy},
        "predictions": Predictions(["a/1, 2.jpg", "ü.png"], truth, p),
        "log": [{"step": 0, "loss": 1.5}, {"step": 1, "loss": 0.5, "rate": 0.1}],
        "audit": [("c.jpg", "truncated", 'ends, "early"')],
        "card": "# card\n",
    }


def rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def left(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


# ---- what is written


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    given = parts()
    write_run(tmp_path / "run", **given)
    assert left(tmp_path) == ["run"]
    assert left(tmp_path / "run") == sorted([*FILES, SUSPECTS_FILE])
    run = read_run(tmp_path / "run")
    assert run.plan == given["plan"]
    assert run.metrics == json.loads(json.dumps(given["metrics"]))
    assert run.config["classes"] == CLASSES
    for name, tensor in given["tensors"].items():
        assert run.tensors[name].dtype == tensor.dtype
        np.testing.assert_array_equal(run.tensors[name], tensor, strict=True)


def test_metrics_have_the_keys_that_the_format_promises(tmp_path: Path) -> None:
    write_run(tmp_path / "run", **parts())
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_bytes())
    assert set(METRICS) <= set(metrics)
    assert {
        *("accuracy", "accuracy_interval", "balanced_accuracy", "log_loss", "ece", "n", "case"),
        *("taps", "seconds", "engine", "images_per_second", "per_class", "confusion"),
    } <= set(METRICS)


def test_predictions_name_every_image_with_its_probabilities(tmp_path: Path) -> None:
    given = parts()
    write_run(tmp_path / "run", **given)
    head, first, second = rows(tmp_path / "run" / "predictions.csv")
    assert head == [
        *("path", "truth", "prediction", "correct", "confidence"),
        *(f"p_{name}" for name in CLASSES),
    ]
    assert first[:4] == ["a/1, 2.jpg", CLASSES[0], CLASSES[0], "true"]
    assert second[:4] == ["ü.png", CLASSES[2], CLASSES[1], "false"]
    written = np.array([first[5:], second[5:]], dtype=np.float32)
    np.testing.assert_array_equal(written, given["predictions"].probabilities)
    assert first[4] == first[5]


def test_the_other_tables(tmp_path: Path) -> None:
    write_run(tmp_path / "run", **parts())
    log, audit = (rows(tmp_path / "run" / name) for name in ("log.csv", "audit.csv"))
    assert log == [["step", "loss", "rate"], ["0", "1.5", ""], ["1", "0.5", "0.1"]]
    assert audit == [["path", "reason", "detail"], ["c.jpg", "truncated", 'ends, "early"']]
    assert (tmp_path / "run" / "audit.csv").read_bytes().endswith(b'"ends, ""early"""\r\n')


def test_the_log_is_read_as_it_was_written(tmp_path: Path) -> None:
    log: list[LogRow] = [StepDone(step="cut", what="x", seconds=0.1), Note(what="y, z")]
    seen: dict[str, Any] = {"seconds": 1 / 3, "epoch": 1, "of": 2, "rate": 1e-05, "loss": 0.7}
    unjudged = Epoch(what="rate-1e-05", images_per_second=9.0, left=2.5, **seen)
    log += [unjudged, replace(unjudged, validation_loss=0.2, validation_accuracy=1.0)]
    write_run(tmp_path / "run", **parts() | {"log": [row.to_row() for row in log]})
    head = "step,what,seconds,epoch,of,rate,loss,images_per_second,left,validation_loss,"
    text = (tmp_path / "run" / "log.csv").read_bytes().decode()
    assert text.startswith(f"{head}validation_accuracy\r\ncut,x,0.1,")
    assert read_log(tmp_path / "run" / "log.csv") == tuple(log)
    (tmp_path / "run" / "log.csv").write_text("step,what,epoch\ntrain,x,many\n")
    with pytest.raises(RunError, match="damaged"):
        read_log(tmp_path / "run" / "log.csv")


def test_the_same_parts_give_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        write_run(tmp_path / name, **parts())
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_file_name_that_is_no_unicode_is_written_all_the_same(tmp_path: Path) -> None:
    odd = os.fsdecode(b"a\xff.jpg")
    given = parts() | {"audit": [(odd, "empty", "")]}
    given["config"] = {"classes": [*CLASSES[:2], odd]}
    write_run(tmp_path / "run", **given)
    assert read_run(tmp_path / "run").config["classes"][2] == odd
    assert read_audit(tmp_path / "run" / "audit.csv") == (("a\\udcff.jpg", "empty", ""),)
    found = read_predictions(tmp_path / "run" / "predictions.csv", given["config"]["classes"])
    np.testing.assert_array_equal(found.truth, given["predictions"].truth)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"plan": "{"}, "Expecting"),
        ({"config": {"classes": ["a", "a", "b"]}}, "different names"),
        ({"config": {"classes": ["a", "b"]}}, "2 outputs, one per class"),
        ({"tensors": {"trunk.x": np.zeros(1)}}, "head.weight and head.bias must be there"),
        ({"metrics": {"accuracy": 1.0, "seconds": {}}}, r"ece.*seconds\.audit"),
        ({"predictions": Predictions(["a"], np.array([0]), np.ones((2, 3)))}, "1 paths"),
        ({"metrics": parts()["metrics"] | {"ece": float("nan")}}, "JSON compliant"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        write_run(tmp_path / "new" / "run", **parts() | change)
    assert left(tmp_path) == []


# ---- what is there already


def test_a_run_is_replaced_only_when_asked(tmp_path: Path) -> None:
    run = tmp_path / "run"
    write_run(run, **parts(0.1))
    (run / "report.html").write_text("later")
    with pytest.raises(RunError, match="ask for --overwrite"):
        write_run(run, **parts(0.2))
    with pytest.raises(RunError, match="ask for --overwrite"):
        check_destination(run)
    assert read_run(run).metrics["accuracy"] == 0.1
    check_destination(run, overwrite=True)
    write_run(run, **parts(0.2), overwrite=True)
    assert read_run(run).metrics["accuracy"] == 0.2
    assert left(tmp_path) == ["run"]
    assert left(run) == sorted([*FILES, SUSPECTS_FILE])


def test_an_empty_folder_and_missing_parents_are_taken(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("empty", "a/b/c"):
        check_destination(tmp_path / name)
        write_run(tmp_path / name, **parts())
        read_run(tmp_path / name)


def photos(folder: Path) -> None:
    folder.mkdir()
    for n in range(5):
        (folder / f"{n}.jpg").write_bytes(b"mine")


def stranger(folder: Path) -> None:
    folder.mkdir()
    (folder / "config.json").write_text('{"format": "another tool"}')


def annotated(folder: Path) -> None:
    write_run(folder, **parts())
    (folder / "notes.txt").write_text("mine")


def file(folder: Path) -> None:
    folder.write_text("mine")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (photos, "holds 0.jpg, 1.jpg, 2.jpg and 2 more"),
        (stranger, "must be a regraft run or new, holds config.json"),
        (annotated, "also holds notes.txt; move that away"),
        (file, "must be a folder, is a file"),
    ],
)
def test_what_is_no_run_is_never_replaced(
    tmp_path: Path, make: Callable[[Path], None], said: str
) -> None:
    place = tmp_path / "place"
    make(place)
    before = left(place) if place.is_dir() else place.read_text()
    with pytest.raises(RunError, match=said):
        check_destination(place, overwrite=True)
    with pytest.raises(RunError, match=said):
        write_run(place, **parts(), overwrite=True)
    assert (left(place) if place.is_dir() else place.read_text()) == before
    assert left(tmp_path) == ["place"]


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    write_run(tmp_path / "run", **parts(0.1))
    (tmp_path / "latest").symlink_to("run", target_is_directory=True)
    write_run(tmp_path / "latest", **parts(0.2), overwrite=True)
    assert (tmp_path / "latest").is_symlink()
    assert read_run(tmp_path / "run").metrics["accuracy"] == 0.2


# ---- reading what is damaged


def test_every_damage_is_named_at_once(tmp_path: Path) -> None:
    run = tmp_path / "run"
    write_run(run, **parts())
    (run / "log.csv").unlink()
    (run / "plan.json").write_text('{"case": ')
    (run / "metrics.json").write_text("[]")
    (run / "model.safetensors").write_bytes((run / "model.safetensors").read_bytes()[:-8])
    with pytest.raises(RunError) as caught:
        read_run(run)
    found = caught.value.problems
    assert [problem.split(":")[0] for problem in found[:-1]] == [
        *("log.csv", "plan.json", "metrics.json", "model.safetensors"),
    ]
    assert "regraft fit" in found[-1]


def edit(run: Path, name: str, **changes: object) -> None:
    data = json.loads((run / name).read_bytes())
    (run / name).write_text(json.dumps(data | changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"classes": ["a", "b"]}, "must have 2 outputs, one per class, has"),
        ({"classes": "abc"}, "two or more different names, is 'abc'"),
        ({"version": 2}, "version must be 1, is 2"),
        ({"tensors": {}}, "tensor head.bias must be absent, is"),
        ({"tensors": None}, "must give the shape of each"),
    ],
)
def test_a_config_that_does_not_fit(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    write_run(tmp_path / "run", **parts())
    edit(tmp_path / "run", "config.json", **changes)
    with pytest.raises(RunError, match=f"config.json: .*{said}"):
        read_run(tmp_path / "run")


def test_tensors_that_do_not_fit_the_config(tmp_path: Path) -> None:
    run = tmp_path / "run"
    write_run(run, **parts())
    tensors = load_file(run / "model.safetensors")
    tensors["head.weight"] = np.zeros((3, 5), dtype=np.float32)
    del tensors["trunk.conv.weight"]
    save_file(tensors, run / "model.safetensors")
    with pytest.raises(RunError) as caught:
        read_run(run)
    assert caught.value.problems[:2] == (
        "config.json: tensor head.weight must be [3, 4], is [3, 5]",
        "config.json: tensor trunk.conv.weight must be [4, 3], is absent",
    )


@pytest.mark.parametrize("package", ["json", "ml_dtypes"])
def test_tensors_of_a_kind_that_regraft_does_not_write(package: str, tmp_path: Path) -> None:
    """Nor where a package is loaded that teaches numpy bfloat16, as onnx's does."""
    pytest.importorskip(package)
    write_run(tmp_path / "run", **parts())
    head = b'{"a":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}'
    data = len(head).to_bytes(8, "little") + head + b"\0\0"
    (tmp_path / "run" / "model.safetensors").write_bytes(data)
    with pytest.raises(RunError, match=r"model.safetensors: must be whole safetensors"):
        read_run(tmp_path / "run")


@pytest.mark.parametrize(
    ("digest", "refused"),
    [
        pytest.param({}, True, id="the one it was written with"),
        pytest.param({"weights_sha256": 7}, True, id="no digest at all"),
        pytest.param(None, False, id="an older run has none"),
    ],
)
def test_other_weights_of_the_same_shapes(
    digest: dict[str, Any] | None, refused: bool, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    write_run(run, **parts())
    config = json.loads((run / "config.json").read_bytes())
    if digest is None:
        del config["weights_sha256"]
    (run / "config.json").write_text(json.dumps(config | (digest or {})))
    tensors = load_file(run / "model.safetensors")
    tensors["head.bias"] += 1
    save_file(tensors, run / "model.safetensors", metadata={"format": "pt"})
    if not refused:
        assert read_run(run).tensors["head.bias"].tolist() == [1, 1, 1]
        return
    with pytest.raises(RunError) as caught:
        read_run(run)
    [said, _] = caught.value.problems
    assert said.startswith("model.safetensors: SHA-256 must be ")
    assert "take weights_sha256 out of config.json" in said


def test_metrics_that_lack_figures(tmp_path: Path) -> None:
    write_run(tmp_path / "run", **parts())
    (tmp_path / "run" / "metrics.json").write_text('{"accuracy": 1, "seconds": {}}')
    with pytest.raises(RunError, match=r"metrics.json: must have .*ece.*seconds\.total"):
        read_run(tmp_path / "run")


def test_what_is_no_run_at_all(tmp_path: Path) -> None:
    write_run(tmp_path / "pets-1", **parts())
    photos(tmp_path / "photos")
    file(tmp_path / "file")
    for name, said in (
        ("pets-2", "must be there, is not; beside it: pets-1"),
        ("photos", "holds 0.jpg, 1.jpg, 2.jpg and 2 more"),
        ("file", "must be a folder, is a file"),
    ):
        with pytest.raises(RunError, match=said):
            read_run(tmp_path / name)


def test_torch_is_not_loaded() -> None:
    code = "import sys, regraft.results.folder, regraft.results.card; print('torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "False\n"
