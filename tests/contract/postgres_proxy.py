"""A wire between the adapter and PostgreSQL: it counts what is said, and can be made to stall.

https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, urlsplit, urlunsplit

_PORT = 5432


class Proxy:
    """`trips` counts what the client waited for (Sync and simple queries), `executed` the statements in them.

    `answer_seconds` is how long each answer is held back; after `stall_after` statements, the next one is.
    """

    url: str

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.messages = 0
        self.trips = 0
        self.executed = 0
        self.connections = 0
        self.answer_seconds = 0.0
        self.stall_after: int | None = None
        self._may_flow = asyncio.Event()
        self._may_flow.set()
        self._tasks: set[asyncio.Task[None]] = set()

    def stall(self) -> None:
        """Hold back, from now on, whatever the client says, and never close a connection."""
        self._may_flow.clear()

    def resume(self) -> None:
        self.stall_after = None
        self._may_flow.set()

    def forget(self) -> None:
        self.messages = self.trips = self.executed = 0

    async def _serve(self, upstream: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self._carry(upstream, reader, writer)
        finally:
            writer.close()

    async def _carry(self, upstream: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parts = urlsplit(upstream)
        host = parse_qs(parts.query).get("host", [parts.hostname or "localhost"])[0]
        port = parts.port or _PORT
        if host.startswith("/"):
            server_reader, server_writer = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        else:
            server_reader, server_writer = await asyncio.open_connection(host, port)
        answers = asyncio.ensure_future(self._answers(server_reader, writer))
        try:
            await self._questions(reader, server_writer)
        finally:
            answers.cancel()
            for each in (writer, server_writer):
                each.close()
            for each in (writer, server_writer):
                with suppress(OSError):
                    await each.wait_closed()

    async def _questions(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):
            length = await reader.readexactly(4)  # the first message has no type
            writer.write(length + await reader.readexactly(int.from_bytes(length) - 4))
            while True:
                head = await reader.readexactly(5)
                body = await reader.readexactly(int.from_bytes(head[1:]) - 4)
                self.messages += 1
                self.trips += head[:1] in {b"S", b"Q"}
                self.executed += head[:1] in {b"E", b"Q"}
                if self.stall_after is not None and self.executed > self.stall_after:
                    self.stall()
                await self._may_flow.wait()
                writer.write(head + body)

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while some := await reader.read(65_536):
                await asyncio.sleep(self.answer_seconds)
                await self._may_flow.wait()
                writer.write(some)
            writer.close()

    def _accept(self, upstream: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(upstream, reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def proxied(upstream: str) -> AsyncIterator[Proxy]:
    """Listen on a port of our own for connections to the database `upstream`."""
    proxy = Proxy(upstream)
    server = await asyncio.start_server(lambda *streams: proxy._accept(upstream, *streams), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    parts = urlsplit(upstream)
    user = parts.username or "postgres"
    netloc = f"{user}:{parts.password}@{host}:{port}" if parts.password else f"{user}@{host}:{port}"
    proxy.url = urlunsplit(parts._replace(netloc=netloc, query="sslmode=disable"))
    try:
        yield proxy
    finally:
        server.close()
        await proxy._end()
