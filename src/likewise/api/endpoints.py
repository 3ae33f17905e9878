"""What an endpoint is: a path, the door that its callers pass, and a handler for each method."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeAlias

from likewise.asgi import Headers, Response

Door: TypeAlias = Callable[[Headers], Awaitable[Any]]
Handler: TypeAlias = Callable[..., Awaitable[Response]]


class Endpoint(NamedTuple):
    """One path: `path` as documented, the door that its callers pass, and a handler for each method."""

    path: str
    door: Door
    handlers: dict[str, Handler]


def endpoint(path: str, door: Door, **handlers: Handler) -> Endpoint:
    """Make an endpoint; what answers GET answers HEAD too."""
    if "GET" in handlers:
        handlers = {"GET": handlers["GET"], "HEAD": handlers["GET"], **handlers}
    return Endpoint(path, door, handlers)


def endpoints_of(room: object) -> list[Endpoint]:
    """Return all endpoints that are attributes of `room`."""
    return [each for each in vars(room).values() if isinstance(each, Endpoint)]


async def anybody(_headers: Headers) -> None:
    """Let everybody in: the door of what tells nothing about anyone."""
