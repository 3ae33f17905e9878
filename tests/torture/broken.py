"""Likenesses of the service that break one promise each, to show that the torture tells them from the real one.

`python -m tests.torture.broken serve …` with the name of a fault in `BREAK`; workers that are processes break it too.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from likewise import app, cli, stores
from likewise.domain import Change, Item, Listener, Rating, Time
from likewise.errors import StoreUnavailable
from likewise.store import Store
from likewise.stores.sqlite import SQLiteStore

_LATE_SECONDS = 0.03

FAULTS: dict[str, Callable[[Store], None]] = {}


def _fault(break_store: Callable[[Store], None]) -> Callable[[Store], None]:
    FAULTS[break_store.__name__.strip("_")] = break_store
    return break_store


@_fault
def _acknowledges_before_the_commit(store: Store) -> None:
    write = store.write
    tasks = set()

    async def write_later(listener: Listener, changes: Sequence[Change], now: Time) -> None:
        await asyncio.sleep(_LATE_SECONDS)
        await write(listener, changes, now=now)

    async def hasty(listener: Listener, changes: Sequence[Change], *, now: Time) -> list[bool]:
        tasks.add(task := asyncio.ensure_future(write_later(listener, changes, now)))
        task.add_done_callback(tasks.discard)
        return [True] * len(changes)

    _replace(store, "write", hasty)


@_fault
def _serves_stale_reads(store: Store) -> None:
    """Believe what was read for a little while, and forget it when this worker writes; others write too."""
    get, write = store.get, store.write
    believed: dict[Any, list[Rating]] = {}

    async def get_believed(listener: Listener, items: Sequence[Item]) -> list[Rating]:
        asked = (listener, tuple(items))
        if asked not in believed:
            believed[asked] = await get(listener, items)
            asyncio.get_running_loop().call_later(_LATE_SECONDS, believed.pop, asked, None)
        return believed[asked]

    async def write_and_forget(listener: Listener, changes: Sequence[Change], *, now: Time) -> list[bool]:
        done = await write(listener, changes, now=now)
        believed.clear()
        return done

    _replace(store, "get", get_believed)
    _replace(store, "write", write_and_forget)


@_fault
def _ends_its_turns_late(store: Store) -> None:
    """Read on in the moment of one turn of the loop when the turn is over."""
    assert isinstance(store, SQLiteStore)
    end_turn = store._end_turn

    def end_later() -> None:
        asyncio.get_running_loop().call_later(_LATE_SECONDS, end_turn)

    _replace(store, "_end_turn", end_later)


@_fault
def _loses_the_rating_of_a_link(store: Store) -> None:
    link = store.link

    async def clear_and_link(listener: Listener, library_item: Item, catalog_item: Item, *, now: Time) -> None:
        await link(listener, library_item, catalog_item, now=now)
        await store.delete(listener, catalog_item, now=now)

    _replace(store, "link", clear_and_link)


@_fault
def _does_what_it_refuses(store: Store) -> None:
    write = store.write
    calls = iter(range(1_000_000))

    async def write_and_complain(listener: Listener, changes: Sequence[Change], *, now: Time) -> list[bool]:
        done = await write(listener, changes, now=now)
        return [False] * len(done) if next(calls) % 20 == 0 else done

    _replace(store, "write", write_and_complain)


@_fault
def _does_what_it_gave_up_much_later(store: Store) -> None:
    write = store.write
    calls = iter(range(1_000_000))
    tasks = set()

    async def write_later(listener: Listener, changes: Sequence[Change], now: Time) -> None:
        await asyncio.sleep(1.5)
        await write(listener, changes, now=now)

    async def give_up(listener: Listener, changes: Sequence[Change], *, now: Time) -> list[bool]:
        if next(calls) % 20:
            return await write(listener, changes, now=now)
        tasks.add(task := asyncio.ensure_future(write_later(listener, changes, now)))
        task.add_done_callback(tasks.discard)
        raise StoreUnavailable("the database is tired")

    _replace(store, "write", give_up)


def _replace(store: Store, name: str, method: Callable[..., Awaitable[Any] | None]) -> None:
    setattr(store, name, method)


def _break_all_stores(fault: str) -> None:
    open_store = stores.open_store

    async def open_broken(url: str, *, create: bool = True) -> Store:
        store = await open_store(url, create=create)
        FAULTS[fault](store)
        return store

    vars(app)["open_store"] = open_broken


if __name__ in {"__main__", "__mp_main__"}:  # the second is a worker, which begins by reading this file
    _break_all_stores(os.environ["BREAK"])
if __name__ == "__main__":
    cli.main()
