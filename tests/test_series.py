"""Series in file names: frames of one video are proposed as a group, and never taken as one."""

import numpy as np
import pytest
from PIL import Image

from pictures import encode, facts_of, in_memory, photo
from regraft.data.audit import audit
from regraft.data.audit.series import NAMED, NUMBERED
from regraft.data.readers.known import with_groups
from regraft.plan.choices import Choices
from regraft.run.measure import measure
from regraft.run.pretrained import Pretrained
from smallnet import record, small


def frame(scene: int, number: int) -> bytes:
    """One frame of a video: the same scene, somewhat moved, with its own noise."""
    random = np.random.default_rng([scene, number])
    whole = photo(scene, 106, 74)
    left, top = (int(value) for value in random.integers(0, 10, 2))
    pixels = np.asarray(whole.crop((left, top, left + 96, top + 64)), np.float64)
    noisy = (pixels + random.normal(0, 12, pixels.shape)).clip(0, 255).astype(np.uint8)
    return encode(Image.fromarray(noisy), "PNG")


def videos(name: str, scenes: int = 4, frames: int = 6) -> dict[str, bytes]:
    return {
        name.format(label=label, scene=scene, frame=number): frame(
            10 * scene + (label == "stop"), number
        )
        for label in ("stop", "yield")
        for scene in range(scenes)
        for number in range(frames)
    }


def unlike(name: str) -> dict[str, bytes]:
    """The same names, and every picture of something else."""
    names = list(videos(name))
    return {path: frame(1000 + i, 0) for i, path in enumerate(names)}


SIGNS = "{label}/{scene:05}_{frame:05}.png"
SPEAKERS = "{label}/{label}_speaker{scene}x_{frame}.png"


@pytest.mark.parametrize(
    ("files", "pattern", "count"),
    [
        pytest.param(videos(SIGNS), NUMBERED, 8, id="frames by video and number"),
        pytest.param(videos("{label}/clip{scene}x-{frame}.png"), NAMED, 4, id="clips by a word"),
        pytest.param(videos(SPEAKERS), NAMED, 4, id="speakers, in every class"),
        pytest.param(videos("{label}/{scene:05}_{frame:05}.png", 1), "", 0, id="one a class"),
        pytest.param(unlike(SIGNS), "", 0, id="such names of unlike pictures"),
        pytest.param(
            {
                f"{label}/img_{i:04}.png": frame(i + 99 * (label == "a"), 0)
                for label in "ab"
                for i in range(20)
            },
            *("", 0),
            id="merely numbered",
        ),
        pytest.param(
            {
                f"{label}/{i:04x}-w.png": frame(i + 99 * (label == "a"), 0)
                for label in "ab"
                for i in range(20)
            },
            *("", 0),
            id="names without a number at the end",
        ),
        pytest.param(
            videos("{label}/{scene:05}_{frame:05}.png", 2)
            | videos("{label}/{frame:04}.png", 1, 30),
            *("", 0),
            id="most of a class under one name",
        ),
    ],
)
def test_series_are_proposed(files: dict[str, bytes], pattern: str, count: int) -> None:
    data = in_memory(files)
    said = [one for one in audit(data, facts_of(data)).warnings if "series" in one]
    assert len(said) == bool(pattern)
    if pattern:
        assert said[0].startswith(f"The names form {count} series of about ")
        assert said[0].endswith(f"--group-by '{pattern}'")
        grouped = with_groups(data, pattern)
        assert len({item.group for item in grouped.items}) == count
        again = audit(grouped, facts_of(grouped))
        assert not any("series" in one for one in again.warnings)  # it is done already
        assert len(set(again.groups.tolist())) <= count


@pytest.mark.parametrize(("by", "said"), [(None, 1), ("none", 0)])
def test_who_wants_no_groups_is_proposed_none(by: str | None, said: int) -> None:
    found = measure(in_memory(videos(SIGNS)), Pretrained(record(), small), Choices(group_by=by))
    assert sum("The names form" in one for one in found.audit.warnings) == said


def test_nothing_is_grouped_unasked() -> None:
    data = in_memory(videos(SIGNS))
    assert len(set(audit(data, facts_of(data)).groups.tolist())) > 8
