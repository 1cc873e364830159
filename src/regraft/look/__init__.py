"""What each stage of a network sees: kernels, the patches that excite it, what it can tell apart.

`regraft.look.sample.draw` chooses the images, `examine` looks at them, and
`regraft.look.page.render` writes it down as a page. `look` is all of it.
"""

import logging
import os
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from regraft.data.dataset import Dataset
from regraft.data.samples import demo_images
from regraft.look import page
from regraft.look.examination import Look, Sight, examine
from regraft.look.sample import draw
from regraft.run.api import DEFAULT, Data
from regraft.run.pretrained import Pretrained, open_network
from regraft.verb import calls_package
from regraft.whole_file import check_page, write_whole

if TYPE_CHECKING:
    from torch import nn

    from regraft.networks.own import Fed

__all__ = ["Look", "Sight", "examine", "look"]

log = logging.getLogger("regraft")


@calls_package
def look(
    backbone: "str | nn.Module | Pretrained" = DEFAULT,
    data: Data | None = None,
    *,
    weights: str | os.PathLike[str] | None = None,
    stages: Sequence[str] | None = None,
    view: "Fed | None" = None,
    out: str | os.PathLike[str] | None = None,
    most: int = 400,
    seed: int = 0,
) -> Look:
    """Show what each stage sees: kernels, the patches that excite it, what it can tell apart.

    Args:
        backbone: a bundled backbone or any timm model by its name, a ``torch.nn.Module`` of your
            own, or a `regraft.Pretrained`, as `regraft.open_network` gives one.
        data: images, in any form that `regraft.propose` takes; those of the demo where None.
        weights: a file to read the backbone's weights from.
        stages: of a module: its submodules after which features may be read; found where None.
        view: of a module: how images go in; see `regraft.open_network`.
        out: a page to write, ``NAME.html``.
        most: images to look at; of more, so many are drawn evenly over the classes.
        seed: of the drawn stimuli, the chosen images and the random weights.

    Returns:
        For each stage its receptive fields (in px of the network's input) and strongest channels
        with their patches; for each task the share of pictures that a linear classifier on each
        stage gets right, in 0..1, beside that with random weights; see `regraft.look.Look`.

    Raises:
        DataError: fewer than 6 images can be used, or none are named and the demo's are missing.
        BackboneError: there is no such network, or its weights cannot be had.
        UsageError: ``out`` is no name of a page, or the seed is none.
        RunError: the page cannot be written.
    """
    if out is not None:
        check_page(Path(out))
    with (
        demo_images() if data is None else nullcontext(Dataset.open(data, labels="one")) as dataset
    ):
        network = open_network(backbone, weights, stages=stages, view=view)
        drawn = draw(dataset, network.backbone.view, most, seed)
        for line in drawn.remarks():
            log.warning("%s", line)
        found = examine(network.build(), network.backbone, drawn, seed=seed)
        if out is not None:
            write_whole(Path(out), page.render(found), "page")
    return found
