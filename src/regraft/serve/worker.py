"""One of several processes that serve a RUN; :mod:`regraft.serve.workers` starts it."""

import json
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from regraft.distributed import share_cores
from regraft.errors import RegraftError
from regraft.results.load import load
from regraft.serve.listening import listen
from regraft.serve.model import ready
from regraft.serve.settings import Settings


def main() -> int:
    """Serve what standard input names, until it ends."""
    task = json.loads(sys.stdin.readline())
    share_cores(task["count"])
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it warns of damaged uploads
    try:
        model = ready(load(Path(os.fsdecode(bytes.fromhex(task["run"]))), network=task["network"]))
    except RegraftError as error:
        _tell({"headline": error.headline, "problems": error.problems})
        return 1

    def started(stop: Callable[[], None]) -> None:
        threading.Thread(target=_until_hung_up, args=[stop], daemon=True).start()
        _tell({"engine": model.engine.name})

    app = Settings(**task["settings"]).application(model)
    with socket.socket(fileno=task["socket"]) as place:
        listen(app, place, started=started)
    return 0


def _until_hung_up(stop: Callable[[], None]) -> None:
    sys.stdin.read()
    stop()


def _tell(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    sys.exit(main())
