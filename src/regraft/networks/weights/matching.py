"""Fit tensors by name to a network: under a prefix, through timm's conversion, or by order."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from regraft.data.dataset import few
from regraft.errors import BackboneError

log = logging.getLogger("regraft")

State = dict[str, Tensor]
Convert = Callable[[State], Mapping[str, Tensor] | None]
"""A state of the original code's names -> one of the network's, or None."""

SHOWN = 5
"""Mismatches named of each kind; the rest are counted."""

COUNTER = "num_batches_tracked"
"""A buffer of batch normalisation that older files lack and nothing here reads."""

HEADS = {
    *("fc", "classifier", "classification_head", "head", "heads", "head_dist", "last_linear"),
    *("linear", "logits", "mlp_head", "projector", "projection_head", "predictor", "prototypes"),
    *("queue", "queue_ptr", "mask_token", "decoder"),
}
"""First parts of names that lie behind a trunk, where the trunk itself has none such."""

BETTER = ("", "teacher.", "ema.", "ema_model.", "model_ema.", "encoder_q.")
"""Prefixes to read where a file holds several whole networks; else the first in it."""


@dataclass(frozen=True)
class _Fitted:
    """What is to be loaded, and what is not."""

    tensors: State
    unused: tuple[str, ...] = ()


def fit(
    module: nn.Module,
    state: Mapping[str, Tensor],
    *,
    head: str,
    what: str,
    convert: Convert = lambda state: None,
) -> bool:
    """Load a state dict into a module.

    By name, under whatever prefix; else by name through a conversion; else by order, where every
    shape and the last part of every name agree. A head (a path) that is missing or has another
    shape is left as it is: it is cut off anyway.

    Returns:
        Whether the keys went by order.

    Raises:
        BackboneError: the first mismatches, of each kind; or values that are no finite numbers.
    """
    own = module.state_dict()
    found = _by_name(own, state, head, what)
    if isinstance(found, list):
        found = _converted(own, state, head, what, convert) or found
    if isinstance(found, _Fitted):
        _load(module, found, head, what)
        return False
    ordered = _by_order(own, state, head)
    if isinstance(ordered, _Fitted):
        _load(module, ordered, head, what)
        return True
    raise BackboneError(
        f"{what} do not fit: {len(_without(state, head))} tensors were found where "
        f"{len(_without(own, head))} are wanted.",
        [
            *found,
            *ordered,
            "Name the network that these weights were made for with --backbone NAME.",
        ],
    )


def _load(module: nn.Module, found: _Fitted, head: str, what: str) -> None:
    """Load what was found; the rest stays as it is."""
    own = module.state_dict()
    _check_numbers(own, _without(found.tensors, head), what)
    if found.unused:
        parts = Counter(name.split(".")[0] for name in found.unused)
        named = ", ".join(f"{part} ({count})" for part, count in list(parts.items())[:SHOWN])
        log.warning("%s: tensors that are no part of the network are not used: %s.", what, named)
    module.load_state_dict({**own, **found.tensors})


def _check_numbers(own: Mapping[str, Tensor], found: Mapping[str, Tensor], what: str) -> None:
    """Refuse nan, and what is infinite where the network's own is not."""
    bad = {
        name: count
        for name, tensor in found.items()
        if (count := _not_finite(tensor)) and not _not_finite(own[name])
    }
    if bad:
        named = [f"{n}: {bad[n]:,} of {found[n].numel():,} values." for n in bad]
        named = few(named, SHOWN, "and {} more tensors.")
        raise BackboneError(
            f"{what} hold nan or infinity, so nothing can be computed with them.",
            [*named, "Their training has diverged: take an earlier checkpoint."],
        )


def _not_finite(tensor: Tensor) -> int:
    """Return how many values are no finite numbers, as float32."""
    return int((~torch.isfinite(tensor.float())).sum())


# ---- by name


def _by_name(
    own: Mapping[str, Tensor], state: Mapping[str, Tensor], head: str, what: str
) -> _Fitted | list[str]:
    """Return what fits by name under one prefix, or the mismatches."""
    mine = _without(own, head)
    prefix, others = _prefixes(mine, state, what)
    outside = [name for name in state if _is_outside(name, prefix, others)]
    inside = {name[len(prefix) :]: t for name, t in state.items() if name not in set(outside)}
    theirs = _without(inside, head)
    behind = [name for name in theirs if _is_behind(name, mine)]
    theirs = {name: t for name, t in theirs.items() if name not in set(behind)}
    theirs = _counted(theirs, mine)
    if problems := list(_mismatches(mine, theirs)):
        return problems
    end = {name: t for name, t in own.items() if name not in mine}
    fits = all(name in inside and inside[name].shape == t.shape for name, t in end.items())
    taken = {name: inside[name] for name in end} if fits else {}
    return _Fitted({**theirs, **taken}, (*behind, *outside))


def _prefixes(
    mine: Mapping[str, Tensor], state: Mapping[str, Tensor], what: str
) -> tuple[str, list[str]]:
    """Return the prefix under which the network lies, and those under which it lies too.

    Where it lies whole under none, the prefix that finds most of it.
    """
    wanted = [name for name in mine if not name.endswith(COUNTER)]
    anchors = {wanted[i] for i in (0, len(wanted) // 2, -1)}
    tried = [
        name[: -len(anchor)]
        for name in state
        for anchor in anchors
        if name == anchor or name.endswith(f".{anchor}")
    ]
    found = {prefix: sum(prefix + name in state for name in wanted) for prefix in tried}
    if not found:
        return "", []
    whole = [prefix for prefix, count in found.items() if count == len(wanted)]
    if not whole:
        best = max(found, key=lambda prefix: found[prefix])
        return (best if 2 * found[best] >= len(wanted) else ""), []
    whole.sort(key=lambda prefix: BETTER.index(_top(prefix)) if _top(prefix) in BETTER else 99)
    if len(whole) > 1:
        log.warning("%s: %d networks lie in them; %r is read.", what, len(whole), whole[0])
    return whole[0], whole[1:]


def _top(prefix: str) -> str:
    """Return the first part of a prefix, with its point."""
    first, point, _ = prefix.partition(".")
    return first + point


def _is_outside(name: str, prefix: str, others: list[str]) -> bool:
    other = any(name.startswith(each) and len(each) > len(prefix) for each in others)
    return other or not name.startswith(prefix)


def _is_behind(name: str, mine: Mapping[str, Tensor]) -> bool:
    """Return whether a tensor lies behind the trunk: its head under another name, or a decoder."""
    first = name.split(".")[0]
    known = first in HEADS or first.startswith("decoder_")
    return known and not any(n.split(".")[0] == first for n in mine)


def _counted(theirs: State, mine: Mapping[str, Tensor]) -> State:
    """With the counters of the network's own batch normalisations, and no others."""
    counters = {n: theirs.get(n, t) for n, t in mine.items() if n.endswith(COUNTER)}
    return {n: t for n, t in theirs.items() if not n.endswith(COUNTER)} | counters


def _without(state: Mapping[str, Tensor], head: str) -> State:
    inside = f"{head}."
    return {name: t for name, t in state.items() if not (head and name.startswith(inside))}


# ---- through a conversion


def _converted(
    own: Mapping[str, Tensor], state: Mapping[str, Tensor], head: str, what: str, convert: Convert
) -> _Fitted | None:
    """Return what fits by name once converted, under one of the prefixes that most names share."""
    for prefix in _roots(state):
        plain = {n[len(prefix) :]: t for n, t in state.items() if n.startswith(prefix)}
        new = convert(plain)
        found = None if new is None else _by_name(own, dict(new), head, what)
        if isinstance(found, _Fitted):
            log.warning(
                "%s are of other names or shapes, and were converted as timm does it.", what
            )
            return found
    return None


def _roots(state: Mapping[str, Tensor]) -> list[str]:
    """No prefix, and each of one or two parts that a third of the names have."""
    split = [name.split(".") for name in state]
    parts = Counter(f"{'.'.join(p[:n])}." for n in (1, 2) for p in split if len(p) > n)
    return ["", *(prefix for prefix, count in parts.items() if 3 * count >= len(state))]


# ---- by order


def _by_order(
    own: Mapping[str, Tensor], state: Mapping[str, Tensor], head: str
) -> _Fitted | list[str]:
    """Return what fits by order, or, where the shapes alone do, the names that speak against it."""
    counted = len(state) == len(own)
    mine = {n: t for n, t in own.items() if counted or not n.endswith(COUNTER)}
    trunk = _without(mine, head)
    pairs = list(zip(mine, state, strict=False))
    shapes = all(_alike(mine[a], state[b]) for a, b in pairs if a in trunk)
    if len(mine) != len(state) or not shapes:
        return []
    wrong = [(a, b) for a, b in pairs if _last(a) != _last(b)]
    if wrong:
        a, b = wrong[0]
        return [f"order: the shapes agree one by one, but {a} would be taken from {b}."]
    fits = all(_alike(mine[a], state[b]) for a, b in pairs)
    return _Fitted({a: state[b] for a, b in pairs if fits or a in trunk})


def _alike(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and one.is_floating_point() == other.is_floating_point()


def _last(name: str) -> str:
    return name.rpartition(".")[2]


# ---- mismatches in words


def _mismatches(own: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> Iterator[str]:
    """Yield what does not agree, in words; nothing where everything does."""
    both = [name for name in own if name in found]
    kinds = {
        "missing": [f"{name} {_shape(own[name])}" for name in own if name not in found],
        "unexpected": [f"{name} {_shape(found[name])}" for name in found if name not in own],
        "shape": [
            f"{name} must be {_shape(own[name])}, got {_shape(found[name])}"
            for name in both
            if own[name].shape != found[name].shape
        ],
        "type": [
            f"{name} must be of floating point, got {str(found[name].dtype).removeprefix('torch.')}"
            for name in both
            if own[name].is_floating_point() and not found[name].is_floating_point()
        ],
    }
    for kind, names in kinds.items():
        if names:
            yield f"{kind}: " + "; ".join(few(names, SHOWN, "and {} more"))


def _shape(tensor: Tensor) -> str:
    return "x".join(str(side) for side in tensor.shape) or "scalar"
