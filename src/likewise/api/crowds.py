"""Room for bodies in bulk: so many at once in a worker that they fill neither its memory nor the database's queue."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from likewise.asgi import Request
from likewise.errors import BodyTooLarge, StoreUnavailable


class Room:
    """So many places, of which each caller may have some; nobody waits for one, for who waits would hold a body too."""

    def __init__(self, places: int, *, each_max: int) -> None:
        self._places = places
        self._each_max = each_max
        self._taken: Counter[Any] = Counter()

    @asynccontextmanager
    async def place(self, request: Request) -> AsyncIterator[None]:
        """Take a place until the block ends; raise `StoreUnavailable` when none is free."""
        caller = request.caller
        if self._taken.total() >= self._places or self._taken[caller] >= self._each_max:
            # Past the body, of which nothing is kept, or the client would lose the answer with the connection.
            with suppress(BodyTooLarge):
                await request.body(bytes_max=0)
            raise StoreUnavailable("too many bodies in bulk wait for it")
        self._taken[caller] += 1
        try:
            yield
        finally:
            self._taken[caller] -= 1
            if not self._taken[caller]:
                del self._taken[caller]
