"""The layout of the cache file, and the statements on it.

Content lies apart from what is known about it, so that noting a use does not rewrite it. A space's
number is looked up every time: another process may clear the cache and number anew.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

LAYOUT = 1
"""Part of the file's name: another layout takes another file."""

_AT_ONCE = 500  # digests in one query; SQLite allows 999 variables in its oldest builds
_OVERHEAD = 100  # bytes that an entry takes beside its content, about
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_TABLES = """
CREATE TABLE IF NOT EXISTS space (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS entry (
    id INTEGER PRIMARY KEY, space INTEGER NOT NULL, digest BLOB NOT NULL,
    used INTEGER NOT NULL, bytes INTEGER NOT NULL, UNIQUE (space, digest));
CREATE TABLE IF NOT EXISTS content (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
"""


def connect(path: str, patience: float) -> sqlite3.Connection:
    """Open the file, which is made if need be, and wait ``patience`` seconds for other writers."""
    db = sqlite3.connect(path, patience, isolation_level=None, check_same_thread=False)
    try:
        _prepare(db)
    except BaseException:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection) -> None:
    """Set the connection up, and make the tables where there are none."""
    db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    with suppress(sqlite3.OperationalError):  # some network drives cannot: the default will do
        if db.execute("PRAGMA journal_mode = WAL").fetchone()[0] == "wal":
            db.execute("PRAGMA synchronous = NORMAL")  # in this mode still safe from damage
    db.execute("PRAGMA temp_store = MEMORY")
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not {"space", "entry", "content"} <= tables:
        db.executescript(f"BEGIN IMMEDIATE; {_TABLES} COMMIT;")


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All or nothing. The write lock is taken at once, where waiting for it still works."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def damaged(error: Exception) -> bool:
    """Return whether the file itself is at fault."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE


def get(
    db: sqlite3.Connection, space: str, digests: Sequence[str]
) -> list[tuple[int, int, str, bytes]]:
    """``(entry, used, digest, data)`` of those that are known."""
    rows: list[tuple[int, int, str, bytes]] = []
    for start in range(0, len(digests), _AT_ONCE):
        some = [bytes.fromhex(digest) for digest in digests[start : start + _AT_ONCE]]
        query = (
            "SELECT entry.id, used, lower(hex(digest)), data FROM entry "
            "JOIN content ON content.id = entry.id "
            "WHERE space = (SELECT id FROM space WHERE name = ?) "
            f"AND digest IN ({','.join('?' * len(some))})"
        )
        rows += db.execute(query, (space, *some)).fetchall()
    return rows


def put(db: sqlite3.Connection, space: str, rows: Sequence[tuple[str, bytes]], now: int) -> None:
    """Write ``(digest, data)`` rows, all of them or none."""
    with _transaction(db):
        db.execute("INSERT OR IGNORE INTO space (name) VALUES (?)", (space,))
        (number,) = db.execute("SELECT id FROM space WHERE name = ?", (space,)).fetchone()
        named = [(bytes.fromhex(digest), data) for digest, data in rows]
        db.executemany(
            "INSERT INTO entry (space, digest, used, bytes) VALUES (?, ?, ?, ?) ON CONFLICT "
            "DO UPDATE SET used = excluded.used, bytes = excluded.bytes",
            ((number, name, now, len(data)) for name, data in named),
        )
        db.executemany(
            "INSERT OR REPLACE INTO content SELECT id, ? FROM entry WHERE space = ? AND digest = ?",
            ((data, number, name) for name, data in named),
        )


def note_use(db: sqlite3.Connection, entries: Sequence[int], now: int) -> None:
    """Write down when these were used; not worth failing for."""
    with suppress(sqlite3.OperationalError), _transaction(db):
        db.executemany("UPDATE entry SET used = ? WHERE id = ?", [(now, id_) for id_ in entries])


def spaces(db: sqlite3.Connection) -> list[tuple[str, int, int, int]]:
    """``(name, entries, bytes, last use)`` of each space that is not empty."""
    found: list[tuple[str, int, int, int]] = db.execute(
        "SELECT name, COUNT(*), SUM(bytes), MAX(used) FROM entry "
        "JOIN space ON space.id = entry.space GROUP BY space.id"
    ).fetchall()
    return found


def bytes_in_use(db: sqlite3.Connection) -> int:
    """Bytes of the file less what is free in it."""
    pages, free, size = (
        db.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def drop_oldest(db: sqlite3.Connection, excess: int) -> None:
    """Drop entries in the order of their last use until ``excess`` bytes are gone."""
    with _transaction(db):
        db.execute("CREATE TEMP TABLE IF NOT EXISTS doomed (id INTEGER PRIMARY KEY)")
        db.execute("DELETE FROM doomed")
        db.execute(
            "INSERT INTO doomed SELECT id FROM (SELECT id, SUM(bytes + ?) "
            "OVER (ORDER BY used, id) - bytes AS before FROM entry) WHERE before < ?",
            (_OVERHEAD, excess),
        )
        for table in ("content", "entry"):
            db.execute(f"DELETE FROM {table} WHERE id IN (SELECT id FROM doomed)")
    _give_back(db)


def empty(db: sqlite3.Connection) -> None:
    """Drop everything."""
    with _transaction(db):
        for name in ("content", "entry", "space"):
            db.execute(f"DELETE FROM {name}")
    _give_back(db)


def _give_back(db: sqlite3.Connection) -> None:
    """Return free pages to the file system; left for later where another process is reading."""
    with suppress(sqlite3.OperationalError):
        db.executescript("PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE);")
