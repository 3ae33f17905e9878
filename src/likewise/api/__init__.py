"""The map of endpoints. A request goes straight through: path, method, gate, handler.

A handler's first parameter is whoever the gate let in, so none can be written that forgets the gate.
"""

import os
from collections.abc import Callable, Sequence

from likewise.api.endpoints import Endpoint, anybody, endpoint, endpoints_of
from likewise.api.health import Health
from likewise.api.library import Library
from likewise.api.lists import Lists
from likewise.api.neighbours import Neighbours
from likewise.api.numbers import Numbers
from likewise.api.operators import Operators
from likewise.api.parameters import IDS_MAX
from likewise.api.ratings import Ratings
from likewise.api.self_description import SelfDescription
from likewise.asgi import Request, Response
from likewise.domain import Time
from likewise.errors import MethodNotAllowed, PathNotFound
from likewise.gate import Gate
from likewise.rates import RateLimit
from likewise.store import Store

_CORS_METHODS = b"GET,HEAD,PUT,PATCH,POST,DELETE,OPTIONS"
_CORS_HEADERS = b", ".join(
    [
        b"Authorization",
        b"Music-User-Token",
        b"Media-User-Token",
        b"X-Apple-Music-User-Token",
        b"Content-Type",
        b"Accept",
        b"Accept-Language",
    ]
)
PREFLIGHT = Response(
    204,
    headers=(
        (b"access-control-allow-methods", _CORS_METHODS),
        (b"access-control-allow-headers", _CORS_HEADERS),
        (b"access-control-max-age", b"86400"),
    ),
)


class Api:
    """Answers requests; `now` is milliseconds since 1970, `random_bytes` gives as many random bytes as it is told.

    Without an `admin_token` there is no operator's API; without `extensions`, nothing that Apple's does not have;
    without `numbers`, which writes them and says in which format, no `/metrics`.
    """

    def __init__(
        self,
        store: Store,
        *,
        now: Callable[[], Time],
        random_bytes: Callable[[int], bytes] = os.urandom,
        ids_max: int = IDS_MAX,
        admin_token: str = "",
        extensions: bool = True,
        numbers: Callable[[], tuple[bytes, str]] | None = None,
        rate_limit: RateLimit | None = None,
    ) -> None:
        gate = Gate(store, now=now, rate_limit=rate_limit)
        ratings = Ratings(store, now=now, ids_max=ids_max, shows_names=extensions)
        lists = Lists(store, now=now)
        library = Library(store, now=now, random_bytes=random_bytes, ids_max=ids_max)
        neighbours = Neighbours(ids_max=ids_max)
        health = Health(store)
        self._operators = Operators(store, admin_token, now=now, random_bytes=random_bytes) if admin_token else None

        self._rating = endpoint(
            "/v1/me/ratings/{type}/{id}", gate.listener, GET=ratings.get, PUT=ratings.put, DELETE=ratings.delete
        )
        self._ratings = endpoint("/v1/me/ratings/{type}", gate.listener, GET=ratings.get_many)
        self._lists = self._lines = None
        if extensions:
            self._lists = endpoint("/v1/me/ratings", gate.listener, GET=lists.get, POST=lists.write)
            self._lines = endpoint("/v1/me/ratings.ndjson", gate.listener, GET=lists.get_lines)
        self._favorites = endpoint("/v1/me/favorites", gate.listener, POST=ratings.favorite, DELETE=ratings.unfavorite)
        self._library = endpoint("/v1/me/library", gate.listener, GET=library.get_resources, POST=library.add)
        self._library_items = endpoint("/v1/me/library/{type}", gate.listener, GET=library.get_many)
        self._library_item = endpoint(
            "/v1/me/library/{type}/{id}", gate.listener, GET=library.get, DELETE=library.remove
        )
        self._catalog_twin = endpoint("/v1/me/library/{type}/{id}/catalog", gate.listener, GET=library.get_catalog)
        self._library_twin = endpoint(
            "/v1/catalog/{storefront}/{type}/{id}/library", gate.listener, GET=library.get_library
        )
        self._my_storefront = endpoint("/v1/me/storefront", gate.listener, GET=neighbours.get_my_storefront)
        self._storefronts = endpoint("/v1/storefronts", gate.developer, GET=neighbours.get_storefronts)
        self._storefront = endpoint("/v1/storefronts/{id}", gate.developer, GET=neighbours.get_storefront)
        self._test = endpoint("/v1/test", gate.developer, GET=neighbours.test)
        self._live = endpoint("/livez", anybody, GET=health.live)
        self._ready = endpoint("/readyz", anybody, GET=health.ready)
        self._metrics = endpoint("/metrics", anybody, GET=Numbers(numbers).get) if numbers else None
        self._description = endpoint("/openapi.json", anybody, GET=SelfDescription(lambda: self.endpoints).get)

    @property
    def endpoints(self) -> list[Endpoint]:
        """All endpoints that there are."""
        return endpoints_of(self) + (endpoints_of(self._operators) if self._operators else [])

    @property
    def paths(self) -> list[str]:
        """The documented paths of all endpoints."""
        return [each.path for each in self.endpoints]

    async def answer(self, request: Request) -> Response:
        endpoint, variables = self._find(request.method, request.path)
        request.endpoint = endpoint.path
        if request.method == "OPTIONS":
            return PREFLIGHT
        handler = endpoint.handlers.get(request.method)
        if handler is None:
            raise MethodNotAllowed([*endpoint.handlers, "OPTIONS"])
        request.caller = caller = await endpoint.door(request.headers)
        return await handler(caller, request, *variables)

    def _find(self, method: str, path: Sequence[str]) -> tuple[Endpoint, Sequence[str]]:
        match path:
            case ("v1", "me", "ratings", _, _):
                return self._rating, path[3:]
            case ("v1", "me", "ratings", _):
                return self._ratings, path[3:]
            case ("v1", "me", "ratings") if self._lists is not None:
                return self._lists, ()
            case ("v1", "me", "ratings.ndjson") if self._lines is not None:
                return self._lines, ()
            # Apple answers GET here as if there were no such path.
            case ("v1", "me", "favorites") if method not in {"GET", "HEAD"}:
                return self._favorites, ()
            case ("v1", "me", "library"):
                return self._library, ()
            case ("v1", "me", "library", _):
                return self._library_items, path[3:]
            case ("v1", "me", "library", _, _):
                return self._library_item, path[3:]
            case ("v1", "me", "library", _, _, "catalog"):
                return self._catalog_twin, path[3:5]
            case ("v1", "catalog", _, _, _, "library"):
                return self._library_twin, path[2:5]
            case ("v1", "me", "storefront"):
                return self._my_storefront, ()
            case ("v1", "storefronts"):
                return self._storefronts, ()
            case ("v1", "storefronts", _):
                return self._storefront, path[2:]
            case ("v1", "test"):
                return self._test, ()
            case ("livez",):
                return self._live, ()
            case ("readyz",):
                return self._ready, ()
            case ("metrics",) if self._metrics is not None:
                return self._metrics, ()
            case ("openapi.json",):
                return self._description, ()
            case ("_likewise", *below) if self._operators is not None:
                return self._operators.find(below)
            case _:
                raise PathNotFound
