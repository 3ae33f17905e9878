"""Health, for whatever watches over the service: is the process alive, and can it do its work?"""

from likewise.api.parameters import JSON, NO_STORE
from likewise.asgi import Request, Response
from likewise.store import Store

_OK = Response(200, b'{"status":"ok"}', (JSON, NO_STORE))


class Health:
    """`/livez` and `/readyz`, for anybody."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def live(self, _anybody: None, _request: Request) -> Response:
        """Say that the process answers. Whoever restarts what does not live must not be told about the database."""
        return _OK

    async def ready(self, _anybody: None, _request: Request) -> Response:
        """Say that the database answers; raise `StoreUnavailable`."""
        await self._store.ping()
        return _OK
