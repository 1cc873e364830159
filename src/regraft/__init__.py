"""regraft: transfer learning on images that measures before it cuts.

>>> import regraft
>>> plan = regraft.propose("photos")  # doctest: +SKIP
>>> result = regraft.apply(plan, "photos", out="run")  # doctest: +SKIP
>>> regraft.load("run").predict(["new.jpg"])  # doctest: +SKIP

Names are loaded when first used, so importing regraft costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from regraft.backbones import Backbone
    from regraft.data.dataset import Dataset
    from regraft.errors import RegraftError
    from regraft.estimator import TransferClassifier
    from regraft.plan.choices import Choices
    from regraft.plan.definition import Plan
    from regraft.results.result import Result
    from regraft.run.api import apply, fit, load, propose
    from regraft.run.pretrained import Pretrained, open_network

__version__ = "0.1.0"

_HOMES = {
    "Backbone": "regraft.backbones",
    "Choices": "regraft.plan.choices",
    "Dataset": "regraft.data.dataset",
    "Plan": "regraft.plan.definition",
    "Pretrained": "regraft.run.pretrained",
    "RegraftError": "regraft.errors",
    "Result": "regraft.results.result",
    "TransferClassifier": "regraft.estimator",
    "apply": "regraft.run.api",
    "fit": "regraft.run.api",
    "load": "regraft.run.api",
    "open_network": "regraft.run.pretrained",
    "propose": "regraft.run.api",
}

__all__ = [
    "Backbone",
    "Choices",
    "Dataset",
    "Plan",
    "Pretrained",
    "RegraftError",
    "Result",
    "TransferClassifier",
    "apply",
    "fit",
    "load",
    "open_network",
    "propose",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'regraft' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
