"""Turns at what takes long, so that nobody waits for all that another has asked for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from likewise.errors import StoreUnavailable

WAITING_MAX = 100
WAITING_EACH_MAX = 20
"""How many may wait in all, and of one listener."""


@dataclass
class _Line:
    """What one listener has asked for."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0


class Turns:
    """Of each listener one has its turn at a time, of all at most `at_once`, in the order of their coming."""

    def __init__(self, at_once: int) -> None:
        self._places = asyncio.Semaphore(at_once)
        self._waiting = 0
        self._lines: dict[int, _Line] = {}

    @asynccontextmanager
    async def of(self, listener: int) -> AsyncIterator[None]:
        """Wait for a turn of this listener's; raise `StoreUnavailable` where too many are waiting."""
        line = self._lines.get(listener) or _Line()
        if self._waiting >= WAITING_MAX or line.waiting >= WAITING_EACH_MAX:
            raise StoreUnavailable("too many lists are waiting for the database")
        self._lines[listener] = line
        self._waiting += 1
        line.waiting += 1
        try:
            async with line.turn, self._places:
                yield
        finally:
            self._waiting -= 1
            line.waiting -= 1
            if not line.waiting:
                del self._lines[listener]
