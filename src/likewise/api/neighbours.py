"""What clients call beside the ratings: the test of a developer token, and the storefronts.

https://developer.apple.com/documentation/applemusicapi/storefronts-and-localization
"""

from likewise import wire
from likewise.api.parameters import document, ids_of, language_for, personal_document, storefront_of, window_of
from likewise.asgi import Request, Response
from likewise.domain import Listener
from likewise.errors import ResourceNotFound
from likewise.storefronts import STOREFRONTS, choose_language
from likewise.tokens import DeveloperToken


class Neighbours:
    """What Apple Music clients ask besides: is my token good, and which storefronts are there?"""

    def __init__(self, *, ids_max: int) -> None:
        self._ids_max = ids_max

    async def test(self, _developer: DeveloperToken, _request: Request) -> Response:
        """Say that the developer token is good."""
        return Response(200)

    async def get_my_storefront(self, listener: Listener, request: Request) -> Response:
        language = language_for(listener, request.query)
        return personal_document(wire.encode_storefronts([storefront_of(listener)]), language)

    async def get_storefront(self, _developer: DeveloperToken, request: Request, id: str) -> Response:
        storefront = STOREFRONTS.get(id)
        shown = [storefront] if storefront else []
        language = choose_language(request.query.last("l"), shown)
        if not shown:
            raise ResourceNotFound
        return document(wire.encode_storefronts(shown), language)

    async def get_storefronts(self, _developer: DeveloperToken, request: Request) -> Response:
        query = request.query
        tag = query.last("l")
        choose_language(tag, ())  # refuses a malformed tag before anything else is looked at
        ids = ids_of(query, ids_max=self._ids_max) if query.all("ids") else None
        limit, offset = window_of(query)
        if ids is not None:
            shown = [STOREFRONTS[id] for id in ids if id in STOREFRONTS]
            return document(wire.encode_storefronts(shown), choose_language(tag, shown))
        total = len(STOREFRONTS)
        end = total if limit is None else offset + limit
        shown = list(STOREFRONTS.values())[offset:end]
        next_href = None
        if end < total:
            next_href = wire.next_href("/v1/storefronts", limit=limit, offset=end, language_tag=tag)
        return document(wire.encode_storefront_page(shown, next_href), choose_language(tag, shown))
