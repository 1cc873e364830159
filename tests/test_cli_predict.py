"""The command line on a RUN that is there, on backbones and the cache, and when it is stopped."""

import csv
import io
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import regraft
from command import Regraft, cli, own_log
from pictures import lay_out
from regraft.features.cache import TRUNKS, cache_folder
from scenes import each, scene, scenes

__all__ = ["cli", "own_log"]  # fixtures


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_out(tmp_path_factory.mktemp("data") / "scenes", scenes(each(8)))


@pytest.fixture(scope="module")
def fitted(data: Path) -> Path:
    out = data.parent / "run"
    regraft.fit(data, out=out)
    return out


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """Images to classify: two good ones, one of them deep, one broken, and what is no image."""
    files = {
        "a.png": scene("rings", 70),
        "b/c.png": scene("stripes", 71),
        "broken.png": scene("rings", 72)[:900],
        "notes.txt": b"words",
        ".hidden.png": scene("rings", 73),
    }
    return lay_out(tmp_path / "new", files)


# ---- predict


def test_predict_takes_files_folders_and_patterns(cli: Regraft, fitted: Path, new: Path) -> None:
    deep, flat = new / "b" / "c.png", new / "a.png"
    for words, paths in {
        (deep, flat): [deep, flat],
        (new,): [flat, new / "broken.png", deep],
        (new / "b",): [deep],
        (f"{new}/**/[ac].png",): [flat, deep],
        (flat, f"{new}/a.*", flat): [flat],
    }.items():
        said = cli("predict", fitted, *words, "--json")
        assert said.code == 0
        assert [one["path"] for one in said.json] == [str(path) for path in paths], words


def test_what_cannot_be_read_is_named_and_the_rest_is_classified(
    cli: Regraft, fitted: Path, new: Path
) -> None:
    said = cli("predict", fitted, new, "--json")
    good = {Path(one["path"]).name: one["label"] for one in said.json if "label" in one}
    assert (said.code, good) == (0, {"a.png": "rings", "c.png": "stripes"})
    [bad] = [one for one in said.json if "problem" in one]
    assert bad["path"].endswith("broken.png")
    assert "broken.png" in said.err
    assert "a.png" not in said.err
    alone = cli("predict", fitted, new / "broken.png")
    assert alone.code == 1
    assert "broken.png" in alone.err


def test_csv_json_and_the_table_say_the_same(cli: Regraft, fitted: Path, new: Path) -> None:
    words = ("predict", fitted, new, "--top", 2)
    listed = cli(*words, "--json").json
    rows = list(csv.DictReader(io.StringIO(cli(*words, "--csv").out)))
    assert [row["path"] for row in rows] == [one["path"] for one in listed]
    table = cli(*words).out
    for row, one in zip(rows, listed, strict=True):
        if "problem" in one:
            assert row["problem"] == one["problem"]
            assert row["label"] == ""
            continue
        first, second = one["top"]
        assert (row["label"], row["label_2"]) == (first["label"], second["label"])
        assert float(row["confidence"]) == pytest.approx(one["confidence"], abs=1e-6)
        assert one["confidence"] == first["confidence"] >= second["confidence"]
        assert f"{first['confidence']:.1%}" in table
    assert len(cli("predict", fitted, new / "a.png", "--top", 99, "--json").json[0]["top"]) == 3


def test_every_word_that_means_nothing_is_named(cli: Regraft, fitted: Path, new: Path) -> None:
    said = cli("predict", fitted, new / "a.png", new / "gone.png", f"{new}/*.bmp")
    assert (said.code, said.out) == (1, "")
    assert all(word in said.err for word in ("gone.png", "*.bmp"))


def test_a_run_that_is_absent_or_damaged(
    cli: Regraft, fitted: Path, new: Path, tmp_path: Path
) -> None:
    assert "nowhere" in cli("predict", tmp_path / "nowhere", new / "a.png").err
    assert cli("predict", new, new / "a.png").code == 1
    broken = shutil.copytree(fitted, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"short")
    (broken / "metrics.json").write_text("{")
    said = cli("predict", broken, new / "a.png")
    assert (said.code, said.out) == (1, "")
    assert all(name in said.err for name in ("model.safetensors", "metrics.json"))
    other = shutil.copytree(fitted, tmp_path / "other")
    tensors = load_file(other / "model.safetensors")
    save_file(tensors | {"head.bias": np.zeros(9, np.float32)}, other / "model.safetensors")
    said = cli("predict", other, new / "a.png")
    assert said.code == 1
    assert "head.bias" in said.err


def test_a_run_works_on_a_machine_with_an_empty_cache(
    cli: Regraft, fitted: Path, new: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands on its own: its weights are all that is needed."""
    known = cli("predict", fitted, new / "a.png", "--json").json
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "empty"))
    [there] = cli("predict", fitted, new / "a.png", "--json").json
    assert there["label"] == known[0]["label"]
    assert there["confidence"] == pytest.approx(known[0]["confidence"], abs=0.03)


# ---- backbones and the cache


def test_models_are_listed(cli: Regraft) -> None:
    listed = cli("models", "--json").json
    assert {one["name"]: one["on_hand"] for one in listed}["efficientnet-lite0"] is True
    said = cli("models")
    assert said.code == 0
    assert all(one["name"] in said.out for one in listed)


def test_an_unknown_backbone_gets_near_names(cli: Regraft, data: Path) -> None:
    said = cli("plan", data, "--backbone", "efficientnet-light0")
    assert (said.code, said.out) == (1, "")
    assert "efficientnet-lite0" in said.err
    assert "resnet18" in cli("plan", data, "--backbone", "resnet_18").err


def test_weights_that_do_not_fit_name_the_first_mismatches(
    cli: Regraft, data: Path, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.safetensors"
    save_file({"conv1.weight": np.zeros((64, 3, 3, 3), np.float32)}, wrong)
    said = cli("fit", data, "--backbone", "resnet18", "--weights", wrong, "--out", tmp_path / "run")
    assert (said.code, said.out) == (1, "")
    assert "conv1.weight" in said.err
    for name in ("absent.safetensors", "text.safetensors"):
        (tmp_path / "text.safetensors").write_text("words")
        said = cli("plan", data, "--backbone", "resnet18", "--weights", tmp_path / name)
        assert said.code == 1
        assert name in said.err
    assert not (tmp_path / "run").exists()


def test_the_cache_is_shown_and_cleared(
    cli: Regraft, fitted: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(cache_folder(None) / TRUNKS, tmp_path / "cache" / TRUNKS)
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "cache"))
    regraft.propose(data)
    shown = cli("cache", "--json").json
    assert shown["folder"] == str(tmp_path / "cache")
    assert {entry["kind"] for entry in shown["entries"]} == {"images", "products", "trunk"}
    assert shown["bytes"] > 1_000_000
    assert "trunk" in cli("cache").out
    said = cli("cache", "--clear")
    assert (said.code, said.out) == (0, "")
    after = cli("cache", "--json").json
    assert after["entries"] == []
    assert after["bytes"] < 100_000


# ---- stopped by Ctrl-C

STOPPED = """
import importlib, os, signal, sys
module, name, calls, *words = sys.argv[1:]
home = importlib.import_module(module)
real, left = getattr(home, name), [int(calls)]

def stopped(*given, **named):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGINT)
    return real(*given, **named)

setattr(home, name, stopped)
from regraft.cli import main
sys.exit(main(words))
"""


@pytest.mark.parametrize(
    ("module", "name", "calls"),
    [
        ("regraft.data.readers", "open_source", 1),
        ("regraft.features.engines.calibrate", "calibrate", 1),
        ("regraft.data.images", "inspect", 5),
        ("regraft.run.evidence", "gather", 1),
        ("regraft.run.proof", "calibrated", 1),
        ("regraft.results.folder", "write_bytes", 1),
        ("regraft.results.folder", "write_text", 2),
    ],
)
@pytest.mark.usefixtures("fitted")
def test_ctrl_c_leaves_nothing_behind(
    data: Path, tmp_path: Path, module: str, name: str, calls: int
) -> None:
    (tmp_path / "temporary").mkdir()
    (tmp_path / "out").mkdir()
    if not module.startswith("regraft.features.engines"):  # which run where no trunk is remembered
        shutil.copytree(cache_folder(None) / TRUNKS, tmp_path / "cache" / TRUNKS)
    before = sorted((tmp_path / "cache" / TRUNKS).rglob("*"))
    words = ["fit", str(data), "--out", str(tmp_path / "out" / "run")]
    done = subprocess.run(
        [sys.executable, "-c", STOPPED, module, name, str(calls), *words],
        env={
            **os.environ,
            "TMPDIR": str(tmp_path / "temporary"),
            "REGRAFT_CACHE": str(tmp_path / "cache"),
        },
        capture_output=True,
        text=True,
        # Who runs the tests in the background ignores Ctrl-C, and a child would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert done.returncode == 128 + signal.SIGINT
    assert done.stdout == ""
    assert [line for line in done.stderr.splitlines() if line.strip()] == [
        "regraft: stopped; nothing half-written was left behind."
    ]
    assert os.listdir(tmp_path / "out") == []
    assert os.listdir(tmp_path / "temporary") == []
    assert sorted((tmp_path / "cache" / TRUNKS).rglob("*")) == before
