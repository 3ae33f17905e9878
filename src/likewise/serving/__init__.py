"""Serving: the application on a socket, on Granian, until a signal says enough."""

import asyncio
import contextlib
import errno
import gc
import logging
import signal
import socket
from collections.abc import Callable
from typing import NamedTuple

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from likewise.asgi import Application
from likewise.errors import BadSetting

HEADER_SECONDS_MAX = 10
_BACKLOG = 1_024

logger = logging.getLogger("likewise")


class Address(NamedTuple):
    """Where the service listens: an IP address and a port."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """The URL of the service, without a slash at its end."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def free_address(host: str, port: int) -> Address:
    """Check that nobody listens on host and port, and pick a free port for 0; raise `BadSetting`.

    Granian shares ports (SO_REUSEPORT), so without this check a second server would start and take half the requests.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return Address(*probe.getsockname()[:2])
    except (OSError, UnicodeError) as error:
        raise BadSetting(*_why_not(host, port, error)) from error


def _why_not(host: str, port: int, error: OSError | UnicodeError) -> tuple[str, str]:
    match getattr(error, "errno", None):
        case errno.EADDRINUSE:
            return f"port {port} of {host} is in use", "stop what listens there, or give another --port"
        case errno.EACCES:
            return f"port {port} of {host} is not yours to open", "give a --port from 1024 up"
        case _:
            return f"{host} is no address of this machine", "give --host 127.0.0.1, or 0.0.0.0 for all addresses"


async def serve(
    app: Application, address: Address, *, shutdown_seconds_max: float, on_listening: Callable[[], None]
) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is in flight, for at most `shutdown_seconds_max` seconds.

    `app` is open already and stays open. `on_listening` is called once the socket takes connections. Several processes
    may serve one address; the kernel deals connections out among them.
    """
    server = Server(
        app,
        address=address.host,
        port=address.port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,  # with automatic detection, a silent connection is never closed
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_SECONDS_MAX * 1_000),
        backlog=_BACKLOG,
        backpressure=_BACKLOG,
        websockets=False,
        log_enabled=False,
    )
    # What is loaded by now stays for good. Looking through it again and again for garbage was half of the slowest
    # PUTs' time: p99 / p50 fell from 2.7 to 1.7 (benchmarks/serving.py).
    gc.collect()
    gc.freeze()
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stopping.set)
    serving = loop.create_task(server.serve())
    try:
        await _until_listening(address, serving)
        on_listening()
        await asyncio.wait([serving, loop.create_task(stopping.wait())], return_when=asyncio.FIRST_COMPLETED)
        server.stop()  # type: ignore[no-untyped-call]  # Granian leaves it untyped
        _, late = await asyncio.wait([serving], timeout=shutdown_seconds_max)
        if late:
            logger.warning("the shutdown took more than %g seconds; open connections are dropped", shutdown_seconds_max)
            # Granian still settles what has been dropped, and would be told that it comes too late.
            loop.set_exception_handler(lambda _loop, _context: None)
        else:
            serving.result()
    finally:
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(each)


async def _until_listening(address: Address, serving: "asyncio.Task[None]") -> None:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)  # noqa: S104 - compared, not bound
    while not serving.done():
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(host, address.port)
            writer.close()
            await writer.wait_closed()
            return
        await asyncio.sleep(0.002)
    await serving
