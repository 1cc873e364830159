"""A scikit-learn classifier over images.

It measures, decides and fits like `regraft.fit`, but holds nothing out: every image that it
is given is trained on, and judging the result is left to scikit-learn's own tools.
"""

import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d

from regraft.data.audit import Audit, fingerprint
from regraft.data.dataset import Dataset, Item, some
from regraft.data.images import FITS, Facts, View, alike
from regraft.data.readers.pictures import are_wide, bytes_of, objection
from regraft.data.splits import Split
from regraft.errors import DataError, UsageError
from regraft.features.cache import Store, cache_folder
from regraft.features.engine_choice import Asked
from regraft.features.engines import open_engine
from regraft.features.extract import Extraction, extract
from regraft.metrics import softmax
from regraft.plan.choices import Choices, Recipe, candidates
from regraft.plan.definition import Plan
from regraft.run import measure
from regraft.run.api import DEFAULT
from regraft.run.auto import network_for
from regraft.run.draft import draft
from regraft.run.execute import EXECUTORS, RunState
from regraft.run.fit_image import TrainingSet, settle
from regraft.run.measure import Measured
from regraft.run.pretrained import Pretrained, open_network

if TYPE_CHECKING:
    from torch import nn

    from regraft.networks.own import Fed

Images = Sequence[Any] | NDArray[Any]
"""An array ``[n, height, width]`` or ``[n, height, width, channels]``, or a sequence of pictures.

A picture is a path, a file's bytes, a PIL image, or an array ``[height, width(, channels)]`` of
0..255, or of floats in 0..1.
"""

_LEAST = 5  # different pictures: one for each fold
_OPTIONS: dict[str, tuple[object, ...]] = {
    "case": (None, 1, 2, 3, 4, "frozen"),
    "recipe": ("tuned", "textbook"),
    "class_weights": ("auto", "none", "balanced"),
    "fit_image": ("auto", *FITS),
}


# scikit-learn wants the mixin before the base.
class TransferClassifier(ClassifierMixin, BaseEstimator):
    """Classify images with a pretrained network that is cut where they need it.

    Args:
        backbone: a bundled backbone or any timm model by its name, a ``torch.nn.Module`` of your
            own, or a `regraft.Pretrained`, as `regraft.open_network` gives one.
        case: overrule the case, 1 to 4; of 3 and 4 the frozen part is done, no network is trained.
        cut: overrule where to cut: a stage's name or number.
        recipe: ``tuned``, or ``textbook`` for just what the table of the four cases says.
        class_weights: ``auto``, ``none`` or ``balanced``.
        seed: of the folds that choose the cut, and of a new layer that starts from random weights.
            The same images, labels and seed give the same classifier.
        cache: the cache folder; the user's where None. Of each image, ``fit`` computes features
            once, whatever the folds and parameters of a search.
        fit_image: what becomes of long pictures: ``crop``, ``pad``, ``squash``, or ``auto``, which
            pads where that is clearly better for the images that ``fit`` is given.
        engine: what runs the network, instead of a choice among all that there are.
        stages: of a module: its submodules after which features may be read; found where None.
        view: of a module: how images go in; see `regraft.open_network`.

    Attributes:
        classes_: the labels as they were given, sorted ``[k]``.
        plan_: the `regraft.Plan` that was carried out; ``plan_.explain()`` says why.

    Images have no fixed number of features, so there is no ``n_features_in_``.

    Example:
        >>> from sklearn.datasets import load_digits
        >>> from sklearn.model_selection import cross_val_score
        >>> from regraft import TransferClassifier
        >>> X, y = load_digits(return_X_y=True)
        >>> X = X.reshape(-1, 8, 8) / 16
        >>> cross_val_score(TransferClassifier(), X[:300], y[:300]).mean()  # doctest: +SKIP
        0.9767
        >>> model = TransferClassifier().fit(X[:300], y[:300])  # doctest: +SKIP
        >>> model.predict(X[300:303])  # doctest: +SKIP
        array([7, 3, 5])
        >>> print(model.plan_.explain())  # doctest: +SKIP
    """

    classes_: NDArray[Any]
    plan_: Plan

    def __init__(
        self,
        backbone: "str | nn.Module | Pretrained" = DEFAULT,
        *,
        case: Literal[1, 2, 3, 4, "frozen"] | None = None,
        cut: str | int | None = None,
        recipe: Recipe = "tuned",
        class_weights: str = "auto",
        seed: int = 0,
        cache: str | os.PathLike[str] | None = None,
        fit_image: str = "auto",
        engine: str | None = None,
        stages: Sequence[str] | None = None,
        view: "Fed | None" = None,
    ) -> None:
        self.backbone = backbone
        self.case = case
        self.cut = cut
        self.recipe = recipe
        self.class_weights = class_weights
        self.seed = seed
        self.cache = cache
        self.fit_image = fit_image
        self.engine = engine
        self.stages = stages
        self.view = view

    def fit(self, X: Images, y: ArrayLike) -> "TransferClassifier":
        """Measure the images, decide the cut, and fit the new layer on all of them.

        Args:
            X: images ``[n, height, width(, channels)]``, or a list of paths, PIL images or arrays.
            y: their labels ``[n]``, of any kind that can be sorted.

        Raises:
            DataError: images that cannot be used, each named, or too few different ones.
            UsageError: parameters that cannot be, or that contradict each other.
            ValueError: labels that are missing, are no classes, or do not fit the images.
        """
        choices = self._choices()
        pictures = _listed(X)
        classes, places = self._labels(pictures, y)
        names = _names(classes)
        dataset = _dataset(pictures, [names[place] for place in places])
        network = network_for(
            dataset,
            self.backbone,
            None,
            choices,
            stages=self.stages,
            view=self.view,
            cache=self.cache,
        )
        measured = _measure(dataset, pictures, network, choices, self.cache)
        plan = draft(
            measured, choices, trains=False
        ).without_training()  # of all cases it does the frozen ones
        work = RunState(plan, measured)
        for step in work.plan.steps():
            if step.kind in ("fit", "calibrate"):  # the trunk is ready, and nothing is held out
                EXECUTORS[step.kind](work)
        self.classes_, self.plan_ = classes, work.plan
        self._head = work.needed_head()
        named = network.backbone.name if network.ranking is not None else self.backbone
        self._network = named if isinstance(named, str) else network
        self._columns = [measured.classes.index(name) for name in names]  # matched by name
        self._folder = measured.cache
        return self

    def predict(self, X: Images) -> NDArray[Any]:
        """Return the likeliest label of each image ``[n]``.

        Raises:
            DataError: images that cannot be read; each is named.
            NotFittedError: before ``fit``.
        """
        likeliest: NDArray[np.intp] = self.predict_proba(X).argmax(axis=1)
        return self.classes_[likeliest]

    def predict_proba(self, X: Images) -> NDArray[np.float32]:
        """Calibrated probabilities ``[n, k]``, in the order of ``classes_``.

        In float32, which is the precision that the network has.

        Raises:
            DataError: images that cannot be read; each is named.
            NotFittedError: before ``fit``.
        """
        check_is_fitted(self, "plan_")
        pictures, plan = _listed(X), self.plan_
        engine = open_engine(
            plan.backbone, plan.taps, self._folder, build=self._build, wish=plan.engine
        )
        looked = extract(
            lambda i: bytes_of(pictures[i], wide=plan.backbone.view.integers is not None),
            len(pictures),
            [plan.backbone.view],
            plan.inputs,
            engine=engine,
            choose=lambda pixels, indices: engine,
        )
        _refuse(pictures, looked.facts)
        shares = softmax(self._head.logits(looked.features[0])).astype(np.float32)
        return shares[:, self._columns]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.string = True
        return tags

    def _build(self) -> "nn.Module":
        """Return the whole network, for engines that need torch."""
        return open_network(self._network).build()

    def _choices(self) -> Choices:
        """Return the parameters, checked (scikit-learn wants that done in ``fit``)."""
        wrong = [
            f"{name} must be one of {', '.join(map(repr, allowed))}, got {getattr(self, name)!r}"
            for name, allowed in _OPTIONS.items()
            if getattr(self, name) not in allowed
        ]
        if wrong:
            raise UsageError("These parameters cannot be used.", wrong)
        cut = None if self.cut is None else str(self.cut)
        return Choices(
            case=self.case,
            cut=cut,
            recipe=self.recipe,
            class_weights=self.class_weights,
            seed=self.seed,
            engine=self.engine,
            fit_image=self.fit_image,
        )

    def _labels(self, pictures: Sequence[Any], y: ArrayLike) -> tuple[NDArray[Any], list[int]]:
        """Return the classes, and the place of each image's label among them."""
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, "
                "but the target y is None"
            )
        labels = column_or_1d(y, warn=True)
        check_consistent_length(pictures, labels)
        check_classification_targets(labels)
        classes, places = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(f"There must be at least two classes, got 1 class: {classes[0]!r}")
        return classes, places.tolist()


def _measure(
    dataset: Dataset,
    pictures: Sequence[Any],
    network: Pretrained,
    choices: Choices,
    cache: str | os.PathLike[str] | None,
) -> Measured:
    """Like `regraft.run.measure.measure`, with every image on the training side.

    An audit that leaves images out has no place here, for a caller of scikit-learn counts on one
    row for each: copies stay, in the same fold.
    """
    candidates(network.backbone, choices)  # a choice that cannot be is told before the work
    network, asked = measure.as_chosen(network, choices), Asked(choices.engine)
    started, folder, every = time.perf_counter(), cache_folder(cache), np.arange(len(pictures))
    place = {name: n for n, name in enumerate(dataset.classes)}
    labels = np.asarray([place[item.label] for item in dataset.items], np.intp)
    with Store.open(folder) as store:

        def look(view: View) -> Extraction:
            found, engine = measure.look_at(
                dataset, network, [view], store, lambda done, total: None, asked
            )
            engines.append(engine)
            return found

        engines: list[str] = []
        looked = first = look(network.backbone.view)
        _refuse(pictures, looked.facts)
        groups = _groups(looked.facts, dataset)
        training = TrainingSet(every.tolist(), labels, groups)
        sight = settle(look, looked, network.backbone, training, choices)
        network, looked = measure.seeing(network, sight.view), sight.looked
        shift = measure.shift_of(dataset, looked.facts, every.tolist(), network, store)
        store.prune()
    audit = Audit(tuple(every.tolist()), (), {}, (), groups)
    return Measured(
        dataset=dataset,
        network=network,
        audit=audit,
        split=Split(every, every[:0], "held out"),
        fingerprint=fingerprint(dataset, audit, looked.facts),
        classes=dataset.classes,
        labels=labels,
        features=looked.features[0],
        mirrored=None,
        shift=shift,
        engine=engines[0],
        images_per_second=measure.speed_of(first, engines[0], network.backbone, folder),
        seconds={"engine": first.choosing, "probe": first.seconds},
        cache=folder,
        started=started,
        reasons=sight.reasons,
    )


def _groups(facts: Sequence[Facts], dataset: Dataset) -> NDArray[np.int64]:
    """Return a number for each image, the same for near copies.

    DataError where there are too few.
    """
    labels = np.array([dataset.classes.index(item.label) for item in dataset.items], np.int64)
    near = alike(facts, labels).groups
    groups: NDArray[np.int64] = np.unique(near, return_inverse=True)[1]
    different = len(set(groups.tolist()))
    if different < _LEAST:
        raise DataError(
            "There are too few images to choose a cut by cross-validation.",
            [
                f"there must be at least {_LEAST} different pictures, got {different} "
                f"({len(facts)} with copies)"
            ],
        )
    return groups


# --- images and labels ---------------------------------------------------------------------------


def _listed(images: Images) -> list[Any]:
    """Return the pictures one by one. DataError where these are no pictures, or a single one."""
    headline, shape = "X must be a list or an array of images.", getattr(images, "shape", None)
    if isinstance(images, str | bytes | os.PathLike | Image.Image):
        raise DataError(headline, [f"got a single {type(images).__name__}; put it in a list"])
    if shape is not None and len(shape) not in (1, 3, 4):
        remedy = "reshape each row to the picture that it was"
        rule = "an array must be [n, height, width] or [n, height, width, channels]"
        raise DataError(headline, [f"{rule}, got shape {list(shape)}; {remedy}"])
    try:
        pictures = list(images)
    except TypeError as error:
        raise DataError(headline, [f"got {type(images).__name__}"]) from error
    if not pictures:
        raise DataError(headline, ["there must be at least one, got none"])
    return pictures


def _names(classes: NDArray[Any]) -> list[str]:
    """Return a different text for each class: itself where that tells them apart."""
    names = [str(label) for label in classes]
    if len(set(names)) == len(names):
        return names
    return [f"{name} ({type(label).__name__})" for name, label in zip(names, classes, strict=True)]


def _dataset(pictures: Sequence[Any], labels: Sequence[str]) -> Dataset:
    """Return a data set of these pictures in their order, whatever their paths."""
    items = tuple(Item(f"{i:09}", label) for i, label in enumerate(labels))
    wide = are_wide(picture for picture in pictures if not objection(picture))
    return Dataset("images", items, (), lambda i: bytes_of(pictures[i], wide=wide))


def _refuse(pictures: Sequence[Any], facts: Sequence[Facts]) -> None:
    """Raise DataError that names every image that cannot be used."""
    wrong = [
        f"{_name(picture, i)}: {one.detail or one.problem}"
        for i, (picture, one) in enumerate(zip(pictures, facts, strict=True))
        if one.problem
    ]
    if wrong:
        raise DataError(
            f"{len(wrong):,} of {len(facts):,} images cannot be used; mend them or leave them out.",
            some(wrong),
        )


def _name(picture: Any, number: int) -> str:
    """Return a path as it is, anything else by its place in X."""
    return os.fspath(picture) if isinstance(picture, str | os.PathLike) else f"image {number}"
