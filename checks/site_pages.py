"""What the site takes from outside docs/: three pages of the root, and the reference of Python.

mkdocs calls the functions named ``on_*`` (https://www.mkdocs.org/user-guide/configuration/#hooks).
"""

import re
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

HOME = Path(__file__).resolve().parent.parent
ROOT = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
LINK = re.compile(
    r"(?P<text>!?\[(?:[^\[\]]|\[[^\]]*\]\([^)]*\))*\])\((?P<to>[^)\s#]*)(?P<anchor>#[^)\s]*)?\)"
)
# Room for the lines of code on the pages, and a cue where a table or a line goes on to the right.
STYLE = """
.md-grid { max-width: 76rem }
.md-typeset__scrollwrap, .md-typeset pre > code {
  background:
    linear-gradient(90deg, var(--under), transparent) local left / 2rem 100%,
    linear-gradient(-90deg, var(--under), transparent) local right / 2rem 100%,
    linear-gradient(90deg, #8888, transparent) scroll left / .5rem 100%,
    linear-gradient(-90deg, #8888, transparent) scroll right / .5rem 100%,
    var(--under);
  background-repeat: no-repeat;
}
.md-typeset__scrollwrap { --under: var(--md-default-bg-color) }
.md-typeset pre > code { --under: var(--md-code-bg-color) }
.md-typeset table:not([class]) { background: none }
"""
COMMENT = re.compile(r"^<!--.*?-->\n", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that do not lie in docs/."""
    for source, name in ROOT.items():
        text = (HOME / source).read_text("utf-8")
        files.append(File.generated(config, name, content=LINK.sub(_from_root, text)))
    files.append(File.generated(config, "api.md", content=reference()))
    files.append(File.generated(config, "site.css", content=STYLE))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links out of docs/ to the site's own pages, and drop the marks of checks/pages.py."""
    return COMMENT.sub("", LINK.sub(_from_docs, markdown))


def reference() -> str:
    """Every public name with its docstring: first what is called, then what comes out of it."""
    sys.path.insert(0, str(HOME / "src"))
    import regraft

    names = sorted(regraft.__all__, key=lambda name: (name[0].isupper(), name))
    homes = regraft._HOMES | {name: f"regraft.{name}" for name in regraft._PACKAGES}
    entries = "\n\n".join(f"::: {homes[name]}.{name}" for name in names)
    return f"# Python\n\nEach of these is `regraft.NAME`.\n\n{entries}\n"


def _from_root(link: re.Match[str]) -> str:
    return _led(link, link["to"])


def _from_docs(link: re.Match[str]) -> str:
    to = link["to"]
    return _led(link, to.removeprefix("../")) if to.startswith("../") else link[0]


def _led(link: re.Match[str], to: str) -> str:
    """The link as the site has it; what is no page of it (code) keeps its words alone."""
    anchor = link["anchor"] or ""
    if not to or "://" in to:
        return link[0]
    if to in ROOT:
        return f"{link['text']}({ROOT[to]}{anchor})"
    if to.startswith("docs/"):
        return f"{link['text']}({to.removeprefix('docs/')}{anchor})"
    return link["text"][1:-1]
