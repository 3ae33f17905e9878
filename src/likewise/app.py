"""The ASGI application: wires the rooms, opens and closes them, and holds the one `except`."""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from likewise.api import Api
from likewise.asgi import Receive, Request, Response, Scope, Send
from likewise.config import Settings
from likewise.domain import Time
from likewise.errors import BadAdminToken, BadDeveloperToken, BadUserToken, ClientGone, LikewiseError, StoreUnavailable
from likewise.forgetting import forget_daily
from likewise.proxies import Proxies
from likewise.store import Store
from likewise.stores import open_store
from likewise.wire import answer_to

logger = logging.getLogger("likewise")


def now() -> Time:
    return time.time_ns() // 1_000_000


class App:
    """Likewise as an ASGI application, to be opened by its server's lifespan or by `async with`.

    `now` (milliseconds since 1970) and `random_bytes` are for tests.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        now: Callable[[], Time] = now,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._settings = settings
        self._now = now
        self._random_bytes = random_bytes
        self._proxies = Proxies(settings.trusted_proxies)
        self._store: Store | None = None
        self._api: Api | None = None
        self._forgetting: asyncio.Task[None] | None = None

    @property
    def store(self) -> Store:
        """The open store; raise `RuntimeError` before `open`."""
        if self._store is None:
            raise RuntimeError("the application is not open")
        return self._store

    async def open(self) -> None:
        """Open the database; the errors are those of `likewise.stores.open_store`."""
        self._store = await open_store(self._settings.database, create=False)
        self._api = Api(
            self._store,
            now=self._now,
            random_bytes=self._random_bytes,
            ids_max=self._settings.ids_max,
            admin_token=self._settings.admin_token,
            extensions=self._settings.extensions == "on",
        )
        self._forgetting = asyncio.create_task(
            forget_daily(self._store, now=self._now, days=self._settings.tombstone_days)
        )

    async def close(self) -> None:
        """Finish the writes that were begun and close the database."""
        if self._forgetting is not None:
            self._forgetting.cancel()
            await asyncio.wait([self._forgetting])
        if self._store is not None:
            await self._store.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._live(scope, receive, send)
            return
        request = None
        try:
            request = Request(scope, receive)
            response = await self._answering(request)
        except Exception as error:  # noqa: BLE001 - the one place where everything is caught
            if isinstance(error, ClientGone):
                return
            _log(error, self._proxies, scope)
            status, body, headers = answer_to(error)
            response = Response(status, body, tuple(headers))
        try:
            await response.send(send, method=scope["method"], accepts=request.headers if request else None)
        except StoreUnavailable as error:
            # Half of the answer is out. That the connection breaks tells the client so.
            _log(error, self._proxies, scope)
            raise

    async def _answering(self, request: Request) -> Response:
        if self._api is None:
            raise StoreUnavailable("the application is not open")
        return await self._api.answer(request)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
            return
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await self.open()
                except LikewiseError as error:
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    return
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


def _log(error: Exception, proxies: Proxies, scope: Scope) -> None:
    match error:
        case BadAdminToken() | BadDeveloperToken() | BadUserToken():
            logger.info("refused: %s (client %s)", error, proxies.client(scope))
        case StoreUnavailable():
            logger.error("the database failed a request: %s", error)
        case LikewiseError():
            pass
        case _:
            logger.error("answered 500", exc_info=error)
