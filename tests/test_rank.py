"""Networks side by side, with small seeded ones: who is chosen, who is dropped, who fails."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import regraft
from command import Regraft, cli, own_log
from pictures import lay_out
from regraft import backbones
from regraft.errors import BackboneError, UsageError
from regraft.features import extract
from regraft.plan.choices import Choices
from regraft.rank import Ranking, race, strength
from regraft.report import of_ranking
from regraft.run import measure
from regraft.run.pretrained import Pretrained
from reported import Reader
from scenes import each, scenes
from spoilt import blind, good, nan, network, one_channel

__all__ = ["cli", "own_log"]  # fixtures

KEYS = ["backbone", "expected", "interval", "milliseconds", "megabytes", "case", "dropped_at"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_out(tmp_path_factory.mktemp("data") / "scenes", scenes(each(72)))


@pytest.fixture(scope="module", autouse=True)
def fixed_times() -> Iterator[None]:
    """A tenth of a millisecond for everybody, so that nothing depends on the machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(race, "timed", lambda engine, view, batch: 0.1)
        yield


@pytest.fixture(scope="module")
def found(data: Path) -> Ranking:
    return regraft.rank(data, [blind(), good(), network("c-other", seed=5)], seed=3)


# ---- who is chosen, who is dropped


def test_the_networks_stand_side_by_side(found: Ranking, data: Path) -> None:
    assert {one.backbone for one in found.rows} == {"a-good", "blind", "c-other"}
    assert (found.train, found.compared) == (216, 216)
    assert found.rows[0].backbone == found.chosen
    for one in found.rows:
        assert one.expected is not None
        assert one.interval is not None
        assert one.interval[0] <= one.expected <= one.interval[1]
        assert one.case in (1, 2, 3, 4)
        assert one.problem == ""
    plan = regraft.propose(data, good(), seed=3)
    [own] = [one for one in found.rows if one.backbone == "a-good"]
    assert (own.expected, own.interval) == (
        plan.evidence.expected,
        plan.evidence.expected_interval,
    )
    assert (own.case, own.similarity) == (plan.case, plan.evidence.similarity)
    kept = plan.backbone.parameters_to[plan.cut] + (plan.inputs + 1) * 3
    assert own.megabytes == pytest.approx(4 * kept / 1e6)


def test_who_cannot_catch_up_is_dropped_early_and_not_chosen(found: Ranking) -> None:
    [blind_one] = [one for one in found.rows if one.backbone == "blind"]
    assert (blind_one.dropped_at, blind_one.images) == (50, 50)
    assert blind_one.difference is not None
    assert blind_one.difference_error is not None
    assert blind_one.difference < -2 * blind_one.difference_error
    assert found.chosen in ("a-good", "c-other")
    assert found.rows[-1] is blind_one
    assert "blind" not in found.front


def test_the_same_seed_gives_the_same_ranking(found: Ranking, data: Path) -> None:
    again = regraft.rank(data, [network("c-other", seed=5), good(), blind()], seed=3)
    assert again == found


def test_held_out_images_are_not_asked(tmp_path: Path) -> None:
    files = scenes(each(40, "train/")) | scenes(each(10, "test/"), first=90)
    names = [[good(), network("c-other", seed=5)] for _ in range(2)]
    plain = regraft.rank(lay_out(tmp_path / "one", files), names[0])
    turned = {}
    for path, picture in files.items():  # the held-out labels go round
        split, kind, name = path.split("/")
        around = {"rings": "squares", "squares": "stripes", "stripes": "rings"}
        turned[f"{split}/{around[kind] if split == 'test' else kind}/x{name}"] = picture
    other = regraft.rank(lay_out(tmp_path / "two", turned), names[1])
    assert plain.train == other.train == 120
    for a, b in zip(plain.rows, other.rows, strict=True):
        assert (a.backbone, a.expected, a.difference) == (b.backbone, b.expected, b.difference)


# ---- limits


def test_a_network_over_the_limit_is_shown_and_not_chosen(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither does it drop those that are allowed."""
    slow = replace(good(), backbone=replace(good().backbone, view=backbones.View(64), name="slow"))
    monkeypatch.setattr(race, "timed", lambda engine, view, batch: float(view.size))
    found = regraft.rank(data, [blind(), slow], latency=0.05, seed=3)
    [row] = [one for one in found.rows if one.backbone == "slow"]
    assert (row.milliseconds, row.allowed) == (64.0, False)
    assert found.chosen == "blind"
    assert "within 50 ms" in found.why


def test_a_limit_that_nobody_meets_names_the_nearest(
    cli: Regraft, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = regraft.rank(data, [good(), network("c-other", seed=5)], latency=5e-5, megabytes=9)
    assert found.chosen is None
    assert "within 0.05 ms and 9 MB: a-good is the nearest, with 0.1 ms" in found.why
    said = cli("rank", data, "-b", "demonstration", "--latency", "0.05ms", "--json")
    assert said.code == 1
    assert said.json["chosen"] is None
    assert "demonstration is the nearest" in said.json["why"]
    assert "demonstration is the nearest" in said.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"latency": "10ms"}, r"latency must be a number \(seconds\), got '10ms'"),
        ({"megabytes": "20MB"}, "megabytes must be a number"),
        ({"latency": 0.0}, "latency must be above 0, got 0"),
        ({"latency": float("nan")}, "latency must be above 0, got nan"),
    ],
)
def test_limits_that_are_none_are_named_in_python(
    data: Path, words: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        regraft.rank(data, "demonstration", **words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--latency", "soon"), "--latency must be a time"),
        (("--latency", "0ms"), "The latency must be above 0"),
        (("--megabytes", "-1"), "The megabytes must be above 0"),
        (("--budget", "0"), "The budget must be above 0"),
        (("--test-fraction", "1.5"), "test fraction"),
        (("--engine", "steam"), "steam"),
    ],
)
def test_limits_that_are_none_exit_with_2(
    cli: Regraft, data: Path, words: tuple[str, ...], said: str
) -> None:
    found = cli("rank", data, *words)
    assert (found.code, found.out) == (2, "")
    assert said in found.err


def test_what_one_network_alone_can_follow_is_refused(data: Path) -> None:
    with pytest.raises(UsageError, match="without --case 1"):
        regraft.rank(data, [good()], case=1, cut="0")
    with pytest.raises(UsageError, match=r"names of their own.*\n.*'a-good'.*\n.*open_network\("):
        regraft.rank(data, [good(), network("a-good", seed=5)])


# ---- networks that fail


def test_a_network_that_fails_is_named_and_the_rest_ranked(data: Path) -> None:
    found = regraft.rank(data, ["effnet-nonsense", nan(), good(), one_channel()], seed=3)
    problems = {one.backbone: one.problem for one in found.rows}
    assert "effnet-nonsense" in problems["effnet-nonsense"]
    assert "nan" in problems["nan"]
    assert problems["one-channel"]
    assert problems["a-good"] == ""
    assert found.chosen == "a-good"
    assert [one.expected is None for one in found.rows] == [False, True, True, True]
    assert "nan" in found._repr_html_()


def test_channels_that_no_picture_has_are_a_problem_of_one(data: Path) -> None:
    five = nn.Sequential(nn.Conv2d(5, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    found = regraft.rank(data, [five, good()], seed=3)
    assert found.chosen == "a-good"
    assert "takes 5 channels, this has 3" in found.rows[1].problem
    assert found.rows[1].problem.startswith("Sequential cannot take these images.")
    with pytest.raises(BackboneError, match="Sequential: Sequential cannot take these images"):
        regraft.rank(data, five)  # one, not its layers
    with pytest.raises(BackboneError, match="no-such: There is no network named 'no-such'"):
        regraft.rank(data, "no-such")


def test_where_all_fail_it_is_an_error(cli: Regraft, data: Path) -> None:
    said = cli("rank", data, "-b", "nothing-1", "-b", "nothing-2")
    assert (said.code, said.out) == (1, "")
    assert "nothing-1" in said.err
    assert "nothing-2" in said.err
    with pytest.raises(BackboneError, match="nan: "):
        regraft.rank(data, [nan()])


def test_out_of_memory_is_a_problem_of_one(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = measure.look_at

    def short(dataset: object, network: Pretrained, *rest: object) -> object:
        if network.backbone.name == "c-other":
            raise MemoryError
        return real(dataset, network, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(race, "look_at", short)
    found = regraft.rank(data, [good(), network("c-other", seed=5)])
    assert found.chosen == "a-good"
    assert "memory" in found.rows[-1].problem


def test_who_stops_it_hears_what_is_kept(
    cli: Regraft, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*given: object, **words: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(race, "measure", stopped)
    said = cli("rank", data, "-b", "demonstration")
    assert (said.code, said.out) == (130, "")
    assert "the same command goes on from there" in said.err


def test_images_that_cannot_be_used_are_named(cli: Regraft, tmp_path: Path) -> None:
    files = scenes(each(8)) | {"rings/torn.png": b"no picture"}
    said = cli("rank", lay_out(tmp_path / "torn", files), "-b", "demonstration", "--seed", 4)
    assert said.code == 0
    assert "left out rings/torn.png" in said.err


# ---- a budget, and what is remembered


class Clock:
    """Seconds that pass when a network begins to look."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.mark.parametrize(("turns", "compared"), [(1, 216), (2, 50), (3, 50), (9, 216)])
def test_a_budget_that_runs_out_keeps_what_was_measured(
    data: Path, monkeypatch: pytest.MonkeyPatch, turns: int, compared: int
) -> None:
    """Of three networks the first looks at all images, then the two others at 50, 100 and all."""
    clock = Clock()
    monkeypatch.setattr(race, "time", clock)
    monkeypatch.setattr("regraft.rank.time", clock)
    names = [good(), network("b-other", seed=5), network("c-other", seed=7)]
    monkeypatch.setattr(strength, "CERTAIN", 99.0)

    def pass_time(row: object) -> None:
        clock.now += 1.0

    found = regraft.rank(data, names, budget=turns + 0.5, on_event=pass_time, seed=3)
    assert found.rows[0].expected is not None
    late = [one for one in found.rows if one.problem]
    assert len(late) == {1: 2, 2: 1}.get(turns, 0)
    assert all("budget" in one.problem for one in late)
    ranked = [one for one in found.rows if not one.problem]
    assert all(one.images == found.compared for one in ranked)
    assert found.compared == compared
    assert ("budget ran out" in found.why) == (compared < 216)


def test_a_budget_too_short_for_the_cheapest_says_so(cli: Regraft, data: Path) -> None:
    said = cli("rank", data, "-b", "demonstration", "--budget", "0.000001s")
    assert (said.code, said.out) == (2, "")
    assert "too short" in said.err


def test_a_plan_afterwards_looks_at_nothing_again(
    found: Ranking, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = []
    real = extract.extract

    def counted(*words: object, **named: object) -> object:
        passes.append(real(*words, **named))  # type: ignore[arg-type]
        return passes[-1]

    monkeypatch.setattr(measure, "extract", counted)
    regraft.propose(
        data, {"a-good": good(), "c-other": network("c-other", seed=5)}[found.chosen or ""], seed=3
    )
    assert [one.computed for one in passes] == [0]


# ---- the faces


def test_json_is_one_document_with_the_keys_first(found: Ranking) -> None:
    document = json.loads(json.dumps(found.to_json()))
    assert list(document)[:3] == ["ranking", "chosen", "why"]
    assert all(list(row)[: len(KEYS)] == KEYS for row in document["ranking"])
    assert document["chosen"] == found.chosen


def test_a_notebook_and_repr_show_it(found: Ranking) -> None:
    for text in (found._repr_html_(), str(found)):
        assert all(one.backbone in text for one in found.rows)
        assert found.why[:20] in text


def test_the_command_ranks_what_is_on_this_machine(
    cli: Regraft, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backbones, "on_hand", lambda record: record.name == "demonstration")
    monkeypatch.setenv("COLUMNS", "80")
    said = cli("rank", data, "--seed", "3")
    assert said.code == 0
    assert max(len(line.rstrip()) for line in said.out.splitlines()) <= 100
    assert "demonstration" in said.out
    assert "nobody else" in said.out
    assert f"regraft fit {data} --backbone demonstration" in said.err
    document = cli("rank", data, "--seed", "3", "--json").json
    assert [row["backbone"] for row in document["ranking"]] == ["demonstration"]


def test_table_and_picture_fit_80_columns_and_40(
    found: Ranking, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from regraft.cli import rank as command

    names = {"a-good": "efficientnet-lite0", "c-other": "efficientnet-lite1"}
    rows = [
        replace(one, backbone=names.get(one.backbone, one.backbone), milliseconds=spent)
        for one, spent in zip(found.rows, (123.4, 9.1, 0.7), strict=True)
    ]
    shown = replace(found, rows=tuple(rows), chosen="efficientnet-lite0")
    command._show(shown)
    lines = capsys.readouterr().out.splitlines()
    table = [line for line in lines if "│" in line or "efficientnet-lite" in line[:26]]
    assert len(table) == 2 + command.HIGH
    assert max(len(line.rstrip()) for line in table) <= 80
    drawn = "".join(line.partition("│")[2] for line in lines)
    assert sorted(drawn.split()) == ["A", "B"]
    monkeypatch.setenv("COLUMNS", "40")
    command._show(shown)
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 40
    assert "123.4" in text
    assert "…" not in text


def test_choices_that_change_the_heads_are_followed(data: Path) -> None:
    words = Choices(recipe="textbook", seed=3)
    found = regraft.rank(data, [good(), network("c-other", seed=5)], choices=words)
    plan = regraft.propose(data, good(), choices=words)
    [own] = [one for one in found.rows if one.backbone == "a-good"]
    assert own.expected == plan.evidence.expected


def test_a_page_shows_them_too(cli: Regraft, data: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    said = cli("rank", data, "-b", "demonstration", "-b", "no-such", "--out", page)
    assert said.code == 0, said.err
    assert f"Written to {page}." in said.err
    text = page.read_text("utf-8")
    assert "<h1>scenes: which network</h1>" in text
    assert "demonstration ← taken" in text
    assert "dropped after" not in text
    assert "no-such was not ranked: There is no network named" in text.replace("&#39;", "'")
    assert f"regraft fit {data} --backbone demonstration --seed 0 --out RUN" in Reader(text).text
    assert cli("rank", data, "--out", tmp_path / "none" / "page.html").code != 0


def test_two_that_were_compared_are_drawn(found: Ranking) -> None:
    rows = [one for one in found.rows if one.backbone != "blind"]
    text = of_ranking(replace(found, rows=tuple(rows)))
    assert text.count('<circle class="mark') == text.count('<line class="whisker') == 2
    assert "Not drawn" not in text
    assert "which its figures are of" not in text
    assert "Not drawn: those with fewer images." in of_ranking(found)
    assert "Dropped after so many images, which its figures are of" in of_ranking(found)
    gone = replace(rows[0], backbone="gone", problem="It is not there.")
    text = of_ranking(replace(found, rows=(*rows, gone)))
    assert "gone was not ranked: It is not there." in text
    assert "Not drawn" not in text, "it has no images at all"
    nobody = replace(found, rows=tuple(rows), chosen=None)
    assert "regraft rank DATA" in Reader(of_ranking(nobody)).text
    assert "Difference: to the best" in of_ranking(nobody)
