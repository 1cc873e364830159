"""Packages that can be called: ``regraft.compare`` is the package and the verb of that name.

Python sets a package on ``regraft`` as soon as anything imports it, and would so replace a function
of the same name: ``regraft.compare(...)`` would work or not by what was imported before. Here the
package itself is what is called, whoever comes first.
"""

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

_Verb = TypeVar("_Verb", bound=Callable[..., Any])


class _Called(ModuleType):
    """A package that does what the verb of its name does, and is documented as that."""

    __wrapped__: Callable[..., Any]  # where inspect and editors look for the signature

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__wrapped__(*args, **kwargs)


def calls_package(verb: _Verb) -> _Verb:
    """Let the package whose ``__init__`` defines this function be called in its place."""
    package = sys.modules[verb.__module__]
    package.__class__ = _Called
    package.__wrapped__ = verb  # type: ignore[attr-defined]
    package.__doc__ = verb.__doc__
    return verb
