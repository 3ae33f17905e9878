"""Room for bodies in bulk: so many at once in a worker that they fill neither its memory nor the database's queue."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from likewise.asgi import Request
from likewise.errors import BodyTooLarge, StoreUnavailable


class Room:
    """So many places; nobody waits for one, since who waits would hold a body too."""

    def __init__(self, places: int) -> None:
        self._free = places

    @asynccontextmanager
    async def place(self, request: Request) -> AsyncIterator[None]:
        """Take a place until the block ends; raise `StoreUnavailable` when none is free."""
        if not self._free:
            # Past the body, of which nothing is kept, or the client would lose the answer with the connection.
            with suppress(BodyTooLarge):
                await request.body(bytes_max=0)
            raise StoreUnavailable("too many bodies in bulk wait for it")
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1
