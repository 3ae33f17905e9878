"""Batching: who shares a batch, in which order, how many, and who hears of a failure."""

import asyncio
from collections.abc import Sequence

import pytest

from likewise.errors import StoreUnavailable
from likewise.stores.batching import BATCH_MAX, WAITING_MAX, Batcher


class Works:
    """Notes the batches it is given and answers each job with its double, as soon as its gate is open."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = asyncio.Event()
        self.at_once = 0

    async def __call__(self, jobs: Sequence[int]) -> list[int]:
        self.at_once += 1
        assert self.at_once == 1
        self.batches.append(list(jobs))
        self.begun.set()
        await self.gate.wait()
        self.at_once -= 1
        return [job * 2 for job in jobs]


@pytest.fixture
async def works():
    return Works()


@pytest.fixture
async def batcher(works):
    return Batcher(works)


async def begin(batcher: Batcher[int, int], works: Works, job: int) -> asyncio.Future[int]:
    """Submit a job and wait until its batch is under way; it ends when the gate is opened."""
    works.gate.clear()
    future = batcher.submit(job)
    await works.begun.wait()
    return future


async def test_a_job_gets_its_outcome(batcher):
    assert await batcher.submit(21) == 42


async def test_a_lonely_job_does_not_wait_for_company(batcher, works):
    await batcher.submit(1)
    await batcher.submit(2)

    assert works.batches == [[1], [2]]


async def test_jobs_that_are_submitted_together_share_a_batch(batcher, works):
    outcomes = await asyncio.gather(*(batcher.submit(job) for job in (3, 1, 2)))

    assert outcomes == [6, 2, 4]
    assert works.batches == [[3, 1, 2]]


async def test_jobs_that_arrive_while_a_batch_is_under_way_share_the_next(batcher, works):
    first = await begin(batcher, works, 1)
    rest = [batcher.submit(job) for job in (2, 3, 4)]
    await asyncio.sleep(0)
    were_done = [future.done() for future in (first, *rest)]
    works.gate.set()

    assert await asyncio.gather(first, *rest) == [2, 4, 6, 8]
    assert were_done == [False] * 4
    assert works.batches == [[1], [2, 3, 4]]


async def test_a_batch_is_at_most_512_jobs(batcher, works):
    jobs = list(range(BATCH_MAX + 1))

    outcomes = await asyncio.gather(*(batcher.submit(job) for job in jobs))

    assert outcomes == [job * 2 for job in jobs]
    assert works.batches == [jobs[:512], jobs[512:]]


async def test_512_jobs_are_one_batch(batcher, works):
    await asyncio.gather(*(batcher.submit(job) for job in range(512)))

    assert len(works.batches) == 1


async def test_the_1025th_waiting_job_is_refused_and_the_others_are_done(batcher, works):
    under_way = await begin(batcher, works, -1)
    waiting = [batcher.submit(job) for job in range(1_024)]

    with pytest.raises(StoreUnavailable, match="too much is waiting"):
        batcher.submit(1_024)
    works.gate.set()
    assert await asyncio.gather(under_way, *waiting) == [-2, *range(0, 2_048, 2)]
    assert WAITING_MAX == 1_024


async def test_batches_are_counted_by_size_and_jobs_one_by_one(batcher, works):
    for size in (1, 2, 3, 4, 5, 8, 9, 256, 257, 512):
        await asyncio.gather(*(batcher.submit(job) for job in range(size)))

    assert batcher.tally.batches == [1, 1, 2, 2, 1, 0, 0, 0, 1, 2]
    assert batcher.tally.jobs == sum(map(len, works.batches))
    assert batcher.waiting == 0


async def test_after_a_refusal_there_is_room_again(batcher, works):
    await begin(batcher, works, -1)
    waiting = [batcher.submit(job) for job in range(WAITING_MAX)]
    with pytest.raises(StoreUnavailable):
        batcher.submit(1)
    works.gate.set()
    await asyncio.gather(*waiting)

    assert await batcher.submit(1) == 2


@pytest.mark.parametrize(
    "error", [ValueError("no"), StoreUnavailable("no"), asyncio.CancelledError(), BaseExceptionGroup("no", [OSError()])]
)
async def test_whatever_run_raises_reaches_everybody_in_the_batch(error):
    async def fail(_jobs):
        raise error

    batcher = Batcher(fail)

    outcomes = await asyncio.gather(*(batcher.submit(job) for job in range(3)), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [type(error)] * 3


async def test_after_a_batch_that_failed_the_next_is_run():
    begun = asyncio.Event()

    async def fail_once(jobs):
        if not begun.is_set():
            begun.set()
            raise ValueError("the first one")
        return jobs

    batcher = Batcher(fail_once)
    failed = batcher.submit(1)
    await begun.wait()
    waiting = batcher.submit(2)

    with pytest.raises(ValueError, match="the first one"):
        await failed
    assert await waiting == 2
    assert await batcher.submit(3) == 3


async def test_an_exception_among_the_outcomes_is_for_its_job_alone():
    async def refuse_odd(jobs):
        return [ValueError(job) if job % 2 else job for job in jobs]

    batcher = Batcher(refuse_odd)

    outcomes = await asyncio.gather(*(batcher.submit(job) for job in range(4)), return_exceptions=True)

    assert (outcomes[0], outcomes[2]) == (0, 2)
    assert [outcome.args for outcome in outcomes[1::2]] == [(1,), (3,)]


async def test_a_job_that_is_cancelled_before_its_batch_is_not_run(batcher, works):
    first = await begin(batcher, works, 1)
    waiting = [batcher.submit(job) for job in (2, 3, 4)]
    waiting[1].cancel()
    works.gate.set()

    assert await asyncio.gather(*[first, *waiting[::2]]) == [2, 4, 8]
    assert works.batches == [[1], [2, 4]]


async def test_cancelling_whoever_awaits_a_job_takes_it_out(batcher, works):
    async def wait_for(job: int) -> int:
        outcome: int = await batcher.submit(job)
        return outcome

    first = await begin(batcher, works, 1)
    waiting = asyncio.ensure_future(wait_for(2))
    await asyncio.sleep(0)
    waiting.cancel()
    works.gate.set()
    await asyncio.gather(first, waiting, return_exceptions=True)
    await batcher.finish()

    assert waiting.cancelled()
    assert 2 not in [job for batch in works.batches for job in batch]


async def test_a_job_that_is_cancelled_while_its_batch_is_under_way_harms_nobody(batcher, works):
    works.gate.clear()
    futures = [batcher.submit(job) for job in (1, 2)]
    await works.begun.wait()
    futures[0].cancel()
    works.gate.set()

    assert await futures[1] == 4
    assert works.batches == [[1, 2]]
    assert await batcher.submit(3) == 6


async def test_finish_waits_for_what_is_under_way_and_what_is_waiting(batcher, works):
    futures = [await begin(batcher, works, 1), batcher.submit(2)]
    finishing = asyncio.ensure_future(batcher.finish())
    for _ in range(10):
        await asyncio.sleep(0)
    was_finished = finishing.done()
    works.gate.set()
    await finishing

    assert not was_finished
    assert [future.result() for future in futures] == [2, 4]


async def test_finish_waits_for_what_is_submitted_while_it_waits(batcher, works):
    await begin(batcher, works, 1)
    finishing = asyncio.ensure_future(batcher.finish())
    await asyncio.sleep(0)
    late = batcher.submit(2)
    works.gate.set()
    await finishing

    assert late.result() == 4


async def test_finish_returns_at_once_when_there_is_nothing_to_do(batcher, works):
    await batcher.finish()

    assert works.batches == []


async def test_giving_up_on_finish_does_not_stop_the_jobs(batcher, works):
    future = await begin(batcher, works, 1)
    finishing = asyncio.ensure_future(batcher.finish())
    await asyncio.sleep(0)
    finishing.cancel()
    await asyncio.gather(finishing, return_exceptions=True)
    works.gate.set()

    assert await future == 2


async def test_after_finishing_no_job_is_taken():
    batcher: Batcher[int, int] = Batcher(lambda jobs: asyncio.sleep(0, jobs))
    await batcher.finish()

    with pytest.raises(StoreUnavailable, match="has been closed"):
        batcher.submit(1)
