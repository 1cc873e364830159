"""An export is compared with the RUN, and refused where it differs."""

from pathlib import Path
from typing import Any

import pytest
import torch

from regraft.errors import RunError
from regraft.export import TARGETS, export, to_openvino
from test_export import FORMS, cut, data, left, run

__all__ = ["cut", "data", "run"]  # fixtures


def test_a_precision_that_cannot_be_had_is_not_compared(
    cut: Path,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    compiled = to_openvino._compiled

    def limited(place: Path, settings: dict[str, str]) -> Any:
        if settings != to_openvino.EXACT:
            raise RuntimeError("Exception from core.cpp\nno primitive for node: MaxPool\n")
        return compiled(place, settings)

    monkeypatch.setattr(to_openvino, "_compiled", limited)
    made = export(cut, "openvino", tmp_path / "out", data=str(data))
    assert not any("OpenVINO chooses" in parity.what for parity in made.parities)
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
