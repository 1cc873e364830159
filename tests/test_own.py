"""A network of one's own, handed over as it is: every kind by every verb; it stays as it was."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import kinds
import regraft
from kinds import EVERY, all_of, quick, unaltered
from pictures import lay_out
from regraft.errors import BackboneError, UsageError
from scenes import each, scenes

__all__ = ["quick"]  # a fixture


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_out(tmp_path_factory.mktemp("data") / "scenes", scenes(each(8)))


# ---- found


@EVERY
def test_stages_and_head_are_found(kind: kinds.Kind) -> None:
    module = kind()
    before = all_of(module)
    record = regraft.open_network(module, **kind.said).backbone
    assert tuple(stage.name for stage in record.stages) == kind.stages
    assert record.head == kind.head
    assert record.view.shape == kind.shape
    assert len(record.mean) == len(record.std) == kind.shape[2]
    assert unaltered(module, before)


@pytest.mark.parametrize(
    ("module", "stages"),
    [
        (lambda: nn.Sequential(*(kinds.layer(3 if n == 0 else 8, 8, 1) for n in range(30))), 4),
        (lambda: nn.Sequential(nn.Sequential(nn.Sequential(kinds.plain()))), 3),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 9), nn.ReLU(), nn.Linear(9, 4)), 1),
    ],
    ids=["many blocks", "wrapped", "no map"],
)
def test_as_many_stages_as_are_of_use(module: Any, stages: int) -> None:
    assert len(regraft.open_network(module()).backbone.stages) == stages


LAYERS = "encoder.layers.encoder_layer_"


@pytest.mark.parametrize(
    ("name", "stages", "head"),
    [
        ("resnet18", ("maxpool", "layer1", "layer2", "layer3", "layer4"), "fc"),
        ("squeezenet1_0", ("features.2-4", "features.6-9", "classifier.0"), "classifier.1"),
    ],
)
def test_networks_that_people_know_have_the_stages_that_they_know(
    name: str, stages: tuple[str, ...], head: str
) -> None:
    from torchvision import models

    with torch.random.fork_rng(devices=[]):
        found = regraft.open_network(getattr(models, name)(weights=None)).backbone
    assert tuple(stage.name for stage in found.stages) == stages
    assert (found.head, found.view.size) == (head, 224)


def test_the_stages_of_a_transformer_are_groups_of_its_layers() -> None:
    from torchvision.models import vit_b_32

    with torch.random.fork_rng(devices=[]):
        found = regraft.open_network(vit_b_32(weights=None)).backbone
    *layers, last = found.stages
    assert len(layers) == 4
    assert all(stage.name.startswith(LAYERS) for stage in layers[:3])
    assert [(stage.skip, stage.side) for stage in layers] == [(1, 7)] * 4
    assert (last.name, found.head) == ("last", "heads.head")


def test_stages_that_are_named_count_and_so_does_a_head() -> None:
    named = regraft.open_network(kinds.Nested(), stages=["features.1", "features.0.0"], view=32)
    assert [s.name for s in named.backbone.stages] == ["features.0.0", "features.1", "last"]
    whole = regraft.open_network(kinds.Nested(), stages=["features.2", "head"], head="", view=32)
    assert [s.name for s in whole.backbone.stages] == ["features.2", "head"]
    assert whole.backbone.name == "Nested"
    assert regraft.open_network(kinds.Nested(), view=32, name="mine").backbone.name == "mine"


def test_wrappers_are_looked_through() -> None:
    compiled = torch.compile(kinds.Nested())
    parallel = nn.DataParallel(kinds.Nested())
    for module in (compiled, parallel):
        found = regraft.open_network(module, view=32).backbone  # type: ignore[arg-type]
        assert tuple(stage.name for stage in found.stages) == kinds.NESTED
        assert found.name == "Nested"


def test_what_its_owner_does_afterwards_changes_nothing() -> None:
    module = kinds.Nested()
    opened = regraft.open_network(module, view=32)
    before = opened.build().state_dict()["features.2.0.weight"].clone()
    with torch.no_grad():
        module.get_parameter("features.2.0.weight").zero_()
    assert torch.equal(opened.build().state_dict()["features.2.0.weight"], before)


# ---- fed


def test_how_images_go_in_is_said_where_nothing_says_so(caplog: pytest.LogCaptureFixture) -> None:
    regraft.open_network(kinds.FixedGrey())
    assert "FixedGrey does not say how images go in" in caplog.text
    assert "28 x 28 px, grey" in caplog.text
    assert "view={'size': 28, 'channels': 1, 'mean': (0.5,), 'std': (0.5,)}" in caplog.text
    caplog.clear()
    for said in ({"view": 32}, {"view": {"size": 32, "mean": 0.5}}):
        regraft.open_network(kinds.Nested(), **said)
    regraft.open_network(kinds.Tokens())  # it has image_size
    assert not caplog.records


def test_a_module_of_timms_says_how_images_go_in(caplog: pytest.LogCaptureFixture) -> None:
    import timm

    with torch.random.fork_rng(devices=[]):
        module = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    record = regraft.open_network(module).backbone
    assert (record.view.size, record.view.crop, record.view.interpolation) == (
        224,
        0.875,
        "bicubic",
    )
    assert record.mean == (0.5, 0.5, 0.5)
    assert not caplog.records


def test_a_view_by_name_has_every_field() -> None:
    words = {"size": (20, 60), "channels": 1, "mean": [0.1], "std": 0.3, "crop": 1.0}
    record = regraft.open_network(
        nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU()), view={**words, "interpolation": "nearest"}
    ).backbone
    assert record.view.shape == (20, 60, 1)
    assert (record.view.crop, record.view.interpolation) == (1.0, "nearest")
    assert (record.mean, record.std) == ((0.1,), (0.3,))


def test_grey_and_oblong_are_what_pillow_makes_of_a_picture(data: Path) -> None:
    file = (data / "rings" / "000.png").read_bytes()
    from regraft.data.images import View, inspect

    grey, oblong, both = (
        inspect(file, [view])[1]
        for view in (
            View(64, 1.0, channels=1),
            View(16, 1.0, "bilinear", fit="squash", width=48),
            View(16, 1.0, "bilinear", width=32, channels=1),
        )
    )
    with Image.open(data / "rings" / "000.png") as image:
        colour = image.convert("RGB")
    assert grey is not None and oblong is not None and both is not None  # noqa: PT018
    assert np.array_equal(grey[0][..., 0], np.asarray(colour.convert("L")))
    squashed = colour.resize((48, 16), Image.Resampling.BILINEAR)
    assert np.array_equal(oblong[0], np.asarray(squashed))
    middle = colour.resize((32, 16), Image.Resampling.BILINEAR, (0, 16, 64, 48)).convert("L")
    assert np.array_equal(both[0][..., 0], np.asarray(middle))


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
def test_a_turned_photo_is_seen_upright_by_a_network_of_oblong_input(fit: str) -> None:
    import io

    from regraft.data.images import View, inspect

    random = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)
    picture = Image.fromarray(random).resize((120, 90), Image.Resampling.BICUBIC)
    lying, exif = picture.transpose(Image.Transpose.ROTATE_90), Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees to the right
    files = []
    for image, words in ((picture, {}), (lying, {"exif": exif})):
        buffer = io.BytesIO()
        image.save(buffer, "PNG", **words)
        files.append(buffer.getvalue())
    view = View(16, 1.0, "bilinear", fit=fit, width=40)
    plain, turned = (inspect(file, [view])[1] for file in files)
    assert plain is not None and turned is not None  # noqa: PT018
    assert plain[0].shape == (16, 40, 3)
    assert np.abs(plain[0].astype(int) - turned[0].astype(int)).max() <= 1


# ---- errors


class NeedsMore(kinds.Nested):
    def forward(self, x: torch.Tensor, mask: torch.Tensor, *, scale: float) -> Any:  # type: ignore[override]
        return super().forward(x * mask * scale)


class TakesNothing(nn.Module):
    def forward(self) -> torch.Tensor:
        return torch.zeros(1)


class OneProduct(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3, 5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3)) @ self.weight


class Constant(nn.Module):
    def forward(self, x: torch.Tensor) -> None:
        x.mean()


class RootBranches(kinds.Nested):
    def forward(self, x: torch.Tensor) -> Any:
        return super().forward(x if x.sum() > 0 else -x)


@pytest.mark.parametrize(
    ("module", "words", "error", "said"),
    [
        (
            NeedsMore(),
            {},
            BackboneError,
            "NeedsMore must take images alone; it also needs mask, scale",
        ),
        (TakesNothing(), {}, BackboneError, "it takes nothing"),
        (kinds.Nested, {}, BackboneError, r"Nested is a class, not a network[\s\S]*Nested\(\)"),
        (7, {}, BackboneError, "must be a name, a torch.nn.Module .* got int"),
        (nn.Sequential(nn.LazyConv2d(4, 3)), {}, BackboneError, "without a shape yet: 0.weight"),
        (nn.Conv2d(3, 4, 1, device="meta"), {}, BackboneError, "Conv2d cannot be copied"),
        (
            OneProduct(),
            {"view": 32},
            BackboneError,
            r"stages of OneProduct cannot be found[\s\S]*stages=",
        ),
        (Constant(), {"view": 32}, BackboneError, "Constant returns nothing that is calculated"),
        (
            RootBranches(),
            {"view": 32},
            BackboneError,
            r"cannot be traced[\s\S]*a module of its own",
        ),
        (
            kinds.Nested(5),
            {"view": {"size": 32, "channels": 0}},
            UsageError,
            "channels must be at least 1, got 0",
        ),
        (kinds.Oblong(), {}, BackboneError, r"Oblong takes no image of any usual size[\s\S]*view="),
        (kinds.Oblong(), {"view": 48}, BackboneError, "Oblong takes no image of 48 px"),
        (
            kinds.Nested(),
            {"stages": ["feature.1"]},
            BackboneError,
            r"'feature.1' is no module of it; near it: features.1[\s\S]*modules: feat",
        ),
        (kinds.Nested(), {"stages": []}, BackboneError, "name at least one module"),
        (
            kinds.Nested(),
            {"head": "haed.3"},
            BackboneError,
            "head 'haed.3' is no module of it; near it: head.3",
        ),
        (kinds.Nested(), {"view": {"sise": 3}}, UsageError, r"no 'sise'[\s\S]*Near it: size"),
        (
            kinds.Nested(),
            {"view": {"size": 32, "mean": (1, 2)}},
            UsageError,
            "mean must be one number or 3, got 2",
        ),
        (kinds.Nested(), {"view": {"size": 32, "std": 0}}, UsageError, "std must be above 0"),
        (kinds.Nested(), {"view": 0}, UsageError, "size must be at least 1 px"),
        (kinds.Nested(), {"view": (32,)}, UsageError, "Images cannot go in like this"),
        (kinds.Nested(), {"view": "32"}, UsageError, "Images cannot go in like this"),
        (kinds.Nested(), {"weights": "w.pth"}, UsageError, "goes without weights="),
        (
            "resnet18",
            {"stages": ["layer1"]},
            UsageError,
            "resnet18 is described already, so it goes without stages=",
        ),
    ],
)
def test_what_cannot_be_a_backbone_is_said_so(
    module: Any, words: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        regraft.open_network(module, **words)


class Mute(nn.Linear):
    """One that refuses a change of type and says nothing."""

    def float(self) -> nn.Module:  # type: ignore[override]
        raise RuntimeError


def test_an_error_without_words_is_named_by_its_kind() -> None:
    with pytest.raises(BackboneError, match="Mute cannot be copied: RuntimeError"):
        regraft.open_network(Mute(3, 4))
