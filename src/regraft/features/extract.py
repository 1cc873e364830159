"""One pass over the images: what each file is, and the frozen trunk's features of it.

A few threads read files and name their contents; the cache is asked for many at once; what it does
not know is decoded in other threads while the engine runs on what was decoded before. Each step
works a bounded number of images ahead, so memory does not grow with their number beside the
result. What is computed is in the cache within a few hundred images: a pass that was killed
continues where it was.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np

from regraft.data.images import Facts, FactsTable, View, absent, digest, facts_key, inspect
from regraft.features import engines
from regraft.features.cache import Store
from regraft.features.contents import Contents
from regraft.features.engines import Engine, Features, Pixels
from regraft.features.names import Names, StampedImage
from regraft.features.threads import ahead, in_lots, threads
from regraft.mapped import zeros

Read = Callable[[int], bytes]
Choose = Callable[[Pixels, Sequence[int]], Engine]
"""Gives the engine, with pixels of some images from all over the data set, and which they are."""
Progress = Callable[[int, int], None]
"""Called with the images done and the images there are."""


def silent(done: int, total: int) -> None:
    """Tell nobody how far it is."""


_LOT = 256  # images looked up and written down at once
_READERS = 4  # threads that read: more than there may be cores, as they wait for the disk
_HELD = 1 << 19  # bytes; a larger file is read again for decoding instead of being held until then
_SOON = 2.0  # s after which what is new is written down, however little it is
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True, eq=False)
class Extraction:
    """What one pass found, in the order of the images.

    ``features``: float16 ``[n, width]`` for each view; the rows of images that cannot be used are
    zero. ``computed``: images that went through the engine. ``seconds``: of the whole pass, the
    choice of an engine before it not counted. ``busy``: seconds of the work of its parts, which
    overlap: ``read``, ``decode`` (in the threads' own time), ``engine``. ``choosing``: seconds of
    that choice. ``recalled``: images that the cache knew. ``squares`` went through the engine,
    ``opening`` (squares, seconds) of them in its first call, which opens it.
    """

    facts: Sequence[Facts]
    features: tuple[Features, ...]
    computed: int
    seconds: float
    busy: Mapping[str, float]
    choosing: float = 0.0
    recalled: int = 0
    squares: int = 0
    opening: tuple[int, float] = (0, 0.0)

    @property
    def engine_speed(self) -> float | None:
        """Images a second of the engine alone, once it is open; None where this does not tell."""
        squares, seconds = self.squares - self.opening[0], self.engine_seconds - self.opening[1]
        return squares / seconds if squares > 0 and seconds > 0 else None

    @property
    def engine_seconds(self) -> float:
        """Seconds of the calls to the engine alone."""
        return self.busy["engine"]

    @property
    def images_per_second(self) -> float:
        """Images a second over the whole pass, cached ones included."""
        return len(self.facts) / max(self.seconds, 1e-9)


def extract(
    read: Read,
    count: int,
    views: Sequence[View],
    width: int,
    *,
    engine: Engine | None,
    choose: Choose,
    store: Store | None = None,
    space: Callable[[View, str], str] = lambda view, engine: "",
    progress: Progress = silent,
    workers: int | None = None,
    order: Sequence[int] | None = None,
    stamp: Callable[[int], str] | None = None,
    check: bool = False,
) -> Extraction:
    """Look at every image once.

    Args:
        read: the bytes of image i; OSError where they cannot be had.
        count: how many images there are.
        views: how the network sees each of them; the facts are those found with the first.
        width: of the engine's features, all its taps side by side.
        engine: what runs the trunk, if that is known.
        choose: gives the engine otherwise; not asked where no image can be used.
        store: the cache; without one everything is computed.
        space: the cache's name for features of a view by an engine.
        progress: told how many images are done, and of how many.
        workers: threads that decode; as many as there are cores unless given.
        order: in which they are read, where another than their own is cheaper; it changes nothing
            of what is found.
        stamp: by what the content of image i is known as unchanged, '' where it has to be read.
        check: read also what is known as unchanged.
    """
    begun = start = time.perf_counter()
    with threads(_READERS) as readers, threads(workers or engines.cores()) as decoders:
        if engine is None:
            pixels, indices = _sample(read, count, views[0], decoders)
            engine = choose(pixels, indices) if indices else None
            start = time.perf_counter()
        names = Names(store, stamp, check)
        work = _Extractor(read, count, tuple(views), width, engine, store, space, progress, names)
        try:
            files = names.of(readers, range(count) if order is None else order)
            contents = ahead(readers, work.read_one, files, _LOT)
            unknown = (new for lot in in_lots(contents, _LOT) for new in work.look_up(lot))
            for found in ahead(decoders, work.decode_one, unknown, 2 * work.batch):
                work.take(found)
            work.run_engine(work.waiting)
        finally:
            work.write_down()
    return work.result(time.perf_counter() - start, choosing=start - begun)


def sample(read: Read, count: int, view: View) -> tuple[Pixels, list[int]]:
    """Return the pixels that an engine is chosen with, and of which images they are."""
    with threads(engines.cores()) as pool:
        return _sample(read, count, view, pool)


def _sample(
    read: Read, count: int, view: View, pool: ThreadPoolExecutor
) -> tuple[Pixels, list[int]]:
    """Up to :data:`engines.SAMPLE` usable images and which they are.

    The start of any length of the order in which they are tried is spread over all the images.
    """
    order = np.argsort(np.arange(count) * _GOLDEN % 1).tolist()

    def decode(index: int) -> tuple[int, Pixels | None]:
        try:
            squares = inspect(read(index), [view])[1]
        except OSError:
            squares = None
        return index, squares[0] if squares else None

    decoded = ahead(pool, decode, order, 16)
    usable = ((index, square) for index, square in decoded if square is not None)
    some = sorted(islice(usable, engines.SAMPLE), key=lambda pair: pair[0])
    squares = [square for _, square in some]
    nothing = np.empty((0, *view.shape), np.uint8)
    return np.stack(squares) if squares else nothing, [index for index, _ in some]


# --- the pass ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Content:
    """An image's bytes, where they are held, and their digest; or why it could not be read."""

    index: int
    digest: str = ""
    data: bytes | None = None
    problem: Facts | None = None
    seconds: float = 0.0
    stamp: str = ""
    """By what the file will be known as unchanged, where that is not written down yet."""


@dataclass(frozen=True)
class _New:
    """An image of which something is not known: the facts where they are None, and some views."""

    content: _Content
    facts: Facts | None
    views: tuple[View, ...]


@dataclass(frozen=True)
class _Decoded:
    """What decoding gave: all facts, and the squares that were missing."""

    new: _New
    facts: Facts
    squares: dict[View, Pixels]
    seconds: float


@dataclass
class _Extractor:
    """One pass as it goes. Threads call ``read_one`` and ``decode_one``; the rest runs in one."""

    read: Read
    count: int
    views: tuple[View, ...]
    width: int
    engine: Engine | None
    store: Store | None
    space: Callable[[View, str], str]
    progress: Progress
    names: Names
    waiting: list[tuple[int, View, Pixels]] = field(default_factory=list)
    recalled: int = 0
    squares: int = 0
    opening: tuple[int, float] = (0, 0.0)
    twins: dict[int, int] = field(default_factory=dict)  # image -> the first of the same content
    new_facts: dict[str, str] = field(default_factory=dict)
    new_rows: dict[View, dict[str, Features]] = field(default_factory=dict)
    done: int = 0
    told: int = 0
    written: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.batch = self.engine.batch if self.engine else 1
        folder = self.store.folder if self.store else None
        self.features = {view: zeros(self.count, self.width, folder) for view in self.views}
        self.facts = FactsTable(self.count, folder)
        self.first = Contents(self.count)
        self.computed = np.zeros(self.count, bool)
        self.busy = dict.fromkeys(("read", "decode", "engine"), 0.0)

    def read_one(self, file: StampedImage) -> _Content:
        """Read one file and name its content, unless that is known."""
        if file.digest:
            return _Content(file.image, file.digest)
        start = time.perf_counter()
        try:
            data = self.read(file.image)
        except OSError as error:
            return _Content(file.image, problem=_unread(error))
        held = data if len(data) <= _HELD else None
        spent = time.perf_counter() - start
        return _Content(file.image, digest(data), held, seconds=spent, stamp=file.stamp)

    def look_up(self, contents: Sequence[_Content]) -> list[_New]:
        """Take what the cache knows of these; what is left is to be decoded."""
        for content in contents:
            self.busy["read"] += content.seconds
            self.names.note(content.stamp, content.digest)
            if content.problem is not None:
                self.facts[content.index] = content.problem
        new = self._ask_store([content for content in contents if self._is_first(content)])
        self._tell(len(contents) - len(new))
        return new

    def _is_first(self, content: _Content) -> bool:
        """Return whether it was read, and no image before had the same content."""
        if content.problem is not None:
            return False
        first = self.first.place(content.digest, content.index)
        if first != content.index:
            self.twins[content.index] = first
        return first == content.index

    def _ask_store(self, contents: Sequence[_Content]) -> list[_New]:
        if self.store is None:
            return [_New(content, None, self.views) for content in contents]
        names = [content.digest for content in contents]
        texts = self.store.facts(facts_key(self.views[:1]), names)
        rows = {view: self.store.features(name, names) for view, name in self._spaces().items()}
        placed = [self._place(c, texts.get(c.digest), rows) for c in contents]
        return [new for new in placed if new is not None]

    def _place(
        self, content: _Content, text: str | None, rows: Mapping[View, Mapping[str, Features]]
    ) -> _New | None:
        """Put what is known of an image in its place; give what is not.

        Features without facts are an earlier way of decoding, and count no more.
        """
        facts = Facts.from_json(text) if text is not None else None
        missing = []
        for view in self.views:
            row = rows.get(view, {}).get(content.digest) if facts else None
            if row is not None and len(row) == self.width:
                self.features[view][content.index] = row
            else:
                missing.append(view)
        if facts is not None and (facts.problem or not missing):
            self.facts[content.index] = facts
            self.recalled += not facts.problem
            return None
        return _New(content, facts, tuple(missing))

    def decode_one(self, new: _New) -> _Decoded:
        """Decode one image in the views that are missing."""
        start = time.thread_time()
        try:
            data = self.read(new.content.index) if new.content.data is None else new.content.data
            if new.content.data is None and digest(data) != new.content.digest:
                raise OSError("it changed since it was named; --check reads every file anew")
            facts, squares = _decode(data, new, self.views[0])
        except OSError as error:
            facts, squares = _unread(error), {}
        return _Decoded(new, facts, squares, time.thread_time() - start)

    def take(self, found: _Decoded) -> None:
        """Note the facts, and run the engine when enough squares wait for it."""
        index = found.new.content.index
        self.busy["decode"] += found.seconds
        self.facts[index] = found.facts
        if found.new.facts is None and found.facts.digest:
            self.new_facts[found.facts.digest] = found.facts.to_json()
        self.waiting += [(index, view, square) for view, square in found.squares.items()]
        while len(self.waiting) >= self.batch:
            some, self.waiting = self.waiting[: self.batch], self.waiting[self.batch :]
            self.run_engine(some)
        self._tell(1)
        late = time.monotonic() - self.written > _SOON
        if late or max(len(self.new_facts), *map(len, self.new_rows.values()), 0) >= _LOT:
            self.write_down()

    def run_engine(self, squares: Sequence[tuple[int, View, Pixels]]) -> None:
        """Put the features of these squares in their places."""
        if not squares or self.engine is None:
            return
        start = time.perf_counter()
        rows = engines.features(self.engine, np.stack([square for _, _, square in squares]))
        for (index, view, _), row in zip(squares, rows, strict=True):
            self.features[view][index] = row
            self.new_rows.setdefault(view, {})[self.facts.digest(index)] = row
            self.computed[index] = True
        seconds = time.perf_counter() - start
        if not self.squares:
            self.opening = len(squares), seconds
        self.squares += len(squares)
        self.busy["engine"] += seconds

    def write_down(self) -> None:
        """Remember what is new, features first: facts without them would only be found again."""
        if self.store is not None:
            for view, name in self._spaces().items():
                self.store.put_features(name, self.new_rows.get(view, {}))
            self.store.put_facts(facts_key(self.views[:1]), self.new_facts)
        self.names.write_down()
        self.new_rows, self.new_facts = {}, {}
        self.written = time.monotonic()

    def _spaces(self) -> dict[View, str]:
        if self.engine is None:
            return {}
        return {view: self.space(view, self.engine.name) for view in self.views}

    def _tell(self, more: int) -> None:
        self.done += more
        if self.done == self.count or self.done - self.told >= self.batch:
            self.told = self.done
            self.progress(self.done, self.count)

    def result(self, seconds: float, choosing: float) -> Extraction:
        """All of it, in order; images of the same content have the same facts and features."""
        for index, first in self.twins.items():
            self.facts[index] = self.facts[first]
            for rows in self.features.values():
                rows[index] = rows[first]
        known = [i for i in self.twins.values() if not self.computed[i]]
        self.recalled += sum(i not in self.facts.problems for i in known)
        found, computed = tuple(self.features.values()), int(self.computed.sum())
        counted = choosing, self.recalled, self.squares, self.opening
        return Extraction(self.facts, found, computed, seconds, self.busy, *counted)


def _decode(data: bytes, new: _New, first: View) -> tuple[Facts, dict[View, Pixels]]:
    """Decode the missing views, and find the facts where they are missing.

    Views that need the photo at another size are decoded on their own: a square must not depend on
    which others are asked for with it.
    """
    needs: dict[int, list[View]] = {} if new.facts else {first.need: []}
    for view in new.views:
        needs.setdefault(view.need, []).append(view)
    facts = new.facts
    squares: dict[View, Pixels] = {}
    for group in needs.values():
        found, made = inspect(data, group or [first])
        facts = facts or found
        squares |= dict(zip(group, made or (), strict=False))
    return facts or Facts(new.content.digest), squares


def _unread(error: OSError) -> Facts:
    """Return the facts of a file that could not be read."""
    facts = absent(error.strerror or error)
    return facts if isinstance(error, FileNotFoundError) else replace(facts, problem="unreadable")
