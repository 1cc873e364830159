"""Any module in memory is a backbone, or the error says why it is not."""

import pytest
import torch
from torch import Tensor, nn

from known import case, described, plain
from regraft.backbones import View
from regraft.errors import BackboneError
from regraft.networks import build, trunk, weights
from regraft.networks.profile import layout_of, profile


def test_stages_that_are_no_modules_are_all_named() -> None:
    with pytest.raises(BackboneError) as caught:
        described(plain(), ["0", "conv9", "4", "4"], head="fc")
    assert "stage 'conv9' is no module" in str(caught.value)
    assert "stage '4' is named twice" in str(caught.value)
    assert "head 'fc' is no module" in str(caught.value)
    assert "Its modules: 0, 1, 2, 3" in str(caught.value)
    with pytest.raises(BackboneError, match="name at least one module"):
        described(plain(), [])


def test_a_network_that_cannot_be_traced_is_said_so() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.conv(x) if x.sum() > 0 else x
            return y

    with pytest.raises(BackboneError, match=r"Branching cannot be traced[\s\S]*torch\.fx\.wrap"):
        described(Branching(), ["conv"])


def test_an_image_that_cannot_pass_and_a_stage_without_places_are_said_so() -> None:
    flat = nn.Sequential(nn.Flatten(), nn.Linear(12, 5))
    with pytest.raises(BackboneError, match="cannot take an image of 16 x 16 px"):
        described(flat, ["1"])
    deep = nn.Sequential(nn.Unflatten(1, (1, 3)), nn.Identity())
    with pytest.raises(BackboneError, match=r"0: must give .* got \[1, 1, 3, 16, 16\]"):
        described(deep, ["0"])


def test_a_module_that_is_never_called_is_no_stage() -> None:
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.used(x)
            return y

    with pytest.raises(BackboneError, match="gets no single tensor from 'idle'"):
        described(Idle(), ["used", "idle"])
    with pytest.raises(BackboneError, match="never calls its head 'idle'"):
        described(Idle(), ["used"], head="idle")


def test_what_writes_into_a_stage_before_its_end_counts_and_what_comes_after_does_not() -> None:
    class Writing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            x = self.conv(x)
            x.add_(x.mean(1, keepdim=True))
            x.mul_(3)
            return x

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.writing = Writing()

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.writing(x)
            y.zero_()
            return y + 1

    module, x = Whole().eval(), torch.randn(2, 3, 16, 16)
    [read] = build.trunk(module, described(module, ["writing"]), [0])(x)
    torch.testing.assert_close(read, module.writing(x).mean((2, 3)))
    assert read.abs().min() > 0


def test_a_record_in_memory_hashes_names_and_values_and_cannot_be_built() -> None:
    module = plain()
    record = described(module, ["0", "4"])
    assert record.weights.origin == "memory"
    with torch.no_grad():
        next(module.parameters())[0, 0, 0, 0] += 1e-3
    assert described(module, ["0", "4"]).weights.sha256 != record.weights.sha256
    assert record.head == ""
    assert [stage.name for stage in record.stages] == ["0", "4"]
    with pytest.raises(BackboneError, match="pass the same module again"):
        build.build(record)


def test_describing_and_cutting_leave_a_network_in_training_mode_as_it_was() -> None:
    module = plain().train()
    before = weights.fingerprint(module)
    record = described(module, ["0", "4"])
    build.trunk(module, record, [1])(torch.randn(2, 3, 16, 16))
    assert weights.fingerprint(module) == before
    assert all(inner.training for inner in module.modules())
    assert not any(inner._forward_hooks for inner in module.modules())


def test_a_stage_that_reads_the_same_as_the_head_is_there_once() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    module.append(nn.Linear(4, 2))
    mine = described(module, ["0"], head="3")
    assert [stage.name for stage in mine.stages] == ["0"]
    traced = trunk.trace(module, "it")
    theirs = profile(traced, ["0"], "3", View(16), "it", strict=False)
    assert [stage.name for stage in theirs.stages] == ["0"]


def test_depths_that_are_not_there_are_refused() -> None:
    it = case("plain")
    with pytest.raises(BackboneError, match=r"must lie in 0\.\.3, got 4"):
        build.trunk(it.module, it.backbone, [0, 4])
    with pytest.raises(BackboneError, match="name at least one"):
        build.trunk(it.module, it.backbone, [])


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ((1, 8), "NC"),
        ((1, 49, 8), "NLC"),
        ((1, 8, 7, 7), "NCHW"),
        ((1, 7, 7, 8), "NHWC"),
        ((1, 7, 7, 7), "NCHW"),
        ((1, 8, 1, 1), "NCHW"),
        ((1, 2, 3, 4, 5), None),
        ((), None),
    ],
)
def test_layouts(shape: tuple[int, ...], layout: str | None) -> None:
    assert layout_of(shape) == layout
