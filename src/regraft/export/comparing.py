"""An export beside the RUN on the same images."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.export import images, parity, to_openvino
from regraft.export.about import About
from regraft.export.images import ParityImages
from regraft.export.parity import Parity
from regraft.export.target import Run
from regraft.heads.known import Known
from regraft.results.result import Result

_LOT = 8  # images in a batch that is checked; the first goes alone


def compared(
    target: ModuleType, module: Any, about: About, draft: Path, sample: ParityImages, result: Result
) -> list[Parity]:
    """Run what was written, and the RUN, on the same images."""
    reference, rule = in_torch(module), result.plan.evidence.answer
    wanted = shares(reference, about, sample)
    found = shares(target.open_file(draft, about), about, sample)
    parities = [parity.exact("export against the float32 network", found, wanted, rule)]
    if about.known and result.known:
        parities.append(_beliefs(target.open_belief(draft), module, about, sample, result.known))
    if target is to_openvino:
        usual = to_openvino.open_as_it_comes(draft)
        if usual is not None:
            halved = shares(usual, about, sample)
            what = "in the precision that OpenVINO chooses here"
            parities.append(parity.told(what, halved, wanted, rule))
    if about.pixels:
        plain = About(about.plan, about.classes, pixels=False)
        wanted = shares(in_torch(module.classifier), plain, sample)
        what = "its preprocessing against regraft's own"
        parities.append(parity.told(what, found, wanted, rule))
    own = result.predict_proba(sample.files)
    engine = result.engine().name
    what = f"RUN ({engine}) against the float32 network"
    parities.append(parity.near(what, own, wanted, rule))
    if known := len(sample.recorded):
        what = "predictions.csv of the RUN against the float32 network"
        parities.append(parity.near(what, sample.recorded, wanted[:known], rule))
    return parities


def _beliefs(told: Run, module: Any, about: About, sample: ParityImages, known: Known) -> Parity:
    """Compare what the export says of the beliefs in images with what regraft makes of them.

    Of the float32 network's features; with pixels of what the export's own preprocessing shows it.
    """
    found = shares(told, about, sample)
    if about.pixels:
        wanted = shares(in_torch(module, output=2), about, sample)
        return parity.beliefs("its beliefs against the float32 network's", found, wanted)
    wanted = beliefs(module, about, sample, known)
    return parity.beliefs("its beliefs against regraft's own", found, wanted)


def beliefs(module: Any, about: About, sample: ParityImages, known: Known) -> NDArray[Any]:
    """Beliefs ``[n]`` that regraft makes of the float32 network's features of the sample."""
    import torch

    network, x = module.network, about.plan.backbone.normalised(sample.squares)
    with torch.no_grad():
        features = network.features(torch.from_numpy(x))
        logits = network.head(features).numpy()
    return known.belief(features.numpy(), logits)


def in_torch(module: Any, output: int = 0) -> Run:
    """Return what runs the network as it is exported."""
    import torch

    def run(x: Any) -> NDArray[Any]:
        with torch.no_grad():
            made = module(torch.from_numpy(x))
            return np.asarray((made[output] if isinstance(made, tuple) else made).numpy())

    return run


def shares(run: Run, about: About, sample: ParityImages) -> NDArray[Any]:
    """Answers ``[n, classes]`` to the sample, in batches of several lengths."""
    if about.pixels:
        view = about.plan.backbone.view
        rows = [run(images.picture(file, view)[None])[0] for file in sample.files]
        twice = images.picture(sample.files[0], view)[None].repeat(2, axis=0)
        return np.stack([run(twice)[1], *rows[1:]])
    x = about.plan.backbone.normalised(sample.squares)
    lots = [x[:1], *(x[at : at + _LOT] for at in range(1, len(x), _LOT))]
    return np.concatenate([run(lot) for lot in lots])
