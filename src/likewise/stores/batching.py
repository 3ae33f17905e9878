"""Batching: jobs that arrive while a batch is under way go down together in the next one.

A database commit costs the same for one job as for many, so under load the commit is shared, and without load nobody
waits for company.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from likewise.errors import StoreUnavailable

Job = TypeVar("Job")
Outcome = TypeVar("Outcome")

WAITING_MAX = 1_024
BATCH_MAX = 512


class Batcher(Generic[Job, Outcome]):
    """Hands jobs to `run` in batches, one batch at a time, in the order of their arrival.

    `run` returns for each job its outcome, or the exception for whoever waits for it. When `run` itself raises,
    everybody in the batch gets that.
    """

    def __init__(self, run: Callable[[Sequence[Job]], Awaitable[Sequence[Outcome | BaseException]]]) -> None:
        self._run = run
        self._waiting: list[tuple[Job, asyncio.Future[Outcome]]] = []
        self._draining: asyncio.Task[None] | None = None
        self._is_finished = False

    def submit(self, job: Job) -> asyncio.Future[Outcome]:
        """Queue a job; raise `StoreUnavailable` when 1 024 are waiting, and after `finish`.

        Whoever cancels the future before its batch has begun takes the job out.
        """
        if self._is_finished:
            raise StoreUnavailable("the database has been closed")
        if len(self._waiting) >= WAITING_MAX:
            raise StoreUnavailable("too many writes are waiting for the database")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()
        self._waiting.append((job, future))
        if self._draining is None:
            self._draining = loop.create_task(self._drain())
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
                    await self._settle(batch)
        finally:
            self._draining = None
            # Empty, unless this task was cancelled; then nobody may be left waiting.
            for _, future in self._waiting:
                future.cancel()
            self._waiting.clear()

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
