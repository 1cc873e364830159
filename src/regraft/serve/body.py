"""A request's body -> the images in it, in memory and within the limits; nothing touches the disk.

A multipart body is parsed as it arrives. What is too large is counted and let go, piece by piece.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from regraft.serve.limits import Limits, Problem, Refused, Share, megabytes

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FIELD = "files"
_PLAIN = ("application/octet-stream", "")
_LONGEST = 255  # characters of a file's name that are told again
_SEND = (
    "Send images as the multipart field 'files', or one image as the body with a Content-Type "
    "of image/jpeg or the like."
)


@dataclass(frozen=True)
class Upload:
    """One image as it came, or why it cannot be looked at."""

    name: str
    data: bytes = b""
    problem: Problem | None = None


class Stream:
    """A request's body in pieces, within the limits of bytes and time; ``done`` at its end."""

    def __init__(self, request: Request, limits: Limits) -> None:
        self.request = request
        self.limits = limits
        self.done = False
        self.type, self.options = parse_options_header(request.headers.get("content-type", ""))

    async def pieces(self, most: int) -> AsyncIterator[bytes]:
        """Yield the body, piece by piece.

        Raises:
            Refused: it has more than ``most`` bytes, or comes too slowly.
        """
        announced = self.request.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > most:
            raise _too_large(most, megabytes(int(announced)))
        clock = asyncio.get_running_loop().time
        end, size = clock() + self.limits.body_seconds, 0
        pieces = aiter(self.request.stream())
        while not self.done:
            piece = await self._next(pieces, min(self.limits.idle_seconds, end - clock()), size)
            size += len(piece)
            if size > most:
                raise _too_large(most, "more")
            yield piece

    async def _next(self, pieces: AsyncIterator[bytes], seconds: float, size: int) -> bytes:
        try:
            async with asyncio.timeout(seconds):
                return await anext(pieces)
        except StopAsyncIteration:
            self.done = True
            return b""
        except TimeoutError:
            raise Refused(
                408,
                "slow",
                f"A body must keep coming, with pauses below {self.limits.idle_seconds:g} s, and "
                f"be there within {self.limits.body_seconds:g} s; {megabytes(size)} of it came. "
                "Send fewer or smaller images at once.",
            ) from None
        except ClientDisconnect:
            self.done = True
            raise Refused(400, "incomplete", "The client left before the body ended.") from None


def _too_large(most: int, found: str) -> Refused:
    detail = f"The body must have at most {megabytes(most)}, has {found}."
    return Refused(413, "too-large", f"{detail} Send fewer or smaller images.")


async def read(stream: Stream, share: Share) -> list[Upload]:
    """Return the images of a request, in their order; at least one.

    Raises:
        Refused: there are none, too many or too much, or the body is none of those taken.
    """
    kind = stream.type.decode("latin-1").lower()
    encoding = stream.request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise Refused(
            415, "encoding", f"A body must come as it is, came as {encoding[:40]!r}. {_SEND}"
        )
    if kind == "multipart/form-data":
        return await _read_parts(stream, share)
    if kind.startswith("image/") or kind in _PLAIN:
        return await _read_whole(stream, share)
    raise Refused(
        415, "content-type", f"The Content-Type must be of images, is {kind[:80]!r}. {_SEND}"
    )


async def _read_whole(stream: Stream, share: Share) -> list[Upload]:
    """Return the body is one image."""
    pieces = []
    async for piece in stream.pieces(min(stream.limits.file_bytes, stream.limits.body_bytes)):
        share.take(len(piece))
        pieces.append(piece)
    data = b"".join(pieces)
    if not data:
        raise Refused(422, "no-image", f"The body must hold an image, is empty. {_SEND}")
    return [Upload("image", data)]


async def _read_parts(stream: Stream, share: Share) -> list[Upload]:
    """Return the body is a form."""
    parts = _Parts(stream.limits, share)
    try:
        parser = MultipartParser(stream.options.get(b"boundary", b""), parts.callbacks())
        async for piece in stream.pieces(stream.limits.body_bytes):
            parser.write(piece)
    except (FormParserError, ValueError) as error:
        raise _malformed(str(error)) from None
    if not parts.ended:
        raise _malformed("it ends before its last boundary")
    if not parts.uploads:
        raise Refused(422, "no-image", f"The form must hold an image, holds none. {_SEND}")
    return parts.uploads


def _malformed(why: str) -> Refused:
    return Refused(400, "malformed", f"The multipart body cannot be read: {why[:200]}. {_SEND}")


@dataclass
class _Parts:
    """What a multipart parser calls as it reads: keeps the images, refuses what is no image."""

    limits: Limits
    share: Share
    uploads: list[Upload] = field(default_factory=list)
    ended: bool = False
    _headers: dict[bytes, bytes] = field(default_factory=dict)
    _name: bytes = b""
    _value: bytes = b""
    _file: str = ""
    _pieces: list[bytes] = field(default_factory=list)
    _size: int = 0

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_end,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._all,
        }

    def _begin(self) -> None:
        if len(self.uploads) == self.limits.together:
            raise Refused(
                413,
                "too-many",
                f"A request must bring at most {self.limits.together} images, has more. "
                "Send them in several requests.",
            )
        self._headers, self._name, self._value = {}, b"", b""
        self._pieces, self._size = [], 0

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name, self._value = b"", b""

    def _headers_end(self) -> None:
        options = parse_options_header(self._headers.get(b"content-disposition", b""))[1]
        field_name = options.get(b"name", b"").decode("utf-8", "replace")
        if field_name != FIELD:
            raise Refused(
                422,
                "field",
                f"Every field of the form must be called '{FIELD}', one is {field_name[:80]!r}. "
                "Name it so.",
            )
        given = options.get(b"filename", b"").decode("utf-8", "replace")[:_LONGEST]
        self._file = given or f"image {len(self.uploads) + 1}"

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._size += end - start
        if self._size > self.limits.file_bytes:
            self._pieces = []
        else:
            self.share.take(end - start)
            self._pieces.append(data[start:end])

    def _end(self) -> None:
        problem = None
        if self._size > self.limits.file_bytes:
            most, found = megabytes(self.limits.file_bytes), megabytes(self._size)
            detail = f"a file must have at most {most}, has {found}: make it smaller"
            problem = Problem(413, "too-large", detail)
        self.uploads.append(Upload(self._file, b"".join(self._pieces), problem))
        self._pieces = []

    def _all(self) -> None:
        self.ended = True
