"""What was computed from many images is found again where nothing that it follows from differs."""

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

import regraft
from pictures import lay_out
from regraft import Dataset
from regraft.features import training_mode
from regraft.features.cache import Store, products
from regraft.features.cache.products import kept_of_files, recalled, remembering
from regraft.features.engines.store import versions_of
from regraft.heads.known import Known
from regraft.heads.ridge import Head, cross_validate
from regraft.plan.choices import Choices
from regraft.plan.definition import Plan
from regraft.plan.evidence import Gathered
from regraft.plan.recipes import textbook
from regraft.run import draft, fitted, unknown
from regraft.run.draft import drafted
from regraft.run.measure import Measured, measure
from regraft.run.pretrained import open_network
from regraft.run.training_speed import training_speed
from scenes import each, scenes
from smallnet import record

X = np.arange(12, dtype=np.float32).reshape(3, 4)


@dataclass(frozen=True)
class Word:
    """A record among the inputs."""

    one: str = "a"
    many: Any = (1, 2.0)


def twice(tmp_path: Path, first: object, second: object) -> int:
    """Ask for the same with two inputs; give how often it is computed."""
    made: list[object] = []

    def make() -> dict[str, Any]:
        made.append(None)
        return {"x": X * len(made)}

    found = [recalled(tmp_path, "sum", inputs, make)["x"] for inputs in (first, second)]
    assert_array_equal(found[1], X * len(made))
    return len(made)


@pytest.mark.parametrize(
    "same", [X, [X, 1, "a", None, True, 2.5], Word(), Word(many=X), (np.int64(3), ())], ids=str
)
def test_the_same_inputs_are_computed_from_once(tmp_path: Path, same: object) -> None:
    again = same.copy() if isinstance(same, np.ndarray) else same
    assert twice(tmp_path, same, again) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(X, X + 1e-6, id="a value"),
        pytest.param(X, X.astype(np.float64), id="a type"),
        pytest.param(X, X.reshape(4, 3), id="a shape"),
        pytest.param(X, np.asfortranarray(X.T), id="an order"),
        pytest.param([X, X[:1]], [X[:1], X], id="which is which"),
        pytest.param(["a", "b"], ["ab"], id="words that run together"),
        pytest.param([["a"], "b"], ["a", ["b"]], id="what is in a list"),
        pytest.param(1, "1", id="a number and its word"),
        pytest.param(Word(), replace(Word(), many=(1, 2.5)), id="a record's field"),
        pytest.param(Word(many=X), Word(many=X + 1), id="a record's array"),
    ],
)
def test_other_inputs_are_others(tmp_path: Path, one: object, other: object) -> None:
    assert twice(tmp_path, one, other) == 2


def test_what_cannot_be_told_apart_is_no_input(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="object is no input"):
        recalled(tmp_path, "sum", [object()], dict)


def test_another_code_computes_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "src"
    (source / "heads").mkdir(parents=True)
    monkeypatch.setattr(products, "_SOURCE", source)
    names = []
    for text in ("x = 1", "x = 2"):
        (source / "heads" / "a.py").write_text(text)
        products._setting.cache_clear()
        names.append(products._setting())
    products._setting.cache_clear()
    assert names[0] != names[1]


def test_another_torch_computes_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """It fits the textbook's layer."""
    usual = products._setting()
    monkeypatch.setattr(
        products,
        "versions_of",
        lambda names: {
            name: "0" if name == "torch" else versions_of([name])[name] for name in names
        },
    )
    products._setting.cache_clear()
    other = products._setting()
    products._setting.cache_clear()
    assert other != usual


def test_a_product_cut_short_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Store.put_blob
    monkeypatch.setattr(Store, "put_blob", lambda s, a, b, data: whole(s, a, b, data[:-3]))
    assert twice(tmp_path, X, X) == 2


def test_a_large_product_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "MOST", X.nbytes - 1)
    assert twice(tmp_path, X, X) == 2


def test_what_gives_nothing_is_asked_again(tmp_path: Path) -> None:
    asked: list[None] = []

    def nothing() -> dict[str, Any]:
        asked.append(None)
        return {}

    for _ in range(2):
        assert recalled(tmp_path, "sum", X, nothing) == {}
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("folder", "data", "how", "kind", "asked"),
    [
        pytest.param("cache", b"file", 1, "picture", 1, id="the same"),
        pytest.param("cache", b"other", 1, "picture", 2, id="another file"),
        pytest.param("cache", b"file", 2, "picture", 2, id="otherwise"),
        pytest.param("cache", b"file", 1, "dot", 2, id="another kind"),
        pytest.param(None, b"file", 1, "picture", 2, id="nothing remembers"),
    ],
)
def test_what_is_made_of_a_file_is_made_once(
    tmp_path: Path, folder: str | None, data: bytes, how: int, kind: str, asked: int
) -> None:
    made: list[bytes] = []

    def make() -> bytes:
        made.append(b"made %d" % len(made))
        return made[-1]

    found = []
    for given in ((b"file", 1, "picture"), (data, how, kind)):
        place = None if folder is None else tmp_path / folder
        with kept_of_files(place, given[2], given[1]) as kept:
            found.append(kept(given[0], make))
    assert len(made) == asked
    assert found == [made[0], made[-1]]


def test_nothing_made_of_a_file_is_asked_again(tmp_path: Path) -> None:
    for made in (b"", b"picture"):
        with kept_of_files(tmp_path, "picture", 1) as kept:
            assert kept(b"file", lambda made=made: made) == made  # type: ignore[misc]


def test_a_function_is_asked_once_for_the_same_words(tmp_path: Path) -> None:
    asked = []

    def scaled(x: Any, by: float = 1.0) -> Any:
        asked.append(by)
        return x * by

    remembered = remembering(tmp_path, scaled)
    results = [remembered(X, by=2.0), remembered(X, by=2.0), remembered(X, by=3.0)]
    assert asked == [2.0, 3.0]
    assert_array_equal(results[1], 2 * X)


@pytest.mark.parametrize(
    "counts",
    [each(12), each(12, "train/") | each(4, "test/")],
    ids=["each held out once", "a test set"],
)
def test_a_second_fit_computes_nothing_of_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counts: dict[str, int]
) -> None:
    data = lay_out(tmp_path / "data", scenes(counts, first=700))
    first = regraft.fit(data, "demonstration", case=1, out=tmp_path / "a")
    never: Callable[..., Any] = lambda *_, **__: pytest.fail("it is known")  # noqa: E731
    for place in (
        *("plan.evidence._scored", "plan.evidence.nested", "plan.evidence.fit_temperature"),
        *("heads.ridge.products", "plan.unknown.tried", "report.nearby._placed"),
        *("run.fitted.head_on", "run.unknown._believed", "report.pictures.look"),
    ):
        monkeypatch.setattr(f"regraft.{place}", never)
    monkeypatch.setattr("regraft.run.draft.subsets_of", never)
    second = regraft.fit(data, "demonstration", case=1, out=tmp_path / "b")
    assert second.plan == first.plan
    assert pictures_of(tmp_path / "b") == pictures_of(tmp_path / "a") != []
    assert second.metrics["unknown"] == first.metrics["unknown"]
    for name, tensor in first.tensors.items():
        assert_array_equal(second.tensors[name], tensor)


def pictures_of(run: Path) -> list[str]:
    """The pictures of a page."""
    return re.findall(r"data:image/webp[^\"]*", (run / "report.html").read_text("utf-8"))


def test_a_remembered_speed_of_training_is_read_without_what_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = textbook(record(), init="pretrained", images=40, weighting="none")
    path = training_mode.place(tmp_path, record(), training)
    training_mode.kept(path, lambda: training_mode.Mode("32-true", True, 7.0))
    measured: Any = SimpleNamespace(network=SimpleNamespace(backbone=record()), cache=tmp_path)
    monkeypatch.setitem(sys.modules, "regraft.finetune", None)
    assert training_speed(measured, training) == 7
    path.unlink()
    with pytest.raises(ImportError):
        training_speed(measured, training)


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Measured, Plan, Gathered]:
    data = lay_out(tmp_path_factory.mktemp("planned") / "data", scenes(each(12), first=800))
    found = measure(Dataset.open(data), open_network("demonstration"), Choices(), augment=True)
    plan, gathered = drafted(found, Choices(case="frozen"))
    return found.parted(plan.split), plan, gathered


def other(measured: Measured, **columns: Any) -> Measured:
    """The same images with one value of a column changed."""
    for name, column in columns.items():
        changed = column.copy()
        changed[0] = changed[0] + 1
        columns[name] = changed
    return replace(measured, **columns)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda m, p: (m, replace(p, seed=p.seed + 1)), id="seed"),
        pytest.param(lambda m, p: (m, replace(p, weighting="balanced")), id="weighting"),
        pytest.param(lambda m, p: (other(m, features=m.features), p), id="features"),
        pytest.param(lambda m, p: (other(m, labels=m.labels), p), id="labels"),
    ],
)
@pytest.mark.parametrize("kind", ["unknown", "subsets", "head"])
def test_a_plan_is_not_answered_with_what_another_gave(
    kind: str,
    change: Callable[[Measured, Plan], tuple[Measured, Plan]],
    planned: tuple[Measured, Plan, Gathered],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured, plan, gathered = planned
    assert inputs_of(kind, measured, plan, gathered, monkeypatch) != inputs_of(
        kind, *change(measured, plan), gathered, monkeypatch
    )


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda p: replace(p, recipe="textbook"), id="recipe"),
        pytest.param(lambda p: replace(p, strength=7.0), id="strength"),
        pytest.param(lambda p: replace(p, mirror=not p.mirror), id="mirror images"),
        pytest.param(
            lambda p: replace(p, evidence=replace(p.evidence, temperature=9.0)), id="temperature"
        ),
    ],
)
@pytest.mark.parametrize("kind", ["unknown", "head"])
def test_the_head_and_what_tells_strangers_follow_from_the_plan(
    kind: str,
    change: Callable[[Plan], Plan],
    planned: tuple[Measured, Plan, Gathered],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured, plan, gathered = planned
    same = kind == "head" and change(plan).evidence != plan.evidence  # it is calibrated afterwards
    assert same == (
        inputs_of(kind, measured, plan, gathered, monkeypatch)
        == inputs_of(kind, measured, change(plan), gathered, monkeypatch)
    )


def test_what_is_fitted_side_by_side_is_the_same(
    planned: tuple[Measured, Plan, Gathered], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured, plan, gathered = planned
    curves, scores = [], []
    for most in (10**9, 0):
        monkeypatch.setattr("regraft.heads.ridge.ABREAST", most)
        made = replace(measured, cache=tmp_path / str(most))
        curves.append(draft._learning_curve(plan, made, gathered))
        x, y = measured.features[measured.split.train], measured.labels[measured.split.train]
        turns = np.arange(len(y)) % 4
        taps = [(0,), (0, 1)]
        scores.append(
            cross_validate(x, plan.backbone.widths, y, len(measured.classes), turns, taps)
        )
    assert_array_equal(scores[0], scores[1])
    assert len(curves[0].measured) > 1
    assert curves[0] == curves[1]


@pytest.mark.parametrize("change", [None, "weight", "bias", "features", "scaling", "taps"])
def test_beliefs_follow_from_the_head_the_images_and_what_tells_them(
    change: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def given(changed: str | None) -> tuple[Any, Any, Known]:
        more = {name: float(name == changed) for name in ("weight", "bias", "features", "scaling")}
        head = Head((0,), X[:2] + np.float32(more["weight"]), X[0, :2] + np.float32(more["bias"]))
        backbone = SimpleNamespace(widths=(4,))
        taps = (0, 0) if changed == "taps" else (0,)
        result = SimpleNamespace(head=head, plan=SimpleNamespace(taps=taps, backbone=backbone))
        measured = SimpleNamespace(features=X + more["features"], cache=tmp_path)
        return result, measured, Known(None, X.astype(np.float64) + more["scaling"], np.zeros(1))

    made: list[None] = []

    def believed(*_: object) -> NDArray[Any]:
        made.append(None)
        return np.zeros(2)

    monkeypatch.setattr(unknown, "_believed", believed)
    for changed in (None, change):
        unknown._of_held_out(*given(changed), np.array([0, 2]))
    assert len(made) == (1 if change is None else 2)


def inputs_of(
    kind: str,
    measured: Measured,
    plan: Plan,
    gathered: Gathered,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """The name of what is asked for."""
    asked: list[str] = []

    class Asked(Exception):
        """Enough is known."""

    def noted(folder: Path, kind: str, inputs: object, make: object) -> None:
        asked.append(products._digest(inputs))
        raise Asked

    monkeypatch.setattr(unknown, "recalled", noted)
    monkeypatch.setattr(draft, "recalled", noted)
    monkeypatch.setattr(fitted, "recalled", noted)
    ask: Mapping[str, Callable[[], object]] = {
        "unknown": lambda: unknown._recalled(plan, measured, measured.split.train),
        "subsets": lambda: draft._learning_curve(plan, measured, gathered),
        "head": lambda: fitted.fitted(plan, measured),
    }
    with pytest.raises(Asked):
        ask[kind]()
    return asked[0]


def test_all_code_that_computes_is_in_the_name() -> None:
    for pattern in products._CODE:
        assert list(products._SOURCE.glob(pattern)), f"{pattern} is no file any more"
