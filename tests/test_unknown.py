"""What a run says of images that are like none of its training images."""

import csv
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import regraft
from command import Regraft, cli, own_log
from pictures import encode, lay_out, photo
from regraft.heads.known import LIMIT
from regraft.plan import wording
from scenes import each, scene, scenes

__all__ = ["cli", "own_log"]  # fixtures


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = scenes(each(24, "train/")) | scenes(each(8, "test/"), first=60)
    return lay_out(tmp_path_factory.mktemp("data") / "scenes", files)


@pytest.fixture(scope="module")
def run(data: Path) -> Path:
    out = data.parent / "run"
    regraft.fit(data, "demonstration", case=1, out=out)
    return out


@pytest.fixture(scope="module")
def strangers(data: Path) -> list[str]:
    place = lay_out(
        data.parent / "strangers", {f"{n}.png": encode(photo(n), "PNG") for n in range(8)}
    )
    return sorted(map(str, place.glob("*.png")))


def own_of(data: Path) -> list[str]:
    return sorted(str(path) for path in (data / "test").rglob("*.png"))


def test_photos_of_something_else_are_unknown(run: Path, data: Path, strangers: list[str]) -> None:
    model = regraft.load(run)
    own, others = model.predict(own_of(data)), model.predict(strangers)
    assert np.mean([one.known is True for one in own]) > 0.8
    assert all(one.known is False for one in others)
    for one in (*own, *others):
        assert one.belief is not None
        assert one.known == (one.belief > LIMIT)
    [alone] = model.predict(own_of(data)[3])
    assert alone.belief == own[3].belief
    found = json.loads((run / "metrics.json").read_text())["unknown"]
    assert found["images"] == len(own) == 24
    assert found["kept"] == pytest.approx(np.mean([one.known for one in own]), abs=0.05)
    assert found["own"] == 72
    assert set(found["left_out"]) == {"rings", "squares", "stripes"}
    assert found["bytes"] == sum(
        tensor.nbytes
        for name, tensor in load_file(run / "model.safetensors").items()
        if name.startswith("known.")
    )
    beliefs = [one["belief"] for one in found["least"]]
    assert beliefs == sorted(beliefs)
    assert {one["path"] for one in found["least"]} <= {
        Path(path).relative_to(data).as_posix() for path in own_of(data)
    }


def test_csv_and_json_say_it_and_of_what_cannot_be_read_nothing(
    run: Path, data: Path, strangers: list[str], tmp_path: Path, cli: Regraft
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    own = next(one.path for one in regraft.load(run).predict(own_of(data)) if one.known)
    given = (own, strangers[0], broken)
    rows = json.loads(cli("predict", run, *given, "--json").out)
    assert [row["known"] for row in rows] == [True, False, None]
    assert rows[2]["belief"] is None
    table = list(csv.DictReader(io.StringIO(cli("predict", run, *given, "--csv", "--top", 2).out)))
    assert [row["known"] for row in table] == ["true", "false", ""]
    assert [row["belief"] for row in table][:2] == [f"{row['belief']:.6f}" for row in rows[:2]]
    lines = cli("predict", run, *given[:2]).out.splitlines()
    assert ["like no training image" in line for line in lines] == [False, False, True]


def test_a_run_of_before_says_nothing_of_it(
    run: Path, data: Path, tmp_path: Path, cli: Regraft
) -> None:
    old = shutil.copytree(run, tmp_path / "old")
    tensors = load_file(old / "model.safetensors")
    own = {name: t for name, t in tensors.items() if not name.startswith("known.")}
    save_file(own, old / "model.safetensors", {"format": "pt"})
    config = json.loads((old / "config.json").read_text())
    config["tensors"] = {n: s for n, s in config["tensors"].items() if n in own}
    del config["weights_sha256"]
    (old / "config.json").write_text(json.dumps(config))
    metrics = json.loads((old / "metrics.json").read_text())
    del metrics["unknown"]
    (old / "metrics.json").write_text(json.dumps(metrics))
    [found] = regraft.load(old).predict(own_of(data)[0])
    assert found.label
    assert (found.known, found.belief) == (None, None)
    [row] = json.loads(cli("predict", old, own_of(data)[0], "--json").out)
    assert (row["known"], row["belief"]) == (None, None)
    assert "no training image" not in cli("predict", old, own_of(data)[0]).out


def test_the_report_and_the_card_tell_it(run: Path, data: Path) -> None:
    result = regraft.load(run)
    said = wording.unknown(result.plan, result.metrics)
    assert said.startswith(f"{result.metrics['unknown']['kept']:.1%} of the 24 held-out images")
    assert said in (run / "README.md").read_text("utf-8")
    page = (run / "report.html").read_text("utf-8")
    part = page[page.index('<h2 id="unknown">') : page.index('<h2 id="labels">')]
    assert said in part
    assert part.count("<img") == 12
    for name in result.classes:
        assert f'<th class="name" scope="row">{name}</th>' in part


def test_the_terminal_tells_it(data: Path, tmp_path: Path, cli: Regraft) -> None:
    out = tmp_path / "run"
    said = cli("fit", data, "--backbone", "demonstration", "--case", 1, "--out", out).out
    result = regraft.load(out)
    assert "None of these" in said
    assert wording.unknown(result.plan, result.metrics).split(".")[0] in said


def test_what_was_not_measured_is_said(run: Path) -> None:
    result = regraft.load(run)
    plan, found = result.plan, result.metrics["unknown"]

    def told(**words: object) -> str:
        return wording.unknown(plan, {"unknown": found | words})

    assert wording.unknown(plan, {}) == ""
    assert "18 images are too few" in told(own=18)
    assert "too few" not in told(own=19)
    assert "with two classes none can be left out" in told(auroc=None)
    trained = told(auroc=None, weights={"probability": 1.0})
    assert "its probability alone tells it" in trained
    assert "do not rely on it" in told(auroc=0.55)
    assert "do not rely on it" not in told(auroc=0.65)
    assert "30% pass for known ones (area under the ROC curve 0.80)" in told(
        accepted=0.3, auroc=0.8
    )


def test_a_plan_that_is_applied_has_the_same(data: Path, run: Path) -> None:
    plan = regraft.propose(data, "demonstration", case=1)
    assert regraft.apply(plan, data).metrics["unknown"] == regraft.load(run).metrics["unknown"]
    edited = regraft.apply(replace(plan, taps=(1,), case=2, strength=1.0), data)
    assert edited.tensors["known.exemplars"].shape[1] == 96
    textbook = regraft.fit(data, "demonstration", case=1, recipe="textbook")
    assert textbook.known is not None


def test_a_set_of_which_each_is_held_out_once_is_judged_by_folds(tmp_path: Path) -> None:
    result = regraft.fit(lay_out(tmp_path / "data", scenes(each(20))), "demonstration", case=1)
    found = result.metrics["unknown"]
    assert (found["own"], found["images"]) == (60, 60)
    assert found["kept"] == pytest.approx(0.95, abs=0.02)


def test_of_a_trained_network_its_validation_images_say_it(data: Path) -> None:
    plan = regraft.propose(data, "demonstration", case=3, learning_rate=0.01)
    brief = [replace(one, epochs=1, refit=False, fitted=False) for one in plan.trainings]
    result = regraft.apply(replace(plan, trainings=tuple(brief)), data)
    assert [ran.name for ran in result.plan.ran if ran.handed_over] == ["fine-tuned"]
    assert set(result.metrics["unknown"]["weights"]) == {"probability"}
    assert result.predict(own_of(data)[0])[0].known is not None


def test_two_classes_can_be_told_from_others(tmp_path: Path) -> None:
    files = {path: data for path, data in scenes(each(20)).items() if "stripes" not in path}
    result = regraft.fit(lay_out(tmp_path / "data", files), "demonstration", case=1)
    found = result.metrics["unknown"]
    assert (found["auroc"], found["accepted"], found["left_out"]) == (None, None, {})
    assert result.predict(encode(photo(3), "PNG"))[0].known is False
    assert result.predict(scene("rings", 99))[0].known is True
