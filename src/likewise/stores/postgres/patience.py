"""How long whoever asks may wait: each call for two seconds, and all that one request asks for a time of its own."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from contextvars import ContextVar

CALL_SECONDS_MAX = 2.0


class _Patience:
    """Seconds that are spent while at least one call is waiting; several at once spend them once."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._calls = 0
        self._since = 0.0

    @contextmanager
    def waiting(self) -> Iterator[float]:
        """Wait; gives the seconds that are left."""
        if self._calls == 0:
            self._since = time.monotonic()
        self._calls += 1
        try:
            yield self._seconds - (time.monotonic() - self._since)
        finally:
            self._calls -= 1
            if self._calls == 0:
                self._seconds -= time.monotonic() - self._since


_PATIENCE: ContextVar[_Patience | None] = ContextVar("patience", default=None)


@contextmanager
def bounded(seconds_max: float) -> Iterator[None]:
    """Let all calls in this block, together, wait no longer than this."""
    token = _PATIENCE.set(_Patience(seconds_max))
    try:
        yield
    finally:
        _PATIENCE.reset(token)


@asynccontextmanager
async def within(seconds_max: float) -> AsyncIterator[float]:
    """Raise `TimeoutError` after this time, or when the patience of whoever asks has run out; give the deadline.

    A call that may take longer than others is asked for by somebody who can wait.
    """
    patience = _PATIENCE.get()
    with nullcontext(seconds_max) if patience is None else patience.waiting() as seconds_left:
        seconds = seconds_max if seconds_max > CALL_SECONDS_MAX else min(seconds_max, seconds_left)
        deadline = asyncio.get_running_loop().time() + seconds
        async with asyncio.timeout_at(deadline):
            yield deadline
