"""`/openapi.json`: what there is to ask, for programs."""

from collections.abc import Callable, Sequence

from likewise.api.endpoints import Endpoint
from likewise.api.parameters import JSON
from likewise.asgi import Request, Response
from likewise.wire import encode


class SelfDescription:
    """`/openapi.json`, for anybody; `endpoints` returns the map when it is whole."""

    def __init__(self, endpoints: Callable[[], Sequence[Endpoint]]) -> None:
        self._endpoints = endpoints
        self._document = b""

    async def get(self, _anybody: None, _request: Request) -> Response:
        if not self._document:
            # Ten milliseconds, which only those wait for who ask.
            from likewise.api.description import describe  # noqa: PLC0415 - see above

            self._document = encode(describe(self._endpoints()))
        return Response(200, self._document, (JSON,))
