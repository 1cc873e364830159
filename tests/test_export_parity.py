"""An export is compared with the RUN, and refused where it differs."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from regraft.errors import RunError
from regraft.export import TARGETS, export, parity, to_openvino
from regraft.heads.known import LIMIT
from regraft.networks.surgery import restore
from regraft.results.load import load
from test_export import FORMS, cut, data, left, normalised, run

__all__ = ["cut", "data", "run"]  # fixtures


def test_a_precision_that_cannot_be_had_is_not_compared(
    cut: Path,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    compiled = to_openvino._compiled

    def limited(place: Path, settings: dict[str, str], *output: str) -> Any:
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


@pytest.mark.parametrize("to", ["onnx", "openvino"])
def test_what_is_like_no_training_image_is_told_as_the_run_tells_it(
    to: str, run: Path, data: Path, tmp_path: Path
) -> None:
    made = export(run, to, tmp_path / FORMS[to], data=str(data))
    [told] = [each for each in made.parities if each.of == "beliefs"]
    assert told.worst <= 1e-3
    assert told.changed == 0
    x, _ = normalised(run, data)
    outputs = named_outputs(to, made.path, x)
    assert list(outputs) == ["probabilities", "known", "belief"]
    assert outputs["known"].dtype == bool
    known = load(run).known
    assert known is not None
    model = restored(run)
    with torch.no_grad():
        features = model.features(torch.from_numpy(x))
        wanted = known.belief(features.numpy(), model.head(features).numpy())
    np.testing.assert_allclose(outputs["belief"], wanted, atol=1e-3)
    np.testing.assert_array_equal(outputs["known"], outputs["belief"] > LIMIT)
    assert 0 < outputs["known"].mean() <= 1


def named_outputs(to: str, place: Path, x: Any) -> dict[str, Any]:
    """What an export gives, by name, in its own runtime."""
    if to == "onnx":
        import onnxruntime  # type: ignore[import-untyped]

        session = onnxruntime.InferenceSession(place)
        names = [one.name for one in session.get_outputs()]
        return dict(zip(names, session.run(None, {"pixels": x}), strict=True))
    import openvino

    compiled = openvino.Core().compile_model(
        place / "model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    found = compiled(x)
    return {one.get_any_name(): found[one] for one in compiled.outputs}


def restored(run: Path) -> Any:
    result = load(run)
    config = {
        "backbone": result.plan.backbone.to_json(),
        "taps": result.plan.taps,
        "classes": result.classes,
    }
    return restore(config, result.tensors)


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


def test_a_run_of_before_and_one_of_a_trained_network_are_exported(
    run: Path, data: Path, tmp_path: Path
) -> None:
    from regraft.plan.unknown import by_probability

    result = load(run)
    x, _ = normalised(run, data)
    own = {name: t for name, t in result.tensors.items() if not name.startswith("known.")}
    shares = np.random.default_rng(0).dirichlet([0.5] * len(result.classes), 60)
    kinds = {"before": {}, "trained": by_probability(shares).tensors()}
    for kind, tensors in kinds.items():
        place = tmp_path / kind
        shutil.copytree(run, place)
        save_file(own | tensors, place / "model.safetensors", {"format": "pt"})
        config = json.loads((place / "config.json").read_text())
        del config["weights_sha256"]
        config["tensors"] = {n: list(t.shape) for n, t in (own | tensors).items()}
        (place / "config.json").write_text(json.dumps(config))
        made = export(place, "onnx", tmp_path / f"{kind}.onnx", data=str(data))
        outputs = named_outputs("onnx", made.path, x)
        assert list(outputs) == ["probabilities", *(["known", "belief"] if tensors else [])]
