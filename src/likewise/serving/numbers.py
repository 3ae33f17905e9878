"""The metrics on an address of their own, where no client of the service comes.

Each worker answers there for all, in threads beside its event loop: whoever looks is one program, every few seconds.
"""

import contextlib
import errno
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

from likewise.config import OFF, ROOT, Settings, split_address
from likewise.errors import AddressInUse, BadSetting

PATH = "/metrics"
CONNECTIONS_MAX = 8
"""How many may look at once, a worker; whoever comes then is turned away."""
SECONDS_MAX = 10.0
"""How long a connection may be silent."""
_STOP_SECONDS = 0.1

Numbers: TypeAlias = Callable[[], tuple[bytes, str]]


@contextlib.contextmanager
def open_listener(settings: Settings) -> Iterator[socket.socket | None]:
    """Listen where the settings want the metrics until the block ends, if they want that.

    The socket is for all workers. Raise `AddressInUse` or `BadSetting` where the address cannot be had.
    """
    if settings.metrics_address in {ROOT, OFF}:
        yield None
        return
    host, port = split_address(settings.metrics_address)
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.create_server(address[:2], family=family)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        kind = AddressInUse if getattr(error, "errno", None) == errno.EADDRINUSE else BadSetting
        raise kind(
            f"the metrics cannot be at {settings.metrics_address} ({why})", "give another LIKEWISE_METRICS_ADDRESS"
        ) from error
    with listener:
        yield listener


def url_of(listener: socket.socket) -> str:
    """Name the address of the metrics, for a log."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{PATH}"


@contextlib.contextmanager
def numbers_served(listener: socket.socket, numbers: Numbers) -> Iterator[None]:
    """Answer on the listener until the block ends."""
    with _Server(listener, numbers) as server:
        thread = threading.Thread(target=server.serve_forever, args=[_STOP_SECONDS], name="metrics", daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()


class _Server(ThreadingHTTPServer):
    def __init__(self, listener: socket.socket, numbers: Numbers) -> None:
        super().__init__(("", 0), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener.dup()
        # Of the workers that wait on the socket one gets each connection, and the others must not wait for the next.
        self.socket.settimeout(0)
        self.numbers = numbers
        self._places = threading.BoundedSemaphore(CONNECTIONS_MAX)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of who hung up."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = SECONDS_MAX

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != PATH:
            self.send_error(404)
            return
        text, content_type = self.server.numbers()
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_HEAD = do_GET  # noqa: N815 - the standard library's way

    def version_string(self) -> str:
        return "likewise"

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing: looking at the metrics is no event."""
