"""The networks that the tests run over: eight families, small images, seeded weights."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from regraft import backbones
from regraft.backbones import Backbone, View
from regraft.networks import build

HALVES = (0.5, 0.5, 0.5)


def plain() -> nn.Sequential:
    """Three convolutions and two layers; the activations write into what the stages give."""
    return nn.Sequential(
        *(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10), nn.ReLU(), nn.Dropout(0.5)),
        nn.Linear(10, 4),
    )


def swin() -> nn.Module:
    """A Swin of two layers; its maps have their channels last."""
    from timm.models.swin_transformer import SwinTransformer

    return SwinTransformer(
        img_size=64,
        num_classes=5,
        embed_dim=16,
        depths=(1, 1),
        num_heads=(2, 2),
        window_size=4,
        drop_path_rate=0.2,
    )


# name -> names and channels of the stages, side of the image in the tests
KNOWN: dict[str, tuple[dict[str, int], int]] = {
    "efficientnet-lite0": (
        {f"blocks.{i}": c for i, c in enumerate((16, 24, 40, 80, 112, 192, 320))} | {"last": 1280},
        64,
    ),
    # its layer4, averaged, is the input of its head
    "resnet18": ({"act1": 64, "layer1": 64, "layer2": 128, "layer3": 256, "layer4": 512}, 64),
    "convnext_atto": (
        {"stages.0": 40, "stages.1": 80, "stages.2": 160, "stages.3": 320, "last": 320},
        64,
    ),
    "vit_tiny_patch16_224": (
        {f"blocks.{group}": 192 for group in ("0-2", "3-5", "6-8", "9-11")} | {"last": 192},
        224,
    ),
    "mobilenetv3_small_050": (
        {"bn1": 16}
        | {f"blocks.{i}": c for i, c in enumerate((8, 16, 24, 24, 48, 288))}
        | {"last": 1024},
        64,
    ),
    "regnetx_002": ({"stem": 32, "s1": 24, "s2": 56, "s3": 152, "s4": 368}, 64),
    "swin": ({"layers.0": 16, "layers.1": 32, "last": 32}, 64),
    "plain": ({"0": 6, "4": 8, "8": 10, "last": 10}, 24),
}


@dataclass(frozen=True)
class Case:
    backbone: Backbone
    module: nn.Module
    images: Tensor


def case(name: str) -> Case:
    """One of the networks with seeded weights (Lite0: the real ones), and two images."""
    images = torch.randn(2, 3, *[KNOWN[name][1]] * 2, generator=torch.Generator().manual_seed(1))
    if name not in ("plain", "swin"):
        seed = None if name in backbones.names() else 0
        return Case(*build.load(name, seed=seed), images)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module, stages, head = (
            (plain(), ["0", "4", "8"], "11")
            if name == "plain"
            else (swin(), ["layers.0", "layers.1"], "head.fc")
        )
    view = View(images.shape[-1])
    record = build.describe_module(
        module.eval(), stages, head=head, view=view, mean=HALVES, std=HALVES, name=name
    )
    return Case(record, module, images)


def described(module: nn.Module, stages: list[str], size: int = 16, head: str = "") -> Backbone:
    return build.describe_module(
        module, stages, head=head or None, view=View(size), mean=HALVES, std=HALVES
    )
