"""The command line: what it prints where, how it exits, and what it says of a mistake."""

import csv
import errno
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import regraft
from command import Regraft, Said, cli, own_log
from pictures import lay_out
from regraft import backbones
from regraft.backbones import Weights
from regraft.cli.plan import whose
from regraft.features.engines import carried
from regraft.plan import serialize
from regraft.results.files import FILES, LABELLED_FILE, METRICS, PAGE, SUSPECTS_FILE
from regraft.run import measure
from scenes import KINDS, each, scene, scenes

__all__ = ["cli", "own_log"]  # fixtures

COMMANDS = (
    *("plan", "fit", "compare", "rank", "predict", "models", "draw", "look"),
    *("report", "export", "serve", "cache", "demo"),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_out(tmp_path_factory.mktemp("data") / "scenes", scenes(each(8)))


@pytest.fixture(scope="module")
def fitted(data: Path) -> Path:
    out = data.parent / "run"
    regraft.fit(data, out=out)
    return out


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking at the images fails the test."""

    def stopped(*_: object, **__: object) -> None:
        pytest.fail("it looked at the images")

    monkeypatch.setattr(measure, "extract", stopped)


# ---- help, version, usage


@pytest.mark.parametrize("words", [(), *((command,) for command in COMMANDS)])
def test_help_reads_as_it_did(
    cli: Regraft, words: tuple[str, ...], golden: Callable[[str, str], None]
) -> None:
    """Changed on purpose? Write it anew with --golden, and read it."""
    said = cli(*words, "--help")
    assert (said.code, said.err) == (0, "")
    golden(f"help-{'-'.join(words) or 'regraft'}.txt", said.out)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_on_a_narrow_terminal_names_every_option_whole(
    cli: Regraft, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    named = set(re.findall(r"--[a-z][a-z-]+", cli(command, "--help").out))
    monkeypatch.setenv("COLUMNS", "40")
    said = cli(command, "--help").out
    assert named - set(re.findall(r"--[a-z][a-z-]+", said)) == set()
    assert "…" not in said
    longer = [line.strip() for line in said.splitlines() if len(line) > 40]
    assert [line for line in longer if not re.fullmatch(r"(-\w, )?--[a-z-]+ \S+", line)] == []


def test_the_page_of_commands_has_them_all() -> None:
    page = (Path(__file__).parent.parent / "docs" / "commands.md").read_text("utf-8")
    missing = [
        name for name in COMMANDS if f"<!-- output of: regraft {name} --help -->" not in page
    ]
    assert not missing


def test_version(cli: Regraft) -> None:
    assert cli("--version") == Said(0, f"regraft {regraft.__version__}\n", "")


@pytest.mark.parametrize(
    "words",
    [
        ("plan",),
        ("fit",),
        ("prophesy", "data"),
        ("plan", "data", "--case", "5"),
        ("plan", "data", "--recipe", "secret"),
        ("plan", "data", "--seed", "one"),
        ("predict", "run"),
        ("predict", "run", "x.jpg", "--top", "0"),
        ("plan", "data", "--wings"),
    ],
)
def test_wrong_usage_exits_with_2(cli: Regraft, words: tuple[str, ...]) -> None:
    said = cli(*words)
    assert (said.code, said.out) == (2, "")
    assert said.err


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(
    "words",
    [
        ("--case", "1", "--cut", "2"),
        ("--cut", "nose"),
    ],
)
def test_choices_that_contradict_exit_with_2(
    cli: Regraft, data: Path, words: tuple[str, ...]
) -> None:
    said = cli("plan", data, *words)
    assert (said.code, said.out) == (2, "")
    assert words[-1] in said.err


@pytest.mark.usefixtures("no_work")
def test_a_fraction_that_is_none(cli: Regraft, data: Path) -> None:
    assert cli("plan", data, "--test-fraction", "1.5").code == 2


# ---- plan


def test_plan_explains_and_writes_nothing(
    cli: Regraft, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(data.parent.rglob("*"))
    said = cli("plan", data)
    assert said.code == 0
    for words in ("Case ", "frozen", "dropped", "expect", "similarity", "Why", "95%"):
        assert words in said.out
    told = " ".join(said.out.split())
    assert "each image of 224 × 224 px, in all 384 million multiply-adds" in told
    assert "its weights: trained on ImageNet-1k, licence Apache-2.0" in told
    assert list(tmp_path.iterdir()) == []
    assert sorted(data.parent.rglob("*")) == before


def test_a_plan_says_whose_weights_are_not_known() -> None:
    record = replace(backbones.get("efficientnet-lite0"), source="unknown", licence="")
    file = replace(record, weights=Weights("file", "", "mine.pth"))
    assert whose(file) == [
        "its weights: mine.pth; what they learned from, and their licence, is not known"
    ]
    fetched = replace(record, source="ImageNet-1k", weights=Weights("timm", "", "a1_in1k"))
    assert whose(fetched) == ["its weights: trained on ImageNet-1k, licence unknown"]
    assert whose(replace(record, weights=Weights("random", "", "0"))) == []


def test_plan_json_is_one_document_and_what_is_written(
    cli: Regraft, data: Path, tmp_path: Path
) -> None:
    said = cli("plan", data, "--json", "--out", tmp_path / "plans" / "plan.json")
    assert said.code == 0
    plan = serialize.read(tmp_path / "plans" / "plan.json")
    assert json.loads(serialize.dumps(plan)) == said.json
    assert (tmp_path / "plans" / plan.data).resolve() == data.resolve()
    assert [path.name for path in tmp_path.rglob("*")] == ["plans", "plan.json"]


def test_what_is_overruled_is_recorded(cli: Regraft, data: Path) -> None:
    words = ("--cut", "3", "--recipe", "textbook", "--class-weights", "balanced", "--seed", "4")
    plan = cli("plan", data, *words, "--test-fraction", "0.5", "--augment", "--json").json
    assert plan["overrides"] == ["--cut 3", "--recipe textbook", "--class-weights balanced"]
    assert (plan["case"], plan["taps"], plan["seed"]) == (2, [3], 4)
    assert (plan["weighting"], plan["test_fraction"], plan["test"]) == ("balanced", 0.5, 12)
    assert cli("plan", data, "--case", "2", "--json").json["case"] == 2


def test_a_plan_that_cannot_be_written(cli: Regraft, data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = cli("plan", data, "--out", tmp_path / "file" / "plan.json")
    assert said.code == 1
    assert "cannot be written" in said.err


# ---- fit


def test_fit_makes_a_run_and_says_where(cli: Regraft, data: Path, tmp_path: Path) -> None:
    said = cli("fit", data, "--out", tmp_path / "deep" / "run")
    assert said.code == 0
    for words in ("Case ", "accuracy", "parameters", "held out once"):
        assert words in said.out
    run = tmp_path / "deep" / "run"
    last = said.err.splitlines()[-1]
    assert last.startswith(f"{run / PAGE} shows it")
    assert f"`regraft predict {run} IMAGES...`" in last
    assert sorted(os.listdir(tmp_path / "deep" / "run")) == sorted(
        [*FILES, SUSPECTS_FILE, LABELLED_FILE, PAGE, carried.FOLDER]
    )
    assert os.listdir(tmp_path / "deep") == ["run"]


def test_fit_json_is_one_document(cli: Regraft, data: Path, tmp_path: Path) -> None:
    said = cli("fit", data, "--out", tmp_path / "run", "--json", "--case", "1")
    assert said.json == json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert set(METRICS) <= said.json.keys()
    assert said.json["case"] == 1


def test_fit_from_a_plan_alone_in_another_folder(
    cli: Regraft, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan is written with relative paths from one folder and done from another."""
    shutil.copytree(data, tmp_path / "a" / "scenes")
    monkeypatch.chdir(tmp_path / "a")
    assert cli("plan", "scenes", "--seed", "2", "--out", "plans/p.json").code == 0
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "b")
    assert cli("fit", "--plan", "../a/plans/p.json", "--out", "run").code == 0
    assert os.listdir(tmp_path / "b") == ["run"]
    assert serialize.read(tmp_path / "b/run/plan.json").seed == 2


def test_a_plan_goes_with_no_other_choice(
    cli: Regraft, fitted: Path, data: Path, tmp_path: Path
) -> None:
    plan = fitted / "plan.json"
    for words in (("--case", 2), ("--seed", 5), ("--augment",), ("--backbone", "resnet18")):
        said = cli("fit", data, "--plan", plan, "--out", tmp_path / "run", *words)
        assert (said.code, said.out) == (2, ""), words
        assert words[0] in said.err


def test_a_plan_without_images_needs_them_named(cli: Regraft, fitted: Path, tmp_path: Path) -> None:
    assert cli("fit", "--plan", fitted / "plan.json", "--out", tmp_path / "run").code == 2


def test_a_plan_for_other_images_is_refused(
    cli: Regraft, fitted: Path, data: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(data, tmp_path / "scenes")
    (other / KINDS[0] / "000.png").write_bytes(scene(KINDS[0], 77))
    said = cli("fit", other, "--plan", fitted / "plan.json", "--out", tmp_path / "run")
    assert (said.code, said.out) == (1, "")
    assert "fingerprint" in said.err
    assert os.listdir(tmp_path) == ["scenes"]


@pytest.mark.usefixtures("no_work")
def test_all_mistakes_in_a_plan_are_named(
    cli: Regraft, fitted: Path, data: Path, tmp_path: Path
) -> None:
    plan = json.loads((fitted / "plan.json").read_text())
    plan |= {"strength": -1.0, "taps": [99], "weighting": "heavy"}
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(plan))
    said = cli("fit", data, "--plan", path, "--out", tmp_path / "run")
    assert said.code == 1
    assert all(word in said.err for word in ("strength", "taps", "weighting", "-1", "99", "heavy"))
    plan |= {"seed": "one", "colour": "red"}
    del plan["taps"]
    path.write_text(json.dumps(plan))
    said = cli("fit", data, "--plan", path, "--out", tmp_path / "run")
    assert said.code == 1
    assert all(word in said.err for word in ("seed", "colour", "taps"))
    assert os.listdir(tmp_path) == ["plan.json"]


@pytest.mark.usefixtures("no_work")
def test_an_earlier_run_is_kept(cli: Regraft, fitted: Path, data: Path) -> None:
    before = {path: path.read_bytes() for path in fitted.rglob("*") if path.is_file()}
    said = cli("fit", data, "--out", fitted)
    assert (said.code, said.out) == (1, "")
    assert "--overwrite" in said.err
    after = {path: path.read_bytes() for path in fitted.rglob("*") if path.is_file()}
    assert after == before


def test_overwrite_replaces_a_run_and_nothing_else(
    cli: Regraft, fitted: Path, data: Path, tmp_path: Path
) -> None:
    shutil.copytree(fitted, tmp_path / "run")
    assert cli("fit", data, "--out", tmp_path / "run", "--seed", 9, "--overwrite").code == 0
    assert serialize.read(tmp_path / "run" / "plan.json").seed == 9
    assert os.listdir(tmp_path) == ["run"]
    lay_out(tmp_path / "photos", {"mine.jpg": b"a"})
    assert cli("fit", data, "--out", tmp_path / "photos", "--overwrite").code == 1
    assert os.listdir(tmp_path / "photos") == ["mine.jpg"]


@pytest.mark.usefixtures("no_work")
def test_a_place_that_cannot_be_written_is_told_before_the_work(
    cli: Regraft, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    said = cli("fit", data, "--out", tmp_path / "file" / "run")
    assert (said.code, said.out) == (1, "")
    assert "file" in said.err


def test_a_full_disk_leaves_nothing(
    cli: Regraft, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("regraft.results.folder.write_bytes", full)
    said = cli("fit", data, "--out", tmp_path / "run")
    assert said.code == 1
    assert "No space left" in said.err
    assert list(tmp_path.iterdir()) == []


# ---- images that cannot be used


def test_what_is_left_out_is_named(cli: Regraft, tmp_path: Path) -> None:
    whole = scene("rings", 0)
    files = scenes(each(4)) | {
        "rings/cut.png": whole[: len(whole) // 2],
        "stripes/text.png": b"not a picture",
        "stripes/ünï cödé – long.png": scene("stripes", 40),
    }
    data = lay_out(tmp_path / "data", files)
    said = cli("fit", data, "--out", tmp_path / "run", "--json")
    assert said.code == 0
    with (tmp_path / "run" / "audit.csv").open(newline="") as file:
        audit = {row["path"]: row["reason"] for row in csv.DictReader(file)}
    assert audit == {"rings/cut.png": "truncated", "stripes/text.png": "not-an-image"}
    assert all(path in said.err for path in audit)
    strict = cli("fit", data, "--out", tmp_path / "again", "--strict")
    assert (strict.code, strict.out) == (1, "")
    assert all(path in strict.err for path in audit)
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, ("image",)),
        ({"a.png": scene("rings", 0)}, ("class",)),
        (scenes({"rings": 4}), ("rings", "one usable class")),
        (scenes({"rings": 4}) | {"stripes/": b""}, ("rings", "stripes")),
        (scenes({"rings": 4}) | {"stripes/0.png": b"", "stripes/1.png": b"x"}, ("stripes",)),
    ],
)
def test_data_that_is_no_set_of_classes(
    cli: Regraft, tmp_path: Path, files: dict[str, bytes], words: tuple[str, ...]
) -> None:
    (tmp_path / "data").mkdir()
    said = cli("plan", lay_out(tmp_path / "data", files))
    assert (said.code, said.out) == (1, "")
    assert all(word in said.err for word in words), said.err


def test_no_such_folder_and_a_file_instead(cli: Regraft, tmp_path: Path) -> None:
    for name in ("nowhere", "photo.png"):
        (tmp_path / "photo.png").write_bytes(scene("rings", 0))
        said = cli("plan", tmp_path / name)
        assert (said.code, said.out) == (1, "")
        assert name in said.err


@pytest.mark.parametrize(("module", "said"), [("torch", "needs torch"), ("regraft.typo", "")])
def test_where_torch_is_missing_it_is_named(
    module: str, said: str, cli: Regraft, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(arguments: object) -> int:
        raise ModuleNotFoundError(name=module)

    monkeypatch.setattr("regraft.cli._run", fails)
    if not said:  # a mistake of ours
        with pytest.raises(ModuleNotFoundError):
            cli("fit")
        return
    found = cli("fit")
    assert (found.code, said in found.err, "--to serve" in found.err) == (1, True, True)
