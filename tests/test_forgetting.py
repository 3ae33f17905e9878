"""Forgetting: once a day, by one of many workers, whatever the database does."""

import asyncio
import logging

import pytest

from likewise.domain import Change, Item, Kind, Value
from likewise.errors import StoreUnavailable
from likewise.forgetting import BETWEEN_SECONDS, FIRST_SECONDS, forget, forget_daily
from likewise.stores import open_store
from tests.house import DAY, HOUR, MONDAY, Clock


def song(number: int) -> Item:
    return Item(Kind.SONG, str(number))


@pytest.fixture
async def store():
    store = await open_store("sqlite:///:memory:")
    yield store
    await store.close()


async def clear(store, name: str, ratings: int, *, now: int) -> None:
    listener = await store.add_listener(name, "us")
    items = [song(number) for number in range(ratings)]
    await store.write(listener, [Change(item, Value.LIKE) for item in items], now=now)
    await store.write(listener, [Change(item, None) for item in items], now=now)


async def no_sleep(_seconds: float) -> None:
    await asyncio.sleep(0)


async def test_every_listeners_old_tombstones_go_however_many(store):
    for number in range(3):
        await clear(store, f"old-{number}", 501, now=MONDAY)
    await clear(store, "young", 5, now=MONDAY + DAY)

    assert await forget(store, before=MONDAY + 1, sleep=no_sleep) == 1_503
    assert await forget(store, before=MONDAY + 1, sleep=no_sleep) == 0


async def test_more_listeners_than_a_page_are_all_looked_after(store):
    for number in range(1_001):
        await store.add_listener(f"l{number:04}", "us")
    await clear(store, "zoe", 1, now=MONDAY)

    assert await forget(store, before=MONDAY + 1, sleep=no_sleep) == 1


class Sleeper:
    """Turns the clock instead of sleeping, and wakes nobody after so many hours."""

    def __init__(self, clock: Clock, hours: int) -> None:
        self.clock = clock
        self.hours = hours
        self.slept: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.clock.advance(int(seconds * 1000))
        if seconds >= 1:
            self.slept.append(seconds)
        if len(self.slept) > self.hours:
            raise asyncio.CancelledError


async def run(store, sleeper: Sleeper, *, days: int = 90) -> None:
    with pytest.raises(asyncio.CancelledError):
        await forget_daily(store, now=sleeper.clock, days=days, sleep=sleeper)


async def test_the_chore_waits_for_the_start_and_is_done_once_a_day(store, caplog):
    caplog.set_level(logging.INFO, "likewise")
    sleeper = Sleeper(Clock(MONDAY), hours=49)

    await run(store, sleeper)

    assert sleeper.slept[:2] == [FIRST_SECONDS, BETWEEN_SECONDS]
    assert [record.message for record in caplog.records] == ["forgot 0 cleared ratings of over 90 days ago"] * 3


async def test_of_two_workers_one_does_the_chore(store, caplog):
    caplog.set_level(logging.INFO, "likewise")
    clock = Clock(MONDAY)

    await asyncio.gather(*(run(store, Sleeper(clock, hours=5)) for _ in range(2)))

    assert len(caplog.records) == 1


async def test_tombstones_go_after_as_many_days_as_are_set(store):
    await clear(store, "ada", 3, now=MONDAY)

    await run(store, Sleeper(Clock(MONDAY + 7 * DAY - HOUR), hours=1), days=7)
    ada = await store.listener("ada")
    before = (await store.changes(ada, after=0, limit=9)).changes
    await run(store, Sleeper(Clock(MONDAY + 9 * DAY), hours=1), days=7)

    assert len(before) == 3
    assert (await store.changes(ada, after=0, limit=9)).changes == []


async def test_a_database_that_does_not_answer_is_asked_again_later(store, monkeypatch, caplog):
    outcomes = [StoreUnavailable("the disk is full"), None]
    begin_chore = store.begin_chore

    async def begin(*arguments, **options):
        if error := outcomes.pop(0):
            raise error
        return await begin_chore(*arguments, **options)

    monkeypatch.setattr(store, "begin_chore", begin)

    await run(store, Sleeper(Clock(MONDAY), hours=2))

    assert [record.message for record in caplog.records] == ["cleared ratings could not be forgotten: the disk is full"]
    assert outcomes == []
