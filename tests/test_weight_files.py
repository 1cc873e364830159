"""What people have as --weights: each form loads to the same tensors, or is refused in words."""

import argparse
import io
import logging
import re
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from regraft.errors import BackboneError
from regraft.networks import build, timm_models, weights

State = dict[str, Tensor]
Make = Callable[[State], Any]

NETWORKS = ("test_resnet", "test_vit", "test_convnext")


@pytest.fixture(scope="module")
def states() -> dict[str, State]:
    """Weights by network, each tensor unlike the others of its shape."""
    drawn = torch.Generator().manual_seed(1)

    def some(tensor: Tensor) -> Tensor:
        plain = tensor.is_floating_point()
        return torch.rand(tensor.shape, generator=drawn) + 0.5 if plain else tensor

    made = {name: timm_models.create(name).state_dict() for name in NETWORKS}
    return {name: {n: some(t) for n, t in state.items()} for name, state in made.items()}


def under(prefix: str, state: State) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


def wrapped(name: str, state: State) -> dict[str, Any]:
    return {name: state, "epoch": 3}


def seven(state: State, head: str = "fc") -> State:
    """The same for seven classes."""
    return state | {f"{head}.weight": state[f"{head}.weight"][:7], f"{head}.bias": torch.zeros(7)}


def trunk(state: State) -> State:
    return {name: t for name, t in state.items() if not name.startswith("fc.")}


def other(state: State) -> State:
    return {name: t + 1 for name, t in state.items()}


def beside(state: State) -> dict[str, Any]:
    """What trainings write beside the weights."""
    optimizer = {"state": {0: {"step": torch.zeros(()), "exp_avg": torch.zeros(3)}}}
    return {"epoch": 3, "optimizer": optimizer, "loss": torch.tensor(0.1), "state_dict": state}


def authored(state: State) -> State:
    """The names of the authors of ConvNeXt."""
    names = [
        (r"^stem\.", "downsample_layers.0."),
        (r"^stages\.(\d)\.downsample\.", r"downsample_layers.\1."),
        (r"\.blocks\.", "."),
        ("conv_dw", "dwconv"),
        (r"mlp\.fc", "pwconv"),
        (r"^head\.norm", "norm"),
        (r"^head\.fc", "head"),
    ]
    found = {}
    for name, tensor in state.items():
        for pattern, new in names:
            name = re.sub(pattern, new, name)
        found[name] = tensor
    return found


# ---- what loads: network, what is saved, and where the file says more than is used, the words

R, V, C = NETWORKS
LOADS: dict[str, tuple[str, Make, str]] = {
    "plain": (R, lambda s: s, ""),
    **{
        f"under {prefix}": (R, partial(under, prefix), "")
        for prefix in (
            *("module.", "model.", "backbone.", "encoder.", "net.", "_orig_mod.", "student."),
            *("teacher.backbone.", "module._orig_mod.", "_orig_mod.module.model.", "any.thing."),
        )
    },
    **{
        f"in {wrapping}": (R, partial(wrapped, wrapping), "")
        for wrapping in (
            *("state_dict", "model", "model_state_dict", "model_ema", "net", "network", "weights"),
            *("model_state", "params", "ema", "ema_state_dict", "teacher", "student", "module"),
            "what_nobody_knows",
        )
    },
    "ema.module": (R, lambda s: {"ema": {"module": s, "decay": 0.999}}, ""),
    "three deep": (R, lambda s: {"checkpoint": {"model": {"state_dict": s}}}, ""),
    "beside an optimizer": (R, beside, ""),
    "of Lightning": (R, lambda s: {"state_dict": under("model.", s), "loops": {}}, ""),
    "prefix and seven classes": (R, lambda s: under("module.", seven(s)), ""),
    "prefix and no head": (V, lambda s: under("backbone.", trunk(s)), ""),
    "Lightning, seven classes": (R, lambda s: {"state_dict": under("net.", seven(s))}, ""),
    "prefix and a head elsewhere": (
        R,
        lambda s: under("encoder.", trunk(s)) | {"probe.weight": torch.zeros(7, 3)},
        "no part of the network are not used: probe (1)",
    ),
    "a head of another name": (
        R,
        lambda s: trunk(s) | {"classifier.1.weight": torch.zeros(7, 3)},
        "no part of the network are not used: classifier (1)",
    ),
    "model and model_ema": (
        R,
        lambda s: {"model": s, "model_ema": other(s)},
        "holds model, model_ema; model is read",
    ),
    "teacher before student": (
        R,
        lambda s: {"student": other(s), "teacher": s},
        "holds teacher, student; teacher is read",
    ),
    "teacher. before student.": (
        R,
        lambda s: under("student.backbone.", other(s)) | under("teacher.backbone.", s),
        "2 networks lie in them; 'teacher.backbone.' is read",
    ),
    "averaged by torch": (
        R,
        lambda s: {"n_averaged": torch.tensor(3), **under("module.", s)},
        "not used: n_averaged (1)",
    ),
    "without num_batches_tracked": (
        R,
        lambda s: {n: t for n, t in s.items() if "num_batches" not in n},
        "",
    ),
    "options and NumPy's numbers": (
        R,
        lambda s: {
            "model": s,
            "args": argparse.Namespace(lr=0.1, out=Path("runs")),
            "best": np.float64(0.9),
            "step": np.int64(3),
            "rng": np.random.RandomState(0).get_state(),
        },
        "",
    ),
    "of half precision": (R, lambda s: {n: t.half().float() for n, t in s.items()}, ""),
    "by order": (
        R,
        lambda s: {f"{i}.{n.rpartition('.')[2]}": t for i, (n, t) in enumerate(s.items())},
        "",
    ),
    "by order, seven classes": (
        R,
        lambda s: {f"{i}.{n.rpartition('.')[2]}": t for i, (n, t) in enumerate(seven(s).items())},
        "",
    ),
    "ConvNeXt of its authors": (C, authored, "converted as timm does it"),
    "ConvNeXt of its authors, wrapped": (
        C,
        lambda s: {"model": under("module.backbone.", seven(authored(s), "head"))},
        "converted as timm does it",
    ),
    "OpenCLIP": (V, lambda s: under("visual.trunk.", s), ""),
}


def load(name: str, made: Any, path: Path) -> nn.Module:
    torch.save(made, path)
    return build.load(name, path)[1]


@pytest.mark.parametrize("what", LOADS)
def test_loads(
    what: str, states: dict[str, State], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name, make, said = LOADS[what]
    caplog.set_level(logging.WARNING, "regraft")
    module = load(name, make(states[name]), tmp_path / "given.pth")
    head = f"{timm_models.head_of(module)}."
    got, want = module.state_dict(), states[name]
    exact = what != "of half precision"
    assert all(
        torch.equal(got[n], want[n]) if exact else torch.allclose(got[n], want[n], rtol=1e-3)
        for n in want
        if not n.startswith(head) and "num_batches" not in n
    )
    assert bool(caplog.text) is bool(said)
    assert said in caplog.text


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_read_as_float32(
    kind: torch.dtype, states: dict[str, State], tmp_path: Path
) -> None:
    state = {n: t.to(kind) if t.is_floating_point() else t for n, t in states[R].items()}
    save_file(state, tmp_path / "given.safetensors")
    got = build.load(R, tmp_path / "given.safetensors")[1].state_dict()
    assert all(torch.equal(got[n], t.to(got[n].dtype)) for n, t in state.items())


def test_positions_of_another_size_are_resampled(
    states: dict[str, State], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = states[V]
    flat = torch.full((1, 1 + 20 * 20, state["pos_embed"].shape[-1]), 0.7)
    got = load(V, under("module.", {**state, "pos_embed": flat}), tmp_path / "big.pth")
    assert torch.allclose(got.state_dict()["pos_embed"], torch.tensor(0.7), atol=1e-4)
    assert "converted as timm does it" in caplog.text


# ---- what is refused: what is saved, words of the error


def changed(name: str, how: Callable[[Tensor], Tensor]) -> Make:
    return lambda s: s | {name: how(s[name])}


def put(value: float) -> Callable[[Tensor], Tensor]:
    def one(tensor: Tensor) -> Tensor:
        new = tensor.clone()
        new.view(-1)[:2] = value
        return new

    return one


def swapped(state: State) -> State:
    """Mean before weight, as another framework writes it: every shape agrees, no value does."""
    order = {"running_mean": 0, "running_var": 1, "weight": 2, "bias": 3, "num_batches_tracked": 4}
    parts = [name.rpartition(".") for name in state]
    firsts = list(dict.fromkeys(first for first, _, _ in parts))
    ranked = sorted(parts, key=lambda part: (firsts.index(part[0]), order[part[2]]))
    return {f"x{'.'.join([a, c])}": state[f"{a}.{c}"] for a, _, c in ranked}


REFUSED: dict[str, tuple[Make, list[str]]] = {
    "nan": (
        changed("conv1.0.weight", put(float("nan"))),
        ["nan or infinity", "conv1.0.weight: 2 of"],
    ),
    "inf under a prefix": (
        lambda s: under("model.", changed("bn1.running_var", put(float("inf")))(s)),
        ["nan or infinity", "bn1.running_var: 2 of", "diverged"],
    ),
    "by order, other parts": (swapped, ["order: the shapes agree", "would be taken from"]),
    "by order, no names": (
        lambda s: {f"{i}": t for i, t in enumerate(s.values())},
        ["order: the shapes agree", "conv1.0.weight would be taken from 0"],
    ),
    "whole numbers": (
        changed("layer1.0.conv1.weight", lambda t: t.to(torch.int8)),
        ["type: layer1.0.conv1.weight must be of floating point, got int8"],
    ),
    "a deeper network": (
        lambda s: s | {"layer1.9.conv1.weight": torch.zeros(3)},
        ["unexpected: layer1.9.conv1.weight 3"],
    ),
    "another norm before the trunk": (
        lambda s: s | {"norm_pre.weight": torch.zeros(3)},
        ["unexpected: norm_pre.weight 3"],
    ),
    "a part that is missing": (
        lambda s: under("model.", {n: t for n, t in s.items() if n != "bn1.bias"}),
        ["missing: bn1.bias", "--backbone NAME"],
    ),
    "only an optimizer": (
        lambda s: {"optimizer": {"state": {}}, "epoch": 3},
        ["hold no state dict, but a dict of optimizer, epoch"],
    ),
    "a list": (
        lambda s: [s, s],
        ["hold no state dict, but a list"],
    ),
    "a whole module": (
        lambda s: nn.Sequential(nn.Linear(2, 2)),
        ["it holds torch.nn.modules.container.Sequential, which is code", "state_dict()"],
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_is_refused(what: str, states: dict[str, State], tmp_path: Path) -> None:
    make, words = REFUSED[what]
    with pytest.raises(BackboneError) as caught:
        load(R, make(states[R]), tmp_path / "given.pth")
    plain(str(caught.value), words)


def plain(text: str, words: list[str]) -> None:
    """What is said holds the words, and neither colours nor advice for programmers."""
    assert all(word in text for word in words), text
    assert "given.pth" in text
    assert not re.search(r"\x1b|weights_only|safe_globals|pytorch\.org|Traceback", text)
    assert len(text.splitlines()) <= 6


def script() -> bytes:
    stream = io.BytesIO()
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), stream)
    return stream.getvalue()


def legacy_tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    return stream.getvalue()


def archive() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, kernel=np.zeros(3))
    return stream.getvalue()


def short() -> bytes:
    stream = io.BytesIO()
    torch.save({"weight": torch.zeros(1000)}, stream)
    return stream.getvalue()[:900]


BYTES: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (bytes, "cut short"),
    "half": (short, "cut short"),
    "words": (lambda: b"x", "something else than tensors"),
    "noise": (lambda: bytes(range(200, 255)), "something else than tensors"),
    "a pointer of Git LFS": (
        lambda: b"version https...\noid sha256:0",
        "git lfs pull",
    ),
    "a web page": (lambda: b"<!DOCTYPE html><html>no</html>", "it is a web page"),
    "Keras": (lambda: b"\x89HDF\r\n\x1a\n" + bytes(99), "an HDF5 file"),
    "TorchScript": (script, "a TorchScript program"),
    "tar of torch 0.1": (legacy_tar, ".tar format"),
    "NumPy": (archive, "cannot be read"),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("what", BYTES)
def test_other_files_are_told_apart(what: str, tmp_path: Path) -> None:
    make, words = BYTES[what]
    (tmp_path / "given.pth").write_bytes(make())
    with pytest.raises(BackboneError) as caught:
        weights.read(tmp_path / "given.pth")
    plain(str(caught.value), [words])


def test_an_archive_of_numpy_is_named_by_its_ending(tmp_path: Path) -> None:
    (tmp_path / "given.npz").write_bytes(archive())
    with pytest.raises(BackboneError, match="it holds arrays of NumPy"):
        weights.read(tmp_path / "given.npz")
