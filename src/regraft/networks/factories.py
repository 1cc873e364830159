"""``package.module:factory``: a network of a person's own by the place where it is made.

Only what a person types is imported, never what a file of theirs or of somebody else's names.
"""

import importlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches

from regraft.errors import BackboneError, first_line

_PLACE = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*:[A-Za-z_]\w*(?:\.\w+)*")


def is_factory(name: str) -> bool:
    """Return whether a name is a place in a module of Python's: ``package.module:factory``."""
    return _PLACE.fullmatch(name) is not None


def make(place: str) -> object:
    """Import what stands at a place, and call it where it has to be called to give a network.

    Modules are looked for in the current folder too, as ``python -m`` does.

    Raises:
        BackboneError: it cannot be imported, is not there, or cannot be called without arguments.
    """
    if not is_factory(place):
        raise BackboneError(
            f"A network of your own is named like package.module:factory, got {place!r}."
        )
    path, _, name = place.partition(":")
    found: object = _imported(path, place)
    for step in name.split("."):
        if not hasattr(found, step):
            near = get_close_matches(step, dir(found), n=3)
            beside = f" Near it: {', '.join(near)}." if near else ""
            raise BackboneError(f"{path} has no {name!r}.", [f"{place} must name one.{beside}"])
        found = getattr(found, step)
    made = _called(found, place) if _is_to_be_called(found) else found
    if not is_network(made):
        raise BackboneError(
            f"{place} must give a torch.nn.Module, got {type(made).__name__}.",
            ["Let the factory return the network, or what regraft.open_network makes of it."],
        )
    return made


def is_network(thing: object) -> bool:
    """Return whether something is a module of torch's, or a network that was opened."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(thing, torch.nn.Module):
        return True
    return hasattr(thing, "backbone") and callable(getattr(thing, "build", None))


def _is_to_be_called(thing: object) -> bool:
    return callable(thing) and (isinstance(thing, type) or not is_network(thing))


def _called(factory: object, place: str) -> object:
    assert callable(factory)
    try:
        return factory()
    except Exception as error:  # whatever the code of somebody's own raises
        why = first_line(error)
        raise BackboneError(
            f"{place} cannot be called: {type(error).__name__}: {why}",
            ["It must give the network when it is called without arguments."],
        ) from error


def _imported(path: str, place: str) -> object:
    with _current_folder():
        try:
            return importlib.import_module(path)
        except ImportError as error:
            missing = getattr(error, "name", None)
            ours = missing is not None and (path == missing or path.startswith(f"{missing}."))
            why = f"there is no module {missing}" if ours else f"{type(error).__name__}: {error}"
            raise BackboneError(
                f"{place} cannot be imported: {why}.",
                ["Name it as Python would import it, from the folder in which it lies."],
            ) from error
        except Exception as error:  # whatever the code of somebody's own raises
            why = first_line(error, "no reason given")
            raise BackboneError(
                f"{place} cannot be imported: {type(error).__name__}: {why}"
            ) from error


@contextmanager
def _current_folder() -> Iterator[None]:
    """Find modules in the current folder too, for a while."""
    sys.path.insert(0, "")
    try:
        yield
    finally:
        sys.path.remove("")
