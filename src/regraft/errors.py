"""The errors a user can meet.

::

    RegraftError
    ├── UsageError      the command or call is wrong in itself            (exit code 2)
    ├── DataError       the images, table or archive cannot be used       (exit code 1)
    ├── BackboneError   no such network, or weights that do not fit it    (exit code 1)
    ├── PlanError       a plan that is damaged, inconsistent or for other data
    └── RunError        a run folder that exists, is damaged or cannot be written

Each names the thing, the rule, the value found and the remedy, and carries *all* the problems
found, so that a person mends them in one go.
"""

from collections.abc import Iterable


class RegraftError(Exception):
    """A mistake a person can mend: a headline, and every problem found under it."""

    exit_code = 1

    def __init__(self, headline: str, problems: Iterable[str] = ()) -> None:
        self.headline = headline
        self.problems = tuple(problems)
        super().__init__("\n".join([headline, *(f"  - {problem}" for problem in self.problems)]))


class UsageError(RegraftError):
    """The command or call is wrong in itself, whatever the data."""

    exit_code = 2


class DataError(RegraftError):
    """The images, the table or the archive cannot be used as they are."""


class BackboneError(RegraftError):
    """No such network, or weights that do not fit it."""


class PlanError(RegraftError):
    """A plan that is damaged, inconsistent, or made for other data."""


class RunError(RegraftError):
    """A run folder that exists already, is damaged, or cannot be written."""


def first_line(error: BaseException, otherwise: str = "") -> str:
    """Return the first line of what another's code raised; the name of its kind where it is mute.

    ``otherwise``: what stands for it instead, where the kind is named beside it.
    """
    said = str(error).strip().splitlines()
    return said[0] if said else otherwise or type(error).__name__


def sentences(error: RegraftError) -> str:
    """Return headline and problems in one line, each with a full stop."""
    said = [error.headline, *error.problems]
    return " ".join(one if one[-1:] in ".:?!" else f"{one}." for one in said)
