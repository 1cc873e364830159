"""A network for images of another size than its weights': NAME@SIZE."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save, save_file
from torch import nn

from regraft.errors import BackboneError
from regraft.networks import build, timm_models
from regraft.networks.surgery import config, operate, restore
from standin_hub import StandIn, reach, serving

VIT = "test_vit.r160_in1k"  # timm's smallest, for images of 160 px, in patches of 16


def test_a_vit_is_made_for_the_size_and_a_convolutional_network_takes_it_as_it_is() -> None:
    vit, resnet = (build.find(name, seed=0) for name in (f"{VIT}@96", "test_resnet@96"))
    assert (vit.name, vit.architecture) == (f"{VIT}@96", f"{VIT}@96")
    assert vit.timm == (VIT, {"img_size": 96})
    assert (resnet.name, resnet.architecture) == ("test_resnet@96", "test_resnet")
    assert resnet.timm == ("test_resnet", {})
    assert [record.view.size for record in (vit, resnet)] == [96, 96]
    assert vit.stages[0].side == 6
    for record in (vit, resnet):
        half = build.find(record.name.partition("@")[0], seed=0)
        assert half.view.size == 160
        assert half.multiply_adds_to[-1] > 2 * record.multiply_adds_to[-1]


def test_what_was_trained_at_its_own_size_is_carried_over(tmp_path: Path) -> None:
    """From a file and in timm's own way the same: positions are resampled, the rest stays."""
    import timm

    state = dict(timm_models.seeded(VIT, 3).state_dict())
    save_file(state, tmp_path / "vit.safetensors")
    record, module = build.load(f"{VIT}@96", tmp_path / "vit.safetensors")
    own = module.state_dict()
    differ = {name for name, t in state.items() if not torch.equal(t, own[name])}
    assert differ == {"pos_embed"}
    overlay = {"file": str(tmp_path / "vit.safetensors")}
    theirs: nn.Module = timm.create_model(
        VIT, pretrained=True, pretrained_cfg_overlay=overlay, img_size=96
    )
    assert all(torch.equal(t, own[name]) for name, t in theirs.state_dict().items())
    again = build.build(record, tmp_path / "vit.safetensors")
    assert all(torch.equal(t, own[name]) for name, t in again.state_dict().items())


def test_what_is_fetched_is_carried_over_and_a_run_of_it_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = dict(timm_models.seeded(VIT, 3).state_dict())
    with serving(StandIn(files={f"timm/{VIT}/model.safetensors": save(state)})) as hub:
        reach(hub.url, tmp_path, monkeypatch)
        record, module = build.load(f"{VIT}@96")
    assert (record.weights.location, record.licence) == ("r160_in1k", "apache-2.0")
    build.build(record)  # from the cache; its weights are those of the record
    network, _ = operate(module, record, taps=[0, 1], classes=2)
    saved = json.loads(json.dumps(config(network, record)))
    x = torch.randn(1, 3, 96, 96)
    with torch.no_grad():
        assert torch.equal(restore(saved, network.state_dict())(x), network(x))


@pytest.mark.parametrize("size", ["", "x", "0", "-96", "96px", "²"])
def test_a_size_is_a_whole_number(size: str) -> None:
    with pytest.raises(BackboneError, match=rf"side of its image in px[\s\S]*{VIT}@224"):
        build.find(f"{VIT}@{size}", seed=0)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("pit_ti_224@5", "pit_ti_224 cannot be made for images of 5 x 5 px: "),
        ("test_vit@7", "test_vit@7 cannot take an image of 7 x 7 px: "),
    ],
)
def test_a_size_that_does_not_suit_the_network_is_said_so(name: str, said: str) -> None:
    with pytest.raises(BackboneError, match=said):
        build.find(name, seed=0)


def test_what_a_large_image_costs_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_file(dict(timm_models.seeded("test_resnet", 3).state_dict()), tmp_path / "r.safetensors")
    small = build.find("test_resnet", tmp_path / "r.safetensors")
    assert (small.view.size, caplog.messages) == (160, [])
    large = "vit_tiny_patch16_384"
    save_file(dict(timm_models.seeded(large, 3).state_dict()), tmp_path / "v.safetensors")
    record = build.find(large, tmp_path / "v.safetensors")
    [said] = caplog.messages
    assert said.startswith(f"{large} takes images of 384 × 384 px, ")
    assert f"{record.multiply_adds_to[-1] / 1e6:,.0f} million multiply-adds each" in said
    assert said.endswith(f"{large}@224 takes smaller ones.")
    build.find(f"{large}@336", tmp_path / "v.safetensors")  # asked for
    assert not [one for one in caplog.messages[1:] if "takes images" in one]
