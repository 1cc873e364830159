"""Weight files -> tensors by name, out of whatever they are wrapped in; nothing in them is run."""

import argparse
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regraft.data.dataset import listed
from regraft.errors import BackboneError

log = logging.getLogger("regraft")

WRAPPINGS = (
    *("state_dict", "model", "model_state_dict", "model_ema"),
    *("state_dict_ema", "ema_state_dict", "model_ema_state_dict", "ema", "ema_model"),
    *("model_state", "model_weights", "model_dict", "module", "net", "network", "net_state_dict"),
    *("network_state_dict", "weights", "params", "params_ema", "parameters", "teacher", "student"),
    *("backbone", "encoder", "trunk"),
)
"""What networks lie under in checkpoints; of several the first is read."""

WORDS = "Save only the tensors where it was made: torch.save(model.state_dict(), FILE)."
SHOWN = 5
"""Keys and classes named; the rest are counted."""

NO_WEIGHTS = {
    b"version https": "it is the pointer of a Git LFS file, not the file: git lfs pull.",
    b"<!doctype": "it is a web page: the download went wrong.",
    b"<html": "it is a web page: the download went wrong.",
    b"\x89hdf": "it is an HDF5 file (Keras), and only torch's weights can be read.",
}
"""First bytes of what is often taken for weights."""


def read(path: Path) -> dict[str, Tensor]:
    """Tensors by name from a ``.safetensors`` file, or from any other by torch's safe reader.

    Raises:
        BackboneError: the file is missing, damaged, or holds something else than tensors.
    """
    try:
        _check_kind(path)
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return _tensors(load_file(path), path)
        with torch.serialization.safe_globals(_harmless()):
            raw = torch.load(path, map_location="cpu", weights_only=True)
    except BackboneError:
        raise
    except OSError as error:
        why = error.strerror or str(error)
        raise BackboneError(f"The weights {path} cannot be read: {why}.") from error
    except Exception as error:  # the readers raise whatever a damaged file makes them stumble over
        raise _refused(path, *_why(str(error) or type(error).__name__)) from error
    return _tensors(raw, path)


def _refused(path: Path, why: str, remedy: str = WORDS) -> BackboneError:
    kinds = "It must be a .safetensors file, or a .pth, .pt, .bin or .ckpt that holds only tensors."
    return BackboneError(f"The weights {path} cannot be read: {why}", [kinds, remedy])


def _check_kind(path: Path) -> None:
    """Tell what is plainly something else by its name or first bytes."""
    with path.open("rb") as file:
        start = file.read(64).lstrip().lower()
    for first, what in NO_WEIGHTS.items():
        if start.startswith(first):
            raise _refused(path, what)
    if path.suffix.lower() in (".npz", ".npy"):
        raise _refused(path, "it holds arrays of NumPy, most likely of JAX or Flax.")


def _harmless() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """Return what lies beside the tensors of many checkpoints: values, nothing that runs code.

    Options of the training, the best accuracy as a number of NumPy's, paths. The names are those
    that a file spells; NumPy 2 and Python 3.13 call some by other names than older ones.
    """
    scalar, array = _numpy_makers()
    kinds: list[Callable[..., Any] | tuple[Callable[..., Any], str]]
    kinds = [argparse.Namespace, np.dtype, np.ndarray]
    kinds += [getattr(np.dtypes, name) for name in np.dtypes.__all__ if "Object" not in name]
    for core in ("numpy.core.multiarray", "numpy._core.multiarray"):
        kinds += [(scalar, f"{core}.scalar"), (array, f"{core}._reconstruct")]
    for module in ("pathlib", "pathlib._local"):
        kinds += [(PurePosixPath, f"{module}.PosixPath")]
        kinds += [(PureWindowsPath, f"{module}.WindowsPath")]
    return kinds


def _numpy_makers() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return what NumPy's own pickles name as the makers of a scalar and of an array."""
    scalar: Any = np.float64(0).__reduce__()[0]
    array: Any = np.zeros(0).__reduce__()[0]
    return scalar, array


def _why(said: str) -> tuple[str] | tuple[str, str]:
    """Return what a reader says, in a line.

    Without its advice, which is for programmers, and colours.
    """
    said = re.sub(r"\x1b\[[0-9;]*m", "", said)
    if named := re.findall(r"(?:GLOBAL |class '|instantiate )([\w.]+\.\w+)", said):
        return (f"it holds {named[0]}, which is code and not a tensor; code is never run.",)
    if "TorchScript" in said or "torchscript" in said:
        return ("it is a TorchScript program, which is code; code is never run.",)
    if "legacy .tar" in said:
        again = "Open it with torch.load where you trust it, and save its tensors anew."
        return ("it is of the .tar format that torch wrote before 2017.", again)
    if re.search("EOF|Ran out of input|central directory", said):
        return ("it is cut short.",)
    if "Weights only load failed" in said:
        return ("it holds something else than tensors, or it is damaged.",)
    return (said.partition("\n")[0].rstrip(".") + ".",)


def _tensors(raw: Any, path: Path) -> dict[str, Tensor]:
    """Return the state dict in what a file holds, out of the usual wrappings."""
    kind = type(raw).__name__
    while isinstance(raw, Mapping) and (inside := _wrapped(raw)):
        if len(inside) > 1:
            log.warning("%s holds %s; %s is read.", path, listed(inside, SHOWN), inside[0])
        raw = raw[inside[0]]
    found = dict(_named(raw)) if isinstance(raw, Mapping) else {}
    if not found:
        keys = [str(key) for key in raw] if isinstance(raw, Mapping) else []
        there = f" of {listed(keys, SHOWN)}" if keys else ""
        raise BackboneError(f"The weights {path} hold no state dict, but a {kind}{there}.", [WORDS])
    return found


def _wrapped(raw: Mapping[Any, Any]) -> list[str]:
    """Return the keys under which networks lie, the one to read first."""
    known = [name for name in WRAPPINGS if name in raw and _holds_network(raw[name])]
    if known or any(isinstance(value, Tensor) for value in raw.values()):
        return known
    return [name for name, value in raw.items() if isinstance(name, str) and _holds_network(value)]


def _holds_network(value: Any) -> bool:
    """Return whether a network lies in it.

    What an optimizer remembers has no points in its names.
    """
    if not isinstance(value, Mapping):
        return False
    return any("." in name for name, _ in _named(value)) or bool(_wrapped(value))


def _named(raw: Mapping[Any, Any]) -> Iterator[tuple[str, Tensor]]:
    """Tensors by name."""
    for name, value in raw.items():
        if isinstance(name, str) and isinstance(value, Tensor):
            yield name, value
