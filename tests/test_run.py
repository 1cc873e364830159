"""The whole run on small pictures, with the bundled network."""

import csv
import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from safetensors.numpy import load_file

import regraft
from pictures import jpeg, lay_out
from regraft.data import images
from regraft.errors import DataError, PlanError, RunError, UsageError
from regraft.features.cache import TRUNKS, cache_folder
from regraft.networks.surgery import restore
from regraft.plan import serialize
from regraft.plan.choices import Choices
from regraft.plan.definition import Plan
from regraft.results.files import FILES, LABELLED_FILE, METRICS, PAGE, SECONDS, SUSPECTS_FILE
from regraft.results.result import Picture
from regraft.run import api, execute, measure
from regraft.run.draft import draft, proposed
from regraft.run.measure import Measured
from regraft.run.pretrained import open_network
from rounding import BFLOAT16, same_within_rounding
from scenes import KINDS, each, scene, scenes


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eleven pictures of each of three kinds, with a test split of three."""
    files = scenes(each(8, "train/")) | scenes(each(3, "test/"), first=50)
    return lay_out(tmp_path_factory.mktemp("data") / "scenes", files)


@pytest.fixture(scope="module")
def fitted(data: Path) -> Path:
    """A RUN of it, read from several depths so that all of the way is taken."""
    out = data.parent / "run"
    regraft.fit(data, choices=Choices(seed=3), out=out)
    return out


@pytest.fixture(scope="module")
def measured(data: Path, fitted: Path) -> Measured:
    return measure.measure(regraft.Dataset.open(data), open_network(api.DEFAULT), Choices(seed=3))


def tree(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def predictions(folder: Path) -> list[dict[str, str]]:
    with (folder / "predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def probabilities(folder: Path) -> NDArray[np.float64]:
    return np.array([[float(row[f"p_{k}"]) for k in KINDS] for row in predictions(folder)])


def weights_of(result: regraft.Result) -> Mapping[str, NDArray[Any]]:
    return result.tensors


def same_weights(one: Mapping[str, NDArray[Any]], other: Mapping[str, NDArray[Any]]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


def unmarked(plan: Plan) -> Plan:
    return replace(plan, fingerprint="")


# ---- what a run writes


def test_a_run_is_whole(data: Path, fitted: Path) -> None:
    written = {*FILES, SUSPECTS_FILE, LABELLED_FILE, PAGE, "trunk"}
    assert {path.name for path in fitted.iterdir()} == written
    assert sorted(path.name for path in fitted.parent.iterdir()) == ["run", "scenes"]
    metrics = json.loads((fitted / "metrics.json").read_text())
    assert set(METRICS) <= metrics.keys()
    assert set(SECONDS) <= metrics["seconds"].keys()
    assert metrics["seconds"]["total"] >= metrics["seconds"]["probe"] > 0
    assert (metrics["n"], set(metrics["per_class"])) == (9, set(KINDS))
    assert metrics["images_per_second"] > 0
    assert metrics["engine"]
    plan = serialize.read(fitted / "plan.json")
    assert (metrics["case"], tuple(metrics["taps"])) == (plan.case, plan.taps)
    assert (plan.train, plan.test, plan.split) == (24, 9, "test")


def test_it_tells_the_kinds_apart(fitted: Path) -> None:
    """Chance is a third: a pipeline that mixes up rows or classes cannot pass."""
    metrics = json.loads((fitted / "metrics.json").read_text())
    assert metrics["accuracy"] >= 7 / 9
    rows = predictions(fitted)
    assert [row["truth"] for row in rows] == [row["path"].split("/")[-2] for row in rows]
    assert metrics["accuracy"] == np.mean([row["correct"] == "true" for row in rows])
    best = probabilities(fitted).argmax(1)
    assert [row["prediction"] for row in rows] == [KINDS[k] for k in best]


def test_a_proposal_changes_nothing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fitted: Path
) -> None:
    before = tree(data)
    monkeypatch.chdir(tmp_path)
    assert regraft.propose(data, seed=3) == serialize.read(fitted / "plan.json")
    assert tree(data) == before
    assert list(tmp_path.iterdir()) == []


def test_no_clock_device_or_path_is_in_a_plan(data: Path, fitted: Path) -> None:
    text = (fitted / "plan.json").read_text()
    assert str(data.parent) not in text
    names = {f.name for f in dataclasses.fields(Plan)}
    assert not names & {"time", "date", "device", "seconds"}


# ---- the same again, and what may not matter


def test_the_same_data_and_seed_give_the_same_bits(
    data: Path, fitted: Path, tmp_path: Path
) -> None:
    """The features are computed anew: only the converted network is taken over."""
    cache = cache_folder(None)
    shutil.copytree(cache / TRUNKS, tmp_path / "cache" / TRUNKS)
    out = tmp_path / "run"
    regraft.fit(data, choices=Choices(seed=3), out=out, cache=tmp_path / "cache")
    for name in ("plan.json", "model.safetensors", "config.json", "predictions.csv"):
        assert (out / name).read_bytes() == (fitted / name).read_bytes(), name


def test_another_seed_splits_differently(tmp_path: Path) -> None:
    data = lay_out(tmp_path / "data", scenes(each(8)))
    held = []
    for seed in (0, 1):
        choices = Choices(seed=seed, test_fraction=0.25)
        regraft.fit(data, choices=choices, out=tmp_path / f"run{seed}")
        held.append({row["path"] for row in predictions(tmp_path / f"run{seed}")})
    assert held[0] != held[1]
    plan = serialize.read(tmp_path / "run0" / "plan.json")
    assert (plan.split, plan.train + plan.test) == ("held out", 24)


def test_held_out_labels_do_not_matter(data: Path, fitted: Path, tmp_path: Path) -> None:
    """Every held-out image under a wrong label: the same plan but for its fingerprint."""
    moved = lay_out(tmp_path / "scenes", scenes(each(8, "train/")))
    for kind, wrong in zip(KINDS, KINDS[1:] + KINDS[:1], strict=True):
        shutil.copytree(data / "test" / kind, moved / "test" / wrong)
    result = regraft.fit(moved, choices=Choices(seed=3), out=tmp_path / "run")
    kept = serialize.read(fitted / "plan.json")
    assert unmarked(result.plan) == unmarked(kept)
    assert result.plan.fingerprint != kept.fingerprint
    assert same_weights(result.tensors, load_file(fitted / "model.safetensors"))
    assert result.metrics["accuracy"] < 0.5, "the labels were really wrong"


def test_held_out_pictures_do_not_matter(fitted: Path, tmp_path: Path) -> None:
    files = scenes(each(8, "train/"))
    files |= {
        f"test/{kind}/{i}.jpg": jpeg(900 + i + 10 * k)
        for k, kind in enumerate(KINDS)
        for i in range(3)
    }
    result = regraft.fit(lay_out(tmp_path / "scenes", files), choices=Choices(seed=3))
    assert unmarked(result.plan) == unmarked(serialize.read(fitted / "plan.json"))
    assert same_weights(result.tensors, load_file(fitted / "model.safetensors"))


def test_held_out_rows_do_not_matter(measured: Measured, fitted: Path) -> None:
    """Whatever stands in the held-out rows of the measurements, decision and weights stay."""
    features, labels = measured.features.copy(), measured.labels.copy()
    features[measured.split.test] = np.nan
    labels[measured.split.test] = 0
    spoilt = replace(measured, features=features, labels=labels)
    plan = proposed(spoilt, Choices(seed=3)).plan
    assert plan == serialize.read(fitted / "plan.json")
    work = execute.RunState(plan, spoilt)
    for step in plan.steps():
        if step.kind != "evaluate":
            execute.EXECUTORS[step.kind](work)
    kept = load_file(fitted / "model.safetensors")
    assert_array_equal(work.needed_head().weight, kept["head.weight"])
    assert_array_equal(work.needed_head().bias, kept["head.bias"])


def test_training_labels_do_matter(measured: Measured, fitted: Path) -> None:
    """The tests above can fail: the same change to the training images changes the plan."""
    labels = measured.labels.copy()
    labels[measured.split.train] = np.roll(labels[measured.split.train], 1)
    plan = draft(replace(measured, labels=labels), Choices(seed=3))
    assert unmarked(plan) != unmarked(serialize.read(fitted / "plan.json"))


# ---- what is saved gives the numbers that are shown


def test_a_loaded_run_predicts_what_it_showed(data: Path, fitted: Path) -> None:
    paths = [data.joinpath(*row["path"].split("/")) for row in predictions(fitted)]
    assert all(path.is_file() for path in paths)
    model = regraft.load(fitted)
    assert_allclose(model.predict_proba(paths), probabilities(fitted), atol=1e-6)
    found = model.predict(paths, top=2)
    assert [one.label for one in found] == [row["prediction"] for row in predictions(fitted)]
    shown = [float(row["confidence"]) for row in predictions(fitted)]
    assert_allclose([one.confidence for one in found], shown, atol=1e-6)
    assert all(len(one.top) == 2 and one.top[0][1] >= one.top[1][1] for one in found)


def test_one_image_at_a_time_and_all_forms_of_it(data: Path, fitted: Path) -> None:
    from PIL import Image

    path = data / "test" / KINDS[0] / "050.png"
    model = regraft.load(fitted)
    with Image.open(path) as image:
        forms: list[Picture] = [path, str(path), path.read_bytes(), image, np.asarray(image)]
        shares = model.predict_proba(forms)
        for alone in forms:  # no list is needed around one: it answered for each letter of a path
            assert [one.label for one in model.predict(alone)] == [KINDS[0]]
            assert same_within_rounding(model.predict_proba(alone), shares[:1])
    assert same_within_rounding(shares, np.repeat(shares[:1], len(forms), 0))
    assert same_within_rounding(model.predict_proba([path]), shares[:1])


def test_what_cannot_be_read_is_named_and_the_rest_is_classified(
    data: Path, fitted: Path, tmp_path: Path
) -> None:
    good = data / "test" / KINDS[0] / "050.png"
    bad = lay_out(tmp_path, {"cut.png": good.read_bytes()[:900], "text.jpg": b"words"})
    paths = [tmp_path / "none.png", good, bad / "cut.png", bad / "text.jpg"]
    model = regraft.load(fitted)
    found = model.predict(paths)
    assert [bool(one.problem) for one in found] == [True, False, True, True]
    assert [one.path for one in found] == [str(path) for path in paths]
    assert found[1].label in KINDS
    assert not any(one.top for one in (found[0], *found[2:]))
    assert np.isnan(model.predict_proba(paths)).all(1).tolist() == [True, False, True, True]


def test_torch_gives_the_same_from_the_saved_weights(data: Path, fitted: Path) -> None:
    """The network of config.json and model.safetensors, run in float32 on the same squares."""
    config = json.loads((fitted / "config.json").read_text())
    network = restore(config, load_file(fitted / "model.safetensors"))
    backbone = serialize.read(fitted / "plan.json").backbone
    squares = []
    for row in predictions(fitted):
        _, made = images.inspect((data / row["path"]).read_bytes(), [backbone.view])
        assert made is not None
        squares.append(made[0])
    x = torch.from_numpy(np.stack(squares)).float() / 255
    x = (x - torch.tensor(backbone.mean)) / torch.tensor(backbone.std)
    with torch.no_grad():
        shares = network(x.permute(0, 3, 1, 2)).softmax(1).double().numpy()
    shown = probabilities(fitted)
    assert same_within_rounding(shares, shown, BFLOAT16)  # the engine may compute in bfloat16
    clear = np.diff(np.sort(shown, 1)[:, -2:])[:, 0] > 2 * BFLOAT16
    assert clear.any()
    assert_array_equal(shares.argmax(1)[clear], shown.argmax(1)[clear])


COLD = """
import sys
from regraft.cli import main
assert main(["fit", sys.argv[1], "--out", sys.argv[2], "--json"]) == 0
assert main(["predict", sys.argv[2], sys.argv[1], "--csv"]) == 0
found = {"torch", "timm", "torchvision", "sklearn"} & set(sys.modules)
sys.exit(f"imported {sorted(found)}" if found else 0)
"""


def test_once_converted_neither_torch_nor_timm_is_imported(
    data: Path, fitted: Path, tmp_path: Path
) -> None:
    if json.loads((fitted / "metrics.json").read_text())["engine"].startswith("torch"):
        pytest.skip("on this machine torch is the fastest engine")
    out = str(tmp_path / "run")
    done = subprocess.run(
        [sys.executable, "-c", COLD, str(data), out], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


# ---- choices, and plans made elsewhere


def test_a_case_or_cut_that_is_asked_for_is_done_and_recorded(measured: Measured) -> None:
    first = draft(measured, Choices(case=1))
    assert (first.case, first.cut, first.dropped) == (1, len(first.backbone.stages) - 1, ())
    second = draft(measured, Choices(case=2))
    assert second.case == 2
    third = draft(measured, Choices(cut="3"))
    assert (third.case, third.cut) == (2, 3)
    by_name = draft(measured, Choices(cut=third.backbone.stages[3].name))
    assert by_name.taps == third.taps
    assert [plan.overrides for plan in (first, second, third)] == [
        ("--case 1",),
        ("--case 2",),
        ("--cut 3",),
    ]
    small, large = (api.perform(plan, measured).tensors for plan in (third, first))
    assert len(small) < len(large)


def test_the_textbook_reads_one_stage_and_starts_at_random(measured: Measured) -> None:
    plan = draft(measured, Choices(recipe="textbook"))
    assert len(plan.taps) == 1
    heads = [api.perform(replace(plan, seed=seed), measured).head.weight for seed in (0, 0, 1)]
    assert_array_equal(heads[0], heads[1])
    assert not np.array_equal(heads[0], heads[2])


def test_class_weights(measured: Measured) -> None:
    plain, even = (draft(measured, Choices(class_weights=w)) for w in ("none", "balanced"))
    assert (plain.weighting, even.weighting) == ("none", "balanced")
    assert even.overrides == ("--class-weights balanced",)


def test_mirror_images_are_tried_and_kept_only_where_they_help(data: Path, tmp_path: Path) -> None:
    plan = regraft.propose(data, augment=True)
    assert isinstance(plan.mirror, bool)
    result = regraft.apply(replace(plan, mirror=True), data)
    plain = regraft.apply(replace(plan, mirror=False), data)
    assert not same_weights(weights_of(result), weights_of(plain))


@pytest.mark.parametrize(
    "choices",
    [Choices(case=1, cut="2"), Choices(case=2, cut="last"), Choices(cut="nose")],
)
def test_a_choice_that_cannot_be_is_told_before_the_work(
    data: Path, choices: Choices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "extract", lambda *_, **__: pytest.fail("it looked at the images"))
    with pytest.raises(UsageError):
        regraft.fit(data, choices=choices)


def test_a_plan_does_the_same_from_elsewhere(data: Path, fitted: Path, tmp_path: Path) -> None:
    regraft.apply(serialize.read(fitted / "plan.json"), data, out=tmp_path / "run")
    for name in ("plan.json", "model.safetensors", "predictions.csv"):
        assert (tmp_path / "run" / name).read_bytes() == (fitted / name).read_bytes()


def test_a_plan_for_other_data_or_weights_is_refused(
    data: Path, fitted: Path, tmp_path: Path
) -> None:
    shutil.copytree(data, tmp_path / "scenes")
    (tmp_path / "scenes/train" / KINDS[0] / "000.png").write_bytes(scene(KINDS[0], 77))
    plan = serialize.read(fitted / "plan.json")
    with pytest.raises(PlanError, match="fingerprint"):
        regraft.apply(plan, tmp_path / "scenes", out=tmp_path / "run")
    weights = replace(plan.backbone.weights, sha256="0" * 64)
    other = replace(plan, fingerprint="0" * 64, backbone=replace(plan.backbone, weights=weights))
    with pytest.raises(PlanError) as caught:
        regraft.apply(other, data, out=tmp_path / "run")
    assert len(caught.value.problems) == 3, "fingerprint, weights, and what to do"
    last = replace(plan.backbone.stages[-1], name="end")
    stages = (*plan.backbone.stages[:-1], last)
    before = replace(plan, backbone=replace(plan.backbone, stages=stages))
    with pytest.raises(
        PlanError, match=r"The stages of \S+ are .*, last; the plan's are .*, end\."
    ):
        regraft.apply(before, data, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_earlier_run_is_refused_before_the_work(
    data: Path, fitted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(fitted)
    monkeypatch.setattr(api, "measure", lambda *_, **__: pytest.fail("it began to work"))
    with pytest.raises(RunError):
        regraft.fit(data, out=fitted)
    with pytest.raises(RunError):
        regraft.apply(serialize.read(fitted / "plan.json"), data, out=fitted)
    assert tree(fitted) == before


def test_strict_is_an_error_of_the_data(tmp_path: Path) -> None:
    data = lay_out(tmp_path / "data", scenes(each(4)) | {"rings/cut.png": b"half"})
    with pytest.raises(DataError, match=r"cut\.png"):
        regraft.propose(data, strict=True)
    assert regraft.propose(data).left_out == 1
