"""Pushing to the hub: its own library against a stand-in on this machine."""

import base64
import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi, constants

from regraft.errors import RunError, UsageError
from regraft.export.to_hub import push
from regraft.features.engines import carried
from regraft.results.files import FILES
from regraft.results.folder import read_run
from test_export import cut, data

__all__ = ["cut", "data"]  # fixtures


@dataclass
class Hub:
    """A hub that holds the files of one repository."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    exists: bool = False
    private: bool = False
    refuses: int = 0
    """Answer everything with this status."""
    tokens: set[str] = field(default_factory=set)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(hub))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)  # its library asks there by itself too
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield hub
    server.shutdown()
    thread.join()
    server.server_close()


def handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            self.answer(b"")

        def do_POST(self) -> None:
            self.answer(self.rfile.read(int(self.headers["Content-Length"])))

        def answer(self, body: bytes) -> None:
            if "/ada/bees" in self.path or self.path == "/api/repos/create":
                hub.tokens.add(self.headers["Authorization"] or "")
            status, said = (hub.refuses, {"error": "no"}) if hub.refuses else self.reply(body)
            text = json.dumps(said).encode()
            self.send_response(status)
            if status == 404:
                self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def reply(self, body: bytes) -> tuple[int, Any]:
            if self.path == "/api/repos/create":
                asked = json.loads(body)
                hub.exists, hub.private = True, "private" in (*asked, *asked.values())
                return 200, {"url": f"{hub.url}/ada/bees"}
            if self.path == "/api/validate-yaml":
                return 200, {"errors": [], "warnings": []}
            if "/preupload/" in self.path:
                named = [file["path"] for file in json.loads(body)["files"]]
                modes = [{"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in named]
                return 200, {"files": modes}
            if "/commit/" in self.path:
                for line in map(json.loads, body.splitlines()):
                    if line["key"] == "file":
                        value = line["value"]
                        hub.files[value["path"]] = base64.b64decode(value["content"])
                made = {"commitOid": "0" * 40, "commitUrl": f"{hub.url}/ada/bees/commit/0"}
                return 200, made | {"success": True}
            if not hub.exists or "/ada/bees" not in self.path:
                return 404, {"error": "Repository not found"}
            listed = [{"rfilename": name} for name in hub.files]
            return 200, {"id": "ada/bees", "private": hub.private, "siblings": listed, "tags": []}

    return Handler


def api(hub: Hub) -> HfApi:
    return HfApi(endpoint=hub.url, token="hf_secret")


def test_a_run_is_pushed_whole_and_loads_again(hub: Hub, cut: Path, tmp_path: Path) -> None:
    pushed = push(cut, "ada/bees", private=True, api=api(hub))
    assert pushed.url.endswith("/ada/bees")
    carries = {f"trunk/{name}" for name in carried.FILES}
    assert set(pushed.files) == set(hub.files) == {*FILES, *carries}
    assert hub.private
    assert hub.tokens == {"Bearer hf_secret"}
    (tmp_path / "trunk").mkdir()
    for name, content in hub.files.items():
        (tmp_path / name).write_bytes(content)
    assert read_run(tmp_path).tensors.keys() == read_run(cut).tensors.keys()
    for name in ("README.md", "model.safetensors", "config.json"):
        assert hub.files[name] == (cut / name).read_bytes()


def test_no_name_of_an_image_file_is_sent(hub: Hub, cut: Path, data: Path) -> None:
    push(cut, "ada/bees", api=api(hub))
    names = [path.name.encode() for path in data.rglob("*.png")]
    assert any(name in (cut / "predictions.csv").read_bytes() for name in names)
    for name, content in hub.files.items():
        assert not any(image in content for image in names), name


def test_no_name_of_an_image_with_a_wrong_label_is_sent(
    hub: Hub, cut: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(cut, tmp_path / "run")
    metrics = json.loads((run / "metrics.json").read_text("utf-8"))
    metrics["suspects"] |= {"count": 1, "images": [{"path": "ada/at_home.png"}]}
    (run / "metrics.json").write_text(json.dumps(metrics), "utf-8")
    assert metrics["unknown"]["least"]
    push(run, "ada/bees", api=api(hub))
    sent = json.loads(hub.files["metrics.json"])
    assert sent == metrics | {
        "suspects": metrics["suspects"] | {"images": []},
        "unknown": metrics["unknown"] | {"least": []},
    }


def test_what_is_there_is_replaced_only_when_asked(hub: Hub, cut: Path) -> None:
    push(cut, "ada/bees", api=api(hub))
    hub.files["README.md"] = b"mine"
    with pytest.raises(RunError, match="Nothing was pushed") as refusal:
        push(cut, "ada/bees", api=api(hub))
    assert "--overwrite" in refusal.value.problems[0]
    assert hub.files["README.md"] == b"mine"
    push(cut, "ada/bees", overwrite=True, api=api(hub))
    assert hub.files["README.md"] == (cut / "README.md").read_bytes()


def test_what_is_to_be_private_never_goes_to_a_public_page(hub: Hub, cut: Path) -> None:
    hub.exists = True
    with pytest.raises(RunError) as refusal:
        push(cut, "ada/bees", private=True, api=api(hub))
    assert "public" in refusal.value.problems[0]
    assert hub.files == {}


@pytest.mark.parametrize(
    ("status", "advice"), [(401, "does not accept the token"), (403, "may not write"), (409, "409")]
)
def test_a_refusal_of_the_hub_says_what_helps(
    hub: Hub, cut: Path, status: int, advice: str
) -> None:
    hub.refuses = status
    with pytest.raises(RunError, match="could not be pushed") as refusal:
        push(cut, "ada/bees", api=api(hub))
    assert advice in " ".join(refusal.value.problems)
    assert "hf_secret" not in str(refusal.value)


def test_without_a_token_it_says_how_to_get_one(
    hub: Hub, cut: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(RunError, match="no token") as refusal:
        push(cut, "ada/bees", api=HfApi(endpoint=hub.url))
    assert "hf auth login" in refusal.value.problems[0]
    assert hub.tokens == set()


def test_without_a_network_it_says_so(hub: Hub, cut: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = HfApi(endpoint="http://127.0.0.1:9", token="hf_secret")
    with pytest.raises(RunError) as refusal:
        push(cut, "ada/bees", api=nobody)
    assert "cannot be reached" in refusal.value.problems[0]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(RunError) as refusal:
        push(cut, "ada/bees", api=api(hub))
    assert "HF_HUB_OFFLINE" in refusal.value.problems[0]


@pytest.mark.parametrize("name", ["bees", "ada/be es", "../bees", "a/b/c", "ada/", "ada/bées"])
def test_a_name_that_the_hub_does_not_take(cut: Path, name: str) -> None:
    with pytest.raises(UsageError, match="OWNER/NAME"):
        push(cut, name)


def test_a_missing_extra_is_named(cut: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regraft.export.about.find_spec", lambda name: None)
    with pytest.raises(RunError) as refusal:
        push(cut, "ada/bees")
    assert "pip install 'regraft[hub]'" in refusal.value.problems[0]
