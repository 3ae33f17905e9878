"""Lanes: batchers side by side, one for each key that has jobs."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import pytest

from likewise.errors import StoreUnavailable
from likewise.stores.batching import WAITING_MAX, Lanes


class Job(NamedTuple):
    key: str
    number: int


class Works:
    """Notes the batches it is given; those of the key «slow» wait until the gate is opened."""

    def __init__(self) -> None:
        self.batches: list[list[Job]] = []
        self.gate = asyncio.Event()

    async def __call__(self, jobs: Sequence[Job]) -> list[int]:
        self.batches.append(list(jobs))
        if jobs[0].key == "slow":
            await self.gate.wait()
        return [job.number * 2 for job in jobs]


@pytest.fixture
async def works():
    return Works()


@pytest.fixture
async def lanes(works):
    return Lanes(works, lambda job: job.key)


async def test_jobs_of_one_key_share_batches_in_their_order(lanes, works):
    outcomes = await asyncio.gather(*(lanes.submit(Job("ada", number)) for number in (3, 1, 2)))

    assert outcomes == [6, 2, 4]
    assert works.batches == [[Job("ada", 3), Job("ada", 1), Job("ada", 2)]]


async def test_jobs_of_two_keys_never_share_a_batch(lanes, works):
    jobs = [Job(key, number) for number in range(3) for key in ("ada", "ben")]

    await asyncio.gather(*map(lanes.submit, jobs))

    assert works.batches == [[job for job in jobs if job.key == key] for key in ("ada", "ben")]


async def test_a_key_that_is_slow_holds_up_no_other(lanes, works):
    slow = lanes.submit(Job("slow", 1))
    quick = await lanes.submit(Job("quick", 2))
    was_done = slow.done()
    works.gate.set()

    assert quick == 4
    assert not was_done
    assert await slow == 2


async def test_the_jobs_and_batches_of_all_keys_are_counted_also_when_the_keys_are_forgotten(lanes):
    jobs = [lanes.submit(job) for job in (Job("ada", 1), Job("ben", 2), Job("ada", 3))]
    waiting = lanes.waiting
    await asyncio.gather(*jobs)
    await lanes.submit(Job("ada", 1))

    assert (waiting, lanes.waiting) == (3, 0)
    assert lanes.tally.jobs == 4
    assert lanes.tally.batches == [2, 1, 0, *[0] * 7]


async def test_a_key_that_has_no_job_is_forgotten(lanes, works):
    await asyncio.gather(*(lanes.submit(Job(str(number), number)) for number in range(10)))
    given_up = lanes.submit(Job("slow", 1))
    await asyncio.sleep(0)
    given_up.cancel()
    works.gate.set()
    await lanes.finish()

    assert lanes._lanes == {}


async def test_the_1025th_job_without_an_outcome_is_refused_whatever_its_key(lanes, works):
    slow = [lanes.submit(Job("slow", number)) for number in range(WAITING_MAX)]

    with pytest.raises(StoreUnavailable, match="too much is waiting"):
        lanes.submit(Job("quick", 1))
    works.gate.set()
    await asyncio.gather(*slow)
    assert await lanes.submit(Job("quick", 1)) == 2


async def test_finish_waits_for_every_key_and_lets_in_no_more(lanes, works):
    jobs = [lanes.submit(Job("slow", 1)), lanes.submit(Job("quick", 2))]
    finishing = asyncio.ensure_future(lanes.finish())
    await jobs[1]
    was_finished = finishing.done()
    late = lanes.submit(Job("quick", 3))
    works.gate.set()
    await finishing

    assert not was_finished
    assert [job.result() for job in (*jobs, late)] == [2, 4, 6]
    with pytest.raises(StoreUnavailable, match="closed"):
        lanes.submit(Job("quick", 4))
