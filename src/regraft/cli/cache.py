"""``regraft cache``: what is kept of earlier runs."""

import dataclasses
import os
import time

from regraft.cli.rows import Rows
from regraft.cli.terminal import print_json, say, show, show_warnings
from regraft.features.cache import Store, default_folder


def run_cache(clear: bool, as_json: bool) -> None:
    """Show what the cache holds, or clear it."""
    show_warnings()
    with Store.open(default_folder(os.environ)) as store:
        size = store.size()
        if clear:
            store.clear()
            say(f"Cleared {store.folder}: {_megabytes(size)} freed.")
            return
        entries = store.entries()
        if as_json:
            listed = [dataclasses.asdict(entry) for entry in entries]
            print_json({"folder": str(store.folder), "bytes": size, "entries": listed})
            return
        table = Rows(("what", "key", "entries", "size", "last used"), right=(2, 3), lead=2)
        for entry in entries:
            used = time.strftime("%Y-%m-%d %H:00", time.localtime(entry.used))
            row = (entry.kind, entry.name, f"{entry.count:,}", _megabytes(entry.bytes), used)
            table.add(*row)
        show(table)
        say(f"{store.folder}: {_megabytes(size)} of {_megabytes(store.limit_bytes)} at most.")


def _megabytes(count: float) -> str:
    return f"{count / 1e6:,.1f} MB"
