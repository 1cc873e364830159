"""Kinds of networks that people have: none is described, each is handed over as it is."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn


def layer(inputs: int, outputs: int, stride: int = 2) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, 3, stride, 1)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class Nested(nn.Module):
    """Blocks in Sequentials in a Sequential, under a head in another."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        first = nn.Sequential(layer(channels, 8), layer(8, 8, 1))
        second = nn.Sequential(layer(8, 16), layer(16, 16, 1))
        self.features = nn.Sequential(first, second, layer(16, 24))
        pooled = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2)
        self.head = nn.Sequential(*pooled, nn.Linear(24, 7))

    def forward(self, x: Tensor) -> Any:
        return self.head(self.features(x))


class GivesDict(Nested):
    def forward(self, x: Tensor) -> Any:
        features = self.features(x)
        return {"features": features, "logits": self.head(features)}


class GivesTuple(Nested):
    def forward(self, x: Tensor) -> Any:
        features = self.features(x)
        return self.head(features), features


class NoHead(Nested):
    def forward(self, x: Tensor) -> Any:
        return self.features(x)


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = layer(channels, channels, 1)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.second(self.first(x)))


class Branching(nn.Module):
    """It branches on the shape and on the values: torch.fx cannot look inside."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] > 2:
            x = self.conv(x)
        if x.isnan().any():
            raise ValueError("nan")
        return x.relu()


class NoNorm(nn.Module):
    """Without batch norm, with its activations as functions."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 16, 3, 2, 1)
        self.three, self.fc = nn.Conv2d(16, 24, 3, 2, 1), nn.Linear(24, 3)

    def forward(self, x: Tensor) -> Tensor:
        for conv in (self.one, self.two, self.three):
            x = torch.relu(conv(x))
        fully: Tensor = self.fc(x.mean((2, 3)))
        return fully


class FixedGrey(nn.Module):
    """LeCun's way: grey, of one size, flattened before three layers."""

    def __init__(self) -> None:
        super().__init__()
        self.c1, self.c2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.f1, self.f2, self.f3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.max_pool2d(torch.relu(self.c1(x)), 2)
        x = torch.max_pool2d(torch.relu(self.c2(x)), 2).flatten(1)
        answers: Tensor = self.f3(torch.relu(self.f2(torch.relu(self.f1(x)))))
        return answers


class Oblong(nn.Module):
    """Pictures three times as wide as high, and no others."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(layer(3, 8), layer(8, 16), layer(16, 16))
        self.fc = nn.Linear(16 * 4 * 12, 6)

    def forward(self, x: Tensor) -> Any:
        return self.fc(self.features(x).flatten(1))


class Tokens(nn.Module):
    """A transformer over patches with a class token."""

    def __init__(self) -> None:
        super().__init__()
        self.image_size = 32
        self.patch = nn.Conv2d(3, 16, 8, 8)
        self.cls = nn.Parameter(torch.zeros(1, 1, 16))
        self.place = nn.Parameter(torch.randn(1, 17, 16) * 0.1)
        made = (nn.TransformerEncoderLayer(16, 2, 32, batch_first=True) for _ in range(3))
        self.blocks = nn.ModuleList(made)
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Any:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(x.shape[0], -1, -1), x], 1) + self.place
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


class Uncopyable(Nested):
    """What no copy can be made of hangs on it; a buffer of its own is used."""

    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.act: Callable[[Tensor], Tensor] = lambda x: x * 1.0
        self.lock = threading.Lock()
        self.numbers = (n for n in range(3))
        self.register_buffer("scale", torch.tensor(0.5))

    def forward(self, x: Tensor) -> Any:
        return self.head(self.act(self.features(x * self.scale)))


def plain() -> nn.Module:
    convolutions = (*layer(3, 8), *layer(8, 16), *layer(16, 24))
    return nn.Sequential(*convolutions, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 5))


def residual() -> nn.Module:
    blocks = layer(3, 8), nn.Sequential(Residual(8), Residual(8)), layer(8, 16), Residual(16)
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 4))


def branching() -> nn.Module:
    blocks = layer(3, 8), Branching(8), layer(8, 16), Branching(16)
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 4))


@dataclass(frozen=True)
class Kind:
    """How it is made, what is said of it, and what is found."""

    make: Callable[[], nn.Module]
    stages: tuple[str, ...]
    head: str
    said: dict[str, Any] = field(default_factory=lambda: {"view": 32})
    shape: tuple[int, int, int] = (32, 32, 3)

    def __call__(self) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return self.make()


NESTED = ("features.0", "features.1.0", "features.1", "features")
KINDS = {
    "plain": Kind(plain, ("2", "5", "8"), "11"),
    "nested": Kind(Nested, NESTED, "head.3"),
    "residual": Kind(residual, ("0", "1.0", "1", "2", "3"), "6"),
    "dict": Kind(GivesDict, NESTED, "head.3"),
    "tuple": Kind(GivesTuple, NESTED, "head.3"),
    "no head": Kind(NoHead, NESTED, ""),
    "no batch norm": Kind(NoNorm, ("one", "two", "last"), "fc"),
    "branches inside": Kind(branching, ("0", "1", "2", "3"), "6"),
    "tokens": Kind(Tokens, ("patch", "blocks.0", "blocks.1", "last"), "head", {}),
    "uncopyable": Kind(Uncopyable, NESTED, "head.3"),
    "half": Kind(lambda: Nested().half(), NESTED, "head.3"),
    "training, frozen": Kind(lambda: Nested().train().requires_grad_(False), NESTED, "head.3"),
    "grey": Kind(
        lambda: Nested(1), NESTED, "head.3", {"view": {"size": 32, "mean": 0.4}}, (32, 32, 1)
    ),
    "fixed grey": Kind(FixedGrey, ("c1", "c2", "f1", "last"), "f3", {}, (28, 28, 1)),
    "oblong": Kind(
        Oblong,
        ("features.0", "features.1", "features", "last"),
        "fc",
        {"view": (32, 96)},
        (32, 96, 3),
    ),
}


EVERY = pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Choose no engine: what runs a trunk is another matter, and has its own tests."""
    monkeypatch.setattr("regraft.features.engines.openvino_engine.convert", _refuse)


def _refuse(*_: Any) -> None:
    raise RuntimeError("not in these tests")


def all_of(module: nn.Module) -> list[Any]:
    """Everything that may not be altered, to be compared: names, values, types, modes, flags."""
    tensors = [(name, t.dtype, t.clone()) for name, t in module.state_dict().items()]
    flags = [(name, p.requires_grad, p.grad) for name, p in module.named_parameters()]
    modes = [(name, m.training, len(m._forward_hooks)) for name, m in module.named_modules()]
    return [*tensors, *flags, *modes, sorted(vars(module))]


def unaltered(module: nn.Module, before: list[Any]) -> bool:
    """Return whether a module is what it was, bit for bit."""

    def same(a: Any, b: Any) -> bool:
        if isinstance(a, Tensor):
            return torch.equal(a.nan_to_num(), b.nan_to_num())
        return bool(a == b)

    now = all_of(module)
    return len(now) == len(before) and all(
        len(a) == len(b) and all(map(same, a, b)) for a, b in zip(now, before, strict=True)
    )
