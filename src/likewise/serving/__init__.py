"""Serving: the application on a socket, on Granian, until a signal says enough."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, TypeVar

import uvloop
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.net import SocketHolder  # type: ignore[attr-defined]  # Granian does not say that it exports it
from granian.server.embed import Server

from likewise.asgi import Application
from likewise.errors import BadSetting
from likewise.serving.addresses import BACKLOG, Address, Port, UnixSocket, free_address
from likewise.serving.connections import connections_max

Result = TypeVar("Result")

HEADER_SECONDS_MAX = 10
HEAD_BYTES_MAX = 64 * 1024
SAME_SIGNAL_SECONDS = 0.5
"""Signals so close to the first are the same one, told to a process and to its group, as timeout(1) does."""

__all__ = ["HEADER_SECONDS_MAX", "Address", "Port", "UnixSocket", "free_address", "leave", "run", "serve"]

logger = logging.getLogger("likewise")


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run what serves to its end, on uvloop: a request takes 7 to 10 % less processor time than on asyncio's loop."""
    return uvloop.run(work)


async def serve(
    app: Application,
    address: Address,
    *,
    shutdown_seconds_max: float,
    on_listening: Callable[[], None],
    is_supervised: bool = False,
) -> bool:
    """Serve until SIGTERM or SIGINT, then finish what is in flight, for at most `shutdown_seconds_max` seconds.

    Return whether it was finished; where it was not, end the process with `leave`.

    A second signal ends the wait, but not for a worker that `is_supervised`: such a one may hear of one Ctrl-C from its
    terminal and from its supervisor. `app` is open already and stays open. `on_listening` is called once the socket
    takes connections. Several processes may serve one address; the kernel deals connections out among them. Raise
    `BadSetting` when the address cannot be served.
    """
    server = _server(app, address)
    # What is loaded by now stays for good. Looking through it again and again for garbage was half of the slowest
    # PUTs' time: p99 / p50 fell from 2.7 to 1.7 (benchmarks/serving.py).
    gc.collect()
    gc.freeze()
    loop = asyncio.get_running_loop()
    told, told_twice = asyncio.Event(), asyncio.Event()
    told_at = 0.0

    def stop() -> None:
        nonlocal told_at
        if not told.is_set():
            told_at = loop.time()
            told.set()
        elif loop.time() > told_at + SAME_SIGNAL_SECONDS and not is_supervised:
            told_twice.set()

    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop)
    serving = loop.create_task(server.serve())
    try:
        await _until_listening(address, serving)
        on_listening()
        await _first_of(serving, told.wait())
        if not told.is_set():
            # So that whoever looks after this process starts another, which it would not do after exit code 0.
            raise RuntimeError("the server has ended without being told to") from serving.exception()
        if not is_supervised:
            address.withdraw()
        server.stop()  # type: ignore[no-untyped-call]  # Granian leaves it untyped
        await _first_of(serving, told_twice.wait(), seconds_max=shutdown_seconds_max)
        if serving.done():
            serving.result()
            return True
        if told_twice.is_set():
            logger.warning("told twice to stop; open connections are dropped")
        else:
            logger.warning("the shutdown took more than %g seconds; open connections are dropped", shutdown_seconds_max)
        # Granian still settles what has been dropped, and would be told that it comes too late.
        loop.set_exception_handler(lambda _loop, _context: None)
        return False
    finally:
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(each)


def leave() -> NoReturn:
    """End the process with exit code 0, without taking Python down first.

    Threads of the server that still hold dropped requests want Python then, and abort the process when it is half gone.
    """
    for each in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            each.flush()
    os._exit(0)


def _server(app: Application, address: Address) -> Server:
    options: dict[str, Any] = {
        "interface": Interfaces.ASGINL,
        "http": HTTPModes.http1,  # with automatic detection, a silent connection is never closed
        "http1_settings": HTTP1Settings(header_read_timeout=HEADER_SECONDS_MAX * 1_000, max_buffer_size=HEAD_BYTES_MAX),
        "backlog": BACKLOG,
        "backpressure": connections_max(),
        "websockets": False,
        "log_enabled": False,
    }
    if isinstance(address, UnixSocket):
        return _SocketServer(app, address, options)
    if address.certificate:
        options["ssl_cert"], options["ssl_key"] = address.certificate
        options["ssl_protocol_min"] = SSLProtocols.tls12
    return Server(app, address=address.host, port=address.port, **options)


class _SocketServer(Server):
    """Granian on a socket that listens already: left to itself it makes one of its own, which no two workers share."""

    def __init__(self, app: Application, address: UnixSocket, options: dict[str, Any]) -> None:
        super().__init__(app, **options)
        self._listener = address.listener

    def _init_shared_socket(self) -> None:
        holder: Any = SocketHolder  # whose types leave out how one is made
        self._shd = holder(os.dup(self._listener.fileno()), True, BACKLOG)  # noqa: FBT003 - Granian's way


async def _until_listening(address: Address, serving: "asyncio.Task[None]") -> None:
    while not serving.done():
        with contextlib.suppress(OSError):
            writer = await address.knock()
            writer.close()
            await writer.wait_closed()
            return
        await asyncio.sleep(0.002)
    raise BadSetting(f"{address.url} cannot be served", "has something else taken it?") from serving.exception()


async def _first_of(
    serving: "asyncio.Task[None]", told: Coroutine[Any, Any, Any], *, seconds_max: float | None = None
) -> None:
    """Wait for what comes first: the server's end, being told, or the end of patience."""
    telling = asyncio.ensure_future(told)
    await asyncio.wait([serving, telling], timeout=seconds_max, return_when=asyncio.FIRST_COMPLETED)
    telling.cancel()
