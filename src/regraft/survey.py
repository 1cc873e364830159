"""One pass over the images: what each file is, and the frozen trunk's features of it.

Reading and decoding run in threads beside the engine. What the cache knows is not computed again,
and what is computed goes into it chunk by chunk, so a pass that was killed continues where it was.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from regraft import images
from regraft.cache import Store
from regraft.engines import Engine, Features, Pixels, features
from regraft.images import Facts, View

CHUNK = 64
"""Images decoded ahead of the engine: with 224 px, 10 MB for each of the two chunks in flight."""

Read = Callable[[int], bytes]
Choose = Callable[[Pixels, Sequence[int]], Engine]
"""Gives the engine; asked once, with the first pixels there are and the images they are of."""


@dataclass(frozen=True, eq=False)
class Survey:
    """What one pass found, in the order of the images.

    ``features``: ``[n, width]`` for each view; the rows of images that cannot be used are zero.
    ``computed``: images that went through the engine. ``seconds``: of the whole pass.
    ``engine_seconds``: of the calls to the engine alone.
    """

    facts: tuple[Facts, ...]
    features: tuple[Features, ...]
    computed: int
    seconds: float
    engine_seconds: float

    @property
    def images_per_second(self) -> float:
        """Images a second over the whole pass, cached ones included."""
        return len(self.facts) / max(self.seconds, 1e-9)


def survey(
    read: Read,
    count: int,
    views: Sequence[View],
    width: int,
    *,
    engine: Engine | None,
    choose: Choose,
    store: Store | None = None,
    space: Callable[[View, str], str] = lambda view, engine: "",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Survey:
    """Look at every image once.

    Args:
        read: the bytes of image i; OSError where they cannot be had.
        count: how many images there are.
        views: how the network sees each of them.
        width: of the engine's features, all its taps side by side.
        engine: what runs the trunk, if that is known.
        choose: gives the engine otherwise.
        store: the cache; without one everything is computed.
        space: the cache's name for features of a view by an engine.
        progress: told how many images are done, and of how many.
    """
    start = time.perf_counter()
    found = _Found([Facts("")] * count, [np.zeros((count, width), np.float16) for _ in views])
    state = _State(views, engine, choose, store, space, found)
    with _Threads() as pool:
        for done, chunk in _ahead(pool, read, count, state):
            _take(state, chunk)
            progress(done, count)
    return Survey(
        tuple(found.facts),
        tuple(found.features),
        state.computed,
        time.perf_counter() - start,
        state.engine_seconds,
    )


@dataclass
class _Found:
    """The results so far."""

    facts: list[Facts]
    features: list[Features]


@dataclass
class _State:
    """What a pass knows while it runs."""

    views: Sequence[View]
    engine: Engine | None
    choose: Choose
    store: Store | None
    space: Callable[[View, str], str]
    found: _Found
    computed: int = 0
    engine_seconds: float = 0.0


@dataclass(frozen=True)
class _Chunk:
    """Some images on their way: digests, what the cache knows, and what is being decoded."""

    indices: range
    digests: list[str]
    facts: dict[str, Facts]
    rows: list[dict[str, Features]]
    decoding: dict[str, "Future[tuple[Facts, list[Pixels] | None]]"]


class _Threads:
    """A pool that is emptied at once when the pass ends early."""

    def __enter__(self) -> ThreadPoolExecutor:
        self.pool = ThreadPoolExecutor(_cores(), "regraft-decode")
        return self.pool

    def __exit__(self, *_: object) -> None:
        self.pool.shutdown(wait=True, cancel_futures=True)


def _ahead(
    pool: ThreadPoolExecutor, read: Read, count: int, state: _State
) -> Iterator[tuple[int, _Chunk]]:
    """Chunks in order; the next one is being decoded while the caller works on this one."""
    waiting: _Chunk | None = None
    for start in range(0, count, CHUNK):
        begun = _begin(pool, read, range(start, min(start + CHUNK, count)), state)
        if waiting is not None:
            yield waiting.indices.stop, waiting
        waiting = begun
    if waiting is not None:
        yield count, waiting


def _begin(pool: ThreadPoolExecutor, read: Read, indices: range, state: _State) -> _Chunk:
    """Read a chunk, ask the cache, and start decoding what it does not know."""
    loaded = list(pool.map(lambda i: _load(read, i), indices))
    digests = [facts.digest for facts, data in loaded if data is not None]
    facts = _known_facts(state, digests)
    rows = [_known_rows(state, view, digests) for view in state.views]
    decoding: dict[str, Future[tuple[Facts, list[Pixels] | None]]] = {}
    for one, data in loaded:
        known = facts.get(one.digest)
        whole = known and (known.problem or all(one.digest in view for view in rows))
        if data is not None and not whole and one.digest not in decoding:
            decoding[one.digest] = pool.submit(images.inspect, data, state.views)
    return _Chunk(indices, _keys(indices, loaded), facts | _unread(indices, loaded), rows, decoding)


def _load(read: Read, index: int) -> tuple[Facts, bytes | None]:
    """The bytes of an image and their digest, or why there are none."""
    try:
        data = read(index)
    except OSError as error:
        return images.absent(error.strerror or error), None
    return Facts(images.digest(data)), data


def _keys(indices: range, loaded: Sequence[tuple[Facts, bytes | None]]) -> list[str]:
    """The digest of each image; those that could not be read are told apart by their number."""
    pairs = zip(indices, loaded, strict=True)
    return [f"unread {i}" if data is None else facts.digest for i, (facts, data) in pairs]


def _unread(indices: range, loaded: Sequence[tuple[Facts, bytes | None]]) -> dict[str, Facts]:
    pairs = zip(indices, loaded, strict=True)
    return {f"unread {i}": facts for i, (facts, data) in pairs if data is None}


def _known_facts(state: _State, digests: Sequence[str]) -> dict[str, Facts]:
    if state.store is None:
        return {}
    texts = state.store.facts(images.facts_key(state.views), digests)
    return {digest: Facts.from_json(text) for digest, text in texts.items()}


def _known_rows(state: _State, view: View, digests: Sequence[str]) -> dict[str, Features]:
    if state.store is None or state.engine is None:
        return {}
    return state.store.features(state.space(view, state.engine.name), digests)


def _take(state: _State, chunk: _Chunk) -> None:
    """Run a chunk through the engine, remember what is new, and put everything in its place."""
    decoded = {digest: future.result() for digest, future in chunk.decoding.items()}
    facts = chunk.facts | {digest: one for digest, (one, _) in decoded.items()}
    squares = {digest: made for digest, (_, made) in decoded.items() if made is not None}
    rows = [known | new for known, new in zip(chunk.rows, _run(state, chunk, squares), strict=True)]
    if state.store is not None and decoded:
        texts = {digest: one.to_json() for digest, (one, _) in decoded.items()}
        state.store.put_facts(images.facts_key(state.views), texts)
    for index, digest in zip(chunk.indices, chunk.digests, strict=True):
        state.found.facts[index] = facts[digest]
        for features_of_view, of_view in zip(state.found.features, rows, strict=True):
            if digest in of_view:
                features_of_view[index] = of_view[digest]


def _run(
    state: _State, chunk: _Chunk, squares: dict[str, list[Pixels]]
) -> list[dict[str, Features]]:
    """The features of the new squares, view by view."""
    if not squares:
        return [{} for _ in state.views]
    digests = list(squares)
    made = []
    for place, view in enumerate(state.views):
        pixels = np.stack([squares[digest][place] for digest in digests])
        engine = _engine(state, pixels, [chunk.indices[chunk.digests.index(d)] for d in digests])
        start = time.perf_counter()
        new = dict(zip(digests, features(engine, pixels), strict=True))
        state.engine_seconds += time.perf_counter() - start
        if state.store is not None:
            state.store.put_features(state.space(view, engine.name), new)
        made.append(new)
    state.computed += len(digests)
    return made


def _engine(state: _State, pixels: Pixels, indices: Sequence[int]) -> Engine:
    if state.engine is None:
        state.engine = state.choose(pixels, indices)
    return state.engine


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
