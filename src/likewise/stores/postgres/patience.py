"""How long whoever asks may wait: each call for two seconds, and all that one request asks for a time of its own."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TypeVar

CALL_SECONDS_MAX = 2.0

Outcome = TypeVar("Outcome")


class bounded:  # noqa: N801 - used as a function is, and half as dear as a generator that does the same
    """Let all calls in this block, together, wait no longer than this: several at once spend their seconds once."""

    __slots__ = ("_calls", "_seconds", "_since", "_token")

    def __init__(self, seconds_max: float) -> None:
        self._seconds = seconds_max
        self._calls = 0
        self._since = 0.0

    def __enter__(self) -> None:
        self._token: Token[bounded | None] = _PATIENCE.set(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _PATIENCE.reset(self._token)

    def begin(self) -> float:
        """Begin to wait; say how many seconds are left."""
        now = time.monotonic()
        if self._calls == 0:
            self._since = now
        self._calls += 1
        return self._seconds - (now - self._since)

    def end(self) -> None:
        self._calls -= 1
        if self._calls == 0:
            self._seconds -= time.monotonic() - self._since


_PATIENCE: ContextVar[bounded | None] = ContextVar("patience", default=None)


@asynccontextmanager
async def within(seconds_max: float) -> AsyncIterator[float]:
    """Raise `TimeoutError` after this time, or when the patience of whoever asks has run out; give the deadline.

    A call that may take longer than others is asked for by somebody who can wait.
    """
    patience = _PATIENCE.get()
    seconds = seconds_max
    if patience is not None:
        seconds_left = patience.begin()
        if seconds_max <= CALL_SECONDS_MAX:
            seconds = min(seconds_max, seconds_left)
    try:
        deadline = asyncio.get_running_loop().time() + seconds
        async with asyncio.timeout_at(deadline):
            yield deadline
    finally:
        if patience is not None:
            patience.end()


async def in_time(future: "asyncio.Future[Outcome]") -> Outcome:
    """Wait for a future as `within` lets a call wait, at a third of the price; the future itself ends after that."""
    patience = _PATIENCE.get()
    seconds = CALL_SECONDS_MAX if patience is None else min(CALL_SECONDS_MAX, patience.begin())
    alarm = future.get_loop().call_later(seconds, _end, future)
    try:
        return await future
    finally:
        alarm.cancel()
        if patience is not None:
            patience.end()


def _end(future: "asyncio.Future[Outcome]") -> None:
    if not future.done():
        future.set_exception(TimeoutError())
