"""``regraft draw``: pictures in the terminal and as files, and what cannot be drawn."""

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from command import Regraft, cli, own_log
from regraft import backbones, diagram

__all__ = ["cli", "own_log"]

NETWORK = "demonstration"


def test_without_options_all_five_pictures_are_drawn(cli: Regraft) -> None:
    said = cli("draw", NETWORK)
    assert said.code == 0
    assert said.err == ""
    titles = [line for line in said.out.splitlines() if line.startswith(("The pre", "Case "))]
    assert [title[:7] for title in titles] == [
        "The pre",
        "Case 1:",
        "Case 2:",
        "Case 3:",
        "Case 4:",
    ]


@pytest.mark.parametrize("case", [0, 1, 2, 3, 4])
def test_a_case_is_drawn_in_the_terminal(cli: Regraft, case: int) -> None:
    said = cli("draw", NETWORK, "--case", case, "--classes", 3)
    assert said.code == 0
    assert ("✂" in said.out) == (case > 0)
    assert ("3 classes" in said.out) == (case > 0)
    assert max(map(len, said.out.splitlines())) <= 100


def test_a_file_is_written_and_named(cli: Regraft, tmp_path: Path) -> None:
    out = tmp_path / "x.svg"
    said = cli("draw", NETWORK, "--case", 2, "--cut", "conv2", "-o", out)
    assert (said.code, said.out) == (0, "")
    assert str(out) in said.err.replace("\n", "")
    scene = diagram.of_case(backbones.get(NETWORK), 2, taps=(1,))
    assert out.read_text("utf-8") == diagram.svg(scene)


def test_the_lesson_is_one_file(cli: Regraft, tmp_path: Path) -> None:
    assert cli("draw", NETWORK, "-o", tmp_path / "all.svg").code == 0
    titles = ET.parse(tmp_path / "all.svg").getroot().iter("{http://www.w3.org/2000/svg}text")
    assert sum((title.text or "").startswith("Case ") for title in titles) == 8


@pytest.mark.parametrize(
    ("options", "case"), [(("--cut", "conv1"), "Case 2"), (("--trainable-from", "fc1"), "Case 3")]
)
def test_a_choice_names_its_case(cli: Regraft, options: tuple[str, ...], case: str) -> None:
    said = cli("draw", NETWORK, *options)
    assert said.code == 0
    assert case in said.out
    assert "The pretrained network" not in said.out


def test_stages_go_by_their_numbers_too(cli: Regraft) -> None:
    assert cli("draw", NETWORK, "--cut", 1).out == cli("draw", NETWORK, "--cut", "conv2").out


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--cut", "nothing"), "conv1, conv2, conv3, fc1"),
        (("--case", 2, "--cut", 4), "is the last stage"),
        (("--case", 3, "--cut", "conv1"), "--cut says where case 2 cuts"),
        (("--case", 0, "--cut", "conv1"), "goes without --cut"),
        (("--case", 0, "--init", "random"), "goes without --init"),
        (("--case", 2, "--trainable-from", "conv2"), "goes without --trainable-from"),
        (("--case", 1, "--init", "pretrained"), "goes without --init"),
        (("--init", "random"), "Add --case 4"),
        (("--case", 3, "--init", "random"), "add --case 4"),
        (("--case", 4, "--init", "random", "--trainable-from", "fc1"), "every stage"),
        (("--trainable-from", "nothing"), "--trainable-from must name a stage"),
        (("--cut", "conv1", "--trainable-from", "conv2"), "goes without --trainable-from"),
    ],
)
def test_choices_that_cannot_be_drawn(
    cli: Regraft, tmp_path: Path, options: tuple[object, ...], complaint: str
) -> None:
    said = cli("draw", NETWORK, *options, "-o", tmp_path / "x.svg")
    assert said.code == 2
    assert complaint in said.err
    assert list(tmp_path.iterdir()) == []


def test_where_a_file_cannot_be_written(cli: Regraft, tmp_path: Path) -> None:
    said = cli("draw", NETWORK, "-o", tmp_path / "none" / "x.png")
    assert said.code == 2
    assert "must end in .svg, got 'x.png'" in said.err
    assert "does not exist" in said.err
    (tmp_path / "folder.svg").mkdir()
    said = cli("draw", NETWORK, "-o", tmp_path / "folder.svg")
    assert said.code == 2
    assert "it is a folder" in said.err
    said = cli("draw", NETWORK, "-o", tmp_path / f"{'x' * 300}.svg")
    assert said.code == 1
    assert "name too long" in said.err


def test_no_such_network(cli: Regraft) -> None:
    said = cli("draw", "resnot50")
    assert said.code == 1
    assert "resnet50" in said.err


def test_any_architecture_is_drawn_without_weights(cli: Regraft, tmp_path: Path) -> None:
    said = cli("draw", "resnet18", "--case", 3, "-o", tmp_path / "x.svg")
    assert said.code == 0
    text = (tmp_path / "x.svg").read_text("utf-8")
    assert "random weights)" not in text
    assert ">layer3<" in text


def test_a_bundled_network_is_drawn_without_torch(tmp_path: Path) -> None:
    out = tmp_path / "x.svg"
    code = (
        "import sys\nfrom regraft.cli import main\n"
        f"code = main(['draw', '{NETWORK}', '--case', '2', '-o', {str(out)!r}])\n"
        "print(code, 'torch' in sys.modules, 'timm' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["0", "False", "False"], done.stderr
    assert out.exists()
