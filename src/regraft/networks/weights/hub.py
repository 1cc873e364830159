"""Weight files of timm's networks out of the hub: fetched once, checked by hash, then cached.

The files lie in the hub's own cache (``HF_HOME``), where every other tool finds them too. What is
there is used without asking the hub again.
"""

import errno
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from regraft.backbones.files import sha256_of
from regraft.errors import BackboneError, first_line

log = logging.getLogger("regraft")

FILES = ("model.safetensors", "pytorch_model.bin")
"""What repositories of timm's hold, in the order in which they are asked for; the second is read by
torch's weights-only reader."""

SHA256 = re.compile("[0-9a-f]{64}")

BROKEN_OFF = ("RemoteProtocolError", "ReadError", "ReadTimeout")
"""What the hub's library for HTTP raises where a server ends too early."""


def weights_of(
    name: str, repository: str, file: str, licence: str, also: Sequence[str] = ()
) -> Path:
    """Return the file with a network's weights, fetched where it is not in the cache.

    Args:
        name: of the network, for messages.
        repository: as the hub names it, ``owner/name``, with ``@revision`` where it has one.
        file: in there; one of :data:`FILES` where empty.
        licence: of the weights, as timm says it.
        also: what else helps, told where they cannot be had.

    Raises:
        BackboneError: it cannot be had, or its SHA-256 is not the one that the hub names.
    """
    from huggingface_hub.errors import RemoteEntryNotFoundError

    repository, _, revision = repository.partition("@")
    wanted = [file] if file else list(FILES)
    cached = [_cached(repository, one, revision) for one in wanted]
    for path in filter(None, cached):
        return _checked(path, _hash_by_name(path), name)
    for one in wanted:
        try:
            return _fetched(name, repository, one, revision, licence)
        except RemoteEntryNotFoundError as error:
            if one == wanted[-1]:
                raise _lacking(name, repository, wanted[0], error, also) from error
        except BackboneError:
            raise
        except Exception as error:  # each of the hub's own, the network's and the disk's
            raise _lacking(name, repository, one, error, also) from error
    raise AssertionError("the last file is fetched or raises")


def _cached(repository: str, file: str, revision: str) -> Path | None:
    """Return a file that was fetched before; None where it was not."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, file, revision=revision or None)
    return Path(found) if isinstance(found, str) else None


def _fetched(name: str, repository: str, file: str, revision: str, licence: str) -> Path:
    """Fetch a file, with a bar on standard error where that is a terminal."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    url = hf_hub_url(repository, file, revision=revision or None)
    told = get_hf_file_metadata(url)
    size = f"{told.size / 1e6:.1f} MB, " if told.size else ""
    log.warning(
        "Fetching %s (%slicence %s) from %s", name, size, _licence(repository, licence), url
    )
    path = Path(hf_hub_download(repository, file, revision=revision or None))
    known = told.etag if told.etag and SHA256.fullmatch(told.etag) else None
    if known is None:
        log.warning("The hub names no SHA-256 of %s, so the file is not checked by one.", file)
    return _checked(path, known, name)


def _licence(repository: str, licence: str) -> str:
    """Return the licence as timm names it, with that on the model's page where it is another."""
    from huggingface_hub import HfApi

    try:
        card = HfApi().model_info(repository, timeout=10).card_data
    except Exception:  # the page says it too; it is no reason not to fetch
        card = None
    said = {} if card is None else dict(vars(card))
    there = str(said.get("license") or "")
    if there == "other":
        there = str(said.get("license_name") or there)
    if not there or there == licence:
        return licence or "unknown"
    return f"{licence} as timm says, {there} as its page says" if licence else there


def _hash_by_name(path: Path) -> str | None:
    """Return the SHA-256 that the cache has named a file by; None where it cannot make links."""
    blob = path.resolve().name
    return blob if SHA256.fullmatch(blob) else None


def _checked(path: Path, known: str | None, name: str) -> Path:
    """Return the path of a file that is what the hub says it is.

    Raises:
        BackboneError: it is not, and was removed.
    """
    found = None if known is None else sha256_of(path)
    if found == known:
        return path
    for part in (path.resolve(), path):
        part.unlink(missing_ok=True)
    raise BackboneError(
        f"The file with the weights of {name} was damaged, and was removed.",
        [
            f"SHA-256 of {path.name} must be {known}, got {found}.",
            "Give the command again to fetch it anew.",
        ],
    )


def _lacking(
    name: str, repository: str, file: str, error: Exception, also: Sequence[str]
) -> BackboneError:
    """Return what is wrong, and how else the file can be had."""
    from huggingface_hub import constants

    why, remedy = _why(error)
    url = f"{constants.ENDPOINT}/{repository}/resolve/main/{file}"
    return BackboneError(
        f"The weights of {name} could not be fetched: {why}",
        [
            *remedy,
            f"Elsewhere: download {url} (or `hf download {repository} {file} --local-dir .`), "
            f"copy the file here, and name it: --backbone {name} --weights {file}.",
            *also,
        ],
    )


def _why(error: BaseException) -> tuple[str, list[str]]:
    """Return what went wrong in a line, and what helps against that alone."""
    from huggingface_hub import constants, errors

    if isinstance(error, errors.LocalEntryNotFoundError) and error.__cause__ is not None:
        return _why(error.__cause__)
    if isinstance(error, errors.OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set, and they are not in the cache.", ["Unset it."]
    if isinstance(error, errors.GatedRepoError):
        accept = f"Accept it on {_page(error)}, then `hf auth login`, or set HF_TOKEN."
        return "their licence has to be accepted first.", [accept]
    if isinstance(error, errors.RepositoryNotFoundError):
        why = "the hub has no such repository, or shows it only to those who are logged in."
        return why, ["`hf auth login`, or set HF_TOKEN."]
    if isinstance(error, errors.EntryNotFoundError):
        return "the repository has no such file.", []
    if isinstance(error, errors.HfHubHTTPError):
        return f"the hub answers with {_status(error)}.", ["Try again later."]
    said = first_line(error)
    if type(error).__name__ in BROKEN_OFF or "Consistency check failed" in said:
        return "the transfer broke off.", ["Nothing of it is kept; give the command again."]
    return _why_not_written(error) or (f"{constants.ENDPOINT} cannot be reached ({said}).", [])


def _why_not_written(error: BaseException) -> tuple[str, list[str]] | None:
    """Return the same for the errors of a disk; None for others."""
    from huggingface_hub import constants

    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
        where = getattr(error, "filename", None) or constants.HF_HUB_CACHE
        return f"{where} cannot be written.", ["Set HF_HOME to a folder that can be."]
    if number in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full.", [f"Make room in {constants.HF_HUB_CACHE}, or set HF_HOME."]
    return None


def _status(error: Any) -> str:
    return f"{error.response.status_code} {error.response.reason_phrase}".strip()


def _page(error: Any) -> str:
    """Return the page of the repository that an answer was about."""
    return str(error.response.request.url).partition("/resolve/")[0]
