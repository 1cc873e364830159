"""``regraft look``: what each stage of a network sees, as a page."""

import os
from contextlib import nullcontext
from pathlib import Path

from regraft.cli.terminal import progress_bar, say, say_written, show_warnings
from regraft.data.dataset import Dataset
from regraft.data.samples import demo_images
from regraft.errors import BackboneError, UsageError
from regraft.run.pretrained import open_network
from regraft.whole_file import check_page, write_whole


def run_look(
    backbone: str, data: str | None, *, weights: Path | None, out: Path, most: int, seed: int
) -> None:
    """Look at up to ``most`` images and write the page to ``out``."""
    check_page(out)
    show_warnings()
    with (
        demo_images() if data is None else nullcontext(Dataset.open(data, labels="one")) as dataset
    ):
        from regraft.look import examine, page, sample

        try:
            network = open_network(backbone, weights)
        except BackboneError as error:
            if data is None and os.path.exists(backbone):
                raise _swapped(backbone) from error
            raise
        with progress_bar("choosing images") as report:
            drawn = sample.draw(dataset, network.backbone.view, most, seed, report)
        say(*drawn.remarks())
        with progress_bar("looking") as report:
            seen = examine(network.build(), network.backbone, drawn, seed=seed, progress=report)
        write_whole(out, page.render(seen), "page")
        say_written(out)


def _swapped(data: str) -> UsageError:
    """Images are named where the network should be."""
    return UsageError(
        f"There is no network named '{data}', but a file or folder.",
        [f"To look at its images, name the network first: regraft look demonstration {data}"],
    )
