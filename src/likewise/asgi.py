"""Request and Response as values, and how ASGI carries them; size limits and deadlines of bodies."""

import asyncio
import gzip
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple, TypeAlias, cast
from urllib.parse import parse_qsl, unquote

from likewise.errors import BodyTooLarge, BodyTooSlow, ClientGone, UrlTooLong

# ASGI leaves its messages untyped: https://asgi.readthedocs.io/en/latest/specs/www.html
Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = Mapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH")
"""The methods that are called by name where requests are counted or logged; all others are `OTHER`."""
OTHER = "other"
UNKNOWN = "unknown"
"""The endpoint, where requests are counted or logged, of a path that nobody documented."""

URL_BYTES_MAX = 32 * 1024
BODY_BYTES_MAX = 64 * 1024
BODY_SECONDS_MAX = 10.0
GZIP_BYTES_MIN = 1024
# A client that is told 413 while it still sends may lose the answer with the connection, so we read on this far.
_BODY_BYTES_DISCARDED_MAX = 1024 * 1024

HeaderPair: TypeAlias = tuple[bytes, bytes]
_ALLOW_ORIGIN: HeaderPair = (b"access-control-allow-origin", b"*")
_EMPTY: HeaderPair = (b"content-length", b"0")
_GZIP: HeaderPair = (b"content-encoding", b"gzip")
_VARY: HeaderPair = (b"vary", b"Accept-Encoding")


class Headers:
    """The headers of a request, by lower-case name; of a repeated one the last counts."""

    __slots__ = ("_by_name", "_pairs", "get")

    def __init__(self, pairs: Sequence[HeaderPair]) -> None:
        self._pairs = pairs
        self._by_name = dict(pairs)
        self.get = self._by_name.get

    def is_repeated(self, name: bytes) -> bool:
        if len(self._pairs) == len(self._by_name):
            return False
        return sum(1 for pair in self._pairs if pair[0] == name) > 1

    def joined(self, name: bytes) -> bytes:
        """Return all values of a header that is a list, as one (RFC 9110, section 5.3)."""
        return b",".join(value for each, value in self._pairs if each == name)


class Query:
    """The parameters of a query string, percent-decoded, in their order; names are matched decoded too."""

    __slots__ = ("_pairs", "last")

    def __init__(self, query_string: bytes) -> None:
        self._pairs = parse_qsl(query_string.decode("latin-1"), keep_blank_values=True)
        self.last = dict(self._pairs).get

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._pairs)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self._pairs if key == name]


_NO_QUERY = Query(b"")


class Request:
    """One HTTP request. `path` holds the decoded segments of the raw path, without one trailing slash.

    Whoever finds out notes here, for the books, which documented path that is, and who was let in.
    """

    __slots__ = ("_is_too_slow", "_receive", "caller", "endpoint", "headers", "method", "path", "query")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        """Take up a request; raise `UrlTooLong` over 32 KiB of path and query."""
        raw_path: bytes = scope["raw_path"]
        query_string: bytes = scope["query_string"]
        if len(raw_path) + len(query_string) + bool(query_string) > URL_BYTES_MAX:
            raise UrlTooLong(URL_BYTES_MAX)
        self.method: str = scope["method"]
        self.path = _segments(raw_path)
        self.query = Query(query_string) if query_string else _NO_QUERY
        self.headers = Headers(scope["headers"])
        self.endpoint = UNKNOWN
        self.caller: Any = None
        self._receive = receive
        self._is_too_slow = False

    async def body(self, *, bytes_max: int = BODY_BYTES_MAX) -> bytes:
        """Read the body; raise `BodyTooLarge` past `bytes_max`, `BodyTooSlow` after 10 seconds, `ClientGone`."""
        # As `asyncio.timeout` does it, which takes five microseconds of a PUT where this takes one.
        task = cast("asyncio.Task[object]", asyncio.current_task())
        alarm = asyncio.get_running_loop().call_later(BODY_SECONDS_MAX, self._give_up, task)
        try:
            return await self._read_body(bytes_max)
        except asyncio.CancelledError as error:
            if not self._is_too_slow or task.uncancel() > 0:
                raise
            raise BodyTooSlow(BODY_SECONDS_MAX) from error
        finally:
            alarm.cancel()

    def _give_up(self, task: "asyncio.Task[object]") -> None:
        self._is_too_slow = True
        task.cancel()

    async def _read_body(self, bytes_max: int) -> bytes:
        chunks: list[bytes] = []
        bytes_read = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            chunk = message.get("body", b"")
            bytes_read += len(chunk)
            is_too_large = bytes_read > bytes_max
            if not is_too_large:
                chunks.append(chunk)
            if not message.get("more_body", False) or bytes_read > _BODY_BYTES_DISCARDED_MAX:
                if is_too_large:
                    raise BodyTooLarge(bytes_max)
                return b"".join(chunks)


def _segments(raw_path: bytes) -> list[str]:
    # Split first, decode then: an encoded slash belongs to its segment and never makes another path.
    segments = raw_path.decode("latin-1").split("/")
    del segments[0]
    if len(segments) > 1 and not segments[-1]:
        segments.pop()
    if b"%" in raw_path:
        return list(map(unquote, segments))
    return segments


class Response(NamedTuple):
    """One HTTP answer. `headers` need not have what every answer has: origin, request id, length, encoding.

    `rest` is for what is too long to hold: it follows the body in pieces, as they are made. What it raises cuts the
    answer short, and the server drops the connection, so that nobody takes the part for the whole. When the client
    hangs up meanwhile, no further piece is made, and `send` raises `ClientGone`.
    """

    status: int
    body: bytes = b""
    headers: tuple[HeaderPair, ...] = ()
    rest: AsyncGenerator[bytes] | None = None

    async def send(
        self, send: Send, receive: Receive, *, method: str, accepts: Headers | None, request_id: HeaderPair
    ) -> None:
        status, body, headers_of_ours, rest = self
        headers = [*headers_of_ours, _ALLOW_ORIGIN, request_id]
        if rest is not None:
            await self._send_in_pieces(send, receive, rest, headers, method=method)
            return
        if len(body) > GZIP_BYTES_MIN:
            headers.append(_VARY)
            if accepts and accepts_gzip(accepts.joined(b"accept-encoding")):
                body = gzip.compress(body, compresslevel=1, mtime=0)
                headers.append(_GZIP)
        if body:
            headers.append((b"content-length", b"%d" % len(body)))
        elif status != 204:
            headers.append(_EMPTY)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})

    async def _send_in_pieces(
        self, send: Send, receive: Receive, rest: AsyncGenerator[bytes], headers: list[HeaderPair], *, method: str
    ) -> None:
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        if method != "HEAD":
            await send({"type": "http.response.body", "body": self.body, "more_body": True})
            hanging_up = asyncio.ensure_future(_hangs_up(receive))
            try:
                async with aclosing(rest):
                    async for piece in rest:
                        await asyncio.sleep(0)  # where no piece has to be waited for, nobody else would have a turn
                        if hanging_up.done() and hanging_up.result():
                            raise ClientGone
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
            finally:
                hanging_up.cancel()
        await send({"type": "http.response.body", "body": b""})


async def _hangs_up(receive: Receive) -> bool:
    """Wait until the client hangs up, past what is left of a body that nobody has asked for."""
    message = await receive()
    while message.get("more_body"):
        message = await receive()
    if message["type"] == "http.request":
        message = await receive()
    return bool(message["type"] == "http.disconnect")


def accepts_gzip(accept_encoding: bytes) -> bool:
    """Read an Accept-Encoding header (RFC 9110, section 12.5.3): is gzip, by name or by `*`, welcome?"""
    weights: dict[str, bool] = {}
    for part in accept_encoding.decode("latin-1").lower().split(","):
        coding, _, parameters = part.partition(";")
        name, _, weight = parameters.strip().partition("=")
        is_refused = name.strip() == "q" and weight.strip().rstrip("0") in {"", "0."}
        weights[coding.strip()] = not is_refused
    return weights.get("gzip", weights.get("*", False))
