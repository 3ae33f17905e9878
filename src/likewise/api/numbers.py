"""What was counted, for whatever draws curves of it. There is nothing about anybody in it."""

from collections.abc import Callable

from likewise.api.parameters import NO_STORE
from likewise.asgi import Request, Response


class Numbers:
    """`write` writes the numbers, and says in which format."""

    def __init__(self, write: Callable[[], tuple[bytes, str]]) -> None:
        self._write = write

    async def get(self, _anybody: None, _request: Request) -> Response:
        text, content_type = self._write()
        return Response(200, text, ((b"content-type", content_type.encode()), NO_STORE))
