"""Forgetting: tombstones of cleared ratings go when nobody can be waiting for them any more.

A chore of the whole service, done once a day by whichever worker comes first, a listener at a time and with a rest
after each, so that nobody's request waits for it. One that was cut short goes on where it was, a day later.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from likewise.domain import Time
from likewise.errors import StoreUnavailable
from likewise.store import Store

CHORE = "forget"
FIRST_SECONDS = 60.0
"""How long a service serves before it does chores."""
BETWEEN_SECONDS = 3_600.0
"""How long a worker waits before it asks again whether there is a chore to do."""
_REST_SECONDS = 0.002
_LISTENERS_PAGE = 500
_TOMBSTONES_AT_ONCE = 500
_DAY = 86_400_000

Sleep = Callable[[float], Awaitable[None]]

logger = logging.getLogger("likewise")


async def forget_daily(store: Store, *, now: Callable[[], Time], days: int, sleep: Sleep = asyncio.sleep) -> None:
    """Do the chore whenever it is due, for ever."""
    await sleep(FIRST_SECONDS)
    while True:
        try:
            # A little less than a day, for whoever comes first tomorrow must not be a moment too early.
            if await store.begin_chore(CHORE, every=_DAY - 600_000, now=now()):
                gone = await forget(store, before=now() - days * _DAY, sleep=sleep)
                logger.info("forgot %d cleared ratings of over %d days ago", gone, days)
        except StoreUnavailable as error:
            logger.warning("cleared ratings could not be forgotten: %s", error)
        await sleep(BETWEEN_SECONDS)


async def forget(store: Store, *, before: Time, sleep: Sleep = asyncio.sleep) -> int:
    """Remove every listener's tombstones from before `before`; say how many. Raise `StoreUnavailable`."""
    gone, after = 0, ""
    while listeners := await store.listeners(after=after, limit=_LISTENERS_PAGE):
        for listener in listeners:
            while True:
                some = await store.forget(listener, before=before, limit=_TOMBSTONES_AT_ONCE)
                gone += some
                await sleep(_REST_SECONDS)
                if some < _TOMBSTONES_AT_ONCE:
                    break
        after = listeners[-1].name
    return gone
