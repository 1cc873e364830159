"""Read weight files without running anything in them, and fit them to a network."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from regraft.errors import BackboneError

State = dict[str, Tensor]

SHOWN = 5
"""Mismatches named of each kind; the rest are counted."""


def read(path: Path) -> State:
    """Tensors by name from a ``.safetensors`` file, or from any other by torch's safe reader.

    Raises:
        BackboneError: the file is missing, damaged, or holds something else than tensors.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        raw = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        why = error.strerror or str(error)
        raise BackboneError(f"The weights {path} cannot be read: {why}.") from error
    except Exception as error:  # the readers raise whatever a damaged file makes them stumble over
        raise BackboneError(
            f"The weights {path} cannot be read: {str(error).splitlines()[0]}",
            ["It must be a .safetensors file, or a .pth or .pt that holds only tensors."],
        ) from error
    return _tensors(raw, path)


def fit(module: nn.Module, state: Mapping[str, Tensor], *, head: str, what: str) -> bool:
    """Load a state dict into a module: by name, or by order where every shape agrees in order.

    A head (a path) that is missing or has another shape is left as it is: it is cut off anyway.

    Returns:
        Whether the keys went by order.

    Raises:
        BackboneError: the first mismatches, of each kind.
    """
    own = module.state_dict()
    mine, theirs = _without(own, head), _without(state, head)
    problems = list(_mismatches(mine, theirs))
    if not problems:
        head_fits = not any(_mismatches(own, state))
        module.load_state_dict(dict(state) if head_fits else theirs, strict=head_fits)
        return False
    if [t.shape for t in own.values()] == [t.shape for t in state.values()]:
        module.load_state_dict(dict(zip(own, state.values(), strict=True)))
        return True
    raise BackboneError(
        f"{what} do not fit: {len(theirs)} tensors were found where {len(mine)} are wanted.",
        [*problems, "Name the network that these weights were made for with --backbone NAME."],
    )


def fingerprint(module: nn.Module) -> str:
    """SHA-256 over the names, types, shapes and bytes of a state dict, in hex."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        flat = tensor.detach().cpu().contiguous().flatten()
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _tensors(raw: Any, path: Path) -> State:
    """The state dict in what a file holds, out of the usual wrappings."""
    for wrapping in ("state_dict", "model", "model_state_dict", "model_ema"):
        if isinstance(raw, Mapping) and isinstance(raw.get(wrapping), Mapping):
            raw = raw[wrapping]
    if not isinstance(raw, Mapping) or not all(isinstance(t, Tensor) for t in raw.values()):
        raise BackboneError(
            f"The weights {path} hold no state dict, but a {type(raw).__name__}.",
            ["Save the network's state_dict() and give that file."],
        )
    return {str(name).removeprefix("module."): tensor for name, tensor in raw.items()}


def _without(state: Mapping[str, Tensor], head: str) -> State:
    inside = f"{head}."
    return {name: t for name, t in state.items() if not (head and name.startswith(inside))}


def _mismatches(own: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> Iterator[str]:
    """What does not agree, in words; nothing where everything does."""
    kinds = {
        "missing": [f"{name} {_shape(own[name])}" for name in own if name not in found],
        "unexpected": [f"{name} {_shape(found[name])}" for name in found if name not in own],
        "shape": [
            f"{name} must be {_shape(own[name])}, got {_shape(found[name])}"
            for name in own
            if name in found and own[name].shape != found[name].shape
        ],
    }
    for kind, names in kinds.items():
        if names:
            more = f"; and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            yield f"{kind}: {'; '.join(names[:SHOWN])}{more}"


def _shape(tensor: Tensor) -> str:
    return "x".join(str(side) for side in tensor.shape) or "scalar"
