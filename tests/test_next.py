"""What to label next: who is chosen, the replay, the table, and the folder it is asked of."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import regraft
from command import Regraft, cli, own_log
from pictures import lay_out
from regraft.acquire import verb
from regraft.acquire.replay import Replay, replayed
from regraft.acquire.selection import NOISE, SPREAD, metric_of, unsure_first
from regraft.data.dataset import Dataset
from regraft.errors import DataError, RunError, UsageError
from regraft.plan.choices import Choices
from regraft.results.files import LABELLED_FILE
from regraft.results.labelled import read_labelled
from regraft.run.draft import draft
from regraft.run.labelled import kept_of
from regraft.run.measure import measure
from regraft.run.pretrained import open_network
from scenes import each, scenes

__all__ = ["cli", "own_log"]  # fixtures

EACH = 16


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_out(tmp_path_factory.mktemp("data") / "scenes", scenes(each(EACH)))


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "run"
    regraft.fit(data, "demonstration", case=1, out=out)
    return out


@pytest.fixture(scope="module")
def pool(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty new scenes, two that the run knows, a copy of a new one, a broken file, a text."""
    files = {path.replace("/", "_"): image for path, image in scenes(each(10), 100).items()}
    files["copy_of_rings_100.png"] = files["rings_100.png"]
    files["broken.png"] = b"no picture"
    files["notes.txt"] = b"nothing"
    folder = lay_out(tmp_path_factory.mktemp("pool") / "new", files)
    for kind in ("rings", "stripes"):
        shutil.copy(data / kind / "003.png", folder / f"again_{kind}.png")
    return folder


def a_replay(gain: float, error: float) -> Replay:
    return Replay(50, 10, 0.7, 0.8 + gain, 0.8, gain, error, 12.0, 40)


# --- who is chosen -------------------------------------------------------------------------------


def test_of_images_that_are_alike_one_comes_first() -> None:
    x = np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32)
    x[1:10] = x[0]
    doubt = np.full(30, 0.3)
    doubt[:10] = 0.6
    metric = metric_of(x, (8,))
    order = unsure_first(doubt, 3 * metric(x), metric(x[:0]), 12).tolist()
    assert len({*order}) == 12
    assert order[0] in range(10)
    assert sum(place in range(10) for place in order[:6]) == 1


def test_without_likeness_the_most_doubtful_come_first() -> None:
    x = np.eye(12, dtype=np.float32)
    doubt = np.linspace(0.1, 0.9, 12)
    assert unsure_first(doubt, x, x[:0], 5).tolist() == [11, 10, 9, 8, 7]


def test_what_is_far_from_all_others_is_not_better_for_that() -> None:
    x = np.eye(12, dtype=np.float32)
    x[0] *= 50
    doubt = np.full(12, 0.5)
    doubt[0], doubt[1] = 0.4, 0.6
    assert unsure_first(doubt, x, x[5:6], 1).tolist() == [1]


def test_what_is_left_unknown_is_that_of_a_gaussian_process() -> None:
    random = np.random.default_rng(3)
    labelled, pool = (random.normal(size=(n, 6)).astype(np.float32) for n in (7, 9))
    doubt = random.uniform(0.2, 0.8, 9)

    def unknown(rows: np.ndarray) -> np.ndarray:
        shared, own = pool @ rows.T, rows @ rows.T + NOISE * np.eye(len(rows))
        told = np.einsum("nm,mn->n", shared, np.linalg.solve(own, shared.T))
        left: np.ndarray = np.maximum(np.square(pool).sum(1) - told, 0)
        return left

    first, order = unknown(labelled), list[int]()
    for _ in range(9):
        worth = doubt * (unknown(np.concatenate([labelled, pool[order]])) / first) ** SPREAD
        worth[order] = -1
        order.append(int(worth.argmax()))
    assert unsure_first(doubt, pool, labelled, 9).tolist() == order


def test_of_a_large_pool_the_least_sure_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regraft.acquire.selection.MOST", 4)
    x, doubt = np.eye(12, dtype=np.float32), np.linspace(0.1, 0.9, 12)
    assert unsure_first(doubt, x, x[:0], 6).tolist() == [11, 10, 9, 8, 7, 6]


# --- the replay ----------------------------------------------------------------------------------


def clouds(per: int, apart: float, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    y = np.repeat(np.arange(classes), per)
    x = random.normal(size=(len(y), 12)) + apart * np.eye(classes, 12)[y]
    return x.astype(np.float16), y


def test_a_replay_tells_what_was_won_and_is_the_same_again() -> None:
    x, y = clouds(60, 3.0)
    found = replayed(x, (12,), y, np.arange(len(y)), share=0.25)
    assert found is not None
    assert (found.start, found.added, found.pool) == (54, 14, 72)
    assert found.gain == pytest.approx(found.chosen - found.random)
    assert 0.6 < found.before <= 1
    assert found == replayed(x, (12,), y, np.arange(len(y)), share=0.25)
    assert found != replayed(x, (12,), y, np.arange(len(y)), share=0.25, seed=1)
    few = replayed(x, (12,), y, np.arange(len(y)), share=0.01)
    assert few is not None
    assert few.added == 11


@pytest.mark.parametrize(
    ("images", "groups"), [(12, None), (60, 5), (1, None)], ids=["few", "few captures", "one each"]
)
def test_too_few_say_nothing(images: int, groups: int | None) -> None:
    x, y = clouds(images, 2.0)
    group = np.arange(len(y)) if groups is None else np.arange(len(y)) % groups
    assert replayed(x, (12,), y, group, share=0.25) is None


def test_captures_that_belong_together_stay_together(monkeypatch: pytest.MonkeyPatch) -> None:
    from regraft.acquire import replay

    group = np.repeat(np.arange(26), 7)
    y = np.tile([0, 1], 91)
    y[70:77] = 2  # one capture
    for seed in range(20):
        parts = replay._parted(y, group, np.random.default_rng(seed))
        assert sorted(np.concatenate(parts)) == list(range(182))
        of_part = [set(group[part]) for part in parts]
        assert not of_part[0] & of_part[1]
        assert not (of_part[0] | of_part[1]) & of_part[2]
        assert set(y[parts[0]]) == {0, 1, 2}


@pytest.mark.parametrize(
    ("replay", "expected"),
    [
        (None, True),
        (a_replay(0.03, 0.01), True),
        (a_replay(-0.05, 0.005), False),
        (a_replay(-0.001, 0.05), True),
    ],
    ids=["not replayed", "wins", "loses surely", "loses within its error"],
)
def test_chance_draws_where_choosing_saves_nothing(replay: Replay | None, expected: bool) -> None:
    assert verb.pays(replay, (0.01, 0.01)) is expected


# --- a RUN and a pool ----------------------------------------------------------------------------


def test_known_images_copies_and_what_is_unreadable_are_not_asked_for(
    run: Path, pool: Path
) -> None:
    found = regraft.next_to_label(run, pool, count=1000)
    names = [Path(one.path).name for one in (*found.images, *found.strangers)]
    assert len(names) == len(set(names)) == found.pool == 30
    assert not {"again_rings.png", "again_stripes.png", "broken.png", "notes.txt"} & {*names}
    assert len({"rings_100.png", "copy_of_rings_100.png"} & {*names}) == 1
    assert found.labelled == 2
    assert [Path(path).name for path, _ in found.unread] == ["broken.png"]
    assert [one.rank for one in found.images] == list(range(1, len(found.images) + 1))


def test_the_same_images_are_named_again_and_a_start_of_more(run: Path, pool: Path) -> None:
    few, many = (regraft.next_to_label(run, pool, count=n, by="doubt") for n in (5, 15))
    assert [one.path for one in many.images[:5]] == [one.path for one in few.images]
    again = regraft.next_to_label(run, pool, count=5, by="doubt")
    assert again.images == few.images
    drawn = regraft.next_to_label(run, pool, count=5, by="random")
    assert drawn.by == "random"
    assert drawn.images != few.images


def test_a_result_that_is_not_saved_says_the_same(data: Path, run: Path, pool: Path) -> None:
    result = regraft.fit(data, "demonstration", case=1)
    images = sorted(pool.glob("*_10*.png"))
    own = regraft.next_to_label(result, images, count=4)
    assert own.images == regraft.next_to_label(run, images, count=4).images


def test_the_table_takes_labels_and_goes_back_into_fit(
    data: Path, run: Path, pool: Path, tmp_path: Path, cli: Regraft
) -> None:
    out = tmp_path / "next.csv"
    said = cli("next", run, pool, "--count", 6, "--out", out)
    assert said.code == 0
    assert f"fit DATA --add {out}" in said.err
    assert "more in the table" not in said.out
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    named = [row for row in rows if row["rank"]]
    assert [row["rank"] for row in named] == list("123456")
    assert all(row["label"] == "" for row in rows)
    words = ("fit", data, "--backbone", "demonstration", "--case", 1, "--add", out, "--out")
    empty = cli(*words, tmp_path / "none")
    assert empty.code == 1
    assert "no right label is written into the column 'label' yet" in empty.err
    rows.append({**rows[0], "path": str(data / "rings" / "000.png"), "suggestion": "stripes"})
    for row in named[:4]:
        row["label"] = Path(row["path"]).name.replace("copy_of_", "").split("_")[0]
    with out.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    more = cli(*words, tmp_path / "more")
    assert more.code == 0, more.err
    assert "4 added" in more.out
    again = cli("next", run, pool, "--out", out)
    assert again.code == 2
    assert "would be lost" in again.err
    queue = regraft.next_to_label(tmp_path / "more", pool)
    assert queue.labelled == 2 + 4


def test_it_is_said_why_and_what_stands_apart(run: Path, pool: Path, cli: Regraft) -> None:
    said = cli("next", run, pool, "--count", 3)
    assert said.out.startswith("3 of 30 images to label next")
    assert "2 of the pool are images that the run was made of." in said.out
    assert "not read:" in said.err
    assert "notes.txt" in said.err
    found = cli("next", run, pool, "--count", 3, "--json").json
    assert found["by"] in ("doubt", "random")
    assert {"images", "strangers", "replay", "why", "pool", "labelled", "unread"} <= set(found)
    assert found["replay"]["added"] >= 1
    assert found["why"] in said.out.replace("\n", " ")


@pytest.mark.parametrize(
    ("words", "error", "text"),
    [
        ({"count": 0}, UsageError, "count must be 1 or more, got 0"),
        ({"by": "magic"}, UsageError, "by must be one of auto, doubt, random, got 'magic'"),
    ],
)
def test_what_cannot_be_asked_for(
    run: Path, pool: Path, words: dict[str, object], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        regraft.next_to_label(run, pool, **words)  # type: ignore[arg-type]


def test_a_pool_of_nothing_new(run: Path, data: Path, tmp_path: Path, cli: Regraft) -> None:
    said = cli("next", run, data)
    assert said.code == 1
    assert f"{3 * EACH} are images that the run was made of" in said.err
    lay_out(tmp_path / "bad", {"a.png": b"no picture"})
    with pytest.raises(DataError, match=r"a\.png"):
        regraft.next_to_label(run, tmp_path / "bad")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no image below"):
        regraft.next_to_label(run, tmp_path / "empty")


def test_a_run_of_before_is_named_and_a_damaged_one(run: Path, pool: Path, tmp_path: Path) -> None:
    old = shutil.copytree(run, tmp_path / "old")
    (old / LABELLED_FILE).write_bytes(b"torn")
    with pytest.raises(RunError, match="must be whole safetensors"):
        regraft.next_to_label(old, pool)
    other = regraft.load(run).plan.inputs + 1
    with pytest.raises(RunError, match="features must be"):
        read_labelled(run, other, 3)
    with pytest.raises(RunError, match="labels must be 0 to 1"):
        read_labelled(run, other - 1, 2)
    (old / LABELLED_FILE).unlink()
    assert regraft.load(old).predict(next(iter(pool.glob("rings*.png"))))[0].label
    with pytest.raises(RunError, match=f"has no {LABELLED_FILE}"):
        regraft.next_to_label(old, pool)


def test_a_pool_of_strangers_is_said_to_be_one(
    run: Path, pool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verb, "LIMIT", 1.0)
    found = regraft.next_to_label(run, pool, count=4)
    assert (found.images, len(found.strangers)) == ((), 30)
    assert "look like none of the classes" in found.why
    assert "too few" not in found.why


def test_where_the_network_tells_nothing_apart_chance_draws(tmp_path: Path, pool: Path) -> None:
    files = scenes({"rings": 60})
    names = np.random.default_rng(0).permutation(60)
    mixed = {f"{'ab'[k % 2]}/{n}.png": files[f"rings/{n:03}.png"] for k, n in enumerate(names)}
    out = tmp_path / "run"
    regraft.fit(lay_out(tmp_path / "data", mixed), "demonstration", case=1, out=out)
    assert not regraft.load(out).plan.evidence.learnt
    found = regraft.next_to_label(out, pool, count=4)
    assert (found.by, found.replay) == ("random", None)
    assert "does not tell the classes apart" in found.why
    assert json.dumps(found.to_json())


def test_a_trained_network_keeps_what_it_was_not_trained_on(tmp_path: Path) -> None:
    files = {**scenes(each(10, "train/")), **scenes(each(6, "test/"), 50)}
    network = open_network("demonstration")
    found = measure(Dataset.open(lay_out(tmp_path / "data", files)), network, Choices(case=1))
    plan = draft(found, Choices(case=1))
    held_out = np.arange(18 * plan.inputs).reshape(18, -1).astype(np.float16)
    kept = kept_of(plan, found, held_out)
    assert np.array_equal(kept.features, held_out)
    assert np.array_equal(kept.labels, found.labels[found.split.test])
    assert len(kept.seen) == 48
    assert len(kept_of(plan, found).features) == 48
