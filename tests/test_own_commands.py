"""A network of one's own on the command line: ``package.module:factory``."""

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import regraft
from command import Regraft, cli, own_log
from pictures import lay_out
from regraft.errors import BackboneError
from regraft.networks import factories
from regraft.serve import Listening
from scenes import each, scene, scenes

__all__ = ["cli", "own_log"]  # fixtures

SOURCE = """
import regraft
import torch
from torch import nn

def net():
    torch.manual_seed(5)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5),
    )

def described():
    view = {"size": (24, 48), "mean": 0.4, "std": 0.3}
    return regraft.open_network(net(), stages=["1", "3"], view=view, name="Netlet")

def other():
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.Flatten())

def fails():
    raise ValueError("no such weights")

def needs(size):
    return net()

def nothing():
    return 3

class Held:
    inner = net()

made = net()
Net = type("Net", (nn.Module,), {"forward": lambda self, x: x})
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with images and a module; its name is one that nothing else has."""
    folder = tmp_path_factory.mktemp("own")
    lay_out(folder / "scenes", scenes(each(8)))
    (folder / "ownnets.py").write_text(SOURCE)
    (folder / "ownbroken.py").write_text("import nothing_like_it\n")
    (folder / "ownwrong.py").write_text("1 / 0\n")
    (folder / "new.png").write_bytes(scene("rings", 77))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def run(place: Path) -> Path:
    regraft.fit("scenes", "ownnets:described", case=1, out="run")
    return Path("run")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ownnet:net", "ownnet:net cannot be imported: there is no module ownnet"),
        ("ownnets.deeper:net", "cannot be imported: there is no module ownnets.deeper"),
        ("ownbroken:net", "cannot be imported: ModuleNotFoundError: No module named 'nothing_like"),
        ("ownwrong:net", "cannot be imported: ZeroDivisionError: division by zero"),
        ("ownnets:nett", r"ownnets has no 'nett'[\s\S]*Near it: net"),
        ("ownnets:Held.outer", "ownnets has no 'Held.outer'"),
        ("ownnets:fails", "ownnets:fails cannot be called: ValueError: no such weights"),
        ("ownnets:needs", "cannot be called: TypeError: .*'size'"),
        ("ownnets:nothing", "ownnets:nothing must give a torch.nn.Module, got int"),
        ("ownnets:torch", "must give a torch.nn.Module, got module"),
    ],
)
def test_what_cannot_be_had_is_said_so(name: str, said: str, place: Path) -> None:
    assert factories.is_factory(name)
    with pytest.raises(BackboneError, match=said):
        regraft.open_network(name)


@pytest.mark.parametrize("name", ["ownnets:net", "ownnets:made", "ownnets:Held.inner"])
def test_a_function_a_module_and_a_part_of_a_class_give_a_network(name: str, place: Path) -> None:
    record = regraft.open_network(name, view={"size": 32}).backbone
    assert [stage.name for stage in record.stages] == ["1", "3"]
    assert record.name == name


def test_a_class_is_called_and_a_described_network_keeps_its_name(place: Path) -> None:
    with pytest.raises(BackboneError, match="stages of ownnets:Net cannot be found"):
        regraft.open_network("ownnets:Net", view={"size": 32})
    assert regraft.open_network("ownnets:described").backbone.name == "Netlet"


@pytest.mark.parametrize(
    "name",
    [
        "resnet18",
        "vit_small_patch14_dinov2.lvd142m",
        "hf-hub:timm/some",
        "local-dir:/some",
        "a:b/c",
    ],
)
def test_names_of_timms_are_no_places_in_a_module(name: str) -> None:
    assert not factories.is_factory(name)


def test_the_commands_take_it(cli: Regraft, place: Path) -> None:
    name = "ownnets:described"
    told = cli("plan", "scenes", "-b", name, "--out", "plan.json").out
    assert "Netlet" in told
    assert "each image of 24 × 48 px" in " ".join(told.split())
    assert cli("fit", "--plan", "plan.json", "-o", "planned", "-b", name).code == 0
    again = cli("fit", "--plan", "plan.json", "-o", "again")
    assert (again.code, "--backbone package.module:factory" in again.err) == (1, True)
    ranked = cli("rank", "scenes", "-b", "ownnets:net", "-b", "demonstration", "--json").json
    assert {row["backbone"] for row in ranked["ranking"]} == {"ownnets:net", "demonstration"}
    assert cli("compare", "scenes", "-b", name, "--quick", "-o", "side").code == 0
    assert "24×48 px" in cli("draw", name).out
    assert cli("look", name, "scenes", "--most", "20", "-o", "look.html").code == 0


def test_a_run_is_used_with_it(cli: Regraft, run: Path) -> None:
    net = ("--network", "ownnets:described")
    assert cli("predict", run, "new.png", *net, "--json").json[0]["label"]
    assert cli("report", run, "--heat-maps", "--data", "scenes", *net).code == 0
    for to in ("onnx", "torch", "openvino"):
        assert cli("export", run, "--to", to, "--data", "scenes", *net).code == 0
    refused = cli("export", run, "--to", "timm", *net)
    assert (refused.code, "no network of timm's" in refused.err) == (1, True)
    wrong = cli("predict", run, "new.png", "--network", "ownnets:other")
    assert (wrong.code, "is not the network that the RUN 'run' was made" in wrong.err) == (1, True)
    named = cli("predict", run, "new.png", "--network", "ownnets")
    assert (named.code, "is named like package.module:factory" in named.err) == (1, True)
    hub = cli("export", run, "me/it", "--to", "hub", *net)
    assert (hub.code, "takes no --network" in hub.err) == (2, True)


def test_a_run_is_served_with_it(run: Path) -> None:
    ready, servers = threading.Event(), list[Listening]()

    def started(server: Listening) -> None:
        servers.append(server)
        ready.set()

    words = {"port": 0, "started": started, "network": "ownnets:net"}
    thread = threading.Thread(target=regraft.serve, args=(run,), kwargs=words)
    thread.start()
    assert ready.wait(120)
    try:
        told = httpx.get(f"{servers[0].url}/model").json()
        file = Path("new.png").read_bytes()
        answer = httpx.post(f"{servers[0].url}/predict", content=file).json()
    finally:
        servers[0].stop()
        thread.join()
    assert (told["preprocessing"]["size"], told["preprocessing"]["width"]) == (24, 48)
    assert told["preprocessing"]["channels"] == 1
    assert answer


def test_what_a_file_names_is_never_imported(cli: Regraft, place: Path) -> None:
    """The record of a plan has the place in it; only what is typed is run."""
    cli("plan", "scenes", "-b", "ownnets:net", "--out", "trap.json")
    text = Path("trap.json").read_text("utf-8")
    assert '"ownnets:net"' in text
    Path("trap.json").write_text(text.replace("ownnets:net", "ownwrong:net"))
    said = cli("fit", "--plan", "trap.json", "-o", "trapped")
    assert said.code == 1
    assert "ZeroDivisionError" not in said.err
    assert "is not in it" in said.err
