"""What follows from images, kept under the name of all that it follows from.

The name is a digest of the inputs, of the code that computes, and of what rounds or draws: the
libraries on this processor. So a plan and the fit after it cross-validate once, and what is found
again is what would be computed, bit for bit.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from regraft.data.images import digest
from regraft.features.cache import PRODUCTS, Store
from regraft.features.engines.store import machine, versions_of

Arrays: TypeAlias = Mapping[str, NDArray[Any]]

MOST = 32_000_000
"""Bytes, at most, of a product that is kept: the cache is there for images first."""

_ROUNDING = ("numpy", "scipy", "torch", "openvino", "pillow")  # torch: the textbook's layer
_SOURCE = Path(__file__).resolve().parents[2]
_CODE = (
    *("heads/**/*.py", "plan/*.py", "data/splits.py", "metrics.py"),
    *("run/evidence.py", "run/proof.py", "run/unknown.py"),
    *("report/*.py", "data/images/*.py"),
)

OfFile: TypeAlias = Callable[[bytes, Callable[[], bytes]], bytes]
"""Gives what is made of a file's content: of the content, and what makes it."""


def recalled(folder: Path, kind: str, inputs: object, make: Callable[[], Arrays]) -> Arrays:
    """Return the arrays that ``make`` gives, from the cache folder where it has given them before.

    Args:
        folder: the cache folder.
        kind: a word for what is computed, with which its place in the cache begins.
        inputs: all that the arrays follow from: numbers, words, arrays, None, and lists, tuples
            and records of such.
        make: computes them; where it finds none, nothing is kept.
    """
    from safetensors.numpy import save

    name, space = _digest(inputs), f"{PRODUCTS}{kind}-{_setting()}"
    with Store.open(folder) as store:
        known = _read(store.blob(space, name))
        if known is not None:
            return known
        made = {key: np.ascontiguousarray(array) for key, array in make().items()}
        if made and sum(array.nbytes for array in made.values()) <= MOST:
            store.put_blob(space, name, save(made))
    return made


def remembering(folder: Path, function: Callable[..., NDArray[Any]]) -> Callable[..., NDArray[Any]]:
    """Return a function that gives the array that another does, from the cache where it is known.

    Its arguments are the inputs of `recalled`.
    """

    def remembered(*given: Any, **named: Any) -> NDArray[Any]:
        inputs = (given, sorted(named.items()))
        kind = function.__name__
        return recalled(folder, kind, inputs, lambda: {"it": function(*given, **named)})["it"]

    return remembered


@contextmanager
def kept_of_files(folder: Path | None, kind: str, how: object) -> Iterator[OfFile]:
    """Return what asks the cache for what was made of files, each under the name of its content.

    What is new is kept in the end, nothing where it is empty, or where there is no ``folder``.
    ``kind`` and ``how``, all that it follows from beside the content, are those of `recalled`.
    """
    if folder is None:
        yield lambda data, make: make()
        return
    space, new = f"{PRODUCTS}{kind}-{_digest(how)[:16]}-{_setting()}", dict[str, bytes]()
    with Store.open(folder) as store:

        def of(data: bytes, make: Callable[[], bytes]) -> bytes:
            name = digest(data)
            known = store.blob(space, name)
            if known is None:
                known = make()
                new.update({name: known} if known else {})
            return known

        yield of
        store.put_blobs(space, new)


def _read(data: bytes | None) -> Arrays | None:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return None if data is None else load(data)
    except SafetensorError:
        return None  # cut short; it is made anew


@cache
def _setting() -> str:
    """Return a name for the code that computes and for what rounds."""
    found = hashlib.sha256(repr((versions_of(_ROUNDING), machine())).encode())
    for path in sorted(path for pattern in _CODE for path in _SOURCE.glob(pattern)):
        found.update(path.read_bytes())
    return found.hexdigest()[:16]


def _digest(inputs: object) -> str:
    found = hashlib.sha256()
    _add(found, inputs)
    return found.hexdigest()


def _add(found: Any, one: object) -> None:
    """Add an input to a digest, with its kind and size, so that no two inputs look alike."""
    if isinstance(one, np.ndarray):
        found.update(f"array {one.dtype.str} {one.shape};".encode())
        for start in range(0, len(one), 4096):  # of a mapped file no copy is made
            found.update(np.ascontiguousarray(one[start : start + 4096]))
    elif isinstance(one, list | tuple):
        found.update(f"list {len(one)};".encode())
        for part in one:
            _add(found, part)
    elif dataclasses.is_dataclass(one) and not isinstance(one, type):
        _add(found, [type(one).__name__, *vars(one).values()])
    elif one is None or isinstance(one, str | int | float | np.generic):
        text = repr(one).encode()
        found.update(f"{type(one).__name__} {len(text)};".encode() + text)
    else:
        raise TypeError(f"{type(one).__name__} is no input whose content is known")
