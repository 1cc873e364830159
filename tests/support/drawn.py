"""The networks whose pictures are checked, as records, and scenes of all kinds with them."""

from dataclasses import replace

from regraft import backbones
from regraft.backbones import Backbone, Layout, Stage, View, Weights
from regraft.diagram import CASES, Scene, of_case, untouched

SEEDED = Weights("random", "ab" * 32, "0")


def record(name: str, stages: tuple[Stage, ...], size: int, head: str = "head") -> Backbone:
    """A record of which only the structure matters."""
    return Backbone(
        name=name,
        architecture="",
        stages=stages,
        head=head,
        view=View(size),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        licence="",
        paper="",
        source="nothing (random weights)",
        weights=SEEDED,
        parameters=0,
        parameters_to=(),
        multiply_adds_to=(),
    )


def maps(*stages: tuple[str, int, int], layout: Layout = "NCHW") -> tuple[Stage, ...]:
    """Stages of these names, channels and sides."""
    skip = 1 if layout == "NLC" else 0
    return tuple(Stage(name, name, wide, layout, skip, side) for name, wide, side in stages)


def last(channels: int) -> Stage:
    return Stage("last", "", channels, "NC", 0, 1)


HUNDRED = tuple(
    (f"features.layer{i}", (64, 256, 512, 1024, 2048)[i // 20], (112, 56, 28, 14, 7)[i // 20])
    for i in range(100)
)

RECORDS = {
    record.name: record
    for record in (
        backbones.get("demonstration"),
        backbones.get("efficientnet-lite0"),
        record(
            "resnet50",
            (
                *maps(("act1", 64, 112), ("layer1", 256, 56)),
                *maps(("layer2", 512, 28), ("layer3", 1024, 14), ("layer4", 2048, 7)),
            ),
            224,
            "fc",
        ),
        record(
            "vit_small_patch16_224",
            (
                *maps(*((f"blocks.{i}-{i + 2}", 384, 14) for i in range(0, 12, 3)), layout="NLC"),
                last(384),
            ),
            224,
        ),
        record(
            "vit_huge_with_registers",
            (
                *(Stage(f"blocks.{i}", f"blocks.{i}", 1536, "NLC", 5, 37) for i in range(40)),
                last(1536),
            ),
            518,
        ),
        record("Sequential", maps(("1", 16, 32), ("3", 32, 16)), 64, "6"),
        record("one-stage", maps(("body", 512, 7)), 224),
        record("no-head", maps(("stem", 64, 0), ("body", 128, 0)), 96, ""),
        record("hundred_layers", maps(*HUNDRED), 224),
        record(
            "a_network_whose_name_is_" + "long_" * 20,
            (
                *maps(("features.wide_and_very_long_name", 2048, 224)),
                *maps(("features.thin_and_very_long_name", 3, 0), layout="NLC"),
                *maps(("features.wider_still_and_long_name", 4096, 7), layout="NHWC"),
                *(Stage(f"classifier.layer{i}", f"c{i}", 4096, "NC", 0, 1) for i in range(4)),
            ),
            224,
        ),
    )
}

NASTY = ("ants & <bees>", 'the "wasps"', "a class with a very long name", "蜻蜓目昆虫的照片")


def scenes() -> dict[str, Scene]:
    """Every case of every network, and the pictures that are unlike these."""
    found = {
        f"{record.name[:24]}-{case}": of_case(record, case, classes=1000 if case == 3 else 2)
        for record in RECORDS.values()
        for case in CASES
        if case != 2 or len(record.stages) > 1
    }
    lite, resnet = RECORDS["efficientnet-lite0"], RECORDS["resnet50"]
    hundred, demonstration = RECORDS["hundred_layers"], RECORDS["demonstration"]
    every_seventh = (*range(0, 99, 7), 99)
    return found | {
        "taps": of_case(lite, 2, taps=(1, 2, 3, 4), classes=NASTY, fitted=True),
        "taps-to-the-last": of_case(lite, 1, taps=(0, 5, 6, 7), classes=("ants", "bees")),
        "taps-everywhere": of_case(hundred, 1, taps=every_seventh),
        "partly": of_case(resnet, 3, trainable_from="layer3", classes=1000),
        "partly-of-a-hundred": of_case(hundred, 3, trainable_from="features.layer33"),
        "partly-or-scratch": of_case(resnet, 4, trainable_from="layer2"),
        "scratch": of_case(RECORDS["vit_small_patch16_224"], 4, init="random"),
        "pretrained": of_case(lite, 4, init="pretrained", classes=100_000),
        "early": of_case(lite, 2, taps=(0,), classes=1000),
        "late": of_case(hundred, 2, taps=(98,)),
        "no-stages": untouched(replace(demonstration, stages=(), head="")),
    }


SCENES = scenes()
