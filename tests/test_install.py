"""What is installed to serve: the versions of the lock, no torch, and what the Dockerfile copies.

``bench/bench_install.py`` does it, and asks the server.
"""

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

from packaging.requirements import Requirement

from locks import REQUIREMENTS, entries

HOME = REQUIREMENTS.parent
FOLDER = HOME / "examples" / "serve"
DOCKERFILE = (FOLDER / "Dockerfile").read_text("utf-8")


def wanted() -> list[str]:
    lines = (REQUIREMENTS / "serve.in").read_text("utf-8").splitlines()
    return [name for line in lines if (name := line.partition("#")[0].strip())]


def extras() -> dict[str, list[Requirement]]:
    project = tomllib.loads((HOME / "pyproject.toml").read_text("utf-8"))["project"]
    found = {"": project["dependencies"]} | project["optional-dependencies"]
    return {extra: [Requirement(text) for text in texts] for extra, texts in found.items()}


def test_all_is_every_extra_but_that_of_developers() -> None:
    [everything] = extras()["all"]
    assert everything.name == "regraft"
    assert {*everything.extras, "dev", "all", ""} == extras().keys()


def test_a_server_has_the_versions_of_the_lock_and_no_torch() -> None:
    lock, serve = entries("lock.txt"), entries("serve.txt")
    assert [name for name in serve if serve[name] != lock.get(name)] == [], "run make lock"
    assert not {"torch", "torchvision", "timm", "triton", "lightning-fabric"} & serve.keys()
    assert not [name for name in serve if name.startswith("nvidia")]
    assert serve.keys() >= {*wanted()}, "run make lock"


def test_a_server_asks_for_nothing_that_the_project_does_not() -> None:
    known = extras()
    names = {one.name for extra in known.values() for one in extra}
    assert {*wanted()} <= names
    assert {one.name for one in known["serve"]} <= {*wanted()}


def test_the_dockerfile_copies_what_is_there_and_what_the_script_needs() -> None:
    copied = [
        source
        for line in re.findall(r"^COPY (.+)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    ]
    assert [source for source in copied if not (HOME / source).exists()] == []
    ignored = (FOLDER / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    assert {f"!{source}" for source in copied} == {line for line in ignored if line[0] == "!"}
    script = (FOLDER / "install.sh").read_text("utf-8")
    needed = re.findall(r"\$home/([\w./-]+)", script)
    built = tomllib.loads((HOME / "pyproject.toml").read_text("utf-8"))["project"]
    needed += [built["readme"], *built["license-files"], "pyproject.toml", "src/regraft"]
    for path in needed:
        assert any(fnmatch(path, source) or path.startswith(f"{source}/") for source in copied)
    assert "--require-hashes" in script


def test_the_container_is_nobody_in_particular_and_says_whether_it_is_well() -> None:
    assert re.search(r"^USER [1-9]\d+$", DOCKERFILE, re.MULTILINE)
    assert "/healthz" in DOCKERFILE.partition("HEALTHCHECK")[2]
    assert "install.sh" in DOCKERFILE.partition("RUN ")[2]
    assert '"regraft", "serve"' in DOCKERFILE
    assert not Path(HOME / "Dockerfile").exists()
