"""The Hugging Face hub: push a RUN folder as it is, but for the names of the image files."""

import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regraft.errors import RegraftError, RunError, UsageError, first_line
from regraft.export.about import require
from regraft.features.engines import carried
from regraft.results.files import FILES, json_text
from regraft.results.folder import read_run

SENT = FILES
"""All that a RUN needs to be loaded again; a report, with its pictures, stays here. What it carries
to predict without torch goes with it."""

NAMING = ("predictions.csv", "audit.csv")
"""Tables with a row for each image file: only the names of their columns are sent."""


@dataclass(frozen=True)
class Pushed:
    """Where a RUN was pushed to, and which files."""

    url: str
    files: tuple[str, ...]


def push(
    run: Path,
    repository: str,
    *,
    private: bool = False,
    overwrite: bool = False,
    api: Any = None,
) -> Pushed:
    """Push a RUN to ``OWNER/NAME`` on the hub, which is made where it does not exist.

    Args:
        run: the RUN folder.
        repository: such as ``ada/bees``.
        private: make the repository private.
        overwrite: push to a repository that holds something already.
        api: what talks to the hub: ``huggingface_hub.HfApi()`` where None.

    Raises:
        UsageError: a name that the hub does not take.
        RunError: the RUN is damaged, or the hub cannot be reached or refuses; it says why.
    """
    require("hub", "Pushing to the hub", "huggingface_hub")
    _check_name(repository)
    read_run(run)
    if api is None:
        from huggingface_hub import HfApi

        api = HfApi()
    with tempfile.TemporaryDirectory() as folder, _explained(repository):
        files = _stage(run, Path(folder))
        _check_token(api)
        _check_free(api, repository, private=private, overwrite=overwrite)
        url = api.create_repo(repository, private=private or None, exist_ok=True)
        message = "A classifier made by regraft"
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message=message)
    return Pushed(str(url), files)


def _check_name(repository: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", repository, re.ASCII):
        raise UsageError(
            f"A repository on the hub is named OWNER/NAME, got {repository!r}.",
            ["Letters, digits, '-', '_' and '.', like ada/bees."],
        )


def _stage(run: Path, folder: Path) -> tuple[str, ...]:
    """Copy what is sent: a RUN that loads, without the names of anybody's files."""
    for name in SENT:
        if name in NAMING:
            with (run / name).open("rb") as table:
                (folder / name).write_bytes(table.readline())
        else:
            shutil.copyfile(run / name, folder / name)
    plan = json.loads((folder / "plan.json").read_text("utf-8"))
    text = json.dumps(plan | {"data": ""}, indent=1, ensure_ascii=False) + "\n"
    (folder / "plan.json").write_text(text, "utf-8")
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    for part, listed in (("suspects", "images"), ("unknown", "least")):
        if part in metrics:
            metrics[part][listed] = []
    (folder / "metrics.json").write_text(json_text(metrics), "utf-8")
    read_run(folder)
    carries = [f"{carried.FOLDER}/{name}" for name in carried.FILES]
    if not all((run / name).is_file() for name in carries):
        return SENT
    shutil.copytree(run / carried.FOLDER, folder / carried.FOLDER)
    return (*SENT, *carries)


def _check_token(api: Any) -> None:
    """Raise RunError where nothing says who is pushing."""
    from huggingface_hub import get_token

    if not (api.token or get_token()):
        raise RunError("The hub wants to know who you are, and there is no token.", [_LOG_IN])


def _check_free(api: Any, repository: str, *, private: bool, overwrite: bool) -> None:
    """Raise RunError where a push would replace what is not to be, or show what is private."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        info = api.model_info(repository)
    except RepositoryNotFoundError:
        return
    found = sorted({file.rfilename for file in info.siblings or ()} - {".gitattributes"})
    problems = []
    if found and not overwrite:
        problems.append(f"It holds {found[0]} already: name another, or ask for --overwrite.")
    if private and not info.private:
        problems.append("It is public, --private cannot change that: change it on its page.")
    if problems:
        raise RunError(f"Nothing was pushed to {repository}.", problems)


_LOG_IN = "`hf auth login` keeps one that may write; or set HF_TOKEN."


@contextmanager
def _explained(repository: str) -> Iterator[None]:
    """Turn what the hub's library raises into one error that says what to do."""
    try:
        yield
    except RegraftError:
        raise
    except Exception as error:  # its own errors, those of its HTTP library, of the system
        raise RunError(f"{repository} could not be pushed to the hub.", _advice(error)) from error


def _advice(error: Exception) -> list[str]:
    """Return what went wrong, and what helps."""
    from huggingface_hub.errors import OfflineModeIsEnabled

    status = getattr(getattr(error, "response", None), "status_code", None)
    said = first_line(error)
    if isinstance(error, OfflineModeIsEnabled):
        return ["HF_HUB_OFFLINE is set, so the hub is not asked: unset it."]
    if status == 401:
        return ["The hub does not accept the token (401).", _LOG_IN]
    if status == 403:
        owner = "The token may not write there (403)."
        return [owner, "Make one with the right to write to this owner, and log in with it."]
    if status is not None:
        return [f"The hub answered {status}: {said}", "Try again later if it is 429 or 5xx."]
    if isinstance(error, OSError) or type(error).__module__.partition(".")[0].startswith("http"):
        return [f"It cannot be reached: {said}", "Check the network, and HF_ENDPOINT if it is set."]
    return [said]
