"""A RUN that carries its trunk answers without torch, and as it does with it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from numpy.testing import assert_array_equal

import regraft
from command import Regraft, cli, own_log
from regraft.errors import RunError
from regraft.export import Exported, export, parity
from regraft.features.engines import REFERENCE, carried, openvino_engine
from regraft.features.engines.preference import FULL, HALF, name_of
from regraft.results import running
from regraft.results.result import MANY
from rounding import BFLOAT16, same_within_rounding
from serving import run

__all__ = ["cli", "own_log", "run"]  # fixtures

TORCH = ("torch", "torchvision", "timm", "lightning_fabric", "scipy", "sklearn", "onnxruntime")
ASK = f"""
import json, os, sys, threading
sys.modules |= dict.fromkeys({TORCH})  # whoever imports one of them fails
import httpx, regraft
from regraft.cli import main
run, *files = sys.argv[1:]
answers = []

def ask(server):
    for file in files:
        body = open(file, "rb").read()
        answers.extend(httpx.post(server.url + "/predict", content=body).json()["images"])
    server.stop()

regraft.serve(run, port=0, started=lambda one: threading.Thread(target=ask, args=[one]).start())
print(json.dumps(answers))
sys.argv = ["regraft", "predict", run, *files, "--json"]
main()
"""


@pytest.fixture(scope="module")
def made(run: Path) -> Exported:
    """What the RUN carries from here on."""
    return export(run, "serve", data=run.parent / "data")


@pytest.fixture(scope="module")
def files(run: Path) -> list[Path]:
    return sorted((run.parent / "data").rglob("*.png"))[::4]


def test_it_answers_without_torch_as_with_it(
    made: Exported, run: Path, files: list[Path], tmp_path: Path
) -> None:
    command = [sys.executable, "-c", ASK, str(run), *map(str, files)]
    there = os.environ | {"REGRAFT_CACHE": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=there)
    assert done.returncode == 0, done.stderr
    first, _, rest = done.stdout.partition("\n")
    served, predicted = json.loads(first), json.loads(rest)
    wanted = regraft.load(run, cache=tmp_path).predict(list(files))
    for answers in (served, predicted):
        assert [one["label"] for one in answers] == [one.label for one in wanted]
        assert [one["known"] for one in answers] == [one.known for one in wanted]
        for told, one in zip(answers, wanted, strict=True):
            assert told["confidence"] == pytest.approx(one.confidence, abs=1e-6)
            assert told["belief"] == pytest.approx(one.belief, abs=1e-6)


def test_it_is_what_the_run_gives(made: Exported, run: Path, files: list[Path]) -> None:
    exact, beliefs, served = made.parities
    assert exact.worst <= parity.EXACT
    assert beliefs.of == "beliefs"
    assert (exact.changed, beliefs.changed, served.changed) == (0, 0, 0)
    assert made.path == run / "trunk"
    assert sorted(os.listdir(made.path)) == sorted(carried.FILES)
    elsewhere = regraft.load(run, cache=run.parent / "elsewhere")
    known = regraft.load(run).predict_proba(files)
    assert same_within_rounding(elsewhere.predict_proba(files), known, BFLOAT16)
    assert elsewhere.engine().name != REFERENCE
    assert elsewhere.exact_engine().name == elsewhere.engine().name
    elsewhere.predict_proba((files * MANY)[:MANY])  # there is nothing to choose
    assert not (run.parent / "elsewhere" / "trunks").exists()


@pytest.mark.parametrize("spoilt", ["absent", "cut short", "of other weights", "no meta"])
def test_what_is_not_its_trunk_is_not_used(
    spoilt: str, made: Exported, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    if spoilt == "absent":
        shutil.rmtree(copy / "trunk")
    elif spoilt == "cut short":
        (copy / "trunk" / "trunk.bin").write_bytes(b"")
    elif spoilt == "no meta":
        (copy / "trunk" / "meta.json").write_text("[", "utf-8")
    else:
        meta = json.loads((copy / "trunk" / "meta.json").read_text("utf-8"))
        (copy / "trunk" / "meta.json").write_text(json.dumps(meta | {"weights": "0"}), "utf-8")
    loaded = regraft.load(copy, cache=tmp_path)
    assert loaded.engine().name == REFERENCE
    monkeypatch.setattr(running, "find_spec", lambda name: None)  # as where there is no torch
    with pytest.raises(RunError, match="Without torch nothing here runs demonstration") as caught:
        loaded.engine()
    assert "--to serve" in caught.value.problems[-1]


@pytest.mark.parametrize(
    ("wish", "able", "runs"),
    [
        (HALF, True, HALF),
        (HALF, False, FULL),
        (name_of(1), True, name_of(1)),
        (name_of(99), True, FULL),  # a stage that was cut off
        ("torch-bf16-channels-last", True, FULL),
        ("", True, FULL),
    ],
)
def test_it_runs_in_the_precision_of_the_report(
    wish: str,
    able: bool,
    runs: str,
    made: Exported,
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(openvino_engine, "objection", lambda name: "" if able else "it cannot")
    record = regraft.load(run).record
    found = carried.find(record, [0], made.path, wish)
    assert found is not None
    assert found.name == runs


def test_the_command_says_what_it_is_for(cli: Regraft, made: Exported, run: Path) -> None:
    said = cli("export", run, "--to", "serve", "--data", run.parent / "data")
    assert (said.code, "there is no torch" in said.err) == (0, True)
    assert str(run / "trunk") in said.out
    for words, problem in ((("--out", "there"), "no --out"), (("--pixels",), "onnx and torch")):
        refused = cli("export", run, "--to", "serve", *words)
        assert (refused.code, problem in refused.err) == (2, True)


def test_a_run_is_replaced_with_what_it_carries(made: Exported, run: Path, tmp_path: Path) -> None:
    from regraft.results.folder import check_destination

    copy = shutil.copytree(run, tmp_path / "run")
    check_destination(copy, overwrite=True)
    (copy / "mine.txt").write_text("mine", "utf-8")
    with pytest.raises(RunError, match=r"mine\.txt"):
        check_destination(copy, overwrite=True)
    assert_array_equal(sorted(os.listdir(made.path)), sorted(carried.FILES))
