"""Read weight files without running anything in them, and fit them to a network."""

import hashlib

import torch
from torch import Tensor, nn

from regraft.networks.weights.matching import Convert, fit
from regraft.networks.weights.reading import read

State = dict[str, Tensor]

__all__ = ["Convert", "State", "fingerprint", "fit", "read"]


def fingerprint(module: nn.Module) -> str:
    """SHA-256 over the names, types, shapes and bytes of a state dict, in hex."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        flat = tensor.detach().cpu().contiguous().flatten()
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()
