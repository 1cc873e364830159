"""Predicting many images: lot by lot, into a table, and copied into a folder for each class."""

import csv
import glob
import json
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import regraft
from command import Regraft, cli, own_log
from pictures import lay_out
from regraft.cli import predict, predicted, sort_into
from regraft.cli.sort_into import UNKNOWN, check_folder, folder_name
from regraft.errors import RunError, UsageError
from regraft.results.result import Prediction
from regraft.whole_file import write_whole
from scenes import each, scene, scenes

__all__ = ["cli", "own_log"]  # fixtures


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    data = lay_out(folder / "scenes", scenes(each(12)))
    regraft.fit(data, "demonstration", case=1, out=folder / "run")
    return folder / "run"


@pytest.fixture
def new(tmp_path: Path) -> Path:
    files = {
        "a.png": scene("rings", 70),
        "b/a.png": scene("stripes", 71),
        "broken.png": b"no picture",
        "c/d.png": scene("squares", 74),
        "e.png": scene("rings", 75),
    }
    return lay_out(tmp_path / "new", files)


@pytest.mark.parametrize("words", [("--csv",), (), ("--csv", "--top", 2)])
def test_lots_say_what_all_at_once_do(
    run: Path, new: Path, cli: Regraft, words: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = cli("predict", run, new, *words)
    monkeypatch.setattr(predict, "LOT", 2)
    parts = cli("predict", run, new, *words)
    assert (parts.code, parts.err) == (whole.code, whole.err)
    blank = "\0" if words else " "  # a table's columns are as wide as what came until then
    assert parts.out.replace(blank, "") == whole.out.replace(blank, "")


def test_lots_are_one_list(
    run: Path, new: Path, cli: Regraft, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "LOT", 2)
    said = cli("predict", run, new, "--json")
    assert [Path(one["path"]).name for one in said.json] == [
        *("a.png", "broken.png", "e.png", "a.png", "d.png")
    ]
    assert said.out == json.dumps(said.json, ensure_ascii=False, indent=1) + "\n"


def test_rows_come_as_the_lots_do() -> None:
    asked = list[int]()

    def lots() -> object:
        for n in range(3):
            asked.append(n)
            yield [Prediction(f"{n}.png", (("rings", 0.5),))]

    for form, before in (("csv", 1), ("json", 0)):
        asked.clear()
        texts = predicted.texts(form, lots(), 1)  # type: ignore[arg-type]
        for _ in range(before):
            next(texts)
        next(texts)
        assert asked == [0], form
        list(texts)
    assert json.loads("".join(predicted.texts("json", [], 1))) == []


def test_it_is_told_how_far_it_is(run: Path, new: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict, "LOT", 2)
    images = [str(path) for path in sorted(new.rglob("*.png"))]
    told, seen = list[tuple[int, int]](), predicted.Tally()
    bar = nullcontext(lambda done, total: told.append((done, total)))
    monkeypatch.setattr(predict, "progress_bar", lambda what: bar)
    lots = list(predict._lots(regraft.load(run), images, 1, None, seen))
    assert [len(lot) for lot in lots] == [2, 2, 1]
    assert [one.path for lot in lots for one in lot] == images
    assert (seen.classes.total(), len(seen.unread)) == (4, 1)
    assert told[-1] == (5, 5)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_a_table_comes_as_the_lots_do_in_columns_that_grow(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = list[str]()

    def lots() -> Iterator[list[Prediction]]:
        for name in ("one.png", "a", "a-long-name.png", "b"):
            yield [Prediction(name, (("rings", 0.5),))]
            said.extend(capsys.readouterr().out.splitlines())
            assert said[-1].startswith(name)

    predicted.show(lots())
    assert said == [
        "image    class  confidence",
        "one.png  rings       50.0%",
        "a        rings       50.0%",
        "a-long-name.png  rings       50.0%",
        "b                rings       50.0%",
    ]


def test_a_file_is_written_piece_by_piece(tmp_path: Path) -> None:
    def pieces() -> Iterator[str]:
        yield "a" * 100_000
        [draft] = tmp_path.iterdir()
        assert draft.stat().st_size >= 50_000
        yield "b"

    write_whole(tmp_path / "found.csv", pieces(), "table")
    assert (tmp_path / "found.csv").read_text("utf-8") == "a" * 100_000 + "b"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("ending", ["csv", "json"])
def test_a_table_holds_what_would_be_printed(
    run: Path, new: Path, tmp_path: Path, cli: Regraft, ending: str
) -> None:
    out = tmp_path / f"found.{ending}"
    printed = cli("predict", run, new, f"--{ending}").out
    said = cli("predict", run, new, "--out", out)
    assert (said.code, said.out) == (0, "")
    assert out.read_text("utf-8") == printed
    assert "4 images: 2 rings, 1 stripes, 1 squares." in said.err
    assert f"Written to {out}." in said.err
    assert "broken.png" in said.err
    before = out.read_bytes()
    again = cli("predict", run, new / "a.png", "--out", out)
    assert again.code == 2
    assert "would be lost" in again.err
    assert out.read_bytes() == before
    assert cli("predict", run, new / "a.png", "--out", out, "--overwrite").code == 0
    assert out.read_bytes() != before


@pytest.mark.parametrize(
    ("name", "said"),
    [("found.txt", "ending in .csv or .json"), ("no/found.csv", "There is no folder")],
)
def test_what_is_no_place_for_a_table(
    run: Path, new: Path, tmp_path: Path, cli: Regraft, name: str, said: str
) -> None:
    refused = cli("predict", run, new, "--out", tmp_path / name)
    assert refused.code in (1, 2)
    assert said in refused.err


def test_copies_lie_by_class(
    run: Path, new: Path, tmp_path: Path, cli: Regraft, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "sorted"
    said = cli("predict", run, new, "--sort-into", folder, "--csv")
    assert said.code == 0
    rows = [row for row in csv.DictReader(said.out.splitlines()) if row["label"]]
    wanted = {
        (row["label"] if row["known"] == "true" else UNKNOWN, Path(row["path"]).read_bytes())
        for row in rows
    }
    found = {(path.parent.name, path.read_bytes()) for path in folder.rglob("*.png")}
    assert found == wanted
    assert len(list(folder.rglob("*.png"))) == 4
    assert (new / "a.png").is_file()
    again = cli("predict", run, new, "--sort-into", folder)
    assert again.code == 1
    assert "must be new or empty" in again.err


@pytest.mark.parametrize(
    ("place", "code", "said"),
    [
        ("{new}", 1, "must be new or empty"),
        ("{new}/sorted", 2, "lies in "),
        ("{new}/../new/x/", 2, "lies in "),
    ],
)
def test_no_copies_among_the_photos_which_is_told_before_any_work(
    new: Path, cli: Regraft, place: str, code: int, said: str
) -> None:
    before = sorted(new.rglob("*"))
    refused = cli("predict", new / "no-such-run", new, "--sort-into", place.format(new=new))
    assert refused.code == code
    assert said in refused.err
    assert sorted(new.rglob("*")) == before


@pytest.mark.parametrize(
    ("pattern", "place", "meant"),
    [
        ("deep/**/*.jpg", "deep/sorted", True),
        ("deep/**", "deep/sorted", True),
        ("**/*.jpg", "sorted", True),
        ("./deep/../deep/**/*.jpg", "deep/x/sorted", True),
        ("d*/**/*.jpg", "deep/sorted", True),
        ("deep/**/*.jpg", "sorted", False),
        ("deep/x/**/*.jpg", "deep/sorted", False),
        ("*.jpg", "sorted", False),
        ("deep/*.jpg", "deep/sorted", False),
        ("*/*/*.jpg", "deep/sorted", False),
        ("*/*/*.jpg", "sorted", True),
        ("deep/*/*.jpg", "deep", True),
        ("deep/a.jpg", "deep/sorted", False),
    ],
)
def test_no_copies_where_a_pattern_finds_them(
    pattern: str, place: str, meant: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(tmp_path, {"deep/a.jpg": b"", "deep/x/a.jpg": b""})
    monkeypatch.chdir(tmp_path)
    Path("link").symlink_to("deep")
    folder = Path(place)
    for word in (pattern, pattern.replace("deep/", "link/")):
        assert sort_into._meant_with(word, folder.resolve()) is meant
    if folder.exists():
        return
    with pytest.raises(UsageError, match="lies in") if meant else nullcontext():
        check_folder(folder, [pattern])
    copies = lay_out(folder / "kind", {"b.jpg": b""})
    found = {Path(path).resolve() for path in glob.glob(pattern, recursive=True)}
    assert ((copies / "b.jpg").resolve() in found) is meant


def test_what_is_like_no_training_image_lies_apart_and_names_do_not_meet(tmp_path: Path) -> None:
    files = lay_out(tmp_path / "in", {"x/a.png": b"1", "y/a.png": b"2", "z/a.png": b"3"})
    with sort_into.sorting(tmp_path / "out") as copy:
        for name, known in (("x", True), ("y", True), ("z", False)):
            copy(Prediction(str(files / name / "a.png"), (("kind", 0.9),), known=known, belief=0.5))
        copy(Prediction(str(files / "none.png"), problem="broken"))
    found = {
        path.relative_to(tmp_path / "out").as_posix(): path.read_bytes()
        for path in (tmp_path / "out").rglob("*.png")
    }
    assert found == {"kind/a.png": b"1", "kind/a (2).png": b"2", f"{UNKNOWN}/a.png": b"3"}
    with pytest.raises(RunError, match="cannot be copied"), sort_into.sorting(tmp_path / "no") as c:
        c(Prediction(str(tmp_path / "gone.png"), (("kind", 0.9),)))
    assert not (tmp_path / "no").exists()


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), unique=True))
def test_no_class_leads_out_of_the_folder_and_none_meet(labels: list[str]) -> None:
    names = [folder_name(label) for label in labels]
    assert len(set(names)) == len(names)
    for name in names:
        assert Path(name).name == name
        assert name not in ("", ".", "..")
        assert not {*'/\\:*?"<>|\0'} & {*name}


@pytest.mark.parametrize(
    ("label", "name"),
    [("rose", "rose"), ("a/b", "a%2Fb"), ("..", "%2E%2E"), ("50%", "50%25"), ("Gänse", "Gänse")],
)
def test_names_stay_readable(label: str, name: str) -> None:
    assert folder_name(label) == name
