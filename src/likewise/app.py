"""The ASGI application: wires the rooms, opens and closes them, and holds the one `except`."""

import asyncio
import os
import time
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple, Self

from likewise.api import Api
from likewise.asgi import UNKNOWN, Receive, Request, Response, Scope, Send
from likewise.config import ROOT, Settings
from likewise.domain import Time
from likewise.errors import BadBody, ClientGone, LikewiseError, StoreUnavailable
from likewise.forgetting import forget_daily
from likewise.logs.requests import RequestIds, RequestLog
from likewise.metrics import CLIENT_GONE, Metrics, Seat, own_seat
from likewise.proxies import Proxies
from likewise.rates import RateLimit
from likewise.store import Store
from likewise.stores import open_store
from likewise.wire import answer_to

_NOTED_EVERY_SECONDS = 1.0
"""How often a worker notes for all how its store is doing."""

WRITTEN_EVERY_SECONDS = 0.1
"""How long the metrics are told again as they were: writing them takes as long as a hundred requests."""

REQUEST_SECONDS_MAX = 5.0
"""How long a request may wait for the database, all that it asks of it together."""

_NOT_OPEN = "the application is not open"


def now() -> Time:
    return time.time_ns() // 1_000_000


class _Open(NamedTuple):
    """What there is while the application is open."""

    store: Store
    api: Api
    metrics: Metrics


class App:
    """Likewise as an ASGI application, to be opened by its server's lifespan or by `async with`.

    `seat` is for a worker that has company: where it counts what it does. `now` (milliseconds since 1970),
    `random_bytes` and `seconds`, which only ever goes forward, are for tests.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        seat: Seat | None = None,
        now: Callable[[], Time] = now,
        random_bytes: Callable[[int], bytes] = os.urandom,
        seconds: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._settings = settings
        self._seat = seat or own_seat(random_bytes)
        self._now = now
        self._random_bytes = random_bytes
        self._seconds = seconds
        self._request_ids = RequestIds(random_bytes, secret=settings.admin_token)
        self._log = RequestLog(
            access=settings.access_log == "on",
            listeners=settings.log_listeners,
            key=self._seat.key,
            proxies=Proxies(settings.trusted_proxies),
            seconds=seconds,
        )
        self._open: _Open | None = None
        self._forgetting: asyncio.Task[None] | None = None
        self._noting: asyncio.TimerHandle | None = None
        self._written = 0.0, b""

    @property
    def store(self) -> Store:
        """The open store; raise `RuntimeError` before `open`."""
        return self._opened().store

    def _opened(self) -> _Open:
        if self._open is None:
            raise RuntimeError(_NOT_OPEN)
        return self._open

    async def open(self) -> None:
        """Open the database; the errors are those of `likewise.stores.open_store`."""
        settings = self._settings
        store = await open_store(settings.database, create=False)
        api = Api(
            store,
            now=self._now,
            random_bytes=self._random_bytes,
            ids_max=settings.ids_max,
            admin_token=settings.admin_token,
            extensions=settings.extensions == "on",
            numbers=self.numbers if settings.metrics_address == ROOT else None,
            rate_limit=RateLimit(settings.rate_limit, workers=self._seat.workers) if settings.rate_limit else None,
        )
        engine = "sqlite" if settings.database.startswith("sqlite:") else "postgresql"
        self._open = _Open(store, api, Metrics(api.paths, self._seat, engine=engine))
        self._note_store(self._open)
        self._forgetting = asyncio.create_task(forget_daily(store, now=self._now, days=settings.tombstone_days))

    async def close(self) -> None:
        """Finish the writes that were begun and close the database."""
        if self._forgetting is not None:
            self._forgetting.cancel()
            await asyncio.wait([self._forgetting])
        if self._noting is not None:
            self._noting.cancel()
        if self._open is not None:
            await self._open.store.close()
            self._open.metrics.note(self._open.store.statistics())

    def numbers(self) -> tuple[bytes, str]:
        """Write what all workers have counted as Prometheus reads it, and say in which format; in any thread."""
        from likewise.metrics.exposition import CONTENT_TYPE, exposition  # noqa: PLC0415 - many are never asked

        store, _, metrics = self._opened()
        when, text = self._written
        if not text or self._seconds() - when >= WRITTEN_EVERY_SECONDS:
            metrics.note(store.statistics())
            text = exposition(metrics)
            self._written = self._seconds(), text
        return text, CONTENT_TYPE

    def _note_store(self, opened: _Open) -> None:
        opened.metrics.note(opened.store.statistics())
        self._noting = asyncio.get_running_loop().call_later(_NOTED_EVERY_SECONDS, self._note_store, opened)

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
        began = self._seconds()
        request: Request | None = None
        error: Exception | None = None
        try:
            request = Request(scope, receive)
            response = await self._answering(request)
        except Exception as caught:  # noqa: BLE001 - the one place where everything is caught
            error = caught
            response = _answer_to(error)
        method, request_id = scope["method"], self._request_ids.of(request)
        status = CLIENT_GONE if isinstance(error, ClientGone) else response.status
        try:
            accepts = request.headers if request else None
            await response.send(send, receive, method=method, accepts=accepts, request_id=request_id)
        except ClientGone as caught:
            error, status = caught, CLIENT_GONE
        except StoreUnavailable as caught:
            # Half of the answer is out. That the connection breaks tells the client so.
            error, status = caught, 503
            raise
        finally:
            seconds = self._seconds() - began
            if self._open is not None:
                self._open.metrics.count(request.endpoint if request else UNKNOWN, method, status, seconds)
            if error is not None or self._log.access:
                self._log.note(request_id, scope, request, status, seconds, error)
            # The error knows this frame and this frame the error. Such a circle keeps the request until garbage is
            # looked for, and with a request whose body never came the server keeps its connection open.
            del error

    async def _answering(self, request: Request) -> Response:
        if self._open is None:
            raise StoreUnavailable(_NOT_OPEN)
        store, api, _ = self._open
        with store.bounded(REQUEST_SECONDS_MAX):
            return await api.answer(request)

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


def _answer_to(error: Exception) -> Response:
    if isinstance(error, ClientGone):
        # To the server, a client that is gone and a body whose chunks cannot be read are one; the latter hears of it.
        error = BadBody(None, "The body ended before it was whole")
    status, body, headers = answer_to(error)
    return Response(status, body, tuple(headers))
