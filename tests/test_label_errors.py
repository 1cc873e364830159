"""Which labels look wrong: what is told of probabilities, and what a run makes of it."""

import csv
import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

import regraft
from command import Regraft, cli, own_log
from pictures import lay_out
from regraft.cli.fit import to_correct
from regraft.data.corrections import correct
from regraft.data.dataset import Dataset
from regraft.errors import DataError, RunError
from regraft.metrics import fit_temperature, softmax
from regraft.plan import evidence, wording
from regraft.plan.label_errors import LabelErrors, label_errors
from regraft.results.tables import SUSPECTS
from scenes import each, scene, scenes

__all__ = ["cli", "own_log"]  # fixtures

Labels = NDArray[np.intp]


def drawn(
    images: int, classes: int, sure: float, wrong: float = 0.0, seed: int = 0
) -> tuple[NDArray[np.float64], Labels, Labels]:
    """Probabilities as cross-validation gives them, labels, and which of those are wrong.

    The classes are drawn from what a network says, which therefore knows how often it errs.
    """
    random = np.random.default_rng(seed)
    logits = sure * random.normal(size=(images, classes))
    edges = softmax(logits).cumsum(1)
    truth = (random.random((images, 1)) > edges).sum(1).clip(0, classes - 1)
    bad = random.permutation(images)[: round(wrong * images)]
    labels = truth.copy()
    labels[bad] = (truth[bad] + random.integers(1, classes, len(bad))) % classes
    return softmax(logits, fit_temperature(logits, labels)), labels, bad


def told(
    images: int, classes: int, sure: float, wrong: float = 0.0, seed: int = 0
) -> tuple[LabelErrors, Labels]:
    shares, labels, bad = drawn(images, classes, sure, wrong, seed)
    return label_errors(shares, labels), bad


@pytest.mark.parametrize(
    ("images", "classes", "sure"),
    [
        pytest.param(400, 4, 8.0, id="a network that is sure"),
        pytest.param(400, 4, 2.0, id="one that errs often and knows it"),
        pytest.param(300, 2, 3.0, id="two classes"),
        pytest.param(2000, 40, 4.0, id="forty"),
    ],
)
def test_of_labels_that_are_right_hardly_any_is_named(
    images: int, classes: int, sure: float
) -> None:
    found = [told(images, classes, sure, seed=seed)[0] for seed in range(10)]
    assert np.mean([len(one.wrong) for one in found]) < 0.01 * images
    assert np.mean([one.expected for one in found if one.expected is not None]) < 0.02 * images
    assert all(one.expected is not None for one in found)


@pytest.mark.parametrize("share", [0.02, 0.05, 0.1, 0.3])
@pytest.mark.parametrize(("classes", "sure"), [(2, 12.0), (4, 10.0), (20, 10.0)])
def test_wrong_labels_are_named_and_counted(share: float, classes: int, sure: float) -> None:
    found = [told(1000, classes, sure, share, seed=seed) for seed in range(5)]
    assert np.mean([np.isin(one.wrong, bad).mean() for one, bad in found]) > 0.8
    assert np.mean([np.isin(bad, one.wrong).mean() for one, bad in found]) > 0.6
    expected = [one.expected for one, _ in found if one.expected is not None]
    assert np.mean(expected) == pytest.approx(1000 * share, rel=0.3)


def test_the_least_believed_come_first_whatever_the_order_of_images_and_classes() -> None:
    shares, labels, _ = drawn(300, 5, 6.0, 0.1)
    found = label_errors(shares, labels)
    assert (np.diff(found.belief[found.order]) >= 0).all()
    assert_array_equal(found.wrong, found.order[: len(found.wrong)])
    assert (found.belief[found.wrong] < 0.5).all()
    assert (shares[found.wrong].argmax(1) != labels[found.wrong]).all()
    random = np.random.default_rng(3)
    rows, columns = random.permutation(300), random.permutation(5)
    other = label_errors(shares[rows][:, columns], np.argsort(columns)[labels[rows]])
    assert_array_equal(rows[other.wrong], found.wrong)


@pytest.mark.parametrize(
    "labels_of",
    [
        pytest.param(lambda right, random: random.permutation(right), id="shuffled"),
        pytest.param(lambda right, random: (right + 1) % 4, id="all wrong in the same way"),
        pytest.param(
            lambda right, random: np.where(random.random(len(right)) < 0.7, (right + 1) % 4, right),
            id="most wrong in the same way",
        ),
        pytest.param(
            lambda right, random: np.where(
                random.random(len(right)) < 0.65, (right + random.integers(1, 4, 200)) % 4, right
            ),
            id="most wrong",
        ),
    ],
)
def test_labels_that_tell_nothing_are_not_named(
    labels_of: Callable[[Labels, np.random.Generator], Labels],
) -> None:
    for seed in range(20):
        shares, right, _ = drawn(200, 4, 10.0, seed=seed)
        found = label_errors(shares, labels_of(right, np.random.default_rng(seed)))
        assert found.expected is None
        assert not len(found.wrong)


def test_of_images_that_say_nothing_of_their_labels_nothing_is_told() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        labels = random.integers(0, 2, 60)
        logits = random.normal(size=(60, 2))
        found = label_errors(softmax(logits, fit_temperature(logits, labels)), labels)
        assert found.expected is None


@pytest.mark.parametrize(
    ("count", "known", "named"), [(1, 0, 0), (2, 0, 0), (6, 0, 0), (2, 2, 0), (2, 3, 2)]
)
def test_a_class_that_is_not_known_is_not_taken_for_wrong_labels(
    count: int, known: int, named: int
) -> None:
    shares, labels, _ = drawn(300, 4, 10.0, 0.05)
    rare = shares[labels != 3][:count].copy()
    rare[:, 3] = 1e-6
    keep = labels != 3
    sure = np.full((known, 4), 0.002)
    sure[:, 3] = 0.994
    shares = np.concatenate([shares[keep], rare / rare.sum(1, keepdims=True), sure])
    labels = np.concatenate([labels[keep], np.full(count + known, 3)])
    found = label_errors(shares, labels)
    assert len(found.wrong)
    assert (labels[found.wrong] == 3).sum() == named


# ---- a run


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of three kinds: rings among the squares, one to train on and one held out."""
    files = scenes(each(20, "train/")) | scenes(each(8, "test/"), first=60)
    files["train/squares/ring.png"] = scene("rings", 90)
    files["test/squares/ring.png"] = scene("rings", 91)
    return lay_out(tmp_path_factory.mktemp("data") / "scenes", files)


WRONG = {"train/squares/ring.png", "test/squares/ring.png"}


@pytest.fixture(scope="module")
def run(data: Path) -> Path:
    out = data.parent / "run"
    regraft.fit(data, "demonstration", case=1, out=out)
    return out


def table(run: Path) -> list[dict[str, str]]:
    with (run / "suspects.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def fill(run: Path, to: Path, corrections: dict[str, str], column: str = "correction") -> Path:
    """Write into the table as a person does, in a spreadsheet that parts by semicolons."""
    rows = table(run)
    for row in rows:
        row[column] = corrections.get(row["path"], row[column])
    with to.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, SUSPECTS, delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
    return to


def test_held_out_and_training_images_are_named(data: Path, run: Path) -> None:
    rows = table(run)
    assert {row["path"] for row in rows} == WRONG
    assert [row["rank"] for row in rows] == ["1", "2"]
    assert {(row["label"], row["suggestion"], row["correction"]) for row in rows} == {
        ("squares", "rings", "")
    }
    metrics = json.loads((run / "metrics.json").read_text())
    found = metrics["suspects"]
    assert (found["count"], found["judged"], found["of"]) == (2, 86, 86)
    assert wording.suspects(metrics) == "2 of 86 labels look wrong."
    assert "2 of 86 labels look wrong." in (run / "README.md").read_text("utf-8")
    assert {one.path for one in regraft.load(run).suspects} == WRONG
    page = (run / "report.html").read_text("utf-8")
    part = page[page.index('<h2 id="labels">') : page.index('<h2 id="audit">')]
    assert part.count('looks like <b dir="auto">rings</b>') == part.count("<img") == 2


def test_a_plan_that_is_applied_names_the_same_and_so_does_an_edited_one(
    data: Path, run: Path
) -> None:
    plan = regraft.propose(data, "demonstration", case=1)
    assert regraft.apply(plan, data).metrics["suspects"] == regraft.load(run).metrics["suspects"]
    edited = replace(plan, taps=(1,), case=2, strength=1.0)
    assert {one.path for one in regraft.apply(edited, data).suspects} <= WRONG


def test_a_set_of_which_each_is_held_out_once_is_judged_whole(tmp_path: Path) -> None:
    files = scenes(each(20)) | {"squares/ring.png": scene("rings", 90)}
    result = regraft.fit(lay_out(tmp_path / "data", files), "demonstration", case=1)
    assert [one.path for one in result.suspects] == ["squares/ring.png"]
    assert result.metrics["suspects"]["judged"] == 61


def test_of_a_very_large_set_a_sample_is_judged_and_that_is_said(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = evidence.sample
    for module in ("plan", "run"):
        half = lambda *words: sample(*words)[::2]  # noqa: E731
        monkeypatch.setattr(f"regraft.{module}.evidence.sample", half)
    metrics = regraft.fit(data, "demonstration", case=1).metrics
    assert (metrics["suspects"]["judged"], metrics["suspects"]["of"]) == (56, 86)
    assert "of the 56 labels judged (86 in all)" in wording.suspects(metrics)


def test_groups_are_judged_whole(data: Path) -> None:
    result = regraft.fit(data, "demonstration", case=1, group_by=r"\d(\d)\.png")
    assert {one.path for one in result.suspects} == WRONG


def test_of_two_copies_the_one_under_the_wrong_label_is_named(tmp_path: Path) -> None:
    from pictures import encode, photo

    files = scenes(each(20)) | {f"photos/{n}.png": encode(photo(n), "PNG") for n in range(20)}
    files["squares/copy.jpg"] = encode(photo(3), "JPEG", quality=80)
    result = regraft.fit(lay_out(tmp_path / "data", files), "demonstration", case=1)
    assert [one.path for one in result.suspects] == ["squares/copy.jpg"]


@pytest.mark.parametrize("form", ["folder", "zip", "table"])
def test_what_a_person_writes_into_the_table_is_used_and_nothing_else(
    data: Path, run: Path, tmp_path: Path, form: str
) -> None:
    source = data
    if form == "zip":
        source = tmp_path / "scenes.zip"
        with zipfile.ZipFile(source, "w") as archive:
            for path in sorted(data.rglob("*.png")):
                archive.write(path, path.relative_to(data))
    if form == "table":
        source = data / "all.csv"
        paths = [path.relative_to(data).as_posix() for path in sorted(data.rglob("*.png"))]
        rows = [f"{path},{path.split('/')[1]},{path.split('/')[0]}" for path in paths]
        source.write_text("\n".join(["path,label,split", *rows]))
    dataset = Dataset.open(source)
    root = source if source.is_dir() else source.parent
    edited = fill(run, tmp_path / "edited.csv", {"train/squares/ring.png": "rings"})
    done = correct(dataset, edited, root)
    assert done.relabelled == ("train/squares/ring.png",)
    assert (done.confirmed, done.added) == ((), ())
    changed = {"train/squares/ring.png": "rings"}
    before = {item.path: item.label for item in dataset.items}
    assert {item.path: item.label for item in done.after.items} == before | changed
    with pytest.raises(DataError, match="no right label is written into the column 'correction'"):
        correct(dataset, run / "suspects.csv", root)
    wrong = fill(run, tmp_path / "label.csv", changed, column="label")
    with pytest.raises(DataError, match=r"ring.png: is 'squares' in the data, 'rings' beside an"):
        correct(dataset, wrong, root)
    if form == "table":
        source.unlink()


def test_what_was_confirmed_is_not_named_again(data: Path, run: Path, tmp_path: Path) -> None:
    edited = fill(run, tmp_path / "edited.csv", {"train/squares/ring.png": "squares"})
    done = correct(Dataset.open(data), edited, data)
    assert done.confirmed == ("train/squares/ring.png",)
    result = regraft.fit(done.after, "demonstration", case=1)
    assert [one.path for one in result.suspects] == ["test/squares/ring.png"]
    assert result.metrics["suspects"]["judged"] == 85


def test_the_terminal_says_what_looks_wrong_and_how_it_is_corrected(
    data: Path, tmp_path: Path, cli: Regraft
) -> None:
    out = tmp_path / "run"
    said = cli("fit", data, "--backbone", "demonstration", "--case", 1, "--out", out)
    assert "2 of 86 labels look wrong." in said.out
    assert "ring.png: labelled squares, looks like rings" in said.out
    assert f"regraft fit {data} --add {out / 'suspects.csv'} --out ANOTHER" in said.err
    words = ("fit", data, "--backbone", "demonstration", "--case", 1)
    fill(out, tmp_path / "mine.csv", dict.fromkeys(WRONG, "rings"))
    said = cli(*words, "--add", tmp_path / "mine.csv", "--out", tmp_path / "better")
    assert "2 images relabelled" in said.out
    assert "None of the 84 labels judged (86 in all) looks wrong." in said.out
    assert "suspects.csv" not in said.err
    assert not table(tmp_path / "better")


def test_the_columns_that_were_named_are_named_again(run: Path) -> None:
    result = regraft.load(run)
    plan = replace(result.plan, label_column="kind of animal")
    lines = to_correct(replace(result, plan=plan), run, "rows.csv")
    assert "`regraft fit rows.csv --label-column 'kind of animal' --add " in lines[1]


def test_a_table_that_a_person_wrote_into_is_not_replaced(
    data: Path, run: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(run, tmp_path / "run")
    regraft.fit(data, "demonstration", case=1, out=out, overwrite=True)
    fill(out, out / "suspects.csv", dict.fromkeys(WRONG, "rings"))
    with pytest.raises(RunError, match=r"suspects\.csv must be as it was written"):
        regraft.fit(data, "demonstration", case=1, out=out, overwrite=True)
    assert "squares;rings;" in (out / "suspects.csv").read_text("utf-8-sig")


def test_a_run_of_before_opens_as_it_was(data: Path, run: Path, tmp_path: Path) -> None:
    old = shutil.copytree(run, tmp_path / "old")
    (old / "suspects.csv").unlink()
    metrics = json.loads((old / "metrics.json").read_text())
    del metrics["suspects"]
    (old / "metrics.json").write_text(json.dumps(metrics))
    assert regraft.load(old).suspects == ()
    assert wording.suspects(metrics) == ""
    page = regraft.report(old, tmp_path / "page.html", data=data).read_text("utf-8")
    assert 'id="labels"' not in page
    regraft.fit(data, "demonstration", case=1, out=old, overwrite=True)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ((1, 1.2, 80, 80), "1 of 80 labels looks wrong."),
        ((0, 0.3, 80, 80), "None of 80 labels looks wrong."),
        ((0, 3.8, 80, 80), "None of 80 labels stands out; of so many about 4 may still be wrong."),
        ((3, 7.6, 1080, 9080), "3 of the 1,080 labels judged (9,080 in all) look wrong; about 8 "),
        ((0, None, 80, 80), "Which of 80 labels are wrong cannot be told: "),
    ],
)
def test_how_many_is_said(found: tuple[object, ...], said: str) -> None:
    names = ("count", "expected", "judged", "of")
    assert wording.suspects({"suspects": dict(zip(names, found, strict=True))}).startswith(said)
