"""Check that the pages hold: examples run, printed output is current, links lead somewhere.

``python checks/docs.py [--write] [PAGE ...]``; without pages, all of them, the pictures and
the table of stages. With --write the output blocks that differ are written anew, and so are the
pictures and the table.
The markers are described in checks/pages.py.
"""

import argparse
import contextlib
import functools
import io
import multiprocessing
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any

import architecture
import families
import pages
from regraft import backbones, diagram

HOME = Path(__file__).resolve().parent.parent
LIMIT = 300  # seconds for one shell block


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Check the pages.")
    parser.add_argument("--write", action="store_true", help="write the output blocks anew")
    parser.add_argument("pages", nargs="*", type=Path)
    options = parser.parse_args(arguments)
    ours = [HOME / "README.md", HOME / "CONTRIBUTING.md", *sorted(HOME.glob("docs/**/*.md"))]
    found = options.pages or ours
    problems = []
    with tempfile.TemporaryDirectory() as cache, surroundings(Path(cache)), processes() as pool:
        tables = None if options.pages else pool.submit(families.problems, write=options.write)
        if tables and options.write:
            wait([tables])  # they are written into pages
        each = pool.map(functools.partial(check, write=options.write), found)
        if tables:
            problems = pictures(write=options.write) + tables.result()
        for page, its in zip(found, each, strict=True):
            problems += [f"{page}: {problem}" for problem in its]
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"docs: {len(found)} pages, {len(problems)} problems")
    return 1 if problems else 0


def processes() -> ProcessPoolExecutor:
    """One for a core: each page is run in a folder of its own, and a process is in one only."""
    return ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn"))


@contextlib.contextmanager
def surroundings(cache: Path) -> Iterator[None]:
    """Give every page the same terminal, a cache of its own, and this environment's commands."""
    before = dict(os.environ)
    for name in ("FORCE_COLOR", "GITHUB_ACTIONS", "CLICOLOR_FORCE"):
        os.environ.pop(name, None)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    os.environ.update(COLUMNS="100", NO_COLOR="1", TERM="dumb", PATH=path)
    os.environ.update(REGRAFT_CACHE=str(cache), HF_HUB_OFFLINE="1")
    os.environ.update(OMP_NUM_THREADS="1")  # a page a core: more threads get in the way
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def check(page: Path, *, write: bool = False) -> list[str]:
    """Run one page in an empty folder and name what does not hold."""
    page = page.resolve()
    text = page.read_text("utf-8")
    try:
        found = list(pages.blocks(text))
    except pages.PageError as error:
        return [str(error)]
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        problems, new = run(page, text, found)
    if write and new != text:
        page.write_text(new, "utf-8", newline="\n")
        problems = [problem for problem in problems if not problem.endswith(STALE)]
    return problems + links(page, text)


def pictures(*, write: bool) -> list[str]:
    """Name the pictures that are not those of the code any more."""
    problems = []
    for path, drawn in {architecture.PICTURE: architecture.drawn(), **tutorial()}.items():
        if write:
            path.write_text(drawn, "utf-8", newline="\n")
        if not path.is_file() or path.read_text("utf-8") != drawn:
            problems.append(f"{path}: is not what is drawn (make docs draws it anew)")
    return problems


def tutorial() -> dict[Path, str]:
    """Return the pictures of the tutorial."""
    network = backbones.get("demonstration")
    scenes = diagram.lesson(network)
    found = {f"demonstration-{scene.case}": diagram.svg(scene) for scene in scenes}
    found["four-cases"] = diagram.quarters(scenes[1:])
    return {HOME / "docs" / "pictures" / f"{name}.svg": drawn for name, drawn in found.items()}


STALE = "is not what is printed (make docs writes it anew)"


def run(page: Path, text: str, found: Sequence[pages.Block]) -> tuple[list[str], str]:
    """Run the blocks in order; give the problems, and the page with its output blocks renewed."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    problems, parts, done, printed = [], [], 0, ""
    for block in found:
        try:
            if block.kind == "run":
                printed = perform(block, page, namespace)
            elif block.kind == "output of":
                printed = shell(block.command)
        except pages.PageError as error:
            problems.append(f"line {block.line}: {error}")
            break  # what follows stands on what failed
        if block.kind.startswith("output") and not pages.same(block.body, printed, vary=block.vary):
            problems.append(f"line {block.line}: the output {STALE}")
            parts += [text[done : block.start], tidy(printed)]
            done = block.start + len(block.body)
    return problems, "".join([*parts, text[done:]])


def tidy(printed: str) -> str:
    """Strip the spaces with which a table is padded to the terminal's width."""
    return "".join(f"{line.rstrip()}\n" for line in printed.strip("\n").splitlines())


def perform(block: pages.Block, page: Path, namespace: dict[str, Any]) -> str:
    """Run one block and give what it printed to standard output."""
    if block.language == "bash":
        return shell(block.body)
    source = "\n" * (block.line - 1) + block.body  # so that a traceback names the page's line
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(source, str(page), "exec"), namespace)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise pages.PageError(f"the example fails\n{traceback.format_exc()}") from error
    return tidy(printed.getvalue())


def shell(script: str) -> str:
    """Run a script of shell commands and give what it printed to standard output."""
    try:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            capture_output=True,
            text=True,
            encoding="utf-8",
            stdin=subprocess.DEVNULL,
            timeout=LIMIT,
        )
    except subprocess.TimeoutExpired as error:
        raise pages.PageError(f"`{script.strip()}` took over {LIMIT} s") from error
    if done.returncode:
        raise pages.PageError(f"`{script.strip()}` ended with {done.returncode}\n{done.stderr}")
    return tidy(done.stdout)


def links(page: Path, text: str) -> list[str]:
    """Name the relative links of a page that lead nowhere."""
    exists, anchors = {}, {}
    for target in {link.partition("#")[0] for link in pages.links(text)}:
        file = page.parent / target if target else page
        exists[target] = file.exists()
        if file.suffix == ".md" and file.exists():
            anchors[target] = pages.headings(file.read_text("utf-8"))
    return [f"dead link {dead}" for dead in pages.dead_links(text, anchors, exists)]


if __name__ == "__main__":
    sys.exit(main())
