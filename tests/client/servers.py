"""A server that misbehaves to order: whole answers, bytes as they are, or none at all."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

DROP = b""
"""Take the request, and hang up without a word."""


@dataclass
class Faulty:
    """What it was asked, each request head and body as they came; `port` is where it listens."""

    port: int
    requests: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def lines(self) -> list[str]:
        return [request.split(b"\r\n", 1)[0].decode() for request in self.requests]


def answer(status: int = 200, body: bytes = b"", *headers: str) -> bytes:
    """Write a whole answer, after which the connection is closed."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@contextmanager
def faulty_server(answers: Sequence[bytes]) -> Iterator[Faulty]:
    """Answer one request a connection with these bytes, the last ones again and again, until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Faulty(listener.getsockname()[1])
        thread = threading.Thread(target=_serve, args=(listener, server, answers))
        thread.start()
        try:
            yield server
        finally:
            # Closing a socket does not wake whoever waits on it; a connection does.
            with socket.create_connection(("127.0.0.1", server.port)) as last:
                last.sendall(b"STOP\r\n\r\n")
            thread.join()


def _serve(listener: socket.socket, server: Faulty, answers: Sequence[bytes]) -> None:
    number = 0
    while True:
        connection, _ = listener.accept()
        with connection:
            request = _read(connection)
            if request.startswith(b"STOP"):
                return
            server.requests.append(request)
            with suppress(OSError):  # the client may have heard enough
                connection.sendall(answers[min(number, len(answers) - 1)])
            number += 1


def _read(connection: socket.socket) -> bytes:
    """Read a request whose body has a Content-Length, if it has one."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65_536)
        if not piece:
            return received
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65_536)
    return head + b"\r\n\r\n" + body
