"""Batching: jobs that arrive while a batch is under way go down together in the next one.

A database commit costs the same for one job as for many, so under load the commit is shared, and without load nobody
waits for company.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextvars import Context
from typing import Generic, TypeAlias, TypeVar

from likewise.errors import StoreUnavailable
from likewise.store import BATCH_SIZES

Job = TypeVar("Job")
Outcome = TypeVar("Outcome")
Run: TypeAlias = Callable[[Sequence[Job]], Awaitable[Sequence[Outcome | BaseException]]]

WAITING_MAX = 1_024
BATCH_MAX = BATCH_SIZES[-1]


def _nothing() -> None:
    pass


class Batcher(Generic[Job, Outcome]):
    """Hands jobs to `run` in batches, one batch at a time, in the order of their arrival.

    `run` returns for each job its outcome, or the exception for whoever waits for it. When `run` itself raises,
    everybody in the batch gets that.
    """

    def __init__(
        self, run: "Run[Job, Outcome]", *, on_idle: Callable[[], object] = _nothing, tally: "Tally | None" = None
    ) -> None:
        self._run = run
        self._on_idle = on_idle
        self.tally = tally or Tally()
        self._waiting: list[tuple[Job, asyncio.Future[Outcome]]] = []
        self._draining: asyncio.Task[None] | None = None
        self._is_finished = False

    @property
    def waiting(self) -> int:
        """How many jobs have not been handed to `run` yet."""
        return len(self._waiting)

    def submit(self, job: Job) -> asyncio.Future[Outcome]:
        """Queue a job; raise `StoreUnavailable` when 1 024 are waiting, and after `finish`.

        Whoever cancels the future before its batch has begun takes the job out.
        """
        if self._is_finished:
            raise _closed()
        if len(self._waiting) >= WAITING_MAX:
            raise _too_much()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()
        self._waiting.append((job, future))
        if self._draining is None:
            # In no context: a batch is nobody's own.
            self._draining = loop.create_task(self._drain(), context=Context())
        return future

    async def finish(self) -> None:
        """Wait until nothing is waiting and nothing is under way, and take no more jobs from then on."""
        while self._draining is not None:
            await asyncio.wait([self._draining])
        self._is_finished = True

    async def _drain(self) -> None:
        try:
            while self._waiting:
                batch = [entry for entry in self._waiting[:BATCH_MAX] if not entry[1].done()]
                del self._waiting[:BATCH_MAX]
                if batch:
                    self.tally.add(len(batch))
                    await self._settle(batch)
        finally:
            self._draining = None
            # Empty, unless this task was cancelled; then nobody may be left waiting.
            for _, future in self._waiting:
                future.cancel()
            self._waiting.clear()
            self._on_idle()

    async def _settle(self, batch: Sequence[tuple[Job, asyncio.Future[Outcome]]]) -> None:
        # Gathered, so that whatever `run` raises reaches those who wait, and never leaves them waiting.
        try:
            [outcomes] = await asyncio.gather(self._run([job for job, _ in batch]), return_exceptions=True)
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        if isinstance(outcomes, BaseException):
            outcomes = [outcomes] * len(batch)
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            if future.done():  # whoever waited was cancelled meanwhile
                continue
            if isinstance(outcome, BaseException):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)


class Tally:
    """How many jobs went down, in how many batches by size, as `likewise.store.Statistics` has them."""

    def __init__(self) -> None:
        self.jobs = 0
        self.batches = [0] * len(BATCH_SIZES)

    def add(self, jobs: int) -> None:
        self.jobs += jobs
        self.batches[(jobs - 1).bit_length()] += 1


class Lanes(Generic[Job, Outcome]):
    """Batchers side by side, one for each key that has jobs.

    Jobs of one key share batches and keep their order; those of another key do not wait for them, and never share a
    batch with them.
    """

    def __init__(self, run: "Run[Job, Outcome]", key_of: Callable[[Job], Hashable]) -> None:
        self._run = run
        self._key_of = key_of
        self._lanes: dict[Hashable, Batcher[Job, Outcome]] = {}
        self._unfinished = 0
        self._is_finished = False
        self.tally = Tally()

    @property
    def waiting(self) -> int:
        """How many jobs have not been handed to `run` yet."""
        # Listed at one stroke, for another thread may ask while lanes come and go.
        return sum(lane.waiting for lane in list(self._lanes.values()))

    def submit(self, job: Job) -> asyncio.Future[Outcome]:
        """Queue a job, as `Batcher` does; raise `StoreUnavailable` when 1 024 of all keys have no outcome yet."""
        if self._is_finished:
            raise _closed()
        if self._unfinished >= WAITING_MAX:
            raise _too_much()
        key = self._key_of(job)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Batcher(self._run, on_idle=lambda: self._lanes.pop(key), tally=self.tally)
        future = lane.submit(job)
        self._unfinished += 1
        future.add_done_callback(self._note_done)
        return future

    async def finish(self) -> None:
        """Wait until nothing is waiting and nothing is under way, and take no more jobs from then on."""
        while self._lanes:
            await asyncio.gather(*(lane.finish() for lane in list(self._lanes.values())))
        self._is_finished = True

    def _note_done(self, _future: asyncio.Future[Outcome]) -> None:
        self._unfinished -= 1


def _closed() -> StoreUnavailable:
    return StoreUnavailable("the database has been closed")


def _too_much() -> StoreUnavailable:
    return StoreUnavailable("too much is waiting for the database")
