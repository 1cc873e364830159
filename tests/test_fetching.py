"""Weights out of the hub: once, when named, checked by hash; or said how else to get them."""

import io
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from PIL import Image
from safetensors.torch import save
from torch import Tensor

from command import Regraft, cli, own_log
from regraft import backbones
from regraft.errors import BackboneError
from regraft.networks import build, timm_models, weights
from standin_hub import StandIn, reach, serving

__all__ = ["cli", "own_log"]  # fixtures

NAME = "mobilenetv3_small_050.lamb_in1k"
FILE = f"timm/{NAME}/model.safetensors"
PICKLED = f"timm/{NAME}/pytorch_model.bin"


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return dict(timm_models.seeded(NAME, 3).state_dict())


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """The hub's cache, empty."""
    return tmp_path / "hub"


@pytest.fixture
def hub(
    cache: Path, state: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> Iterator[StandIn]:
    with serving(StandIn(files={FILE: save(state)})) as hub:
        reach(hub.url, cache, monkeypatch)
        yield hub


def left(cache: Path) -> list[str]:
    """Files of weights in a cache, whole or not."""
    inside = [path for path in cache.rglob("*") if {"blobs", "snapshots"} & {*path.parts}]
    return [path.name for path in inside if not path.is_dir()]


def problems(caught: pytest.ExceptionInfo[BackboneError]) -> str:
    """The whole error; each says how else to get the file."""
    said = str(caught.value)
    assert f"The weights of {NAME} could not be fetched: " in said
    assert f"/timm/{NAME}/resolve/main/model.safetensors" in said
    assert f"--backbone {NAME} --weights model.safetensors" in said
    return said


# ---- what works


def test_a_network_is_fetched_once_and_checked_and_recorded(
    hub: StandIn, state: dict[str, Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    before = torch.random.get_rng_state()
    record, module = build.load(NAME)
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(state[name], t) for name, t in module.state_dict().items())
    assert (record.weights.origin, record.weights.location) == ("timm", "lamb_in1k")
    assert (record.licence, record.source) == ("apache-2.0", "ImageNet-1k")
    [said] = caplog.messages
    assert said.startswith(f"Fetching {NAME} (6.4 MB, licence apache-2.0) from {hub.url}")
    assert hub.fetched() == 1


def test_what_is_in_the_cache_asks_nobody(
    hub: StandIn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = build.find(NAME)
    asked, said = len(hub.asked), len(caplog.messages)
    assert build.find(NAME) == first
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert weights.fingerprint(build.build(first)) == first.weights.sha256
    assert (len(hub.asked), len(caplog.messages)) == (asked, said)


def test_nothing_is_fetched_unless_it_is_named(hub: StandIn, cli: Regraft) -> None:
    assert cli("draw", NAME, "--case", 1).code == 0
    assert cli("models").code == 0
    build.find(NAME, seed=0)
    assert hub.asked == []


def test_there_is_a_bar(
    hub: StandIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TQDM_POSITION", "-1")  # the hub's word for: also where no terminal is
    build.find(NAME)
    out, err = capsys.readouterr()
    assert "100%" in err
    assert out == ""


def test_the_licence_of_the_page_is_shown_too(
    hub: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    hub.licence = "cc-by-nc-4.0"
    assert build.find(NAME).licence == "apache-2.0"
    assert "licence apache-2.0 as timm says, cc-by-nc-4.0 as its page says" in caplog.text


def test_pickled_weights_are_read_where_there_are_no_others(
    hub: StandIn, state: dict[str, Tensor]
) -> None:
    pickled = io.BytesIO()
    torch.save(state, pickled)
    hub.files = {PICKLED: pickled.getvalue()}
    module = build.load(NAME)[1]
    assert all(torch.equal(state[name], t) for name, t in module.state_dict().items())


def test_two_processes_at_once_both_have_it(hub: StandIn, tmp_path: Path) -> None:
    home = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
    code = "from regraft.networks.weights import hub\n"
    code += f"print(hub.weights_of({NAME!r}, 'timm/{NAME}', '', 'mit').read_bytes().hex())"
    command = [sys.executable, "-c", code]
    both = [subprocess.Popen(command, env=home, stdout=subprocess.PIPE) for _ in range(2)]
    said = [one.communicate(timeout=300)[0].decode().strip() for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert said == [hub.files[FILE].hex()] * 2
    assert len(left(tmp_path / "hub")) == 2, "one file, and the link to it"


# ---- what does not


def test_a_file_that_is_not_the_one_named_is_removed(hub: StandIn, cache: Path) -> None:
    hub.named = {FILE: "ab" * 32}
    with pytest.raises(BackboneError, match=r"damaged, and was removed[\s\S]*must be abab"):
        build.find(NAME)
    assert left(cache) == []
    hub.named = {}
    build.find(NAME)


def test_a_file_that_changed_in_the_cache_is_removed(hub: StandIn, cache: Path) -> None:
    build.find(NAME)
    [blob] = [path for path in cache.rglob("blobs/*") if path.is_file()]
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes()[:-1] + b"x")
    with pytest.raises(BackboneError, match="damaged, and was removed"):
        build.find(NAME)
    assert left(cache) == []
    build.find(NAME)


def test_a_server_that_names_no_hash_is_said_so(
    hub: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    hub.named = {FILE: "0123"}
    build.find(NAME)
    assert "names no SHA-256 of model.safetensors" in caplog.text


def test_half_a_file_is_not_kept(
    hub: StandIn, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    hub.breaks_off = 1_000_000
    with pytest.raises(BackboneError) as caught:
        build.find(NAME)
    assert "the transfer broke off." in problems(caught)
    assert left(cache) == []
    hub.breaks_off = None
    build.find(NAME)


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (401, "RepoNotFound", "no such repository, or shows it only to those who are logged in"),
        (404, "RepoNotFound", "`hf auth login`"),
        (403, "GatedRepo", "their licence has to be accepted first."),
        (403, "GatedRepo", f"/timm/{NAME}, then `hf auth login`, or set HF_TOKEN"),
        (404, "EntryNotFound", "the repository has no such file."),
        (503, "", "the hub answers with 503 Service Unavailable."),
    ],
)
def test_a_refusal_says_what_helps(
    hub: StandIn, status: int, kind: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.refuses = (status, kind)
    with pytest.raises(BackboneError) as caught:
        build.find(NAME)
    assert said in problems(caught)


def test_without_a_net_it_says_how_else(
    cache: Path, cli: Regraft, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    away = "http://127.0.0.1:9"
    reach(away, cache, monkeypatch)
    with pytest.raises(BackboneError) as caught:
        build.find(NAME)
    assert f"{away} cannot be reached" in problems(caught)
    with pytest.raises(BackboneError, match="The bundled efficientnet-lite0 is the same network"):
        build.find("tf_efficientnet_lite0")
    for kind in ("ants", "bees"):
        (tmp_path / "data" / kind).mkdir(parents=True)
        Image.new("RGB", (8, 8), "red").save(tmp_path / "data" / kind / "one.png")
    said = cli("plan", tmp_path / "data", "--backbone", NAME)
    assert (said.code, said.out) == (1, "")
    assert "cannot be reached" in said.err


def test_offline_is_said_so(hub: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(BackboneError) as caught:
        build.find(NAME)
    assert "HF_HUB_OFFLINE is set, and they are not in the cache." in problems(caught)
    assert hub.asked == []


def test_a_cache_that_cannot_be_written_is_named(hub: StandIn, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.raises(BackboneError) as caught:
        build.find(NAME)
    assert f"{cache}" in problems(caught)
    assert "cannot be written." in str(caught.value)
    assert "Set HF_HOME" in str(caught.value)


def test_no_pickle_runs_code(hub: StandIn) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (print, ("boom",))

    pickled = io.BytesIO()
    torch.save({"weight": Bomb()}, pickled)
    hub.files = {PICKLED: pickled.getvalue()}
    with pytest.raises(BackboneError, match=r"pytorch_model\.bin cannot be read: "):
        build.find(NAME)


def test_weights_of_another_network_are_said_so(hub: StandIn) -> None:
    hub.files[FILE] = save({"conv_stem.weight": torch.zeros(3)})
    with pytest.raises(BackboneError, match=rf"The weights of {NAME} could not be read: "):
        build.find(NAME)


def test_what_was_fetched_elsewhere_is_named_as_a_file(
    hub: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    (tmp_path / "model.safetensors").write_bytes(hub.files[FILE])
    record = build.find(NAME, tmp_path / "model.safetensors")
    assert (record.weights.origin, record.weights.location) == ("file", "model.safetensors")
    assert hub.asked == []
    assert backbones.weights_file(record, tmp_path / "model.safetensors").is_file()
