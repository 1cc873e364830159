"""Network pictures as SVG, in pages and notebooks, in the terminal, of plans and records."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from rich.console import Console

from drawn import NASTY, RECORDS, SCENES, maps, record
from regraft import diagram
from regraft.cli import tables
from regraft.diagram import Scene, of_case, style, terminal
from regraft.diagram.forms import NARROW, WIDE
from regraft.diagram.layout import picture
from regraft.diagram.sentences import legend_of, stage_range
from regraft.diagram.shapes import Outline
from regraft.plan.choices import Choices
from regraft.plan.definition import Ran
from test_plan import evidence_telling, plan_of

SVG = "{http://www.w3.org/2000/svg}"
every_scene = pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)


def fates(scene: Scene) -> list[str]:
    return [block.fate for block in scene.blocks]


# ---- the SVG


def parsed(text: str) -> ET.Element:
    return ET.fromstring(text)


def words_of(root: ET.Element) -> Iterator[str]:
    yield from ("".join(text.itertext()) for text in root.iter(f"{SVG}text"))


@every_scene
def test_the_svg_is_whole_and_says_what_it_shows(scene: Scene) -> None:
    text = diagram.svg(scene)
    root = parsed(text)
    assert root.get("role") == "img"
    assert root.get("viewBox") == "0 0 1000 710"
    assert root.get("width") is root.get("height") is None
    said = root.findtext(f"{SVG}desc") or ""
    assert all(stage.name in said for block in scene.kept for stage in block.stages[:1])
    assert ("Removed:" in said) == ("removed" in scene.fates)
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([\w-]+)\)", text)) <= set(ids)
    assert str(root.get("aria-labelledby")).split() == ids[:2]
    assert "<script" not in text
    assert set(re.findall(r"https?://[^\"]+", text)) == {"http://www.w3.org/2000/svg"}


@every_scene
def test_the_same_scene_gives_the_same_bytes(scene: Scene) -> None:
    assert diagram.svg(scene) == diagram.svg(replace(scene))
    assert diagram.svg(scene, alone=False) != diagram.svg(scene)


def test_every_fate_that_occurs_has_a_pattern_and_stands_in_the_legend() -> None:
    for scene in SCENES.values():
        text = diagram.svg(scene)
        used = set(re.findall(r'class="(\w+) face"', text))
        patterns = set(re.findall(r'<pattern id="[\w-]+-wide-(\w+)"', text))
        entries = [fate for fate, _ in legend_of(scene)]
        assert used == patterns == set(entries)
        assert len(entries) <= 5


def test_patterns_tell_the_fates_apart_without_colour() -> None:
    drawn = {name: (pattern.strokes, pattern.dots) for name, pattern in style.PATTERNS.items()}
    plain = [name for name, marks in drawn.items() if marks == ("", "")]
    assert plain == ["pretrained", "removed"]
    assert len(set(drawn.values())) == len(drawn) - 1
    for name in ("demonstration-0", "demonstration-2"):  # what is removed is struck out and dashed
        text = diagram.svg(SCENES[name])
        assert ('class="crossed"' in text) == ("removed" in SCENES[name].fates)
        assert ".wide .removed-edge{stroke-dasharray:" in text


def test_names_from_outside_are_escaped() -> None:
    text = diagram.svg(SCENES["taps"])
    assert "<bees>" not in text
    assert {"ants & <bees>", 'the "wasps"'} <= set(words_of(parsed(text)))
    odd = of_case(record("a<b>&\x00\x1b'", maps(("s<&>", 8, 8), ("t", 8, 8)), 32), 2)
    assert any("s<&>" in word for word in words_of(parsed(diagram.svg(odd))))


def test_classes_are_counted_and_few_are_named() -> None:
    many = of_case(RECORDS["demonstration"], 1, classes=[f"class {i}" for i in range(1000)])
    texts = set(words_of(parsed(diagram.svg(many))))
    assert "64 → 1,000" in texts
    assert not any(text.startswith("class ") for text in texts)
    few = set(words_of(parsed(diagram.svg(SCENES["taps-to-the-last"]))))
    assert {"ants", "bees"} <= few


def test_two_pictures_on_one_page_keep_out_of_each_others_way() -> None:
    one, other = (diagram.html(SCENES[name]) for name in ("taps", "partly"))
    ids = [set(re.findall(r'id="([\w-]+)"', text)) for text in (one, other)]
    assert not ids[0] & ids[1]
    for text in (one, other):
        key = re.search(r'<svg[^>]* class="([\w-]+)"', text)
        assert key is not None
        sheet = text[text.index("<style>") + 7 : text.index("</style>")]
        rules = [rule for rule in sheet.splitlines() if rule and not rule.startswith("@")]
        assert all(f".{key[1]}" in rule for rule in rules)
        assert ":root" not in sheet
    again = diagram.html(SCENES["taps"], key="second")
    assert 'id="second-title"' in again
    assert "@container" in again


def test_both_palettes_name_the_same_colours_and_can_be_read() -> None:
    assert style.LIGHT.keys() == style.DARK.keys()
    for palette in (style.LIGHT, style.DARK):
        for ink in ("ink", "soft", "quiet", "cut", "new-ink"):
            assert contrast(palette[ink], palette["ground"]) >= 4.5, ink
        for fate in style.PATTERNS:
            if fate != "removed":
                assert contrast(palette[f"{fate}-ink"], palette[fate]) >= 2.5, fate


def contrast(one: str, other: str) -> float:
    """Of two colours, as WCAG 2 has it."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return float(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])


def test_a_series_is_one_picture_with_one_legend() -> None:
    text = diagram.series(diagram.lesson(RECORDS["efficientnet-lite0"]))
    texts = list(words_of(parsed(text)))
    assert texts.count("efficientnet-lite0 and the four cases") == 2
    for case in (1, 2, 3, 4):
        assert sum(word.startswith(f"Case {case}:") for word in texts) == 2  # wide and narrow
    assert texts.count("pretrained, frozen") == 2
    assert texts.count("from scratch") == 2


def test_a_long_name_stands_alone_above_a_series() -> None:
    name = "swin_tiny_patch4_window7_224.ms_in1k"
    scenes = diagram.lesson(record(name, maps(("a", 8, 8), ("b", 8, 4)), 32))
    assert list(words_of(parsed(diagram.series(scenes)))).count(name) == 2


# ---- the terminal


@every_scene
def test_the_terminal_picture_fits_80_columns(scene: Scene) -> None:
    lines = diagram.text(scene).plain.splitlines()
    assert max(map(len, lines)) <= 78
    for width in (38, 60):
        assert max(map(len, diagram.text(scene, width).plain.splitlines())) <= width
    for width in (80, 100):
        console = Console(width=width, highlight=False)
        with console.capture() as capture:
            console.print(diagram.text(scene))
        assert [line.rstrip() for line in capture.get().splitlines()] == [
            line.rstrip() for line in lines
        ]


def test_characters_tell_the_fates_apart() -> None:
    fills = {fate: fill for fate, fill in terminal.FILLS.items() if fate != "either"}
    assert len(set(fills.values())) == len(fills)
    either = diagram.text(SCENES["demonstration-4"]).plain
    assert "▓░" in either
    assert "or from scratch" in either


def test_the_terminal_shows_cut_and_taps() -> None:
    lines = diagram.text(SCENES["taps"]).plain.splitlines()
    assert [line[0] for line in lines[1:8]] == [" ", "┌", "├", "├", "├", "│", "└"]
    assert "✂ cut after blocks.4" in lines[6]


def test_tokens_are_drawn_as_patches_with_what_lies_beside_them() -> None:
    """The image is cut into as many, and above each block lies the class token."""
    scene = SCENES["vit_small_patch16_224-0"]
    wide = picture(scene, WIDE)
    image, *blocks, _, _ = wide.solids
    assert image.tooltip.endswith("in 14 × 14 patches")
    [grid] = [outline for outline in image.outlines if outline.style == "patches"]
    assert grid.d.count("M") == 2 * 13
    edges = [[o for o in block.outlines if "edge" in o.style] for block in blocks]
    assert [len(found) for found in edges] == [2, 2, 2, 2]
    slices = [outline for outline in blocks[0].outlines if outline.style == "grain"]
    assert len(slices) == 2 * 2 + 2 * 3, "two blocks after the first, above and below; the grid"
    assert "blocks.0-2: 14 × 14 patches and a class token, 384 channels" in blocks[0].tooltip
    rows = diagram.text(scene).plain.splitlines()
    assert "(14×14+1)×384" in rows[1]
    long = diagram.text(SCENES["vit_huge_with_registers-0"]).plain.splitlines()
    assert "37×37×1,536" in long[1], "without the tokens beside, where there is no room for them"
    many = picture(SCENES["vit_huge_with_registers-0"], WIDE).solids[0]
    assert "in 37 × 37 patches" in many.tooltip
    [grid] = [outline for outline in many.outlines if outline.style == "patches"]
    assert grid.d.count("M") == 2 * 8, "a coarser grid, which can be seen"
    plain = picture(SCENES["resnet50-0"], WIDE)
    assert "patches" not in plain.solids[0].tooltip
    assert not any(o.style == "patches" for s in plain.solids for o in s.outlines)


def test_what_reads_patches_passes_by_the_tokens_above_them() -> None:
    scene = of_case(RECORDS["vit_small_patch16_224"], 1, taps=(0, 1, 2, 3, 4))
    drawing = picture(scene, WIDE)
    dots = [o.d for o in drawing.items if isinstance(o, Outline) and o.style == "tap"]
    starts = [float(dot[1:].split()[0]) for dot in dots]
    assert len(starts) == 4
    for start, block in zip(starts, drawing.solids[1:5], strict=True):
        left, _, right, _ = block.box
        assert 0.85 < (start - left) / (right - left) < 1


def test_ranges_of_groups_are_one_range() -> None:
    stages = RECORDS["vit_small_patch16_224"].stages
    assert stage_range(stages[:1]) == "blocks.0-2"
    assert stage_range(stages[1:4]) == "blocks.3–11"
    assert stage_range(stages[3:]) == "blocks.9–last"
    assert stage_range(RECORDS["efficientnet-lite0"].stages[1:4]) == "blocks.1–3"


# ---- golden files


@pytest.mark.parametrize(
    "name",
    ["demonstration-2", "efficientnet-lite0-1", "resnet50-3", "vit_small_patch16_224-2", "taps"],
)
def test_the_structure_is_as_it_was(name: str, golden: Callable[[str, str], None]) -> None:
    """Changed on purpose? Write it anew with --golden, and look at the picture."""
    scene = SCENES[name]
    root = parsed(diagram.svg(scene))
    outline = [f"{scene.title}", f"{root.findtext(f'{SVG}desc')}", "", diagram.text(scene).plain]
    for group in root.findall(f"{SVG}g"):
        outline += ["", f"{group.get('class')}:"]
        outline += ["".join(text.itertext()) for text in group.iter(f"{SVG}text")]
    golden(f"diagram-{name}.txt", "\n".join(outline) + "\n")


def test_the_picture_is_as_it_was(golden: Callable[[str, str], None]) -> None:
    golden("diagram-demonstration-2.svg", diagram.svg(SCENES["demonstration-2"]))


def test_class_names_of_any_script_fit() -> None:
    assert NASTY[-1] not in [label.text for label in picture(SCENES["taps"], NARROW).labels]
    wide = [
        label for label in picture(SCENES["taps"], WIDE).labels if label.text[0] == NASTY[-1][0]
    ]
    assert len(wide) == 1


# ---- plans and records


@pytest.mark.parametrize("depth", [3, 1])
def test_a_plan_shows_its_surgery(depth: int) -> None:
    plan = plan_of(evidence_telling(depth))
    scene = diagram.of_plan(plan)
    assert [s.name for block in scene.kept for s in block.stages] == list(plan.kept)
    assert [s.name for block in scene.removed for s in block.stages] == list(plan.dropped)
    assert [depth for depth, block in enumerate(scene.blocks) if block.read] == list(plan.taps)
    assert scene.new is not None
    assert (scene.new.inputs, scene.new.classes) == (plan.inputs, ("ant", "bee", "wasp"))
    assert diagram.html(scene) in plan._repr_html_()
    assert plan.title in " ".join(diagram.svg(scene).split())


def test_a_plan_that_trains_shows_what_is_trained() -> None:
    evidence = evidence_telling(3)
    partly = diagram.of_plan(plan_of(evidence, Choices(case=3, trainable_from="stage2")))
    assert fates(partly) == ["frozen", "frozen", "trained", "trained"]
    scratch = plan_of(evidence, Choices(case=4, init="random"))
    assert fates(diagram.of_plan(scratch)) == ["scratch"] * 4
    assert "new, random" in diagram.svg(diagram.of_plan(scratch))


@pytest.mark.parametrize(
    ("winner", "fate"), [("fine-tuned", "trained"), ("from scratch", "scratch")]
)
def test_a_run_shows_the_network_that_was_handed_over(winner: str, fate: str) -> None:
    plan = plan_of(evidence_telling(3), Choices(case=4))
    ran = tuple(
        Ran(name, case, 0.9, (0.8, 1.0), 0.1, 10, "", name == winner)
        for name, case in (("frozen", 1), ("fine-tuned", 4), ("from scratch", 4))
    )
    assert set(fates(diagram.of_plan(plan))) == {"either"}
    assert set(fates(diagram.of_plan(replace(plan, ran=ran)))) == {fate}


def test_a_record_shows_itself_in_a_notebook() -> None:
    network = RECORDS["efficientnet-lite0"]
    assert network._repr_html_() == diagram.html(diagram.untouched(network))


def test_the_plan_in_the_terminal_has_the_picture() -> None:
    plan = plan_of(evidence_telling(1))
    console = Console(width=80, highlight=False)
    with console.capture() as capture:
        console.print(tables._surgery(plan))
    shown = [line.rstrip() for line in capture.get().splitlines()]
    for line in diagram.text(diagram.of_plan(plan)).plain.splitlines():
        assert line.rstrip() in shown
