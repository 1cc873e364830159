"""A network of one's own by every verb: what is fitted with it, and that it stays as it was."""

import functools
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import kinds
import regraft
from kinds import EVERY, KINDS, all_of, quick, unaltered
from pictures import lay_out
from regraft.errors import BackboneError, RunError, UsageError
from regraft.networks import own
from scenes import each, scene, scenes

__all__ = ["quick"]  # a fixture

SHAPES = pytest.mark.parametrize("name", ["nested", "fixed grey", "oblong", "tokens"])
NEW = [scene(kind, 90 + n) for n, kind in enumerate(("rings", "stripes", "squares"))]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_out(tmp_path_factory.mktemp("data") / "scenes", scenes(each(8)))


# ---- every verb


@EVERY
def test_propose_fit_save_load_and_predict(kind: kinds.Kind, data: Path, tmp_path: Path) -> None:
    module = kind()
    before = all_of(module)
    plan = regraft.propose(data, module, case=1, **kind.said)
    assert tuple(stage.name for stage in plan.backbone.stages) == kind.stages
    done = regraft.apply(plan, data, module, out=tmp_path / "run")
    again = regraft.fit(data, module, case=1, **kind.said)
    assert done.metrics["accuracy"] == again.metrics["accuracy"]
    other = kind.make()  # other weights: those that count lie in the RUN
    loaded = regraft.load(tmp_path / "run", network=other)
    assert [p.top for p in loaded.predict(NEW, 3)] == [p.top for p in done.predict(NEW, 3)]
    assert unaltered(module, before)
    kinds_of_files = {path.suffix for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert kinds_of_files == {".json", ".csv", ".md", ".html", ".safetensors"}


@pytest.mark.parametrize("name", ["branches inside", "uncopyable", "half", "tokens", "oblong"])
def test_training_leaves_the_module_as_it_was(name: str, data: Path, tmp_path: Path) -> None:
    kind = KINDS[name]
    module = kind()
    before = all_of(module)
    plan = regraft.propose(data, module, case=3, learning_rate=1e-3, **kind.said)
    brief = tuple(replace(training, epochs=1) for training in plan.trainings)
    done = regraft.apply(replace(plan, trainings=brief), data, module, out=tmp_path / "run")
    loaded = regraft.load(tmp_path / "run", network=kind.make())
    np.testing.assert_allclose(
        loaded.predict_proba(NEW), done.predict_proba(NEW), atol=1e-5, rtol=1e-4
    )
    assert unaltered(module, before)


@SHAPES
def test_compare_rank_look_draw_and_the_estimator(name: str, data: Path, tmp_path: Path) -> None:
    kind = KINDS[name]
    module = kind()
    before = all_of(module)
    side = regraft.compare(data, module, quick=True, out=tmp_path / "side", **kind.said)
    assert {one.case for one in side.cases} >= {1, 2}
    opened = regraft.open_network(module, **kind.said)
    ranking = regraft.rank(data, [opened, "demonstration"])
    assert not any(row.problem for row in ranking.rows)
    assert {row.backbone for row in ranking.rows} == {opened.backbone.name, "demonstration"}
    assert kind.stages[0] in str(regraft.draw(opened))
    assert kind.stages[0] in str(regraft.draw(opened.backbone, case=1))
    seen = regraft.look(module, data, most=20, out=tmp_path / "look.html", **kind.said)
    assert {one.stage.name for one in seen.sights} <= set(kind.stages)
    pictures = [np.asarray(Image.open(path)) for path in sorted(data.rglob("*.png"))]
    labels = [path.parent.name for path in sorted(data.rglob("*.png"))]
    model = regraft.TransferClassifier(module, **kind.said).fit(pictures, labels)
    assert set(model.predict(pictures[:3])) <= set(labels)
    assert unaltered(module, before)
    told = model.predict_proba(pictures[:3])
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(0)  # what was fitted stands on a copy
    assert np.array_equal(told, model.predict_proba(pictures[:3]))


Fitted = Callable[[str], Path]


@pytest.fixture(scope="module")
def fitted(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    """The RUN of a kind's network, fitted once."""

    @functools.cache
    def fit(name: str) -> Path:
        kind = KINDS[name]
        module = kind()
        before = all_of(module)
        out = tmp_path_factory.mktemp("own") / "run"
        regraft.fit(data, module, case=1, out=out, **kind.said)
        assert unaltered(module, before)
        return out

    return fit


# Every network in every form; with pixels and without where that is another program.
EXPORTS = [
    *((name, "torch", name == "oblong") for name in SHAPES.args[1]),
    *((name, "onnx", name != "oblong") for name in SHAPES.args[1]),
    ("tokens", "openvino", False),
    ("fixed grey", "openvino", False),
]


@pytest.mark.parametrize(("name", "to", "pixels"), EXPORTS)
def test_export(
    name: str, to: str, pixels: bool, data: Path, tmp_path: Path, fitted: Fitted
) -> None:
    kind = KINDS[name]
    out = tmp_path / {"onnx": "x.onnx", "torch": "x.pt2", "openvino": "x-ov"}[to]
    words: dict[str, Any] = {"pixels": pixels, "data": data}
    made = regraft.export(fitted(name), to, out, network=kind.make(), **words)
    high, wide, channels = kind.shape
    assert pixels or f"{channels}, {high}, {wide}]" in made.input
    with pytest.raises(BackboneError, match="network="):
        regraft.export(fitted(name), to, out, overwrite=True, **words)


def test_a_result_in_hand_is_exported_without_naming_its_network(
    data: Path, tmp_path: Path
) -> None:
    kind = KINDS["nested"]
    module = kind()
    before = all_of(module)
    done = regraft.fit(data, module, case=1, out=tmp_path / "run", **kind.said)
    assert regraft.export(done, "torch", tmp_path / "x.pt2", data=data).size > 0
    assert unaltered(module, before)


@SHAPES
def test_report_and_card(name: str, data: Path, tmp_path: Path, fitted: Fitted) -> None:
    kind = KINDS[name]
    run = Path(shutil.copytree(fitted(name), tmp_path / "run"))
    card = (run / "README.md").read_text("utf-8")
    high, wide, channels = kind.shape
    assert f"{high} × {wide}" in card
    assert ("make it grey" in card) == (channels == 1)
    assert "network=" in card
    assert regraft.report(run, data=data).is_file()  # its figures need no network
    assert "cannot be built" not in regraft.report(
        run, data=data, heat_maps=True, network=kind.make()
    ).read_text("utf-8")


# ---- opened again


@pytest.fixture(scope="module")
def run(fitted: Fitted) -> Path:
    return fitted("nested")


class OtherAct(kinds.Nested):
    """The same weights by name and shape, and another function of them."""

    def forward(self, x: torch.Tensor) -> Any:
        return super().forward(x.tanh())


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (OtherAct(), "takes the RUN's weights, but of one and the same image"),
        (kinds.Nested(1), r"0.0.weight must be of shape \(8, 1, 3, 3\), got \(8, 3, 3, 3\)"),
        (kinds.NoNorm(), "Nested lacks 4 of its stages"),
        (nn.Sequential(), "Nested lacks 4 of its stages"),
    ],
    ids=["another function", "another shape", "another network", "nothing"],
)
def test_a_run_is_opened_by_its_own_network_alone(network: nn.Module, said: str, run: Path) -> None:
    made = rf"This is not the network that the RUN .* was made with[\s\S]*{said}[\s\S]*Nested"
    with pytest.raises(RunError, match=made):
        regraft.load(run, network=network)


def test_a_run_without_its_network_says_what_is_missing(run: Path, tmp_path: Path) -> None:
    loaded = regraft.load(run, cache=tmp_path)
    assert loaded.metrics["n"] > 0
    with pytest.raises(BackboneError, match=r"regraft.load\(RUN, network=module\)"):
        loaded.predict(NEW)


def test_a_plan_of_ones_own_network_wants_it_again(data: Path) -> None:
    kind = KINDS["nested"]
    plan = regraft.propose(data, kind(), stages=["features.1"], view=32)
    with pytest.raises(BackboneError, match=r"regraft.apply\(plan, data, module\)"):
        regraft.apply(plan, data)
    assert regraft.apply(plan, data, kind()).plan.backbone.stages == plan.backbone.stages


def test_a_run_of_a_named_network_takes_none(data: Path, tmp_path: Path) -> None:
    regraft.fit(data, "demonstration", case=1, out=tmp_path / "run")
    with pytest.raises(UsageError, match="made with demonstration, which regraft knows"):
        regraft.load(tmp_path / "run", network=kinds.Nested())


def test_a_copy_shares_what_cannot_be_copied_and_nothing_else() -> None:
    module = kinds.Uncopyable()
    made = own.copied(module)
    assert all(vars(made)[name] is vars(module)[name] for name in ("lock", "act", "numbers"))
    pairs = zip(made.state_dict().values(), module.state_dict().values(), strict=True)
    assert all(a.data_ptr() != b.data_ptr() for a, b in pairs)
