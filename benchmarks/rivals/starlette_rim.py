"""The work of Likewise behind Starlette's Router, Request and Response, so that the rim alone is what differs.

    starlette_rim URL

Same server with the same options, same gate, same store, same documents, same headers, requests counted and named by
the same code; its path is matched, its parameters and body are read, its errors are caught and its answer is sent by
Starlette. It knows nothing but GET one, GET many and PUT, reads no `include`, and gives bodies no deadline.
"""

import os
import sys
import time
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from likewise import wire
from likewise.api.parameters import IDS_MAX, ids_of
from likewise.app import REQUEST_SECONDS_MAX, now
from likewise.asgi import Headers, Query
from likewise.domain import Listener, Rating, item_of, items_of, kind_of
from likewise.errors import BodyTooLarge, LikewiseError, NotRated
from likewise.gate import Gate
from likewise.logs.requests import RequestIds
from likewise.metrics import Metrics, own_seat
from likewise.serving import free_address, run, serve
from likewise.store import Store
from likewise.storefronts import STOREFRONTS, choose_language
from likewise.stores import open_store

ONE, MANY = "/v1/me/ratings/{type}/{id}", "/v1/me/ratings/{type}"
BODY_BYTES_MAX = 64 * 1024

Handler = Callable[[Request, Listener], Awaitable[bytes]]


class Rim:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._gate = Gate(store, now=now)
        self._names = RequestIds(os.urandom, secret="")
        self._metrics = Metrics([ONE, MANY], own_seat(os.urandom), engine="sqlite")

    def routes(self) -> list[Route]:
        return [
            Route(ONE, self._answering(ONE, self._get_one), methods=["GET"]),
            Route(ONE, self._answering(ONE, self._put), methods=["PUT"]),
            Route(MANY, self._answering(MANY, self._get_many), methods=["GET"]),
        ]

    def _answering(self, path: str, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            began = time.perf_counter()
            with self._store.bounded(REQUEST_SECONDS_MAX):
                listener = await self._gate.listener(Headers(request.headers.raw))
                language = choose_language(request.query_params.get("l"), (STOREFRONTS[listener.storefront],))
                body = await handler(request, listener)
            name, value = self._names.of(None)
            headers = {
                "content-language": language,
                "cache-control": "no-store",
                "access-control-allow-origin": "*",
                name.decode(): value.decode(),
            }
            response = Response(body, headers=headers, media_type="application/json;charset=utf-8")
            self._metrics.count(path, request.method, 200, time.perf_counter() - began)
            return response

        return answer

    async def _get_one(self, request: Request, listener: Listener) -> bytes:
        item = item_of(kind_of(request.path_params["type"]), request.path_params["id"])
        ratings = await self._store.get(listener, [item])
        if not ratings:
            raise NotRated
        return wire.encode_ratings(ratings)

    async def _get_many(self, request: Request, listener: Listener) -> bytes:
        kind = kind_of(request.path_params["type"])
        ids = ids_of(Query(request.scope["query_string"]), ids_max=IDS_MAX)
        return wire.encode_ratings(await self._store.get(listener, items_of(kind, ids)))

    async def _put(self, request: Request, listener: Listener) -> bytes:
        item = item_of(kind_of(request.path_params["type"]), request.path_params["id"])
        body = await request.body()
        if len(body) > BODY_BYTES_MAX:
            raise BodyTooLarge(BODY_BYTES_MAX)
        value = wire.decode_rating_request(body)
        when = now()
        await self._store.put(listener, item, value, now=when)
        return wire.encode_ratings([Rating(item, value, when)])


async def refuse(_: Request, error: Exception) -> Response:
    status, body, headers = wire.answer_to(error)
    return Response(body, status, {name.decode(): value.decode() for name, value in headers})


async def main(database: str) -> None:
    store = await open_store(database, create=False)
    app = Starlette(routes=Rim(store).routes(), exception_handlers={LikewiseError: refuse})
    address = free_address("127.0.0.1", 0)
    try:
        await serve(app, address, shutdown_seconds_max=2, on_listening=lambda: print(address.port, flush=True))
    finally:
        await store.close()


if __name__ == "__main__":
    run(main(sys.argv[1]))
