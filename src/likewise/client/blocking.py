"""The client for ordinary code."""

import time
from collections.abc import Callable, Iterable, Iterator
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


class Client:
    """Calls a server of the Apple Music API: Apple's own, or a Likewise.

        with Client(SigningKey("AuthKey_ABC123DEFG.p8", team_id="DEF123GHIJ"), user_token) as client:
            client.put_rating("songs", "907242702", Value.LIKE)

    `developer_token` is a token, or the `SigningKey` to mint some from as they are needed. `base_url` may have a path.
    `transport` replaces the network: a proxy, client certificates, a test. Types are Apple's names, or a `Kind`; ids
    are checked before anything is sent. May be shared among threads.

    Each call raises what the server raised, of `likewise.errors`: `UnknownResourceType` and `RatingsNotAllowed` (before
    anything is sent), `BadDeveloperToken`, `BadUserToken`, `TooManyRequests` and other kinds of `Refused`;
    `StoreUnavailable` (503), `ServerFailed` (other 5xx), `ServerUnreachable`; and `BadAnswer` for what is no answer of
    this API, redirects included, which are never followed. GET, PUT and DELETE are tried again after 429, 503 and
    broken connections, within the `limits`, each time a little later, or when Retry-After says; POST never is.
    """

    def __init__(
        self,
        developer_token: str | SigningKey,
        user_token: str | None = None,
        *,
        base_url: str = APPLE,
        limits: Limits | None = None,
        transport: httpx2.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        around: Surroundings | None = None,
    ) -> None:
        self._carrier = Carrier(developer_token, user_token, base_url=base_url, limits=limits, around=around)
        self._sleep = sleep
        self._http = httpx2.Client(transport=transport, follow_redirects=False)

    # Ratings

    def get_rating(self, type: str | Kind, id: str) -> Rating:
        """Return the rating of one item; raise `NotRated`."""
        return self._run(calls.get_rating(type, id))

    def get_ratings(
        self, type: str | Kind, ids: Iterable[str], *, ids_per_request: int = IDS_PER_REQUEST
    ) -> list[Rating]:
        """Return the ratings of those of `ids` that are rated, in their order, each once; as many ids as you like.

        They are asked for `ids_per_request` at a time: Apple takes 100, Likewise 300.
        """
        return self._run(calls.get_ratings(type, ids, ids_per_request))

    def put_rating(self, type: str | Kind, id: str, value: Value | int) -> Rating:
        """Set the rating of one item: 1 to like, -1 to dislike; raise `BadBody` for any other value."""
        return self._run(calls.put_rating(type, id, value))

    def delete_rating(self, type: str | Kind, id: str) -> None:
        """Clear the rating of one item; raise `NotRated`."""
        self._run(calls.delete_rating(type, id))

    def write_ratings(self, changes: Iterable[tuple[str | Kind, str, Value | int | None]]) -> list[Written]:
        """Set and clear (None) many ratings, 1 000 to a request, and return what became of each. Likewise only."""
        return self._run(calls.write_ratings(changes))

    def list_ratings(self, *, types: Iterable[str | Kind] = (), value: Value | int | None = None) -> Iterator[Rating]:
        """Yield all ratings, newest first, perhaps only of some types or one value. Likewise only.

        They come in pages of 100 as they are needed.
        """
        return self._entries(calls.list_ratings(types, value), calls.rating_page)

    def get_cursor(self) -> str:
        """Return where the feed of changes ends now. Likewise only."""
        return self._run(calls.get_cursor())

    def get_changes(self, since: str) -> Page[RatingChange]:
        """Return changes after the cursor `since`, oldest first, and the cursor after them. Likewise only."""
        return self._run(calls.get_changes(since))

    # Favorites and the library

    def add_favorites(self, type: str | Kind, ids: Iterable[str], *, ids_per_request: int = IDS_PER_REQUEST) -> None:
        """Like many items of one type at once."""
        self._run(calls.add_favorites(type, ids, ids_per_request))

    def remove_favorites(self, type: str | Kind, ids: Iterable[str], *, ids_per_request: int = IDS_PER_REQUEST) -> None:
        """Clear the likes of many items of one type; dislikes stay. Apple does this for its own players only."""
        self._run(calls.remove_favorites(type, ids, ids_per_request))

    def add_to_library(self, type: str | Kind, ids: Iterable[str], *, ids_per_request: int = IDS_PER_REQUEST) -> None:
        """Add catalog songs, albums, music videos or playlists to the library."""
        self._run(calls.add_to_library(type, ids, ids_per_request))

    def remove_from_library(self, type: str | Kind, id: str) -> None:
        """Remove an item from the library by its library id; raise `ResourceNotFound`."""
        self._run(calls.remove_from_library(type, id))

    def list_library(self, type: str | Kind) -> Iterator[LibraryItem]:
        """Yield all library items of one type, in the server's order, in pages of 100 as they are needed."""
        return self._entries(calls.list_library(type), calls.library_page)

    def get_library_page(self, type: str | Kind, next: str | None = None) -> Page[LibraryItem]:
        """Return one page of what `list_library` yields: the first, or the one that is `next`; to go on later, say."""
        return self._run(calls.list_library(type) if next is None else calls.library_page(next))

    def get_library_items(
        self, type: str | Kind, ids: Iterable[str], *, ids_per_request: int = IDS_PER_REQUEST
    ) -> list[LibraryItem]:
        """Return those of these library items that are in the library, in the order of `ids`."""
        return self._run(calls.get_library_items(type, ids, ids_per_request))

    def get_twin(self, type: str | Kind, id: str) -> Item:
        """Return the library item of a catalog item, or the other way round; raise `NoRelatedResources`."""
        return self._run(self._carrier.get_twin(type, id))

    # Neighbours

    def get_storefront(self) -> Storefront:
        """Return the listener's storefront."""
        return self._run(calls.get_storefront())

    def test(self) -> None:
        """Ask whether the developer token is good; raise `BadDeveloperToken`."""
        self._run(calls.test())

    # Sending

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client(base_url={self._carrier!r})"

    def _run(self, plan: Plan[Result]) -> Result:
        steps = self._carrier.begin(plan)
        try:
            step = next(steps)
            while True:
                if isinstance(step, Send):
                    step = steps.send(self._send(step))
                else:
                    self._sleep(step.seconds)
                    step = steps.send(None)
        except StopIteration as done:
            result: Result = done.value
            return result

    def _send(self, send: Send) -> Outcome:
        try:
            response = self._http.send(self._carrier.request(send), stream=True)
            try:
                intake = self._carrier.intake(response, send)
                for piece in response.iter_bytes():
                    intake.add(piece)
            finally:
                response.close()
        except httpx2.TransportError as error:
            return self._carrier.unreachable(error)
        return intake.answer()

    def _entries(self, first: Plan[Page[Entry]], follow: Callable[[str], Plan[Page[Entry]]]) -> Iterator[Entry]:
        turn = Turn()
        page = self._run(first)
        while True:
            yield from page.entries
            href = turn.next(page.next)
            if href is None:
                return
            page = self._run(follow(href))
