"""The public names: ``dir(regraft)`` has the verbs, and each is used once for real."""

import inspect
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_type_hints

import httpx
import pytest

import regraft
import smallnet
from pictures import lay_out
from regraft.acquire.queue import Queue, Unlabelled
from regraft.compare import Omitted, Outcome
from regraft.errors import RunError, UsageError
from regraft.plan import wording
from regraft.plan.choices import ChoiceWords, chosen
from regraft.plan.ranked import RankedNetwork, Ranking
from regraft.serve import Listening
from reported import Reader
from scenes import each, scene, scenes

CHOSEN = {field.name for field in fields(regraft.Choices)} - {"view"}
PACKAGES = ["compare", "export", "look", "rank", "report", "serve"]
VERBS = ["apply", "draw", "fit", "load", "propose", *PACKAGES]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_out(tmp_path_factory.mktemp("data") / "scenes", scenes(each(12)))


@pytest.fixture(scope="module")
def run(data: Path) -> Path:
    regraft.fit(data, "demonstration", case=1, out=data.parent / "run")
    return data.parent / "run"


# ---- names


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_says_what_it_takes_and_gives(name: str) -> None:
    assert name in dir(regraft)
    verb = getattr(regraft, name)
    words, told = inspect.signature(verb).parameters, inspect.getdoc(verb)
    assert callable(verb)
    assert told is not None
    assert all(f" {word}: " in told for word in set(words) - CHOSEN)
    assert all(part in told for part in ("Args:", "Raises:"))
    assert ("Returns:" in told) is (name != "serve")


def test_every_public_name_is_there() -> None:
    assert set(dir(regraft)) == {*regraft.__all__, "__version__"}
    assert all(getattr(regraft, name) is not None for name in dir(regraft))
    with pytest.raises(AttributeError, match="'predict'"):
        regraft.predict  # noqa: B018


@pytest.mark.parametrize("name", PACKAGES)
@pytest.mark.parametrize(
    "first",
    ["import regraft.{0}", "from regraft.{0} import {0}", "import regraft; regraft.{0}"],
)
def test_a_package_is_its_verb_whatever_came_first(name: str, first: str) -> None:
    code = (
        f"{first.format(name)}\n"
        "import inspect, regraft, sys\n"
        f"from regraft.{name} import {name} as verb\n"
        f"found = regraft.{name}\n"
        f"assert found is sys.modules['regraft.{name}']\n"
        "assert callable(found)\n"
        "assert inspect.signature(found) == inspect.signature(verb)\n"
        "assert inspect.getdoc(found) == inspect.getdoc(verb)\n"
        "try: found(nothing=1)\n"
        f"except TypeError as error: assert '{name}() ' in str(error), error\n"
        "else: raise AssertionError\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# ---- the same keywords


def test_the_keywords_are_the_choices() -> None:
    words, record = get_type_hints(ChoiceWords), get_type_hints(regraft.Choices)
    assert words == {name: record[name] for name in CHOSEN}


@pytest.mark.parametrize("verb", [regraft.propose, regraft.fit, regraft.compare])
def test_a_signature_names_every_choice(verb: Callable[..., Any]) -> None:
    found = inspect.signature(verb).parameters
    assert set(found) > CHOSEN | {"data", "backbone", "choices", "weights", "strict", "cache"}
    assert all(found[name].default == getattr(regraft.Choices(), name) for name in CHOSEN)


def test_the_keywords_overrule_the_record() -> None:
    record = regraft.Choices(case=1, seed=3)
    assert chosen(record, {}) == record
    assert chosen(record, {"seed": 4}) == regraft.Choices(case=1, seed=4)
    assert chosen(None, {"budget": 9.0}) == regraft.Choices(budget=9.0)
    with pytest.raises(TypeError, match="'cas'"):
        chosen(None, {"cas": 1})  # type: ignore[typeddict-unknown-key]


def test_a_plan_is_applied_with_the_network_it_was_made_for(data: Path) -> None:
    network = regraft.Pretrained(smallnet.record(), smallnet.small)
    plan = regraft.propose(data, network, choices=regraft.Choices(seed=3), cut="0")
    assert (plan.seed, plan.taps) == (3, (0,))
    rows: list[Any] = []
    result = regraft.apply(plan, data, network, on_event=rows.append)
    assert result.folder is None
    assert result.plan.taps == (0,)
    assert regraft.open_network(network) is network


# ---- each verb, once for real


def test_a_run_knows_its_folder(data: Path, run: Path) -> None:
    loaded = regraft.load(run)
    again = regraft.apply(loaded.plan, data, out=run.parent / "again")
    assert again.folder == run.parent / "again"
    assert loaded.predict(data / "rings" / "000.png")[0].label == "rings"


def test_compare(data: Path) -> None:
    network = regraft.Pretrained(smallnet.record(), smallnet.small)
    found = regraft.compare(data, network, quick=True, seed=3, out=data.parent / "side")
    assert isinstance(found, regraft.Comparison)
    assert [one.case for one in found.cases] == [1, 2]
    assert (data.parent / "side" / "report.html").is_file()
    with pytest.raises(UsageError, match="--cut 0"):
        regraft.compare(data, network, cut="0")


def test_export(data: Path, run: Path) -> None:
    made = regraft.export(regraft.load(run), "torch", run.parent / "model.pt2", data=data)
    assert made.path == run.parent / "model.pt2"
    assert made.path.stat().st_size == made.size
    assert not any(one.refused for one in made.parities)


def test_a_result_that_lies_nowhere_is_not_exported(data: Path) -> None:
    network = regraft.Pretrained(smallnet.record(), smallnet.small)
    with pytest.raises(RunError, match="no RUN folder"):
        regraft.export(regraft.fit(data, network, case=1), "torch")


def test_serve(run: Path) -> None:
    said: list[httpx.Response] = []
    servers: list[Listening] = []

    def ask(server: Listening) -> None:
        """Ask from another thread, for the server begins when this returns."""

        def asking() -> None:
            headers = {"Authorization": "Bearer secret"}
            with httpx.Client(base_url=server.url, headers=headers) as client:
                said.append(client.post("/predict", content=scene("squares", 99)))
            server.stop()

        servers.append(server)
        threading.Thread(target=asking).start()

    regraft.serve(run, port=0, token="secret", started=ask)
    [answer], [server] = said, servers
    assert answer.json()["images"][0]["label"] == "squares"
    assert server.private
    with pytest.raises(UsageError, match="token"):
        regraft.serve(run, token=" ")


def test_report(data: Path, run: Path) -> None:
    told: list[str] = []
    anew = regraft.report(run, run.parent / "anew.html", tell=told.append)
    assert anew == run.parent / "anew.html"
    assert "--data" in told[0]
    whole = regraft.report(regraft.load(run), run.parent / "whole.html", data=data)
    assert len(whole.read_text("utf-8")) > len(anew.read_text("utf-8"))
    fresh = regraft.fit(data, "demonstration", case=1)
    page = regraft.report(fresh, run.parent / "fresh.html", data=data)
    assert whole.read_text("utf-8").count("data:image") == page.read_text("utf-8").count(
        "data:image"
    )
    with pytest.raises(RunError, match="no RUN folder"):
        regraft.report(fresh)
    with pytest.raises(UsageError, match=r"ending in \.html"):
        regraft.report(run, run.parent / "page.txt")


def test_draw(run: Path) -> None:
    plan = regraft.load(run).plan
    drawn = regraft.draw(plan, out=run.parent / "plan.svg")
    assert (run.parent / "plan.svg").read_text("utf-8") == drawn.svg()
    assert plan.dataset in str(drawn)
    assert drawn._repr_html_() in plan._repr_html_()
    assert len(regraft.draw("demonstration").scenes) == 5
    assert regraft.draw(plan.backbone, case=2, cut="conv2").scenes[0].cut == "conv2"
    with pytest.raises(UsageError, match="without case and cut"):
        regraft.draw(plan, case=2, cut="conv2")


def test_look(data: Path) -> None:
    found = regraft.look("demonstration", data, most=20, out=data.parent / "look.html")
    assert (data.parent / "look.html").read_text("utf-8").startswith("<!")
    said = repr(found).splitlines()
    assert said[0] == "Look: demonstration on 20 images of scenes"
    assert len(said) == 2


# ---- what a terminal and a notebook show

HOSTILE = '<script>alert("1")</script>&amp;<img src=x onerror=alert(1)>'


def test_a_result_says_what_it_is_in_a_few_lines(data: Path, run: Path) -> None:
    loaded = regraft.load(run)
    said = str(loaded).splitlines()
    assert len(said) == 4
    assert said[0].startswith("Result of scenes: case 1, demonstration kept whole, reads ")
    low, high = loaded.metrics["accuracy_interval"]
    figures = f"{loaded.metrics['accuracy']:.1%} ({low:.1%} to {high:.1%}, 95%)"
    assert said[1:] == [
        f"  accuracy: {figures} of 36 images that were each held out once",
        "  3 classes: rings, squares, stripes",
        f"  folder: {run}",
    ]
    many = (*(f"kind {n}" for n in range(12)), "new\nline")
    evidence = replace(loaded.plan.evidence, classes=many)
    cut = replace(loaded.plan, taps=(1,), evidence=evidence)
    other = str(replace(loaded, plan=cut, classes=many, folder=None)).splitlines()
    assert "demonstration cut after conv2, reads conv2" in other[0]
    assert other[2].startswith("  13 classes: kind 0, ")
    assert other[2].endswith("kind 9 and 3 more")
    assert other[3] == "  folder: none, it is not saved"


def test_a_notebook_shows_accuracy_and_reasons(run: Path) -> None:
    result = regraft.load(run)
    plan, metrics = result.plan, result.metrics
    for shown, accuracy, interval in (
        (plan, plan.evidence.expected, plan.evidence.expected_interval),
        (result, metrics["accuracy"], metrics["accuracy_interval"]),
    ):
        page = Reader(shown._repr_html_())
        assert f"{accuracy:.1%}" in page.text
        assert "{:.1%} to {:.1%}".format(*interval) in page.text
        assert all(one.fact in page.text and one.source in page.text for one in plan.reasons)
        assert all(step.sentence in page.text for step in plan.steps())
        assert len(page.all("svg")) >= 1
        assert [list(attrs) for attrs in page.all("details")] == [["style", "open"]] * 2
    assert str(run) in page.text
    told = [wording.suspects(metrics), wording.unknown(plan, metrics)]
    told += wording.how_many(plan, metrics)
    assert [one for one in told if one not in page.text] == []
    html = result._repr_html_()
    places = [html.index(f"{metrics['accuracy']:.1%}"), html.index("<svg"), html.index(">Why<")]
    assert places == sorted(places)


def test_a_notebook_takes_names_as_text(run: Path) -> None:
    result = regraft.load(run)
    evidence = replace(result.plan.evidence, classes=(HOSTILE, "b", "c"))
    reasons = (replace(result.plan.reasons[0], rule=HOSTILE, fact=HOSTILE, source=HOSTILE),)
    backbone = replace(result.plan.backbone, name=HOSTILE, source=HOSTILE)
    plan = replace(
        result.plan,
        dataset=HOSTILE,
        why=HOSTILE,
        evidence=evidence,
        reasons=reasons,
        backbone=backbone,
    )
    missed = {"per_class": {HOSTILE: {"n": 4, "recall": 0.5}, "b": {"n": 4, "recall": 1.0}}}
    hostile = replace(
        result,
        plan=plan,
        classes=evidence.classes,
        folder=Path(HOSTILE),
        metrics={**result.metrics, **missed},
    )
    assert f"Weakest: {HOSTILE} 50% of 4." in Reader(hostile._repr_html_()).text
    outcome = Outcome(
        *(1, HOSTILE, (0,), 0.5, (0.4, 0.6), 0.5, 1.0, 0.1, 0.5, 10, 1.0, 9.0, HOSTILE),
        brief=HOSTILE,
        note=HOSTILE,
    )
    found = regraft.Comparison(
        *(HOSTILE, HOSTILE, 0, 10, 10, (outcome,), (Omitted(2, HOSTILE),), 1, 1, HOSTILE),
        seconds={},
        classes=3,
        recipe="tuned",
        options=(HOSTILE,),
    )
    ranked = RankedNetwork(HOSTILE, 0.5, (0.4, 0.6), 1.0, 1.0, 1, None)
    ranking = Ranking((ranked,), HOSTILE, HOSTILE, HOSTILE, 0, 10, 10, remarks=(HOSTILE,))
    queue = Queue(
        "run", "doubt", HOSTILE, (Unlabelled(HOSTILE, 1, HOSTILE, 0.5),), (), None, 1, 0, ()
    )
    for shown in (plan, hostile, found, ranking, queue):
        page = Reader(shown._repr_html_())
        assert HOSTILE in page.text
        assert any("dir" in attrs for tag, attrs in page.tags if tag in ("bdi", "td"))
        assert len(repr(shown).splitlines()) == 1
        assert type(shown).__name__ in repr(shown)
        assert page.all("script") == page.all("img") == []
        assert not [key for _, attrs in page.tags for key in attrs if key.startswith("on")]
    assert repr(found).startswith("Comparison of <script>")


def test_a_notebook_shows_the_cases_side_by_side(data: Path) -> None:
    network = regraft.Pretrained(smallnet.record(), smallnet.small)
    found = regraft.compare(data, network, quick=True, seed=3)
    page = Reader(found._repr_html_())
    assert found.verdict in page.text
    for one in found.cases:
        assert f"{one.accuracy:.1%}" in page.text
        assert f"Case {one.case}: {one.note}" in page.text
    assert all(one.why in page.text for one in found.omitted)
    assert len(page.all("tr")) == 1 + len(found.cases)
    assert len(str(found).splitlines()) == 1 + len(found.cases)
