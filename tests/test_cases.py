"""Cases 3 and 4 from plan to RUN, with a recipe cut short.

The RUN is the bundled network's; what does not depend on the network has a small one of timm's.
"""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

import regraft
from command import Regraft, cli, own_log
from pictures import lay_out
from regraft.features.engines import carried
from regraft.networks import build
from regraft.networks.surgery import restore
from regraft.plan import serialize
from regraft.plan.choices import Choices
from regraft.plan.definition import Plan
from regraft.results.files import FILES, LABELLED_FILE, PAGE, SUSPECTS_FILE
from regraft.run import api, measure
from regraft.run.draft import draft
from regraft.run.measure import Measured
from regraft.run.pretrained import Pretrained, open_network
from scenes import KINDS, each, scene, scenes

__all__ = ["cli", "own_log"]  # fixtures


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = scenes(each(8, "train/")) | scenes(each(3, "test/"), first=50)
    return lay_out(tmp_path_factory.mktemp("data") / "scenes", files)


@pytest.fixture(scope="module")
def measured(data: Path) -> Measured:
    return measure.measure(regraft.Dataset.open(data), open_network(api.DEFAULT), Choices(seed=3))


@pytest.fixture(scope="module")
def little(data: Path) -> Measured:
    """The same pictures, seen by a small network of the same make."""
    record, module = build.load("test_efficientnet", seed=1)
    return measure.measure(
        regraft.Dataset.open(data), Pretrained(record, lambda: module), Choices(seed=3)
    )


def short(plan: Plan) -> Plan:
    """The plan with one epoch at one rate, from a random layer: so any processor finds it better
    than the start, and hands over what was trained."""
    brief = [replace(t, rates=(1e-3,), epochs=1, refit=False, fitted=False) for t in plan.trainings]
    return replace(plan, trainings=tuple(brief))


@pytest.fixture(scope="module")
def tuned(measured: Measured, data: Path) -> Path:
    """A RUN of case 3."""
    out = data.parent / "run-3"
    plan = short(draft(measured, Choices(case=3, seed=3)))
    api.carry_out(plan, measured, out=out)
    return out


def test_case_3_trains_what_the_plan_says(tuned: Path, measured: Measured) -> None:
    plan = serialize.read(tuned / "plan.json")
    assert (plan.case, plan.indicated, plan.insists) == (3, 3, True)
    assert [one.name for one in plan.ran] == ["frozen", "fine-tuned"]
    assert [one.handed_over for one in plan.ran] == [False, True]
    assert plan.ran[1].shown == len(measured.split.train) - plan.validation
    metrics = json.loads((tuned / "metrics.json").read_text())
    assert metrics["case"] == 3
    sides = measured.split
    assert metrics["suspects"]["judged"] == len(sides.train) + len(sides.test)
    assert [row["name"] for row in metrics["candidates"]] == ["frozen", "fine-tuned"]
    kinds = {
        change["kind"] for change in json.loads((tuned / "config.json").read_text())["surgery"]
    }
    assert kinds == {"kept", "dropped", "added"}


def test_the_run_is_whole_and_what_it_needed_is_gone(tuned: Path) -> None:
    assert {path.name for path in tuned.iterdir()} == {
        *FILES,
        SUSPECTS_FILE,
        LABELLED_FILE,
        PAGE,
        carried.FOLDER,
    }
    assert [path.name for path in tuned.parent.iterdir() if "run" in path.name] == ["run-3"]
    with (tuned / "log.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["step"] == "train"]
    assert [row["epoch"] for row in rows] == ["1"]
    assert 0 <= float(rows[0]["validation_accuracy"]) <= 1
    card = (tuned / "README.md").read_text()
    assert "Case 3 of transfer learning. Trained from the pretrained weights: " in card


def test_the_saved_network_gives_the_figures_of_the_run(
    tuned: Path, data: Path, measured: Measured
) -> None:
    result = regraft.load(tuned)
    with (tuned / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    told = np.array([[float(row[f"p_{kind}"]) for kind in KINDS] for row in rows])
    again = result.predict_proba([data / row["path"] for row in rows])
    assert_allclose(again, told, atol=1e-7)
    config = json.loads((tuned / "config.json").read_text())
    network = restore(config, result.tensors)
    pretrained = measured.network.build().state_dict()
    weights = network.trunk.state_dict()
    moved = [n for n in weights if n in pretrained and not torch.equal(weights[n], pretrained[n])]
    assert not any("running" in name for name in moved)  # frozen batch norm


def test_the_same_seed_gives_the_same_weights(tuned: Path, measured: Measured) -> None:
    plan = short(draft(measured, Choices(case=3, seed=3)))
    again = api.carry_out(plan, measured).tensors
    first = regraft.load(tuned).tensors
    assert again.keys() == first.keys()
    for name, tensor in again.items():
        assert_array_equal(tensor, first[name], name)


def test_case_4_goes_on_from_random_weights_where_training_did_not_help(little: Measured) -> None:
    plan = short(draft(little, Choices(case=4, seed=3)))
    result = api.perform(plan, little)
    names = [one.name for one in result.plan.ran]
    frozen, tuned, *scratch = result.plan.ran
    gained = tuned.accuracy > frozen.accuracy
    assert names[:2] == ["frozen", "fine-tuned"]
    assert bool(scratch) or gained
    assert result.plan.case == 4


def test_from_scratch_can_be_forced(little: Measured) -> None:
    plan = short(draft(little, Choices(case=4, init="random", seed=3)))
    result = api.perform(plan, little)
    assert [one.name for one in result.plan.ran] == ["frozen", "from scratch"]
    assert {change.kind for change in result.changes} == {"reinitialised", "dropped", "added"}
    pretrained = little.network.build().state_dict()
    convolutions = [name for name, tensor in result.tensors.items() if tensor.ndim == 4]
    for name in convolutions:
        assert not np.array_equal(result.tensors[name], pretrained[name.removeprefix("trunk.")])


def test_the_frozen_network_is_handed_over_where_training_does_not_beat_it(
    little: Measured,
) -> None:
    plan = short(draft(little, Choices(case=3, seed=3)))
    result = api.perform(replace(plan, insists=False), little)
    assert "no dearer candidate is better" in result.plan.why
    assert result.plan.case == 1
    frozen = api.perform(draft(little, Choices(case=1, seed=3)), little)
    for name, tensor in frozen.tensors.items():
        assert_array_equal(result.tensors[name], tensor)


def test_later_stages_alone_can_be_trained(little: Measured) -> None:
    plan = short(draft(little, Choices(case=3, trainable_from="blocks.4", seed=3)))
    result = api.perform(plan, little)
    pretrained = little.network.build().state_dict()
    for name, tensor in result.tensors.items():
        if name.startswith("trunk.") and not name.startswith(("trunk.blocks.4", "trunk.conv_head")):
            if "bn2" in name and "blocks" not in name:
                continue
            assert_array_equal(tensor, pretrained[name.removeprefix("trunk.")], name)
    assert result.plan.frozen[-1] == "blocks.3"
    frozen = [change.name for change in result.changes if change.kind == "frozen"]
    assert frozen == list(result.plan.frozen)


def test_the_command_line_tells_how_training_goes(cli: Regraft, data: Path, tmp_path: Path) -> None:
    """With the seed of the RUN above: it becomes the same network, whose engine is known by now."""
    words = ["plan", str(data), "--case", "3", "--seed", "3"]
    plan = cli(*words, "--out", str(tmp_path / "plan.json"))
    assert "then trained" in plan.out
    short_plan = short(serialize.read(tmp_path / "plan.json"))
    (tmp_path / "plan.json").write_text(serialize.dumps(short_plan))
    out = tmp_path / "run"
    said = cli("fit", "--plan", str(tmp_path / "plan.json"), "--out", str(out))
    assert said.code == 0
    assert "epoch   1 of 1" in said.err
    assert "Finding what runs the trained network fastest here." in said.err
    assert "Classifying the 9 held-out images with " in said.err
    assert "What ran" in said.out
    assert "← handed over" in said.out
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "photo.png").write_bytes(scene(KINDS[2], 900))
    assert KINDS[2] in cli("predict", str(out), str(tmp_path / "new")).out
    again = cli("fit", "--plan", str(tmp_path / "plan.json"), "--out", str(out), "--resume")
    assert again.code == 1
    assert "nothing to resume" in again.err
    assert "It is finished" in again.err
