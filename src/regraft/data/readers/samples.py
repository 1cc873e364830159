"""The samples in one tar as WebDataset has them: an image and its label, of one key.

``key.jpg`` (or another image) has its label in ``key.cls``, ``key.json`` or ``key.txt``. A key goes
to the last point of a name or, where no label is called after that, to the first.
"""

import json
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from regraft.data.dataset import DAMAGED, MAX_BYTES, NO_LABEL, TWICE, clean_label
from regraft.data.readers.columns import LABELS, plain
from regraft.data.readers.labels import Label, raw_label
from regraft.data.readers.layout import is_hidden, is_image, readable, suffix
from regraft.data.readers.tarmembers import TarMember, Tell, tar_members

TAGS: Final = ("cls", "json", "txt")
"""What holds the label of a sample; of several the first here."""

_FIELDS: Final = frozenset({"cls", *LABELS})
_MOST: Final = 1 << 20  # bytes of a file that holds a label
_LONG: Final = 200  # characters beyond which a text is no label


@dataclass(eq=False)
class Samples:
    """The images of shards by index: 20 bytes each, beside their names.

    ``labels``: '' where none was found. ``skipped``: (path, why) of what is no sample.
    """

    names: list[str] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    shard: "array[int]" = field(default_factory=lambda: array("i"))
    start: "array[int]" = field(default_factory=lambda: array("q"))
    size: "array[int]" = field(default_factory=lambda: array("q"))
    others: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    told: Counter[str] = field(default_factory=Counter)
    """How many images have their label in which kind of file."""
    fields: Counter[str] = field(default_factory=Counter)
    """How many .json without a label there are with which fields."""
    ambiguous: list[str] = field(default_factory=list)
    _known: dict[Label, Label] = field(default_factory=dict)

    def add_shard(self, number: int, prefix: str, shown: str, stream: BinaryIO, column: str) -> int:
        """Add what lies in a tar, and return how many images it has with a label.

        ``prefix``: comes before the names. ``shown``: what the tar is called where it is damaged.
        ``column``: the field of a .json that is the label.
        """
        first, tags = len(self.names), dict[str, tuple[str, Label]]()
        places: dict[str, int] = {}

        def tell(member: str, why: str) -> None:
            self.skipped.append((f"{shown}/{readable(member)}" if member else shown, why))

        for member in tar_members(stream, tell):
            name = _inside(member, tell)
            if not name:
                continue
            stem, kind = name.rpartition(".")[0], suffix(name)
            if kind in TAGS:
                self._tag(tags, stem, kind, stream, member, f"{shown}/{name}", column)
            elif is_image(name):
                if name in places:  # the last of a name counts, as it would when unpacked
                    tell(name, f"{TWICE}: another member of this name follows")
                    self._put(places[name], number, member)
                    continue
                places[name] = len(self.names)
                self.names.append(prefix + name)
                self._put(None, number, member)
            else:
                self.others.append(prefix + name)
        self._match(first, len(prefix), tags)
        return sum(label != "" for label in self.labels[first:])

    def _put(self, place: int | None, number: int, member: TarMember) -> None:
        """Note where an image lies, in a new place or in one that it had."""
        columns = (self.shard, number), (self.start, member.start), (self.size, member.size)
        for values, value in columns:
            if place is None:
                values.append(value)
            else:
                values[place] = value

    def _tag(
        self,
        tags: dict[str, tuple[str, Label]],
        stem: str,
        kind: str,
        stream: BinaryIO,
        member: TarMember,
        shown: str,
        column: str,
    ) -> None:
        """Read a label, unless its sample has one in a file that comes before this kind."""
        before, label = tags.get(stem, (kind, ""))
        if label != "" and TAGS.index(before) < TAGS.index(kind):
            return
        stream.seek(member.start)
        data = stream.read(min(member.size, _MOST))
        label = self._from_json(data, shown, column) if kind == "json" else _text(data)
        if label != "":
            tags[stem] = (kind, self._known.setdefault(label, label))

    def _from_json(self, data: bytes, shown: str, column: str) -> Label:
        """Return the label, or the list of them, in a .json; '' where there is none."""
        try:
            record = json.loads(data)
        except (ValueError, RecursionError):
            self.skipped.append((shown, f"{DAMAGED}: it is no JSON"))
            return ""
        if not isinstance(record, dict):
            return raw_label(record)
        found = [name for name in record if (name == column if column else plain(name) in _FIELDS)]
        if len(found) > 1:
            values = ", ".join(f"{name!r} ({record[name]!r})" for name in found)
            self.ambiguous.append(f"{shown}: {values}")
        elif found:
            return raw_label(record[found[0]])
        else:
            self.fields.update(map(str, record))
        return ""

    def _match(self, first: int, prefix: int, tags: dict[str, tuple[str, Label]]) -> None:
        """Give the images of one shard their labels."""
        keys = {name[prefix:].rpartition(".")[0] for name in self.names[first:]}
        for name in self.names[first:]:
            folder, _, file = name[prefix:].rpartition("/")
            stem = file.partition(".")[0]
            short = f"{folder}/{stem}" if folder else stem
            kind, label = tags.get(name[prefix:].rpartition(".")[0]) or ("", "")
            if label == "" and file.count(".") > 1 and short not in keys:
                kind, label = tags.get(short, (kind, label))
            self.labels.append(label)
            self.told[kind] += label != ""

    def without_label(self) -> Iterator[tuple[str, str]]:
        """Yield the images that have none, and why."""
        for name, label in zip(self.names, self.labels, strict=True):
            if label == "":
                yield name, f"{NO_LABEL}: its shard has no such .cls, .json or .txt with one"


def _text(data: bytes) -> str:
    """Return the label in a .cls or .txt; '' where it is no label."""
    try:
        label = clean_label(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return ""
    return "" if len(label) > _LONG or "\n" in label or "\0" in label else label


def _inside(member: TarMember, tell: Tell) -> str:
    """Return a member's name as a relative posix path; '' where it is not used, which is told."""
    raw = member.name.replace("\\", "/")
    parts = [part for part in raw.split("/") if part not in ("", ".")]
    if raw.startswith("/") or ".." in parts or (parts and parts[0][1:2] == ":"):
        tell(member.name, f"{DAMAGED}: its name leads out of the shard")
        return ""
    if any(map(is_hidden, parts)):
        tell("/".join(parts), "a hidden file")
        return ""
    name = readable("/".join(parts))
    if member.size > MAX_BYTES:
        tell(name, f"{DAMAGED}: more than {MAX_BYTES >> 20:,} MiB, no photo is that large")
        return ""
    return name
