"""The table of docs/stages.md: what stages regraft finds in a network of each family of timm's.

``python checks/docs.py --write`` writes it anew. The networks are made with random weights, so
nothing is fetched; what a stage is does not depend on the weights.
"""

from pathlib import Path

from regraft.backbones import Backbone
from regraft.networks import build

PAGE = Path(__file__).resolve().parent.parent / "docs" / "stages.md"
START, END = "<!-- table of families -->\n", "<!-- end of the table -->\n"

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
    """Return the whole table."""
    head = (
        "| family | for example | image | parameters | stages, each with its channels |\n"
        "|---|---|--:|--:|---|\n"
    )
    return head + "".join(row(name, build.find(one, seed=0)) for name, one in FAMILIES.items())


def problems(*, write: bool) -> list[str]:
    """Say whether the page's table is not what is found any more; write it anew where asked."""
    text = PAGE.read_text("utf-8")
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    new = f"{before}{START}\n{table()}\n{END}{after}"
    if write:
        PAGE.write_text(new, "utf-8", newline="\n")
    stale = f"{PAGE}: the table is not what is found (make docs writes it anew)"
    return [] if write or new == text else [stale]
