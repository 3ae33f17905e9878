"""The client for asyncio. Each call is the one of `Client` of the same name, awaited."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from types import TracebackType
from typing import Self, TypeVar

import httpx2

from likewise.client import calls
from likewise.client.answers import LibraryItem, Page, Rating, RatingChange, Written
from likewise.client.calls import IDS_PER_REQUEST
from likewise.client.carrier import Carrier, Turn
from likewise.client.credentials import APPLE, SigningKey
from likewise.client.exchange import Limits, Outcome, Plan, Send, Surroundings
from likewise.domain import Item, Kind, Storefront, Value

Result = TypeVar("Result")
Entry = TypeVar("Entry")


class AsyncClient:
    """Calls a server of the Apple Music API: Apple's own, or a Likewise. `Client` says what each argument means.

        async with AsyncClient(SigningKey("AuthKey_ABC123DEFG.p8", team_id="DEF123GHIJ"), user_token) as client:
            await client.put_rating("songs", "907242702", Value.LIKE)

    May be shared among the tasks of one event loop.
    """

    def __init__(
        self,
        developer_token: str | SigningKey,
        user_token: str | None = None,
        *,
        base_url: str = APPLE,
        limits: Limits | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        around: Surroundings | None = None,
    ) -> None:
        self._carrier = Carrier(developer_token, user_token, base_url=base_url, limits=limits, around=around)
        self._sleep = sleep
        self._http = httpx2.AsyncClient(transport=transport, follow_redirects=False)

    # Ratings

    async def get_rating(self, type: str | Kind, id: str) -> Rating:
        """Return the rating of one item; raise `NotRated`."""
        return await self._run(calls.get_rating(type, id))

    async def get_ratings(
        self, type: str | Kind, ids: Iterable[str], *, ids_per_request: int = IDS_PER_REQUEST
    ) -> list[Rating]:
        """Return the ratings of those of `ids` that are rated, in their order, each once; as many ids as you like.

        They are asked for `ids_per_request` at a time: Apple takes 100, Likewise 300.
        """
        return await self._run(calls.get_ratings(type, ids, ids_per_request))

    async def put_rating(self, type: str | Kind, id: str, value: Value | int) -> Rating:
        """Set the rating of one item: 1 to like, -1 to dislike; raise `BadBody` for any other value."""
        return await self._run(calls.put_rating(type, id, value))

    async def delete_rating(self, type: str | Kind, id: str) -> None:
        """Clear the rating of one item; raise `NotRated`."""
        await self._run(calls.delete_rating(type, id))

    async def write_ratings(self, changes: Iterable[tuple[str | Kind, str, Value | int | None]]) -> list[Written]:
        """Set and clear (None) many ratings, 1 000 to a request, and return what became of each. Likewise only."""
        return await self._run(calls.write_ratings(changes))

    def list_ratings(
        self, *, types: Iterable[str | Kind] = (), value: Value | int | None = None
    ) -> AsyncIterator[Rating]:
        """Yield all ratings, newest first, perhaps only of some types or one value. Likewise only.

        They come in pages of 100 as they are needed.
        """
        return self._entries(calls.list_ratings(types, value), calls.rating_page)

    async def get_cursor(self) -> str:
        """Return where the feed of changes ends now. Likewise only."""
        return await self._run(calls.get_cursor())

    async def get_changes(self, since: str) -> Page[RatingChange]:
        """Return changes after the cursor `since`, oldest first, and the cursor after them. Likewise only."""
        return await self._run(calls.get_changes(since))

    # Favorites and the library

    async def add_favorites(
        self, type: str | Kind, ids: Iterable[str], *, ids_per_request: int = IDS_PER_REQUEST
    ) -> None:
        """Like many items of one type at once."""
        await self._run(calls.add_favorites(type, ids, ids_per_request))

    async def remove_favorites(
        self, type: str | Kind, ids: Iterable[str], *, ids_per_request: int = IDS_PER_REQUEST
    ) -> None:
        """Clear the likes of many items of one type; dislikes stay. Apple does this for its own players only."""
        await self._run(calls.remove_favorites(type, ids, ids_per_request))

    async def add_to_library(
        self, type: str | Kind, ids: Iterable[str], *, ids_per_request: int = IDS_PER_REQUEST
    ) -> None:
        """Add catalog songs, albums, music videos or playlists to the library."""
        await self._run(calls.add_to_library(type, ids, ids_per_request))

    async def remove_from_library(self, type: str | Kind, id: str) -> None:
        """Remove an item from the library by its library id; raise `ResourceNotFound`."""
        await self._run(calls.remove_from_library(type, id))

    def list_library(self, type: str | Kind) -> AsyncIterator[LibraryItem]:
        """Yield all library items of one type, in the server's order, in pages of 100 as they are needed."""
        return self._entries(calls.list_library(type), calls.library_page)

    async def get_library_page(self, type: str | Kind, next: str | None = None) -> Page[LibraryItem]:
        """Return one page of what `list_library` yields: the first, or the one that is `next`; to go on later, say."""
        return await self._run(calls.list_library(type) if next is None else calls.library_page(next))

    async def get_library_items(
        self, type: str | Kind, ids: Iterable[str], *, ids_per_request: int = IDS_PER_REQUEST
    ) -> list[LibraryItem]:
        """Return those of these library items that are in the library, in the order of `ids`."""
        return await self._run(calls.get_library_items(type, ids, ids_per_request))

    async def get_twin(self, type: str | Kind, id: str) -> Item:
        """Return the library item of a catalog item, or the other way round; raise `NoRelatedResources`."""
        return await self._run(self._carrier.get_twin(type, id))

    # Neighbours

    async def get_storefront(self) -> Storefront:
        """Return the listener's storefront."""
        return await self._run(calls.get_storefront())

    async def test(self) -> None:
        """Ask whether the developer token is good; raise `BadDeveloperToken`."""
        await self._run(calls.test())

    # Sending

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncClient(base_url={self._carrier!r})"

    async def _run(self, plan: Plan[Result]) -> Result:
        steps = self._carrier.begin(plan)
        try:
            step = next(steps)
            while True:
                if isinstance(step, Send):
                    step = steps.send(await self._send(step))
                else:
                    await self._sleep(step.seconds)
                    step = steps.send(None)
        except StopIteration as done:
            result: Result = done.value
            return result

    async def _send(self, send: Send) -> Outcome:
        try:
            response = await self._http.send(self._carrier.request(send), stream=True)
            try:
                intake = self._carrier.intake(response, send)
                async for piece in response.aiter_bytes():
                    intake.add(piece)
            finally:
                await response.aclose()
        except httpx2.TransportError as error:
            return self._carrier.unreachable(error)
        return intake.answer()

    async def _entries(
        self, first: Plan[Page[Entry]], follow: Callable[[str], Plan[Page[Entry]]]
    ) -> AsyncIterator[Entry]:
        turn = Turn()
        page = await self._run(first)
        while True:
            for entry in page.entries:
                yield entry
            href = turn.next(page.next)
            if href is None:
                return
            page = await self._run(follow(href))
