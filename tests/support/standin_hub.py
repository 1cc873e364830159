"""A stand-in on this machine for the hub that weights are fetched from."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

COMMIT = "c0ffee" + "0" * 34


@dataclass
class StandIn:
    """What lies on the hub, and how it behaves."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    """By ``owner/name/file``."""
    licence: str = ""
    """On every model's page."""
    named: dict[str, str] = field(default_factory=dict)
    """Hashes that it names instead of the files' own."""
    refuses: tuple[int, str] | None = None
    """Answer everything with this status, and this kind of error in the headers."""
    breaks_off: int | None = None
    """Send so many bytes of a file and no more, in however many parts they are asked for."""
    asked: list[str] = field(default_factory=list)
    """Every request, as ``GET /path``."""

    def fetched(self) -> int:
        """How often a file was sent."""
        return sum(one.startswith("GET") and "/resolve/" in one for one in self.asked)


@contextmanager
def serving(hub: StandIn) -> Iterator[StandIn]:
    """Answer on a free port of this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield hub
    server.shutdown()
    thread.join()
    server.server_close()


def reach(url: str, cache: Path, patch: pytest.MonkeyPatch) -> None:
    """Let the hub's library ask there, with that cache."""
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, url)
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    patch.setattr(constants, "ENDPOINT", url)
    patch.setattr(constants, "HF_HUB_CACHE", str(cache))
    patch.setattr(constants, "HF_HUB_OFFLINE", False)
    patch.setattr(constants, "HF_HUB_DISABLE_XET", True)


def _handler(hub: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Say nothing."""

        def do_HEAD(self) -> None:
            self.answer()

        def do_GET(self) -> None:
            self.answer()

        def answer(self) -> None:
            hub.asked.append(f"{self.command} {self.path}")
            if hub.refuses is not None:
                status, kind = hub.refuses
                self.reply(status, b"{}", {"X-Error-Code": kind})
            elif self.path.startswith("/api/models/"):
                name = self.path.removeprefix("/api/models/")
                card = {"license": hub.licence} if hub.licence else {}
                said = {"id": name, "cardData": card, "siblings": [], "tags": []}
                self.reply(200, json.dumps(said).encode(), {})
            else:
                self.file(self.path.strip("/").replace("/resolve/main", ""))

        def file(self, name: str) -> None:
            if name not in hub.files:
                known = any(path.startswith(name.rpartition("/")[0]) for path in hub.files)
                kind = "EntryNotFound" if known else "RepoNotFound"
                self.reply(404, b"", {"X-Error-Code": kind, "X-Repo-Commit": COMMIT})
                return
            body = hub.files[name]
            digest = hub.named.get(name, hashlib.sha256(body).hexdigest())
            headers = {"ETag": f'"{digest}"', "X-Repo-Commit": COMMIT}
            start = int((self.headers["Range"] or "bytes=0-")[6:].rstrip("-"))
            if start:
                headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
            end = None if hub.breaks_off is None else max(hub.breaks_off - start, 0)
            self.reply(206 if start else 200, body[start:], headers, end)

        def reply(
            self, status: int, body: bytes, headers: dict[str, str], end: int | None = None
        ) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body[:end])

    return Handler
