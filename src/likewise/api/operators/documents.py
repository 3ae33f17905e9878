"""What the operators' documents share: members of bodies, pages of lists, lines, and times. Names are the commands'."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeAlias, TypeVar
from urllib.parse import quote

from likewise.api.parameters import JSON, NO_STORE, PAGE_MAX, limit_of
from likewise.asgi import HeaderPair, Query, Response
from likewise.domain import Time
from likewise.errors import BadBody, BadParameter
from likewise.wire import encode

Row: TypeAlias = Mapping[str, Any]
Thing = TypeVar("Thing")

NDJSON_TYPE = b"application/x-ndjson"
NDJSON: tuple[HeaderPair, ...] = ((b"content-type", NDJSON_TYPE), NO_STORE)


def text_of(body: Row, member: str) -> str:
    """Read a member that must be a string; raise `BadBody` pointing at it."""
    text = body.get(member)
    if not isinstance(text, str):
        raise BadBody(f"/{member}", f"The member '{member}' must be a string")
    return text


def found(row: Row) -> Response:
    return _document(200, {"data": [row]})


def created(row: Row) -> Response:
    return _document(201, {"data": [row]})


def _document(status: int, document: Row) -> Response:
    return Response(status, encode(document), (JSON, NO_STORE))


def lines(rows: Iterable[Any]) -> bytes:
    """Write rows as NDJSON: one JSON document a line."""
    return b"".join(encode(row) + b"\n" for row in rows)


def moment(time: Time | None) -> str | None:
    """Write a time to the millisecond: `2026-11-02T14:05:09.123Z` (RFC 3339)."""
    if time is None:
        return None
    return f"{datetime.fromtimestamp(time // 1000, UTC):%Y-%m-%dT%H:%M:%S}.{time % 1000:03}Z"


# Pages


class Window(NamedTuple):
    """Which part of a list is wanted: what comes after the one whose cursor is `after`, None for the beginning."""

    after: str | None
    limit: int | None

    @property
    def items_max(self) -> int:
        return self.limit or PAGE_MAX


def window_of(query: Query) -> Window:
    """Read `after` and `limit` (1 to 100); raise `BadParameter`."""
    return Window(query.last("after") or None, limit_of(query))


def bad_after(after: str) -> BadParameter:
    return BadParameter("after", f"There is no such place in the list: {after}")


def those_after(things: Sequence[Thing], after: str | None, cursor: Callable[[Thing], str]) -> Sequence[Thing]:
    """Return what comes after a cursor in a whole list; raise `BadParameter` for one that is not in it."""
    if after is None:
        return things
    for place, thing in enumerate(things, start=1):
        if cursor(thing) == after:
            return things[place:]
    raise bad_after(after)


def page(
    things: Sequence[Thing], window: Window, *, path: str, row: Callable[[Thing], Row], cursor: Callable[[Thing], str]
) -> Response:
    """Answer with as many of `things` as the window holds; where there are more, `next` is the page that follows."""
    shown = things[: window.items_max]
    document: dict[str, Any] = {"data": [row(thing) for thing in shown]}
    if len(things) > len(shown):
        document["next"] = f"{path}?after={quote(cursor(shown[-1]))}"
        if window.limit is not None:
            document["next"] += f"&limit={window.limit}"
    return _document(200, document)
