"""The tables of timm's networks in docs/stages.md and docs/networks.md.

``python checks/docs.py --write`` writes them anew. The networks are made with random weights or
none, so nothing is fetched; neither stages nor costs depend on them.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from regraft.backbones import Backbone
from regraft.networks import build, timm_models

DOCS = Path(__file__).resolve().parent.parent / "docs"
START, END = "<!-- table by checks/families.py -->\n", "<!-- end of the table -->\n"

FAMILIES = {
    "ResNet": "resnet18",
    "ResNeXt, SE": "seresnext26d_32x4d",
    "ResNet v2": "resnetv2_18",
    "RegNet": "regnety_002",
    "DenseNet": "densenet121",
    "VGG": "vgg11",
    "Inception v3": "inception_v3",
    "Xception": "xception41",
    "NFNet": "nfnet_l0",
    "RepVGG": "repvgg_a0",
    "HRNet": "hrnet_w18_small",
    "EfficientNet": "efficientnet_b0",
    "EfficientNet v2": "tf_efficientnetv2_b0",
    "MobileNet v2": "mobilenetv2_050",
    "MobileNet v3": "mobilenetv3_small_050",
    "MobileNet v4": "mobilenetv4_conv_small",
    "MobileOne": "mobileone_s0",
    "GhostNet": "ghostnet_050",
    "ReXNet": "rexnet_100",
    "TinyNet": "tinynet_e",
    "ConvNeXt": "convnext_atto",
    "ConvNeXt v2": "convnextv2_atto",
    "ViT": "vit_tiny_patch16_224",
    "DeiT, distilled": "deit_tiny_distilled_patch16_224",
    "DINOv2": "vit_small_patch14_dinov2",
    "DINOv3": "vit_small_patch16_dinov3",
    "EVA-02": "eva02_tiny_patch14_224",
    "CaiT": "cait_xxs24_224",
    "XCiT": "xcit_nano_12_p16_224",
    "MLP-Mixer": "mixer_s32_224",
    "Swin": "swin_tiny_patch4_window7_224",
    "Swin v2": "swinv2_cr_tiny_ns_224",
    "MViT v2": "mvitv2_tiny",
    "Hiera": "hiera_tiny_224",
    "PVT v2": "pvt_v2_b0",
    "PiT": "pit_ti_224",
    "LeViT": "levit_128s",
    "MaxViT": "maxvit_rmlp_pico_rw_256",
    "CoAtNet": "coatnet_nano_rw_224",
    "PoolFormer": "poolformer_s12",
    "EdgeNeXt": "edgenext_xx_small",
    "MobileViT": "mobilevit_xxs",
    "FastViT": "fastvit_t8",
    "EfficientViT": "efficientvit_b0",
}
"""A small network of each."""


def row(family: str, record: Backbone) -> str:
    """Return a network's row: size of its image, parameters, stages with their channels."""
    stages = " · ".join(f"`{stage.name}` {stage.channels}" for stage in record.stages)
    million = f"{record.parameters / 1e6:.1f} M"
    return f"| {family} | `{record.name}` | {record.view.size} px | {million} | {stages} |\n"


def table() -> str:
    """Return the whole table of docs/stages.md."""
    head = (
        "| family | for example | image | parameters | stages, each with its channels |\n"
        "|---|---|--:|--:|---|\n"
    )
    return head + "".join(row(name, build.find(one, seed=0)) for name, one in FAMILIES.items())


NETWORKS = (
    "mobilenetv4_conv_small.e2400_r224_in1k",
    "mobilenetv3_large_100.ra_in1k",
    "efficientnet_b0.ra_in1k",
    "resnet18.a1_in1k",
    "resnet50.a1_in1k",
    "convnext_tiny.in12k_ft_in1k",
    "convnextv2_tiny.fcmae_ft_in22k_in1k",
    "swin_tiny_patch4_window7_224.ms_in1k",
    "vit_small_patch16_224.augreg_in21k_ft_in1k",
    "vit_small_patch14_dinov2.lvd142m@224",
    "vit_small_patch14_dinov2.lvd142m",
    "vit_base_patch14_dinov2.lvd142m@224",
    "vit_small_patch16_dinov3.lvd1689m",
    "vit_base_patch16_clip_224.openai",
    "vit_base_patch16_siglip_224.webli",
)


def network_row(name: str) -> str:
    """Return a network's row: what it costs, what it was trained on, its licence."""
    known, size = timm_models.parted(name)
    config = timm_models.config_of(known)
    made: dict[str, Any] = {"img_size": size} if size else {}
    with torch.device("meta"):  # only shapes: nothing is drawn, nothing is multiplied
        module = timm.create_model(known, **made)
    module = module.eval().requires_grad_(False)
    side = size or config["input_size"][-1]
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        module(torch.empty(1, 3, side, side, device="meta"))
    parameters = sum(p.numel() for p in module.parameters())
    cost = f"{counter.get_total_flops() / 2e6:,.0f} M"  # it counts both as one each
    cells = (
        f"`{name}`",
        f"{side} px",
        cost,
        f"{4 * parameters / 1e6:,.0f} MB",
        known.partition(".")[2],
    )
    return f"| {' | '.join(cells)} | {config['license'] or 'unknown'} |\n"


def table_of_networks() -> str:
    """Return the whole table of docs/networks.md."""
    head = (
        "| `--backbone` | image | multiply-adds | float32 | weights | licence |\n"
        "|---|--:|--:|--:|---|---|\n"
    )
    return head + "".join(network_row(name) for name in NETWORKS)


TABLES: dict[str, Callable[[], str]] = {"stages.md": table, "networks.md": table_of_networks}


def problems(*, write: bool) -> list[str]:
    """Say which tables are not what is found any more; write them anew where asked."""
    found = []
    for name, made in TABLES.items():
        page = DOCS / name
        text = page.read_text("utf-8")
        before, _, rest = text.partition(START)
        _, _, after = rest.partition(END)
        new = f"{before}{START}\n{made()}\n{END}{after}"
        if write:
            page.write_text(new, "utf-8", newline="\n")
        elif new != text:
            found.append(f"{page}: the table is not what is found (make docs writes it anew)")
    return found
