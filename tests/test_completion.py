"""The shells complete commands, options and the values that an option can have."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

COMPLETED = [
    ("regraft pre", ["predict"]),
    ("regraft fit --over", ["--overwrite"]),
    ("regraft fit --near-copies ", ["group", "keep", "drop"]),
    ("regraft plan photos --fit-image p", ["pad"]),
    ("regraft export run --to o", ["onnx", "openvino"]),
    ("regraft predict ru", []),  # so the shell completes names of files
]


def run(*command: str, **environment: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert done.stderr == ""
    return done.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes(tmp_path: Path) -> None:
    """In bash, by what ``--show-completion`` prints there."""
    program = tmp_path / "regraft"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m regraft "$@"\n')
    program.chmod(0o755)
    script = """
        eval "$(regraft --show-completion)"
        while IFS= read -r typed; do
            COMP_WORDS=($typed); [[ $typed == *' ' ]] && COMP_WORDS+=("")
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMPREPLY=()
            _regraft_completion regraft
            echo "${COMPREPLY[*]}"
        done <<<"$TYPED"
        complete -p regraft
    """
    typed = "\n".join(words for words, _ in COMPLETED)
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    *found, installed = run("bash", "-c", script, TYPED=typed, PATH=path).splitlines()
    assert found == [" ".join(expected) for _, expected in COMPLETED]
    assert "-o default" in installed


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_answered(shell: str) -> None:
    regraft = (sys.executable, "-m", "regraft")
    script = run(*regraft, _REGRAFT_COMPLETE=f"source_{shell}")
    assert f"_REGRAFT_COMPLETE=complete_{shell}" in script
    typed, expected = COMPLETED[2]
    asked = {"_REGRAFT_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": typed}
    said = run(*regraft, **asked, _TYPER_COMPLETE_FISH_ACTION="get-args")
    assert [word for word in expected if word in said.replace('"', " ").split()] == expected
