"""The rules of the house that no linter knows: the order of the packages, what stays outside."""

import ast
import graphlib
import os
import re
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from locks import pinned
from packages import DOORS, MODULES, PACKAGES, SOURCE, imports, module_name, package, targets

HOME = Path(__file__).resolve().parent.parent

TORCH = {"torch", "torchvision", "timm", "lightning_fabric"}
# These import torch when they are imported; the rest loads without it.
TRAINED = ("networks", "finetune", "look", "export.belief", "export.classifier", "report.inside")
# but these: what surgery did, a network by the place where it is made
LIGHT = ("networks", "networks.changes", "networks.factories")
# Here not even a function imports it.
NEVER = {"errors", "metrics", "data", "backbones", "plan", "diagram", "cli"}
HEAVY = {*TORCH, "openvino", "sklearn", "scipy", "pyarrow"}

SOURCES = list(MODULES.values())
FOLDERS = ["src", "tests", "bench", "examples", "docs", "checks", "requirements", ".ci"]
SITES = {  # what a page or docstring may point at
    *("arxiv.org", "doi.org", "openreview.net", "github.com", "huggingface.co"),
    *("docs.python.org", "pytorch.org", "docs.pytorch.org", "scikit-learn.org", "semver.org"),
    *("www.apache.org", "creativecommons.org", "www.w3.org", "www.mkdocs.org", "docs.ray.io"),
    *("localhost", "127.0.0.1"),
}


def files() -> list[Path]:
    """Everything that belongs to the project, without what tools and environments leave in it."""
    found = [path for path in HOME.iterdir() if path.is_file()]
    for start in FOLDERS:
        for folder, inner, names in os.walk(HOME / start):
            inner[:] = [name for name in inner if name != "__pycache__" and name[0] != "."]
            found += [Path(folder) / name for name in names]
    return sorted(found)


def named(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(HOME)) for path in paths]


def offences(path: Path, text: str) -> Iterator[str]:
    """Yield every import of a file of ours that goes against the order."""
    here = package(module_name(path))
    for target, line, inside in imports(path, text):
        if target.split(".")[0] == "regraft":
            there = package(target)
            door = inside and (here, there) in DOORS
            if not door and place(there) > place(here):
                yield f"{path.name}:{line}: {here} stands above {there}"
        elif target.split(".")[0] in TORCH and here in NEVER:
            yield f"{path.name}:{line}: {here} without {target}"


def place(name: str) -> int:
    assert name in PACKAGES, f"{name} has no place in the order: give it one in checks/packages.py"
    return PACKAGES.index(name)


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_a_file_imports_only_from_above(path: Path) -> None:
    assert place(package(module_name(path))) >= 0
    assert list(offences(path, path.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    ("name", "text", "allowed"),
    [
        ("data", "from regraft.errors import DataError", True),
        ("data", "from . import errors", True),
        ("data", "import numpy", True),
        ("data", "import regraft.plan.decide", False),
        ("data", "from regraft import run", False),
        ("data", "from regraft import Plan", False),
        ("data", "from .networks import surgery", False),
        ("data", "def f():\n    from . import cli", False),
        ("data", "import importlib\nimportlib.import_module('regraft.plan')", False),
        ("data", "import torch.nn", False),
        ("data", "def f():\n    from timm import layers", False),
        ("features", "import torch", True),
        ("plan", "def f():\n    from regraft.diagram import html", True),
        ("plan", "from regraft.diagram import html", False),
    ],
)
def test_the_order_is_seen(name: str, text: str, allowed: bool) -> None:
    assert (list(offences(SOURCE / f"{name}.py", text)) == []) is allowed


def test_modules_import_in_no_cycle() -> None:
    """But through a door, and within the reading of data: a Dataset knows who can read one."""
    reading = re.compile(r"regraft\.data\.(?:dataset|readers)(?:\..*)?$")
    needed: dict[str, set[str]] = {}
    for module, path in MODULES.items():
        here = reading.sub("regraft.data", module)
        for target, _, inside in imports(path, path.read_text("utf-8")):
            there = reading.sub("regraft.data", target)
            door = inside and (package(module), package(target)) in DOORS
            if target in MODULES and there != here and not door:
                needed.setdefault(here, set()).add(there)
    graphlib.TopologicalSorter(needed).prepare()  # the error names a cycle


def test_public_classes_have_names_of_their_own() -> None:
    """But for those that an answer of the server consists of: its schema names them for others."""
    homes: dict[str, list[str]] = {}
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef) and node.name[0] != "_":
                homes.setdefault(node.name, []).append(module)
    for modules in homes.values():
        if "regraft.serve.answers" in modules:
            modules.remove("regraft.serve.answers")
    assert {name: found for name, found in homes.items() if len(found) > 1} == {}


def test_the_page_of_the_architecture_has_every_package() -> None:
    page = (HOME / "docs" / "architecture.md").read_text("utf-8")
    assert [name for name in PACKAGES if f"| `{name}` |" not in page] == []
    entries = {package(module) for module in MODULES}
    assert entries == set(PACKAGES), "checks/packages.py has the order of what lies in src/regraft"


def loaded_by(code: str, watched: set[str] = HEAVY) -> set[str]:
    """Run code in a fresh interpreter and give those of the watched packages that it loaded."""
    report = "; import sys; print(*{name.split('.')[0] for name in sys.modules})"
    command = [sys.executable, "-W", "error", "-c", code + report]
    done = subprocess.run(command, capture_output=True, text=True, cwd=HOME)
    assert done.returncode == 0, done.stderr
    return watched & set(done.stdout.splitlines()[-1].split())


def test_the_rest_loads_without_torch() -> None:
    names = [module_name(path) for path in SOURCES]
    light = [name for name in names if not trained(name) and name != "regraft.__main__"]
    assert not TORCH & loaded_by(f"import {', '.join(light)}")


def trained(module: str) -> bool:
    part = module.removeprefix("regraft.")
    return part not in LIGHT and any(f"{part}.".startswith(f"{torch}.") for torch in TRAINED)


def test_importing_regraft_loads_nothing_heavy() -> None:
    assert loaded_by("import regraft") == set()


@pytest.mark.parametrize(
    "verb",
    [
        "",
        "plan",
        "fit",
        "compare",
        "rank",
        "predict",
        "models",
        "draw",
        "look",
        "report",
        "export",
        "serve",
        "cache",
        "demo",
    ],
)
def test_help_loads_nothing_heavy(verb: str) -> None:
    argv = ["regraft", *verb.split(), "--help"]
    code = (
        f"import contextlib, sys; sys.argv = {argv}\n"
        "from regraft.cli import main\n"
        "with contextlib.suppress(SystemExit): main()"
    )
    assert loaded_by(code, HEAVY | {"numpy", "PIL"}) == set()


def test_no_file_is_long() -> None:
    code = [path for path in files() if path.suffix == ".py"]
    assert named([path for path in code if len(path.read_text("utf-8").splitlines()) >= 400]) == []


def test_no_file_is_called_after_nothing() -> None:
    vague = re.compile(r"(?:^|[\W_])(?:utils?|helpers?|misc|common)(?:$|[\W_])")
    assert [name for name in named(files()) if vague.search(name)] == []


def test_no_data_and_no_weights_lie_in_the_project() -> None:
    kinds = {
        ".pt",
        ".pth",
        ".pkl",
        ".pickle",
        ".bin",
        ".onnx",
        ".safetensors",
        ".npy",
        ".npz",
        ".sqlite",
    }
    heavy = [path for path in files() if path.suffix in kinds or path.stat().st_size > 1_000_000]
    # The demonstration network is small enough to come along; `make pretrain` makes it.
    [own] = [path for path in heavy if path.name == "demonstration.safetensors"]
    assert own.stat().st_size < 3_000_000
    assert named([path for path in heavy if path != own]) == []


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_nothing_is_pickled(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        for target in targets(node, path):
            assert target.split(".")[0] not in {"pickle", "dill", "cloudpickle", "joblib"}
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in {"torch.save", "np.save", "numpy.save"}, f"line {node.lineno}"
            if called == "torch.load":
                assert "weights_only=True" in ast.unparse(node), f"line {node.lineno}"


# Each pattern is written so that it does not match itself.
NOT_OURS = {
    "a path of somebody's machine": r"(?<![\w.])/(?:work|root|home|Users|opt|mnt|tmp)/\w",
    "a package registry": r"pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|deb\.debian\.org",
    "where packages come from": r"(?<!no-emit-)(?:index-url|find-links)[ =]",
}


@pytest.mark.parametrize("what", NOT_OURS)
def test_no_file_names(what: str) -> None:
    found = [
        f"{path.relative_to(HOME)}: {match.group()}"
        for path in files()
        for match in re.finditer(NOT_OURS[what], path.read_text("utf-8", errors="replace"))
    ]
    assert found == []


def test_links_lead_to_known_sites() -> None:
    sites = {
        site: path.name
        for path in files()
        for site in re.findall(r"https?://([\w.-]+)", path.read_text("utf-8", errors="replace"))
    }
    kept_free = ".example"  # by RFC 2606: nobody's
    known = [site for site in sites if site in SITES or site.lower().endswith(kept_free)]
    assert {site: name for site, name in sites.items() if site not in known} == {}


def test_the_lock_answers_every_requirement() -> None:
    project = tomllib.loads((HOME / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    lock = pinned("lock.txt")
    for text in [*project["dependencies"], *(text for extra in extras for text in extra)]:
        wanted = Requirement(text)
        if wanted.name == project["name"]:  # extras that are made of others
            continue
        name = canonicalize_name(wanted.name)
        assert wanted.specifier.contains(lock.get(name, "0")), f"{text}: run make lock"


def test_the_lock_has_a_hash_for_everything_and_no_address() -> None:
    for lock in ("lock.txt", "uv.txt", "serve.txt"):
        text = (HOME / "requirements" / lock).read_text("utf-8")
        entries = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
        assert entries
        assert all("--hash=sha256:" in entry for entry in entries)
        assert "://" not in text
        assert not re.search(r"^\s*-(?!-hash)", text, re.MULTILINE)
    assert pinned("uv.txt")["uv"] == pinned("lock.txt")["uv"]
    assert not (HOME / "uv.lock").exists()


def test_no_test_reaches_the_network() -> None:
    with pytest.raises(pytest.fail.Exception, match="without a network"):
        socket.create_connection(("192.0.2.1", 80), timeout=1)
    with pytest.raises(pytest.fail.Exception, match="without a network"):
        socket.getaddrinfo("huggingface.co", 443)
