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
    from regraft.acquire.queue import Queue
    from regraft.acquire.verb import next_to_label
    from regraft.backbones import Backbone
    from regraft.compare import compare
    from regraft.compare.comparison import Comparison
    from regraft.data.dataset import Dataset
    from regraft.diagram.drawing import draw
    from regraft.errors import RegraftError
    from regraft.estimator import TransferClassifier, TransferRegressor
    from regraft.export import export
    from regraft.look import look
    from regraft.plan.choices import Choices
    from regraft.plan.definition import Plan
    from regraft.plan.ranked import Ranking
    from regraft.rank import rank
    from regraft.report import report
    from regraft.results.load import load
    from regraft.results.result import Result
    from regraft.run.api import apply, fit, propose
    from regraft.run.pretrained import Pretrained, open_network
    from regraft.serve import serve

__version__ = "0.2.0"

_PACKAGES = {
    "compare",
    "export",
    "look",
    "rank",
    "report",
    "serve",
}  # these are what they do, see regraft.verb
_HOMES = {
    "Backbone": "regraft.backbones",
    "Comparison": "regraft.compare.comparison",
    "Choices": "regraft.plan.choices",
    "Dataset": "regraft.data.dataset",
    "Plan": "regraft.plan.definition",
    "Queue": "regraft.acquire.queue",
    "Pretrained": "regraft.run.pretrained",
    "Ranking": "regraft.plan.ranked",
    "RegraftError": "regraft.errors",
    "Result": "regraft.results.result",
    "TransferClassifier": "regraft.estimator",
    "TransferRegressor": "regraft.estimator",
    "draw": "regraft.diagram.drawing",
    "apply": "regraft.run.api",
    "fit": "regraft.run.api",
    "load": "regraft.results.load",
    "next_to_label": "regraft.acquire.verb",
    "open_network": "regraft.run.pretrained",
    "propose": "regraft.run.api",
}

__all__ = [
    "Backbone",
    "Choices",
    "Comparison",
    "Dataset",
    "Plan",
    "Pretrained",
    "Queue",
    "Ranking",
    "RegraftError",
    "Result",
    "TransferClassifier",
    "TransferRegressor",
    "apply",
    "compare",
    "draw",
    "export",
    "fit",
    "load",
    "look",
    "next_to_label",
    "open_network",
    "propose",
    "rank",
    "report",
    "serve",
]


def __getattr__(name: str) -> object:
    if name in _PACKAGES:
        return import_module(f"regraft.{name}")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'regraft' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
