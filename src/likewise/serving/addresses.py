"""Where the service listens: on a port, with TLS or without, or on a Unix socket."""

import asyncio
import contextlib
import errno
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, TypeAlias

from likewise.config import Settings
from likewise.errors import AddressInUse, BadSetting
from likewise.serving.tls import Certificate, checked_certificate

BACKLOG = 1_024
"""How many connections may wait to be taken."""


class Port(NamedTuple):
    """An IP address and a port; with a certificate, TLS is spoken there."""

    host: str
    port: int
    certificate: Certificate | None = None

    @property
    def url(self) -> str:
        """The URL of the service, without a slash at its end."""
        scheme = "https" if self.certificate else "http"
        return f"{scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    async def knock(self) -> asyncio.StreamWriter:
        """Open a connection; raise `OSError` while nobody listens."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - compared, not bound
        return (await asyncio.open_connection(host, self.port))[1]

    def withdraw(self) -> None:
        """Do nothing: the server closes the port itself, the moment it stops."""


class UnixSocket(NamedTuple):
    """A file to connect to, and the socket that listens there, which all workers share."""

    path: Path
    listener: socket.socket
    made: tuple[int, int]
    """Which file it is: inode and time, for another's may come in its place."""

    @property
    def url(self) -> str:
        """The address as nginx writes it."""
        return f"unix:{self.path}"

    async def knock(self) -> asyncio.StreamWriter:
        """Open a connection; raise `OSError` while nobody listens."""
        return (await asyncio.open_unix_connection(self.path))[1]

    def withdraw(self) -> None:
        """Let nobody new in: remove the file."""
        with contextlib.suppress(OSError):
            if _made(self.path) == self.made:
                self.path.unlink()


Address: TypeAlias = Port | UnixSocket


@contextmanager
def open_address(settings: Settings, *, now: datetime) -> Iterator[Address]:
    """Take the address of the settings until the block ends; raise `AddressInUse` or `BadSetting` where that cannot be.

    `now` is what certificates must be valid at.
    """
    if settings.socket:
        with open_socket(Path(settings.socket), mode=int(settings.socket_mode, 8)) as unix_socket:
            yield unix_socket
        return
    port = free_address(settings.host, settings.port)
    if settings.tls_certificate:
        files = Path(settings.tls_certificate), Path(settings.tls_key)
        port = port._replace(certificate=checked_certificate(*files, now=now))
    yield port


def free_address(host: str, port: int) -> Port:
    """Check that nobody listens on host and port, and pick a free port for 0; raise `AddressInUse`, `BadSetting`.

    Granian shares ports (SO_REUSEPORT), so without this check a second server would start and take half the requests.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return Port(*probe.getsockname()[:2])
    except (OSError, UnicodeError) as error:
        raise _why_no_port(host, port, error) from error


def _why_no_port(host: str, port: int, error: OSError | UnicodeError) -> AddressInUse | BadSetting:
    match getattr(error, "errno", None):
        case errno.EADDRINUSE:
            return AddressInUse(f"port {port} of {host} is in use", "stop what listens there, or give another --port")
        case errno.EACCES:
            return BadSetting(f"port {port} of {host} is not yours to open", "give a --port from 1024 up")
        case _:
            hint = "give --host 127.0.0.1, or 0.0.0.0 for all addresses"
            return BadSetting(f"{host} is no address of this machine", hint)


@contextmanager
def open_socket(path: Path, *, mode: int) -> Iterator[UnixSocket]:
    """Listen on a Unix socket until the block ends; raise `AddressInUse` or `BadSetting` where that cannot be.

    A socket that nobody listens on any more is replaced; anything else of that name is left alone.
    """
    path = path.absolute()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        try:
            made = _listen(listener, path, mode)
        except OSError as error:
            why = error.strerror or str(error)
            raise BadSetting(
                f"the socket {path} cannot be made ({why})", "is its folder there and yours, its path under 108 bytes?"
            ) from error
        unix_socket = UnixSocket(path, listener, made)
        try:
            yield unix_socket
        finally:
            unix_socket.withdraw()


def _listen(listener: socket.socket, path: Path, mode: int) -> tuple[int, int]:
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # Of several that start at once, one comes first, and the others see it listen.
        fcntl.flock(folder, fcntl.LOCK_EX)
        _clear(path)
        umask = os.umask(0o777)  # nobody's, until it has its mode
        try:
            listener.bind(str(path))
        finally:
            os.umask(umask)
        path.chmod(mode)
        listener.listen(BACKLOG)
        return _made(path)
    finally:
        os.close(folder)


def _clear(path: Path) -> None:
    """Remove a socket that nobody listens on; raise `AddressInUse` or `BadSetting` for anything else that is there."""
    try:
        is_socket = stat.S_ISSOCK(path.lstat().st_mode)
    except FileNotFoundError:
        return
    if not is_socket:
        raise BadSetting(f"{path} is there and is no socket", "give another LIKEWISE_SOCKET, or remove it")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0)  # one that is too busy to answer is in use too
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:
            pass
    raise AddressInUse(f"the socket {path} is in use", "stop what listens there, or give another LIKEWISE_SOCKET")


def _made(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_ino, found.st_mtime_ns
