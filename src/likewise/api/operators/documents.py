"""What the operators' documents share: members of bodies and pages of lists. Names are the commands'."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar
from urllib.parse import quote

from likewise.api.parameters import JSON, NO_STORE, PAGE_MAX, limit_of
from likewise.asgi import HeaderPair, Query, Response
from likewise.domain import Time
from likewise.errors import BadBody, BadParameter
from likewise.ndjson import moment
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


def moment_or_none(time: Time | None) -> str | None:
    return None if time is None else moment(time)


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
