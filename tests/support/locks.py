"""The locks in requirements/."""

import re
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements"


def entries(lock: str) -> dict[str, str]:
    """Each package's version and hashes, without who asks for it, and on which systems."""
    text = re.sub(r"\n +# .*| ; .*(?= \\\n)", "", (REQUIREMENTS / lock).read_text("utf-8"))
    found = re.findall(r"^([\w.-]+)(==.+(?:\n +--hash.+)*)", text, re.MULTILINE)
    return dict(found)


def pinned(lock: str) -> dict[str, str]:
    """Its packages and their versions."""
    return {name: entry[2:].split()[0] for name, entry in entries(lock).items()}
