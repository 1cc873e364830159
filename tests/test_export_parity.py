"""An export is compared with the RUN, and refused where it differs."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file, save_file

import regraft
from pictures import encode, lay_out, photo
from regraft.errors import RunError
from regraft.export import TARGETS, export, parity, to_openvino
from regraft.plan.choices import Choices
from regraft.results.load import load
from test_export import FORMS, cut, data, left, named_outputs, normalised, run

__all__ = ["cut", "data", "run"]  # fixtures


def test_a_precision_that_cannot_be_had_is_not_compared(
    cut: Path,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    compiled = to_openvino._compiled

    def limited(place: Path, settings: dict[str, str], *output: int) -> Any:
        if settings != to_openvino.EXACT:
            raise RuntimeError("Exception from core.cpp\nno primitive for node: MaxPool\n")
        return compiled(place, settings, *output)

    monkeypatch.setattr(to_openvino, "_compiled", limited)
    made = export(cut, "openvino", tmp_path / "out", data=str(data))
    assert not any("OpenVINO chooses" in each.what for each in made.parities)
    assert "float32 alone: no primitive for node: MaxPool" in caplog.text


@pytest.mark.parametrize("to", ["onnx", "torch", "openvino", "timm"])
def test_an_export_that_differs_is_refused_and_leaves_nothing(
    to: str,
    request: pytest.FixtureRequest,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder: Path = request.getfixturevalue("run" if to == "timm" else "cut")  # which timm has not
    write = TARGETS[to].write

    def tampered(module: Any, about: Any, place: Path) -> None:
        with torch.no_grad():
            bias = module.network.head.bias
            bias[0] += 0.01
            write(module, about, place)
            bias[0] -= 0.01

    monkeypatch.setattr(TARGETS[to], "write", tampered)
    with pytest.raises(RunError, match="was not kept") as refusal:
        export(folder, to, tmp_path / FORMS[to], data=str(data))
    assert "differ by up to" in refusal.value.problems[0]
    assert left(tmp_path) == []


def test_a_belief_that_differs_is_refused() -> None:
    wanted = np.array([0.2, 0.051, 0.9])
    same = parity.beliefs("it", wanted + 0.002, wanted)
    assert (same.refused, same.changed) == ("", 0)
    near = parity.beliefs("it", wanted - 0.002, wanted)
    assert (near.refused, near.changed) == ("", 1)
    assert "1 of them known to one alone" in parity.in_words(near)
    far = parity.beliefs("it", wanted - [0, 0, 0.02], wanted)
    assert "no belief may differ by more than 0.01" in far.refused
    assert parity.beliefs("it", np.array([0.2, np.nan, 0.9]), wanted).refused


@pytest.mark.parametrize(
    ("name", "tensor", "told_by"),
    [
        pytest.param("cut", "trunk.conv2.conv.weight", "predictions.csv", id="an older RUN"),
        pytest.param("run", "head.weight", "model.safetensors: SHA-256", id="cross-validated"),
    ],
)
def test_weights_that_were_changed_are_refused(
    name: str, tensor: str, told_by: str, request: pytest.FixtureRequest, data: Path, tmp_path: Path
) -> None:
    """Where a RUN has no digest, its held-out probabilities tell, though no engine knows it."""
    bad = tmp_path / "bad"
    shutil.copytree(request.getfixturevalue(name), bad)
    config = json.loads((bad / "config.json").read_bytes())
    if told_by == "predictions.csv":
        del config["weights_sha256"]
        (bad / "config.json").write_text(json.dumps(config))
    tensors = load_file(bad / "model.safetensors")
    tensors[tensor] = tensors[tensor][::-1].copy()
    save_file(tensors, bad / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(RunError) as refusal:
        export(bad, "torch", tmp_path / "out.pt2", data=str(data))
    assert any(told_by in problem for problem in refusal.value.problems)
    assert left(tmp_path) == ["bad"]


@pytest.mark.parametrize(("found", "is_refused"), [(9e-5, False), (2e-4, True), (np.nan, True)])
def test_one_probability_in_ten_thousand_is_the_border(found: float, is_refused: bool) -> None:
    wanted = np.array([[0.6, 0.4]])
    compared = parity.exact("this", wanted + np.array([[found, 0]]), wanted)
    assert bool(compared.refused) is is_refused


def test_another_class_is_refused_however_close(tmp_path: Path) -> None:
    compared = parity.exact("this", np.array([[0.49999, 0.50001]]), np.array([[0.50001, 0.49999]]))
    assert compared.changed == 1
    assert compared.refused


@pytest.mark.parametrize(
    ("kind", "form"), [pytest.param("uint16", "PNG", id="16 bits"), ("float32", "TIFF")]
)
def test_deep_pictures_check_it_by_the_scale_of_the_set(
    kind: str, form: str, tmp_path: Path
) -> None:
    files = {}
    for n, share in enumerate((0.05, 0.3, 0.95)):
        for i in range(8):
            grey = np.asarray(photo(9 * n + i, 48, 40).convert("L"), float) / 255
            deep = Image.fromarray((share * (0.5 + 0.5 * grey) * 4000).astype(kind))
            files[f"{share}/{i}.{form.lower()}"] = encode(deep, form)
    folder = lay_out(tmp_path / "deep", files)
    choices = Choices(case=2, cut="conv2", test_fraction=0.25)
    regraft.fit(folder, "demonstration", choices=choices, out=tmp_path / "run")
    made = export(tmp_path / "run", "torch", pixels=True, data=str(folder))
    assert [each.images for each in made.parities] == [24, 24, 24, 6]
    assert made.parities[1].what.startswith("its preprocessing")
    assert made.parities[1].worst < 5e-3


def test_a_run_of_before_and_one_of_a_trained_network_are_exported(
    cut: Path, data: Path, tmp_path: Path
) -> None:
    from regraft.plan.unknown import by_probability

    result = load(cut)
    x, _ = normalised(cut, data)
    own = {name: t for name, t in result.tensors.items() if not name.startswith("known.")}
    shares = np.random.default_rng(0).dirichlet([0.5] * len(result.classes), 60)
    kinds = {"before": {}, "trained": by_probability(shares).tensors()}
    for kind, tensors in kinds.items():
        place = tmp_path / kind
        shutil.copytree(cut, place)
        save_file(own | tensors, place / "model.safetensors", {"format": "pt"})
        config = json.loads((place / "config.json").read_text())
        del config["weights_sha256"]
        config["tensors"] = {n: list(t.shape) for n, t in (own | tensors).items()}
        (place / "config.json").write_text(json.dumps(config))
        made = export(place, "openvino", tmp_path / f"{kind}-openvino", data=str(data))
        outputs = named_outputs("openvino", made.path, x)
        assert list(outputs) == ["probabilities", *(["known", "belief"] if tensors else [])]
