"""The demonstration network: three convolutional layers and three fully connected ones.

Pretrained on CIFAR-10 by ``make pretrain``; what it can do and how it was made stands in its model
card, ``demonstration.md`` beside this file. The network itself is
`regraft.networks.demonstration`.
"""

from regraft.backbones.record import Backbone, Stage, Weights
from regraft.data.images import View

RECORD = Backbone(
    name="demonstration",
    architecture="demonstration",
    stages=(
        Stage("conv1", "conv1", 48, "NCHW", side=16),
        Stage("conv2", "conv2", 96, "NCHW", side=8),
        Stage("conv3", "conv3", 192, "NCHW", side=4),
        Stage("fc1", "fc1", 128, "NC", side=1),
        Stage("fc2", "fc2", 64, "NC", side=1),
    ),
    head="fc3",
    view=View(32, 1.0, "bilinear"),
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
    licence="Apache-2.0",
    paper="",
    source="CIFAR-10",
    weights=Weights(
        "package",
        "a1632ed1b33f3efab50f878cf4772fe8328e402efbe60f47f130455406986c10",
        "regraft/backbones/demonstration.safetensors",
    ),
    parameters=613_882,
    parameters_to=(3_696, 45_360, 211_632, 604_976, 613_232),
    multiply_adds_to=(3_686_400, 14_303_232, 24_920_064, 25_313_280, 25_321_472),
)
