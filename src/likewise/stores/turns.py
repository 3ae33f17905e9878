"""Turns at what takes long, so that nobody waits for all that another has asked for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from likewise.errors import StoreUnavailable

ASKED_MAX = 100
ASKED_EACH_MAX = 20
"""How many may have their turn or wait for it, in all and of one listener."""


@dataclass
class _Line:
    """What one listener has asked for."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    asked: int = 0


class Turns:
    """Of each listener one has its turn at a time, of all at most `at_once`, in the order of their coming.

    Nobody waits for longer than `seconds_max`.
    """

    def __init__(self, at_once: int, *, seconds_max: float) -> None:
        self._places = asyncio.Semaphore(at_once)
        self._seconds_max = seconds_max
        self._asked = 0
        self._lines: dict[int, _Line] = {}

    @asynccontextmanager
    async def of(self, listener: int) -> AsyncIterator[None]:
        """Wait for a turn of this listener's; raise `StoreUnavailable` where too many wait, or one too long."""
        line = self._lines.get(listener) or _Line()
        if self._asked >= ASKED_MAX or line.asked >= ASKED_EACH_MAX:
            raise _too_many()
        self._lines[listener] = line
        self._asked += 1
        line.asked += 1
        patience = asyncio.timeout(self._seconds_max)
        try:
            async with patience, line.turn, self._places:
                patience.reschedule(None)
                yield
        except TimeoutError as error:
            if patience.expired():
                raise _too_many() from error
            raise
        finally:
            self._asked -= 1
            line.asked -= 1
            if not line.asked:
                del self._lines[listener]


def _too_many() -> StoreUnavailable:
    return StoreUnavailable("too many lists are waiting for the database")
