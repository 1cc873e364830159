"""The whole look: probes, sentences, page and command."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from command import Regraft, cli, own_log
from pictures import classes, encode, in_memory, lay_out, photo
from regraft.backbones import Backbone, View
from regraft.data.dataset import Dataset
from regraft.look import Look, Sight, examine, fields, maps, page, probes, sample, untrained, words
from regraft.look.probes import Curve
from regraft.look.words import ProbedTask
from regraft.networks import build
from regraft.networks.demonstration import LAYERS, Demonstration
from scenes import each, scenes

__all__ = ["cli", "own_log"]

HALF = (0.5, 0.5, 0.5)
STAGES = ["one", "two", "three", "four"]


def curve(*accuracies: float, n: int = 400, chance: float = 0.125) -> Curve:
    """A curve with these accuracies; the better a stage, the more of the same images it gets."""
    right = np.stack([np.arange(n) < share * n for share in accuracies])
    return Curve(right, chance)


def task(name: str, *accuracies: float, other: Curve | None = None, n: int = 400) -> ProbedTask:
    return ProbedTask(f"The {name}", name, name, 8, n, curve(*accuracies, n=n), other)


# --- probes --------------------------------------------------------------------------------------


def test_a_probe_finds_the_stage_that_knows() -> None:
    random = np.random.default_rng(0)
    labels = np.arange(240) % 4
    noise = random.normal(size=(240, 12)).astype(np.float32)
    noise[:, 6:8] += 3 * np.eye(4)[labels][:, :2] - 3 * np.eye(4)[labels][:, 2:]
    found = probes.probe(noise, [5, 4, 3], labels, np.arange(240), 0)
    assert found.peak == 1
    assert found.plateau == [1]
    assert found.accuracies[1] > 0.7
    assert abs(found.accuracies[0] - 0.25) < 0.1
    assert found.chance == 0.25
    assert found.told


def test_near_copies_do_not_help() -> None:
    """Each picture is there twice: heads that had seen the copy would tell random labels."""
    random = np.random.default_rng(0)
    rows = np.repeat(random.normal(size=(80, 60)), 2, axis=0).astype(np.float32)
    labels = np.repeat(random.integers(4, size=80), 2)
    groups = np.repeat(np.arange(80), 2)
    assert probes.probe(rows, [60], labels, groups, 0).accuracies[0] < 0.45
    assert probes.probe(rows, [60], labels, np.arange(160), 0).accuracies[0] > 0.7


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_no_scale_is_lost(scale: float) -> None:
    rows = np.random.default_rng(0).normal(5, 1, (50, 6)).astype(np.float32) * np.float32(scale)
    made = probes.comparable(rows, [2, 4])
    assert made.dtype == np.float16
    assert np.isfinite(made).all()
    assert made[:, :2].std() == pytest.approx(1, abs=0.01)


# --- sentences -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accuracies", "how", "says"),
    [
        ((0.2, 0.4, 0.7, 0.9), "rises", "It rises from 20 % after one and does not fall again"),
        ((0.9, 0.6, 0.4, 0.3), "falls", "From there it falls, to 30 % after four."),
        ((0.3, 0.9, 0.7, 0.5), "peaks", "rises from 30 % after one to 90 %, and falls to 50 %"),
        ((0.9, 0.5, 0.4, 0.9), "dips", "Between its ends it is lower."),
        ((0.8, 0.8, 0.8, 0.8), "flat", "No stage differs from the best beyond noise."),
    ],
)
def test_a_curve_is_said_as_it_runs(accuracies: tuple[float, ...], how: str, says: str) -> None:
    measured = task("thing", *accuracies)
    assert words.course(measured.curve) == how
    text = " ".join(words.sentences(measured, STAGES)).replace("\u00a0", " ")
    assert says in text
    assert f"The thing is told best after {STAGES[int(np.argmax(accuracies))]}" in text


def test_a_fall_between_stages_that_do_as_well_is_said() -> None:
    found = task("thing", 0.2, 0.9, 0.5, 0.9)
    assert words.course(found.curve) == "rises"
    text = " ".join(words.sentences(found, STAGES))
    assert "between the stages that do as well it is lower" in text
    assert "does not fall" not in text


def test_noise_is_said() -> None:
    found = task("thing", 0.2, 0.895, 0.9, 0.5, n=200)
    text = " ".join(words.sentences(found, STAGES))
    assert "two does as well within noise" in text
    lone = " ".join(words.sentences(task("thing", 0.2, 0.4, 0.9, 0.5), STAGES))
    assert "beyond noise better than after any other" in lone


def test_what_is_not_told_is_said() -> None:
    [text] = words.sentences(task("thing", 0.12, 0.13, 0.14, 0.12), STAGES)
    assert "cannot be told from any stage" in text
    assert "12.5\u00a0% is chance" in text


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (curve(0.2, 0.3, 0.4, 0.3), "training adds 50 points"),
        (curve(0.2, 0.3, 0.898, 0.3), "a difference of 0 points that lies within noise"),
        (curve(0.2, 0.3, 1.0, 0.3), "training takes away 10 points"),
    ],
)
def test_random_weights_are_compared_with(other: Curve, says: str) -> None:
    found = task("thing", 0.2, 0.4, 0.9, 0.5, other=other)
    assert says in " ".join(words.sentences(found, STAGES))


def test_the_order_is_said_whichever_way_it_comes_out() -> None:
    first, second, third = (0.9, 0.5, 0.4, 0.3), (0.3, 0.9, 0.5, 0.4), (0.2, 0.3, 0.5, 0.9)
    early, middle, late = task("a", *first), task("b", *second), task("c", *third)
    broad = task("b", 0.3, 0.9, 0.9, 0.9)
    assert "First a, then b, then c: so it is" in words.verdict([early, middle, late], STAGES)
    against = words.verdict([late, middle, early], STAGES)
    assert "does not show that" in against
    assert "c come after b; b come after a" in against
    part = words.verdict([early, broad, late], STAGES)
    assert "shows a part of that" in part
    assert "the order of b and c lies within noise" in part
    assert "that stays open" in words.verdict([broad, late], STAGES)
    unknown = task("u", 0.12, 0.12, 0.12, 0.12)
    assert "No stage tells u." in words.verdict([early, late, unknown], STAGES)
    assert "cannot be said" in words.verdict([early, unknown], STAGES)
    assert "cannot be said" in words.verdict([task("a", 0.9), task("b", 0.9)], ["one"])


# --- the page ------------------------------------------------------------------------------------


class Seen(HTMLParser):
    """What stands in a page: tags, pictures without words, addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.nameless: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        if tag == "img" and not given.get("alt"):
            self.nameless.append(str(given))
        if tag == "svg" and not (given.get("aria-label") or given.get("aria-hidden")):
            self.nameless.append("svg")
        self.addresses += [str(given[name]) for name in ("src", "href") if name in given]


def demonstration() -> tuple[Backbone, nn.Module]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = Demonstration().eval()
    view = View(32, 1.0, "bilinear")
    return build.describe_module(
        module, LAYERS, view=view, mean=HALF, std=HALF, head="fc3", name="small & <new>"
    ), module


def looked(dataset: Dataset) -> Look:
    backbone, module = demonstration()
    return examine(module, backbone, sample.draw(dataset, backbone.view, 60, 0), seed=0)


@pytest.fixture(scope="module")
def seen() -> Look:
    return looked(in_memory(scenes(each(16))))


def test_a_look_has_everything_and_repeats(seen: Look) -> None:
    assert [measured.short for measured in seen.tasks] == ["edges", "shapes", "classes"]
    assert [len(measured.curve.right) for measured in seen.tasks] == [5, 5, 5]
    assert (seen.drawn, len(seen.sample), seen.untold, seen.alone) == (160, 48, "", "")
    again = looked(in_memory(scenes(each(16))))
    for one, other in zip(seen.tasks, again.tasks, strict=True):
        assert np.array_equal(one.curve.right, other.curve.right)
        assert one.untrained is not None
        assert other.untrained is not None
        assert np.array_equal(one.untrained.right, other.untrained.right)
    assert [sight.channels for sight in seen.sights] == [sight.channels for sight in again.sights]


def test_the_page_stands_alone(seen: Look) -> None:
    text = page.render(seen)
    found = Seen()
    found.feed(text)
    assert found.nameless == []
    assert {address[:11] for address in found.addresses} == {"data:image/"}
    assert "http" not in text
    assert not {"script", "link", "iframe"} & set(found.tags)
    assert [found.tags.count(tag) for tag in ("h1", "h2", "table")] == [1, 6, 1]
    assert found.tags.count("svg") == 1 + 3 + 3  # together, alone, in the legend
    assert found.tags.count("path") > 7
    for name in (
        "The first layer’s kernels",
        "What excites each stage most",
        "What each stage can",
    ):
        assert name in text
    assert "small &amp; &lt;new&gt;" in text
    assert "prefers-color-scheme: dark" in text
    patches = sum(len(c.patches) for sight in seen.sights for c in sight.channels)
    assert found.tags.count("img") == 48 + patches + 8 + 8 + 8
    assert "None" not in re.sub(r'"data:[^"]*"', "", text)
    assert words.verdict(seen.tasks, LAYERS) in text


def test_one_class_leaves_its_curve_out(seen: Look) -> None:
    only = looked(in_memory(classes({"ant": 9})))
    assert len(only.tasks) == 2
    text = page.render(only)
    assert "all images are of one class (ant)" in text
    assert "9 images of 1\nclass" in text


def test_weights_that_cannot_be_drawn_anew_are_no_obstacle(seen: Look) -> None:
    text = page.render(
        replace(
            seen,
            alone="The weights cannot be drawn anew.",
            tasks=tuple(replace(measured, untrained=None) for measured in seen.tasks),
        )
    )
    assert "There is no comparison with random weights. The weights cannot be drawn anew." in text
    assert "dashed" not in text


def test_a_network_of_one_stage_without_a_convolution() -> None:
    plain = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 8)).eval()
    view = View(32, 1.0)
    backbone = build.describe_module(plain, ["1"], view=view, mean=HALF, std=HALF, name="plain")
    dataset = in_memory(scenes(each(8)))
    text = page.render(examine(plain, backbone, sample.draw(dataset, view, 40, 0)))
    assert "This network has no convolution" in text
    assert "it takes two stages" in text
    assert "the only stage there is" in text or "cannot be told" in text


def test_random_weights_see_pictures_as_trained_ones_do(seen: Look) -> None:
    """Batch norm of the twin takes its statistics from the pictures; the network stays."""
    backbone, module = demonstration()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    pictures = np.stack([seen.sample.square(n) for n in range(40)])
    trunk = untrained.twin(module, backbone, [0, 1], pictures, 7)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    conv, norm = trunk.get_submodule("conv1.conv"), trunk.get_submodule("conv1.norm")
    x = (torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255 - 0.5) / 0.5
    with torch.no_grad():
        mean = torch.stack([conv(part).mean((0, 2, 3)) for part in x.split(16)]).mean(0)
    torch.testing.assert_close(norm.running_mean, mean, atol=1e-4, rtol=1e-3)
    assert not norm.training
    assert not torch.equal(conv.get_parameter("weight"), before["conv1.conv.weight"])


def test_a_single_unit_that_misses_a_part_is_said_to() -> None:
    corner = nn.Sequential(nn.Conv2d(3, 4, 20, stride=20)).eval()
    view = View(32, 1.0)
    backbone = build.describe_module(corner, ["0"], view=view, mean=HALF, std=HALF, name="c")
    [field] = fields.measure(maps.unpooled(corner, backbone, [0]), backbone.stages, view.shape)
    sight = Sight(backbone.stages[0], 0, field, ())
    assert page.sees(sight, view) == "It sees 20 × 20 px."


# --- the command ---------------------------------------------------------------------------------


def test_the_command_writes_the_page(cli: Regraft, tmp_path: Path) -> None:
    files = scenes(each(10)) | {"rings/broken.png": b"not a picture"}
    files |= {"squares/grey.png": encode(photo(5).convert("L"), "PNG")}
    data, out = lay_out(tmp_path / "data", files), tmp_path / "look.html"
    said = cli("look", "demonstration", data, "--out", out)
    assert (said.code, said.out) == (0, "")
    assert "left out rings/broken.png" in said.err
    assert "31 images are looked at" in said.err
    assert f"Written to {out}" in said.err
    assert "broken.png" in out.read_text("utf-8")
    assert [path.name for path in tmp_path.iterdir() if path != data] == ["look.html"]


@pytest.mark.parametrize(
    ("out", "code", "says"),
    [
        ("look.svg", 2, "ending in .html"),
        ("missing/look.html", 1, "There is no folder"),
        ("folder.html", 1, "is a folder"),
        (f"{'x' * 300}.html", 1, "cannot be written"),
    ],
)
def test_a_place_to_write_is_asked_for_first(
    cli: Regraft,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    out: str,
    code: int,
    says: str,
) -> None:
    monkeypatch.setattr(Dataset, "open", lambda source: pytest.fail("nothing is to be read yet"))
    (tmp_path / "folder.html").mkdir()
    said = cli("look", "demonstration", tmp_path, "-o", tmp_path / out)
    assert said.code == code
    assert says in said.err
    assert [path.name for path in tmp_path.iterdir()] == ["folder.html"]


def test_mistakes_are_told(cli: Regraft, tmp_path: Path) -> None:
    out = tmp_path / "look.html"
    data = lay_out(tmp_path / "data", classes({"ant": 2, "bee": 2}))
    assert "at least 6 images" in cli("look", "demonstration", data, "-o", out).err
    assert "There is no network named" in cli("look", "demonstratoin", data, "-o", out).err
    assert "There is no" in cli("look", "demonstration", tmp_path / "none", "-o", out).err
    swapped = cli("look", data, "-o", out)
    assert swapped.code == 2
    assert "name the network first" in swapped.err
    seeded = cli("look", "demonstration", data, "--seed", "-1", "-o", out)
    assert seeded.code == 2
    assert "--seed must be from 0" in seeded.err
    assert not out.exists()


def test_without_images_the_demo_s_are_asked_for(
    cli: Regraft,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("regraft.data.samples.groceries", lambda: tmp_path / "none.parquet")
    said = cli("look", "demonstration", "-o", tmp_path / "look.html")
    assert said.code == 1
    assert "pip install 'regraft[demo]'" in said.err
