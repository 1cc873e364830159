"""Copies of networks of which parts cannot be copied."""

import copy
from collections.abc import Mapping
from typing import Any, TypeVar

from torch import nn

Copy = TypeVar("Copy", bound=nn.Module)


def duplicate(module: Copy, memo: Mapping[int, Any] | None = None) -> Copy:
    """Return a deep copy in which what cannot be copied (a lock, a file, a graph) is shared.

    ``memo``: things to be shared anyway, by their id.
    """
    try:
        return copy.deepcopy(module, dict(memo or {}))
    except Exception:  # whatever the attributes of somebody's own raise
        shared = dict(memo or {})
        for inner in module.modules():
            for key, value in vars(inner).items():
                if key not in ("_modules", "_parameters", "_buffers") and not _copies(value):
                    shared[id(value)] = value
        return copy.deepcopy(module, shared)


def _copies(value: object) -> bool:
    try:
        copy.deepcopy(value)
    except Exception:
        return False
    return True
