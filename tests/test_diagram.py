"""Network pictures: what they show, that nothing overlaps or is cut off."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drawn import RECORDS, SCENES, record
from regraft import diagram
from regraft.backbones import Stage
from regraft.diagram import Scene, of_case
from regraft.diagram.forms import FORMS, NARROW, WIDE, Form
from regraft.diagram.grouping import grouped
from regraft.diagram.layout import layout, picture
from regraft.diagram.legend import legend
from regraft.diagram.letters import shorten, width_of, wrap
from regraft.diagram.sentences import legend_of
from regraft.diagram.shapes import Box, Label, Outline
from regraft.diagram.sizes import share_of, thickness
from regraft.errors import BackboneError

PICTURES = [(name, form) for name in SCENES for form in FORMS]
NAMES = [f"{name}-{form.name}" for name, form in PICTURES]
everywhere = pytest.mark.parametrize(("name", "form"), PICTURES, ids=NAMES)
every_scene = pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)


def overlap(one: Box, other: Box, slack: float = 0.01) -> bool:
    return (
        one[0] < other[2] - slack
        and other[0] < one[2] - slack
        and one[1] < other[3] - slack
        and other[1] < one[3] - slack
    )


# ---- nothing overlaps, nothing is cut off


@everywhere
def test_no_text_overlaps_another_text_or_a_thing(name: str, form: Form) -> None:
    drawing = picture(SCENES[name], form)
    texts = [(label.text, label.box) for label in drawing.labels]
    things = [(solid.tooltip, solid.box) for solid in drawing.solids]
    pairs = [*itertools.combinations(texts, 2), *itertools.product(texts, things)]
    assert [(a, b) for (a, one), (b, other) in pairs if overlap(one, other)] == []


@everywhere
def test_everything_lies_inside(name: str, form: Form) -> None:
    drawing = picture(SCENES[name], form)
    boxes = [(label.text, label.box) for label in drawing.labels]
    boxes += [(solid.tooltip, solid.box) for solid in drawing.solids]
    edge = 0.3 * form.margin
    inside = (edge, edge, form.width - edge, form.height - edge)
    assert [
        (what, box)
        for what, box in boxes
        if box[0] < inside[0] or box[1] < inside[1] or box[2] > inside[2] or box[3] > inside[3]
    ] == []


@everywhere
def test_things_stand_side_by_side(name: str, form: Form) -> None:
    drawing = picture(SCENES[name], form)
    boxes = [solid.box for solid in drawing.solids]
    assert not any(overlap(one, other) for one, other in itertools.combinations(boxes, 2))
    assert all(form.top - 0.1 <= box[1] and box[3] <= form.bottom + 0.1 for box in boxes)


@everywhere
def test_letters_are_large_enough(name: str, form: Form) -> None:
    least = 10 if form is NARROW else 13.5 * 760 / 1000
    scale = 1 if form is NARROW else 760 / 1000
    assert min(label.size * scale for label in picture(SCENES[name], form).labels) >= least


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@pytest.mark.parametrize("network", RECORDS)
def test_a_picture_of_a_series_keeps_to_its_panel(network: str, form: Form) -> None:
    scenes = diagram.lesson(RECORDS[network], classes=1000)
    for scene in scenes:
        for item in layout(replace(scene, network=""), form):
            if isinstance(item, Label):
                assert form.lift < item.box[1]
                assert item.box[3] < form.lift + form.panel
    entries = [item for item in legend(legend_of(*scenes), form, 0) if isinstance(item, Label)]
    assert max(label.box[3] for label in entries) < form.foot
    assert max(label.box[2] for label in entries) < form.width - form.margin / 2


def test_an_overlap_would_be_seen() -> None:
    labels = [Label(100, 50, "stage", 10), Label(110, 52, "stage", 10), Label(100, 70, "stage", 10)]
    one, other, below = (label.box for label in labels)
    assert overlap(one, other)
    assert not overlap(one, below)
    assert overlap((0, 0, 200, 200), one)


def test_both_arrangements_have_the_same_proportions() -> None:
    for scenes in (1, 5):
        wide, narrow = (
            form.height if scenes == 1 else form.crown + scenes * form.panel + form.foot
            for form in (WIDE, NARROW)
        )
        assert wide / WIDE.width == pytest.approx(narrow / NARROW.width, rel=1e-6)


# ---- sizes


@given(st.lists(st.integers(1, 8192), min_size=2, max_size=20))
def test_widths_follow_channels_within_bounds(channels: list[int]) -> None:
    for form in FORMS:
        widths = [thickness(wide, form) for wide in sorted(channels)]
        assert widths == sorted(widths)
        assert form.thin <= widths[0] <= widths[-1] <= form.thick


@given(st.lists(st.integers(1, 512), min_size=2, max_size=20), st.integers(16, 512))
def test_heights_follow_sides_within_bounds(sides: list[int], image: int) -> None:
    shares = [share_of(Stage("s", "s", 8, "NCHW", side=side), image) for side in sorted(sides)]
    assert shares == sorted(shares)
    assert 0 < shares[0] <= shares[-1] <= 1


def test_sides_and_channels_that_occur_look_different() -> None:
    heights = [share_of(Stage("s", "s", 8, "NCHW", side=s), 224) for s in (224, 112, 56, 28, 14, 7)]
    assert all(one > 1.2 * other for one, other in itertools.pairwise(heights))
    widths = [thickness(channels, WIDE) for channels in (3, 16, 64, 256, 1024, 2048)]
    assert all(other > 1.05 * one for one, other in itertools.pairwise(widths))


# ---- what becomes of the stages


def fates(scene: Scene) -> list[str]:
    return [block.fate for block in scene.blocks]


def test_every_case_does_what_its_row_of_the_table_says() -> None:
    of = {scene.case: scene for scene in diagram.lesson(RECORDS["demonstration"])}
    assert list(of) == [0, 1, 2, 3, 4]
    assert fates(of[0]) == ["pretrained"] * 5
    assert (of[0].new, of[0].cut) == (None, "")
    assert fates(of[1]) == ["frozen"] * 5
    assert fates(of[2]) == ["frozen"] * 2 + ["removed"] * 3
    assert of[2].cut == "conv2"
    assert fates(of[3]) == ["trained"] * 5
    assert fates(of[4]) == ["either"] * 5
    assert all(scene.fates[-1] == "removed" for scene in list(of.values())[1:])
    assert of[2].new is not None
    assert (of[2].new.inputs, of[2].new.outputs) == (96, 10)


def test_choices_change_the_fates() -> None:
    network = RECORDS["resnet50"]
    partly = of_case(network, 3, trainable_from="layer3")
    assert fates(partly) == ["frozen"] * 3 + ["trained"] * 2
    assert "layer3" in partly.caption
    assert fates(of_case(network, 4, init="random")) == ["scratch"] * 5
    assert fates(of_case(network, 4, init="pretrained")) == ["trained"] * 5


def test_the_new_layer_reads_all_taps() -> None:
    scene = SCENES["taps"]
    assert [block.stages[0].name for block in scene.kept if block.read] == [
        *("blocks.1", "blocks.2", "blocks.3", "blocks.4")
    ]
    assert scene.new is not None
    assert scene.new.inputs == 24 + 40 + 80 + 112
    for form in FORMS:
        items = picture(scene, form).items
        taps = [item for item in items if isinstance(item, Outline) and item.style == "tap"]
        assert len(taps) == 3  # the last one is read where the network ends
    assert "reads 4 stages" in diagram.svg(scene)


@pytest.mark.parametrize("most", [1, 3, 8, 200])
@every_scene
def test_only_neighbours_of_one_fate_are_joined(scene: Scene, most: int) -> None:
    row = grouped(scene.blocks, most)
    assert [s for block in row for s in block.stages] == [
        s for block in scene.blocks for s in block.stages
    ]
    fate = {block.stages[0]: block.fate for block in scene.blocks}
    assert all({fate[stage] for stage in block.stages} == {block.fate} for block in row)
    runs = itertools.groupby(scene.blocks, key=lambda block: (block.fate, block.kind))
    assert len(row) <= max(most, len(list(runs)))


def test_a_hundred_stages_are_not_a_mile_long() -> None:
    for form in FORMS:
        scene = of_case(RECORDS["hundred_layers"], 2, taps=(57,))
        drawing = picture(scene, form)
        assert len(drawing.solids) <= 16
        assert any(label.text == "cut after features.layer57" for label in drawing.labels)


def test_a_network_without_named_stages_is_one_block_and_has_no_cases() -> None:
    bare = record("bare", (), 64)
    assert [block.name for block in diagram.untouched(bare).blocks] == ["the whole network"]
    assert diagram.html(diagram.untouched(bare)).count("<svg") == 1
    with pytest.raises(BackboneError, match="no named stages") as caught:
        of_case(bare, 1)
    assert "describe_module" in str(caught.value)


def test_one_stage_leaves_nothing_to_cut_off() -> None:
    one = RECORDS["one-stage"]
    with pytest.raises(BackboneError, match="none to cut off"):
        of_case(one, 2)
    assert [scene.case for scene in diagram.lesson(one)] == [0, 1, 3, 4]


# ---- letters


@given(st.text(max_size=60), st.floats(20, 400), st.floats(8, 30), st.booleans())
def test_shortened_texts_fit(text: str, room: float, size: float, bold: bool) -> None:
    short = shorten(text, room, size, bold)
    assert short == "…" or width_of(short, size, bold) <= room


@given(st.text(max_size=200), st.floats(60, 400), st.integers(1, 4))
def test_wrapped_texts_fit(text: str, room: float, most: int) -> None:
    lines = wrap(text, room, 10, most)
    assert len(lines) <= most
    assert all(width_of(line, 10) <= room for line in lines)
    if lines and not any("…" in line for line in lines):
        assert " ".join(lines).split() == text.split()
