"""Replace a file whole: whoever reads it finds what was there, or all of what is written."""

import os
from contextlib import suppress
from pathlib import Path


def replace_file(path: Path, data: bytes | str) -> None:
    """Write bytes, or text as UTF-8 with backslashes for what is none; OSError leaves no draft."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.write(data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        with suppress(OSError):
            draft.unlink()
