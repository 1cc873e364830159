"""The model card: what a person reads, and what the hub's own reader finds in it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from huggingface_hub import ModelCard

from regraft.backbones import Weights
from regraft.card import model_card
from regraft.evaluate import score
from regraft.plan import Plan
from regraft.result import metrics_of
from test_plan import evidence_telling, plan_of

CASE_1 = plan_of(evidence_telling(3))
CASE_2 = replace(CASE_1, case=2, taps=(0, 1))
CLASSES = ("ant", "bee", "wasp")


def figures() -> dict[str, Any]:
    """Return the figures of five images, four of them right; one of the two wasps is missed."""
    truth = np.array([0, 0, 1, 2, 2])
    p = np.eye(3)[[0, 0, 1, 2, 0]] * 0.7 + 0.1
    seconds = dict.fromkeys(("audit", "probe", "fit", "evaluate", "total"), 1.0)
    return metrics_of(
        score(p, truth, CLASSES),
        case=1,
        taps=(3,),
        seconds=seconds,
        engine="torch",
        images_per_second=9.0,
    )


def with_backbone(**changes: Any) -> Plan:
    return replace(CASE_1, backbone=replace(CASE_1.backbone, **changes))


def front_matter(plan: Plan) -> dict[str, Any]:
    """Return the metadata as the hub's own library reads it."""
    return dict(vars(ModelCard(model_card(plan, figures())).data))


def test_the_hub_reads_its_front_matter() -> None:
    data = front_matter(CASE_1)
    assert data["library_name"] == "regraft"
    assert data["pipeline_tag"] == "image-classification"
    assert data["license"] == "mit"
    assert data["metrics"] == ["accuracy"]
    assert "transfer-learning" in data["tags"]
    assert data["base_model"] is None


@pytest.mark.parametrize("architecture", ["resnet18", "resnet18.a1_in1k"])
def test_a_base_model_is_named_where_the_hub_has_it(architecture: str) -> None:
    plan = with_backbone(architecture=architecture, weights=Weights("timm", "", "a1_in1k"))
    assert front_matter(plan)["base_model"] == "timm/resnet18.a1_in1k"


@pytest.mark.parametrize("licence", ["", "see the authors' page"])
def test_a_licence_that_the_hub_does_not_know_is_another_one(licence: str) -> None:
    data = front_matter(with_backbone(licence=licence))
    assert (data["license"], data["license_name"]) == ("other", licence or "unknown")


def test_it_says_what_it_got_and_how_sure_that_is() -> None:
    card = model_card(CASE_1, figures())
    assert "On 5 held-out images it is right for **80.0%** (95 % interval 37.6% to 96.4%)" in card
    assert "would be right for 40.0%" in card
    assert "weakest on wasp: 50.0% of 2 held-out images" in card


def test_it_counts_the_images_of_each_class() -> None:
    card = model_card(CASE_1, figures())
    assert "120 images to train on, 30 held out (chosen by regraft" in card
    assert "| ant | 40 | 2 |\n| bee | 40 | 1 |\n| wasp | 40 | 2 |" in card
    assert "the data's own test split" in model_card(replace(CASE_1, split="test"), figures())


def test_it_says_how_the_layer_is_laid_out_and_what_it_reads() -> None:
    card = model_card(CASE_1, figures())
    assert "`head.weight` [3, 8]" in card
    assert "the output of last (8)" in card
    assert "Dropped: the old head." in card
    assert "100.0% of the shorter side; resize it to 32 × 32 (bilinear)" in card
    assert 'regraft.load("THIS_FOLDER")' in card
    assert all(reason.fact in card for reason in CASE_1.reasons)
    card = model_card(CASE_2, figures())
    assert "Kept and frozen: stage0 and stage1. Dropped: stage2, last and the old head" in card
    assert "the output of stage0 (8) and stage1 (8)" in card


def test_names_cannot_break_the_page() -> None:
    odd = replace(CASE_1, dataset="a|b *c*\n# d")
    assert "# a\\|b \\*c\\* \\# d: 3 classes" in model_card(odd, figures())
