"""Rounds of torture: clients at work, a SIGKILL at a random moment, a new start, and a check of all anyone was told.

A run is one database and a few rounds on it. All that is done in a run is drawn from its seed; what a machine makes of
it differs a little from time to time, so a seed that failed is worth a few repetitions.
"""

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.torture.checker import Unexplained, check
from tests.torture.clients import LISTENERS, Client, Group, History, Line, Work, until_ready
from tests.torture.integrity import Counter, counters, wrongs
from tests.torture.model import Verb, is_library_id
from tests.torture.service import ENGINES, Postgres, Service, settle

LOAD_SECONDS_MIN = 0.15
LOAD_SECONDS_MAX = 0.6
AFTER_SECONDS = 0.15
KILLED_WHILE_STARTING = 0.2


class Failed(Exception):
    """A promise was broken; the text says which."""


@dataclass(frozen=True)
class Plan:
    """What is tortured, and how; nothing is killed when it `is_gentle`. `fault` is one of `broken.FAULTS`, or none."""

    seed: int
    engine: str = "sqlite"
    workers: int = 1
    rounds: int = 4
    clients: int = 10
    groups: int = 3
    is_gentle: bool = False
    work: Work = Work.WHATEVER
    fault: str = ""

    def __str__(self) -> str:
        return f"--seed {self.seed} --engine {self.engine} --workers {self.workers} --rounds {self.rounds}"


@dataclass
class Run:
    """What has happened so far in one run; `tell` hears what each round does, `advance` that it has passed."""

    plan: Plan
    folder: Path
    tell: Callable[[str], None] = lambda _what: None
    advance: Callable[[], None] = lambda: None
    history: History = field(default_factory=History)
    unavailable: int = 0

    def __post_init__(self) -> None:
        self._chance = random.Random(self.plan.seed)
        self._groups = [Group(name, number) for name in LISTENERS for number in range(self.plan.groups)]
        self._counters: list[Counter] = []

    async def go(self) -> None:
        """Do all rounds; raise `Failed`."""
        plan = self.plan
        database = await asyncio.to_thread(ENGINES[plan.engine], self.folder)
        self._database = database
        self._credentials = await asyncio.to_thread(settle, database.url)
        service = Service(database.url, plan.workers, fault=plan.fault)
        try:
            await asyncio.to_thread(service.start)
            for _ in range(plan.rounds):
                await self._round(service)
                self.advance()
            await asyncio.to_thread(service.stop)
            self._check_database()
        finally:
            await asyncio.to_thread(service.close)
        if any("Traceback" in line for line in service.said):
            raise Failed("the service was surprised:\n" + "".join(service.said))

    async def _round(self, service: Service) -> None:
        end = self._chance.choice(self._ends())
        self.tell(end.__name__.strip("_").replace("_", " "))
        seconds = self._chance.uniform(LOAD_SECONDS_MIN, LOAD_SECONDS_MAX)
        async with self._clients(service.address):
            await asyncio.sleep(seconds)
            await end(service)
        await asyncio.to_thread(self._settle)
        await self._look_at_everything(service.address)
        await asyncio.to_thread(self._check_database)
        await asyncio.to_thread(self._check_history)

    def _ends(self) -> Sequence[Callable[[Service], Awaitable[None]]]:
        if self.plan.is_gentle:
            return [self._nothing_is_killed]
        ends: list[Callable[[Service], Awaitable[None]]] = [self._the_service_is_killed]
        if self.plan.workers > 1:
            ends.append(self._a_worker_is_killed)
        if isinstance(self._database, Postgres):
            ends += [self._the_database_is_killed, self._everything_is_killed]
        return ends

    # What happens to the service while clients are at work

    async def _nothing_is_killed(self, _service: Service) -> None:
        pass

    async def _the_service_is_killed(self, service: Service) -> None:
        await asyncio.to_thread(service.kill)
        await self._start(service)

    async def _a_worker_is_killed(self, service: Service) -> None:
        [victim, *_] = self._chance.sample(service.worker_processes, 1)
        os.kill(victim.pid, signal.SIGKILL)
        await asyncio.sleep(AFTER_SECONDS)

    async def _the_database_is_killed(self, service: Service) -> None:
        assert isinstance(self._database, Postgres)
        await asyncio.to_thread(self._database.server.kill)
        await asyncio.sleep(AFTER_SECONDS)
        await asyncio.to_thread(self._database.server.start)
        await service.wait_until_ready()

    async def _everything_is_killed(self, service: Service) -> None:
        assert isinstance(self._database, Postgres)
        kills = [service.kill, self._database.server.kill]
        self._chance.shuffle(kills)
        for kill in kills:
            await asyncio.to_thread(kill)
        await asyncio.to_thread(self._database.server.start)
        await self._start(service)

    async def _start(self, service: Service) -> None:
        """Start the service again, and sometimes kill it once more before it listens."""
        if self._chance.random() < KILLED_WHILE_STARTING:
            service.begin()
            await asyncio.sleep(self._chance.uniform(0.2, 0.8))
            await asyncio.to_thread(service.kill)
        await asyncio.to_thread(service.start)

    # Clients

    @asynccontextmanager
    async def _clients(self, address: str) -> AsyncIterator[None]:
        stop = asyncio.Event()
        clients = [self._client() for _ in range(self.plan.clients)]
        async with asyncio.TaskGroup() as tasks:
            for client in clients:
                tasks.create_task(client.go_on(address, self._groups, stop))
            try:
                yield
            finally:
                stop.set()
        self.unavailable += sum(client.unavailable for client in clients)

    def _client(self) -> Client:
        chance = random.Random(self._chance.random())
        return Client(self.history, self._credentials, chance, self.plan.work)

    async def _look_at_everything(self, address: str) -> None:
        """Read each rating and each link once: from now on what is seen stays."""
        client = self._client()
        line = await Line.open_patiently(address)
        for group in self._groups:
            for id in self.history.all_ids(group):
                questions = [Verb.GET, Verb.FIND_ITEM if is_library_id(id) else Verb.FIND_TWIN]
                for verb in questions:
                    while not await client.ask(line, group, verb, (id,)):
                        await until_ready(line, asyncio.Event())
        await line.close()

    def _settle(self) -> None:
        """Wait until the database is at rest; what was not answered has taken effect by now, or never will."""
        while self._database.is_busy():
            time.sleep(0.01)
        self.history.settle(time.monotonic())

    # Checks

    def _check_history(self) -> None:
        if self.history.wrong:
            raise Failed("\n".join(self.history.wrong))
        for group, operations in self.history.operations.items():
            try:
                check(operations)
            except Unexplained as error:
                raise Failed(f"{group}: {error}") from error

    def _check_database(self) -> None:
        found = wrongs(self._database.url)
        seen, self._counters = self._counters, counters(self._database)
        found += [
            f"the counter {before} went back"
            for before, after in zip(seen, self._counters, strict=False)
            if after < before
        ]
        if found:
            raise Failed("\n".join(found))
