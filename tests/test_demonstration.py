"""The demonstration network: record, weights and card agree; its making can be repeated."""

import hashlib
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import pretrain
import regraft
from command import Regraft, cli, own_log
from pictures import lay_out
from regraft import backbones
from regraft.networks import build, demonstration
from scenes import each, scenes

__all__ = ["cli", "own_log"]  # fixtures

RECORD = backbones.get("demonstration")
CARD = (pretrain.HOME / "demonstration.md").read_text("utf-8")
WEIGHTS = pretrain.HOME / "demonstration.safetensors"


def test_the_record_is_what_a_look_at_the_network_gives() -> None:
    look = build.describe_module(
        build.build(RECORD),
        demonstration.LAYERS,
        view=RECORD.view,
        mean=demonstration.MEAN,
        std=demonstration.STD,
        head="fc3",
    )
    same = ("stages", "parameters", "parameters_to", "multiply_adds_to", "mean", "std", "head")
    assert {name: getattr(RECORD, name) for name in same} == {
        name: getattr(look, name) for name in same
    }


def test_three_convolutions_and_three_fully_connected_layers() -> None:
    kinds = [type(module).__name__ for module in build.build(RECORD).modules()]
    assert kinds.count("Conv2d") == 3
    assert kinds.count("Linear") == 3


def test_the_weights_the_record_and_the_card_agree() -> None:
    digest = hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
    assert RECORD.weights.sha256 == digest
    assert f"`{digest}`" in CARD
    assert f"{RECORD.parameters:,} parameters" in CARD
    assert RECORD.licence in CARD
    assert WEIGHTS.stat().st_size < 3_000_000


def accuracy_of_the_card() -> float:
    found = re.search(r"\*\*Accuracy\*\*: ([\d.]+)%", CARD)
    assert found
    return float(found[1]) / 100


def test_the_card_claims_what_was_asked_for() -> None:
    assert accuracy_of_the_card() >= 0.85


@pytest.mark.skipif("CIFAR10" not in os.environ, reason="CIFAR10 names no folder of its images")
def test_the_card_tells_the_accuracy_that_the_weights_have() -> None:
    x, y, classes = pretrain.load(Path(os.environ["CIFAR10"]), "test")
    assert len(y) == 10_000
    assert ", ".join(classes) in " ".join(CARD.split())
    got = pretrain.accuracy(build.build(RECORD), x, y)
    assert got == pytest.approx(accuracy_of_the_card(), abs=1e-4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    counts = each(24, "train/") | each(8, "test/")
    return lay_out(tmp_path_factory.mktemp("pretrain") / "scenes", scenes(counts))


def test_the_same_seed_gives_the_same_weights(folder: Path) -> None:
    x, y, classes = pretrain.load(folder, "train")
    assert classes == ["rings", "squares", "stripes"]
    assert len(x) == len(y) == 72
    one, again, other = (
        pretrain.train(x, y, 3, epochs=2, seed=seed, batch=24).state_dict() for seed in (0, 0, 1)
    )
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_a_folder_without_the_images_is_refused(folder: Path) -> None:
    with pytest.raises(SystemExit, match="must hold train/ and test/"):
        pretrain.load(folder / "train", "test")


def test_it_goes_through_the_house_like_any_other(
    cli: Regraft, folder: Path, tmp_path: Path
) -> None:
    said = cli(
        "fit", str(folder), "-b", "demonstration", "--case", "2", "--out", str(tmp_path / "r")
    )
    assert said.code == 0, said.err
    result = regraft.load(tmp_path / "r")
    assert result.plan.backbone == RECORD
    path = next((folder / "test" / "rings").iterdir())
    [best] = result.predict([path])
    assert best.label in ("rings", "squares", "stripes")


def test_a_seed_and_a_file_take_the_place_of_its_weights(tmp_path: Path) -> None:
    random = build.find("demonstration", seed=1)
    assert random.weights.origin == "random"
    assert random.source == "nothing (random weights)"
    assert (
        replace(random, weights=RECORD.weights, source="CIFAR-10", licence="Apache-2.0") == RECORD
    )
    copied = tmp_path / "mine.safetensors"
    copied.write_bytes(WEIGHTS.read_bytes())
    record, module = build.load("demonstration", copied)
    assert record.weights.origin == "file"
    assert torch.equal(
        module.get_parameter("fc3.weight"), build.build(RECORD).get_parameter("fc3.weight")
    )
