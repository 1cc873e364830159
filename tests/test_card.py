"""The model card: what a person reads, and what the hub's own reader finds in it."""

import ast
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
from huggingface_hub import ModelCard

from pictures import jpeg
from regraft import diagram
from regraft.backbones import Backbone, Weights
from regraft.metrics import score
from regraft.networks import build
from regraft.plan import wording
from regraft.plan.definition import Plan
from regraft.results.card import model_card
from regraft.results.folder import metrics_of
from regraft.results.load import load
from regraft.results.snippet import snippet
from test_export import cut, data, run
from test_plan import evidence_telling, plan_of

__all__ = ["cut", "data", "run"]  # fixtures

CASE_1 = plan_of(evidence_telling(3, average=False))
CASE_2 = replace(CASE_1, case=2, taps=(0, 1))
CLASSES = ("ant", "bee", "wasp")


def figures() -> dict[str, Any]:
    """Return the figures of five images, four of them right; one of the two wasps is missed."""
    truth = np.array([0, 0, 1, 2, 2])
    p = np.eye(3)[[0, 0, 1, 2, 0]] * 0.7 + 0.1
    seconds = dict.fromkeys(("audit", "probe", "fit", "evaluate", "total"), 1.0)
    return metrics_of(
        score(p, truth, CLASSES).to_json(),
        case=1,
        taps=(3,),
        proof="held out",
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
    [accuracy, balanced] = data["eval_results"]
    assert (accuracy.metric_type, accuracy.metric_value) == ("accuracy", 0.8)
    assert (balanced.metric_type, balanced.metric_value) == ("balanced_accuracy", 0.8333)
    assert accuracy.dataset_name == CASE_1.dataset


@pytest.mark.parametrize("architecture", ["resnet18", "resnet18.a1_in1k", "resnet18@96"])
def test_a_base_model_is_named_where_the_hub_has_it(architecture: str) -> None:
    plan = with_backbone(architecture=architecture, weights=Weights("timm", "", "a1_in1k"))
    assert front_matter(plan)["base_model"] == "timm/resnet18.a1_in1k"


@pytest.mark.parametrize("licence", ["", "see the authors' page"])
def test_a_licence_that_the_hub_does_not_know_is_another_one(licence: str) -> None:
    data = front_matter(with_backbone(licence=licence))
    assert (data["license"], data["license_name"]) == ("other", licence or "unknown")


def test_it_says_what_it_got_and_how_sure_that_is() -> None:
    card = model_card(CASE_1, figures())
    assert "On 5 held-out images it is right for **80.0%** (95% interval 37.6% to 96.4%)" in card
    assert "would be right for 40.0%" in card
    weakest = "weakest on wasp (it finds 50% of 2)."
    assert weakest in card.partition("## Surgery")[0], "what it got comes first"


def test_after_the_answers_stands_the_surgery_with_its_picture() -> None:
    card = model_card(CASE_2, figures())
    sections = re.findall(r"^## (.*)", card, re.M)
    assert sections[:3] == ["Surgery", "Figures", "Data"]
    drawn = re.search(r"^```text\n(.*?)^```$", card.partition("## Figures")[0], re.M | re.S)
    assert drawn
    assert drawn[1].rstrip() == "\n".join(
        line.rstrip() for line in diagram.text(diagram.of_plan(CASE_2)).plain.splitlines()
    )


@pytest.mark.parametrize(
    ("shares", "accuracy", "named", "more"),
    [
        ([0.86, 0.92, 0.92, 0.92, 0.92], 0.91, [0], ""),
        ([0.86, 0.901, 0.899, 0.99], 0.91, [0, 1, 2], ""),
        ([0.86, 0.88, 0.88, 0.88, 0.99], 0.91, [0], ""),
        ([0.5, 0.6, 0.7, 0.8, 1.0], 0.91, [0, 1, 2], ""),
        ([0.5, 0.5, 1.0, 0.5, 0.5, 0.5], 0.6, [0, 1, 3], " and 2 more"),
        ([0.9, 0.9], 0.9, [], ""),
        ([1.0, 1.0], 1.0, [], ""),
    ],
)
def test_the_weakest_are_those_below_the_accuracy_and_none_at_random(
    shares: list[float], accuracy: float, named: list[int], more: str
) -> None:
    per_class = {str(place): {"n": 50, "recall": share} for place, share in enumerate(shares)}
    weak, rest = wording.weakest({"accuracy": accuracy, "per_class": per_class})
    assert ([int(name) for name, _ in weak], rest) == (named, more)


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
    assert ('regraft.load("THIS_FOLDER", network=network)' in card) == (
        not CASE_1.backbone.architecture
    )
    assert all(reason.fact in card for reason in CASE_1.reasons)
    card = model_card(CASE_2, figures())
    assert "Kept and frozen: stage0 and stage1. Dropped: stage2, last and the old head" in card
    assert "the output of stage0 (8) and stage1 (8)" in card


def test_names_cannot_break_the_page() -> None:
    odd = replace(CASE_1, dataset="a|b *c*\n# d")
    assert "# a\\|b \\*c\\* \\# d: 3 classes" in model_card(odd, figures())


# ---- loading it without regraft


def shares_without_regraft(folder: Path, photo: bytes, place: Path) -> dict[str, float]:
    """Run the card's code, as it stands there, in an interpreter that cannot find regraft."""
    card = (folder / "README.md").read_text("utf-8")
    [code] = [
        code for code in re.findall(r"```python\n(.*?)```", card, re.S) if "load_file" in code
    ]
    assert "regraft" not in code
    (place / "photo.jpg").write_bytes(photo)
    (place / "THIS_FOLDER").symlink_to(folder)
    forbid = "import sys; sys.modules['regraft'] = None\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", forbid + code],
        capture_output=True,
        encoding="utf-8",
        env={"PYTHONUTF8": "1", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        cwd=place,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shares: dict[str, float] = ast.literal_eval(done.stdout)
    return shares


@pytest.mark.parametrize("kind", ["run", "cut"])
def test_the_code_in_the_card_gives_what_predict_gives(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """A whole network of timm's, and one that was cut."""
    folder: Path = request.getfixturevalue(kind)
    photo = jpeg(4, 300, 210)
    found = shares_without_regraft(folder, photo, tmp_path)
    result = load(folder, cache=tmp_path / "none")  # which knows of no engine but float32
    [wanted] = result.predict([photo], top=3)
    assert found == pytest.approx(dict(wanted.top), abs=1e-3)


def test_a_whole_network_takes_about_ten_lines(run: Path) -> None:
    code = snippet(load(run).plan).splitlines()
    begin = code.index("")
    assert len([line for line in code[code.index("", begin + 1) :] if line]) <= 20
    assert "register_forward_hook" not in "\n".join(code)


@pytest.mark.parametrize(
    ("name", "taps"),
    [
        ("test_vit", (1, -1)),
        ("test_convnext", (0, 2)),
        ("test_vit@96", (0, -1)),
        ("test_efficientnet", (2, -1)),
        ("pit_ti_224", (0, 1)),  # of whose stages' two values one is read
    ],
)
def test_the_taps_in_the_code_are_those_of_the_surgery(name: str, taps: tuple[int, int]) -> None:
    """Rows of tokens and maps, early stages and the head's input, on timm's smallest networks."""
    import torch

    from regraft.networks import surgery

    record, module = build.load(name, seed=2)
    depths = tuple(sorted(tap % len(record.stages) for tap in taps))
    network, _ = surgery.operate(module, record, taps=depths, classes=3)
    plan = replace(CASE_1, backbone=record, taps=depths)
    x = torch.rand(2, 3, record.view.size, record.view.size)
    with torch.no_grad():
        found = classify_of(plan, record, network)(x)
        np.testing.assert_allclose(found.numpy(), network(x).numpy(), atol=1e-5)


def classify_of(plan: Plan, record: Backbone, network: Any) -> Any:
    """The function that the card's code defines, on this network's weights."""
    lines = snippet(plan).splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith("network ="))
    end = next(i for i, line in enumerate(lines) if line.startswith("image ="))
    import torch

    known = {"timm": timm, "torch": torch, "state": network.state_dict()}
    exec("\n".join(lines[begin:end]), known)
    return known["classify"]


def test_a_module_in_memory_is_for_its_owner_to_make() -> None:
    memory = replace(CASE_1.backbone, architecture="")
    assert "network = ...  #" in snippet(replace(CASE_2, backbone=memory))
