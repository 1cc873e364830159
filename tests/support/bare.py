"""A RUN asked where only what requirements/serve.txt brings can be imported."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from locks import pinned

_ASK = """
import json, sys, threading, urllib.request
missing, run, *files = sys.argv[1:]
sys.modules |= dict.fromkeys(json.loads(missing))  # whoever imports one of them fails
import regraft
from regraft.cli import main
answers = []

def ask(server):
    for file in files:
        kind = {"Content-Type": "image/png"}
        asked = urllib.request.Request(server.url + "/predict", open(file, "rb").read(), kind)
        answers.extend(json.load(urllib.request.urlopen(asked))["images"])
    server.stop()

regraft.serve(run, port=0, started=lambda one: threading.Thread(target=ask, args=[one]).start())
print(json.dumps(answers))
sys.argv = ["regraft", "predict", run, *files, "--json"]
main()
"""


def asked(run: Path, files: Sequence[Path], cache: Path) -> tuple[list[Any], list[Any]]:
    """What its server and what ``regraft predict --json`` say of image files."""
    command = [sys.executable, "-c", _ASK, json.dumps(_missing()), str(run), *map(str, files)]
    there = os.environ | {"REGRAFT_CACHE": str(cache)}
    done = subprocess.run(command, capture_output=True, text=True, env=there)
    assert done.returncode == 0, done.stderr
    served, _, predicted = done.stdout.partition("\n")
    return json.loads(served), json.loads(predicted)


def _missing() -> list[str]:
    """The packages of this environment that requirements/serve.txt does not bring."""
    there = set(pinned("serve.txt"))
    return [
        module
        for module, homes in packages_distributions().items()
        if not there.intersection(canonicalize_name(home) for home in homes)
        and not module.startswith(("regraft", "_editable"))
    ]
