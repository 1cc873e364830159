"""Several labels, and numbers, outside: exports and code give what the RUN gives, and say what."""

import contextlib
import io
import json
import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from regraft.errors import RunError
from regraft.export import TARGETS, _module, export, images, parity, to_hub, to_serve, to_timm
from regraft.export.about import About
from regraft.export.classifier import Classifier
from regraft.export.comparing import in_torch
from regraft.export.parity import Parity
from regraft.heads.tasks import AnswerRule, task_of
from regraft.networks import build, surgery
from regraft.plan.definition import Plan
from regraft.results.load import load
from regraft.results.result import Result
from regraft.results.snippet import snippet
from targets import dataset_of
from test_export import named_outputs, normalised

SETS = {"several": "marks", "number": "shades"}
KINDS = pytest.mark.parametrize("kind", SETS)
TOLD = ("classes", "kind", "thresholds", "half_width")
"""What is written into an export as it stands in the RUN's ``config.json``."""


@pytest.fixture
def run(kind: str, request: pytest.FixtureRequest) -> Path:
    """The shared RUN of a kind."""
    folder: Path = request.getfixturevalue(f"{kind}_run")
    return folder


@pytest.fixture
def result(run: Path, tmp_path: Path) -> Result:
    """It, in float32: an empty cache knows no other engine, and nor does a RUN without a trunk."""
    return replace(load(run, tmp_path / "none"), folder=None)


def rule_of(plan: Plan) -> AnswerRule:
    assert plan.evidence.answer is not None
    return plan.evidence.answer


def written_into(to: str, place: Path) -> dict[str, Any]:
    """What is written into an export beside the network."""
    if to == "onnx":
        import onnx

        found = {prop.key: prop.value for prop in onnx.load(place).metadata_props}
    elif to == "torch":
        extra = {"regraft.json": ""}
        torch.export.load(place, extra_files=extra)
        found = json.loads(extra["regraft.json"])
    else:
        import openvino

        told = openvino.Core().read_model(place / "model.xml").get_rt_info(["regraft"])
        found = told.value
    return {key: json.loads(found[key]) for key in TOLD if key != "kind" and key in found} | {
        "kind": found["kind"]
    }


# ---- exports


@pytest.mark.parametrize(
    ("kind", "to"),
    [("several", "onnx"), ("number", "openvino"), ("several", "torch"), ("number", "torch")],
)
def test_an_export_gives_what_the_run_gives(
    kind: str, to: str, run: Path, result: Result, tmp_path: Path
) -> None:
    place = tmp_path / {"openvino": "run", "onnx": "run.onnx", "torch": "run.pt2"}[to]
    data = dataset_of(run.parent / SETS[kind], kind)  # type: ignore[arg-type]
    if to == "torch":
        made = export(run, to, place, data=data, images_checked=9)
        of = {"several": "labels", "number": "numbers"}[kind]
        assert [(each.of, each.refused) for each in made.parities] == [(of, "")] * 3
        gives = {
            "several": "the probability of each label by itself",
            "number": "the number itself",
        }
        assert made.to_json()["output"] == gives[kind]
    else:  # all else of them is as of one label
        place.mkdir() if to == "openvino" else None
        about = About(result.plan, result.classes, pixels=False)
        TARGETS[to].write(_module(result, about), about, place)
    x, files = normalised(run, run.parent / SETS[kind])
    found = TARGETS[to].open_file(place, None)(x)
    wanted = result.predict_proba(files)
    assert found.shape == wanted.shape
    spread = 1.0 if kind == "several" else rule_of(result.plan).spread
    np.testing.assert_allclose(
        found / spread, wanted / spread, atol=1e-3
    )  # of which RUNs round features to float16
    config = json.loads((run / "config.json").read_text("utf-8"))
    assert written_into(to, place) == {key: config[key] for key in TOLD if key in config}
    if to != "torch":
        assert list(named_outputs(to, place, x)) == [to_name(kind)]


def to_name(kind: str) -> str:
    return {"several": "probabilities", "number": "value"}[kind]


@KINDS
def test_what_a_run_carries_to_be_served_gives_the_same(
    kind: str, run: Path, result: Result
) -> None:
    about = About(result.plan, result.classes, pixels=False)
    data = dataset_of(run.parent / SETS[kind], kind)  # type: ignore[arg-type]
    sample = images.draw(run, result.plan, data, 9)
    assert sample.recorded.shape == (9, len(result.classes))
    module = _module(result, about)
    told = to_serve.compared(to_serve, module, about, run / "trunk", sample, result)
    parity.check(told, "", "")
    assert len(told) == 2
    wanted = in_torch(module)(result.plan.backbone.normalised(sample.squares))
    rule = rule_of(result.plan)
    assert parity.near("predictions.csv", sample.recorded, wanted, rule).refused == ""
    assert parity.near("others", sample.recorded[::-1], wanted, rule).refused != ""


def whole(result: Result) -> tuple[Classifier, About]:
    """A whole network of timm's, with random weights, under a layer of the RUN's kind."""
    record, module = build.load("test_resnet", seed=1)
    plan = replace(result.plan, backbone=record, taps=(len(record.stages) - 1,))
    count = len(result.classes)
    network, _ = surgery.operate(module, record, taps=plan.taps, classes=count)
    return Classifier(network, kind=plan.kind), About(plan, result.classes, pixels=False)


def printed(code: str, folder: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a page's code prints of ``photo.jpg`` where ``THIS_FOLDER`` is a folder."""
    (place / "THIS_FOLDER").symlink_to(folder)
    monkeypatch.chdir(place)
    out = io.StringIO()
    with contextlib.redirect_stdout(out), warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ResourceWarning
        )  # of a file that a short script leaves open
        exec(code, {})
    return out.getvalue()


def as_printed(result: Result, shares: NDArray[Any]) -> Any:
    """What the code of a page is to print of probabilities, or of a number."""
    rule = rule_of(result.plan)
    if rule.kind == "number":
        return f"level: {shares[0]:g} ± {rule.half_width:g}\n"
    told = zip(result.classes, shares.tolist(), rule.thresholds, strict=True)
    return {name: pytest.approx(share, abs=1e-5) for name, share, least in told if share >= least}


@KINDS
def test_timms_network_gives_logits_and_its_folder_says_what_they_mean(
    kind: str, result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, about = whole(result)
    folder = tmp_path / "timm"
    folder.mkdir()
    to_timm.write(module, about, folder)
    config = json.loads((folder / "config.json").read_text())
    rule = rule_of(result.plan)
    assert config["regraft"]["kind"] == kind
    assert config["regraft"].get("thresholds", []) == list(rule.thresholds)
    assert config["regraft"].get("half_width", 0.0) == rule.half_width
    assert ("sigmoid" in config["regraft"]["output"]) is (kind == "several")
    x = np.random.default_rng(0).random((3, 3, 64, 64), np.float32)
    found = to_timm.open_file(folder, about)(x)
    np.testing.assert_allclose(found, in_torch(module)(x), atol=1e-5)
    card = (folder / "README.md").read_text("utf-8")
    [code] = re.findall(r"```python\n(.*?)```", card, re.S)
    timm: Any = __import__("timm")
    data = np.random.default_rng(1).integers(0, 256, (90, 90, 3), np.uint8)
    Image.fromarray(data).save(tmp_path / "photo.jpg")
    said = printed(code, folder, tmp_path, monkeypatch)
    loaded = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    view = timm.data.create_transform(**timm.data.resolve_model_data_config(loaded))
    with torch.no_grad():
        logits = loaded(view(Image.open(tmp_path / "photo.jpg"))[None]).numpy()
    wanted = as_printed(result, task_of(kind).shares(logits)[0])
    assert (said if kind == "number" else eval(said)) == wanted


@KINDS
def test_the_code_in_the_card_gives_what_predict_gives(
    kind: str, run: Path, result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert f"```python\n{snippet(result.plan)}\n```" in (run / "README.md").read_text("utf-8")
    file = sorted((run.parent / SETS[kind]).glob("*.png"))[3].read_bytes()
    (tmp_path / "photo.jpg").write_bytes(file)
    said = printed(snippet(result.plan), run, tmp_path, monkeypatch)
    [told] = result.predict([file], top=3)
    if kind == "number":
        name, value, _, half = said.split()
        assert name == "level:"
        assert float(half) == pytest.approx(rule_of(result.plan).half_width, 1e-4)
        assert float(value) == pytest.approx(told.value, abs=1e-2)
    else:
        of = dict(told.top)
        assert eval(said) == {name: pytest.approx(of[name], abs=1e-4) for name in told.labels or ()}


@KINDS
def test_a_run_is_staged_for_the_hub_without_the_names_of_its_images(
    kind: str, run: Path, tmp_path: Path
) -> None:
    to_hub._stage(run, tmp_path)
    assert load(tmp_path).kind == kind
    names = [path.name for path in (run.parent / SETS[kind]).glob("*.png")]
    texts = [path.read_text("utf-8") for path in tmp_path.iterdir() if path.suffix in TEXTS]
    assert not [name for name in names for text in texts if name in text]


TEXTS = (".json", ".csv", ".md")


# ---- what counts as the same

LABELS = AnswerRule("several", (1.0,) * 2, (0.0,) * 2, thresholds=(0.5, 0.2))
NUMBER = AnswerRule("number", (1.0,), (0.0,), half_width=3.0, mean=2000.0, spread=50.0)


@pytest.mark.parametrize(
    ("rule", "by", "refused", "changed"),
    [
        pytest.param(LABELS, 9e-5, False, 0, id="labels"),
        pytest.param(LABELS, -9e-5, False, 1, id="a label at its threshold may go either way"),
        pytest.param(LABELS, 2e-4, True, 0, id="labels apart"),
        pytest.param(NUMBER, 50 * 9e-5, False, 0, id="a share of the spread"),
        pytest.param(NUMBER, 50 * 1e-4 + 2000 * 4e-7, False, 0, id="as float32 rounds"),
        pytest.param(NUMBER, 50 * 2e-4, True, 0, id="numbers apart"),
        pytest.param(NUMBER, np.nan, True, 1, id="no number"),
    ],
)
def test_what_counts_as_the_same_answer(
    rule: AnswerRule, by: float, refused: bool, changed: int
) -> None:
    wanted = np.array([[0.5, 0.1]]) if rule.kind == "several" else np.array([[2000.0]])
    compared: Parity = parity.exact("this", wanted + by, wanted, rule)
    assert (bool(compared.refused), compared.changed) == (refused, changed)
    words = parity.in_words(compared)
    assert ("of their spread" in words) is (rule.kind == "number")
    assert "class" not in words
    if refused:
        with pytest.raises(RunError, match="kept"):
            parity.check([compared], "not kept", "remedy")
