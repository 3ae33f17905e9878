"""What the commands of an operator share: the database they work on, and the keys they read."""

import asyncio
import itertools
import os
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from likewise.admin import Admin
from likewise.app import now
from likewise.cli.output import counted, database_option, json_option, show, tell, when
from likewise.config import hide_password, read_settings
from likewise.domain import key_id_of
from likewise.errors import BadKey, BadName, BadSetting
from likewise.store import Store
from likewise.stores import open_store

Result = TypeVar("Result")

_KEY_BYTES_MAX = 64 * 1024
_DEAF_SECONDS_MAX = 0.5
"""How long after Ctrl-C the loop may hear of it, before what keeps it from that is broken off."""

key_file_argument = click.argument("file", type=click.Path(dir_okay=False, exists=True, allow_dash=True))
key_id_option = click.option(
    "--key-id", help="10 letters and digits; by default from a file name like AuthKey_ABC123DEFG.p8."
)
team_id_option = click.option("--team-id", required=True, help="The developer team, 10 letters and digits.")

__all__ = [
    "counted",
    "database_option",
    "json_option",
    "now",
    "on_bare_store",
    "on_store",
    "read_key_file",
    "run",
    "show",
    "team_id_option",
    "tell",
    "when",
]


def database_url(database: str | None) -> str:
    """Take the database from the flag or the environment; raise `BadSetting`, for there is no default."""
    warn_of_password(database, flag="--database")
    url = read_settings(os.environ, {"database": database}).database
    if not url:
        raise BadSetting(
            "no database is set", "give --database sqlite:///likewise.db, or set the variable LIKEWISE_DATABASE"
        )
    return url


def warn_of_password(url: str | None, *, flag: str) -> None:
    """Warn of a password on the command line, which the machine's list of processes shows to everybody."""
    if url is not None and hide_password(url) != url:
        click.echo(
            f"warning: everybody on this machine can read the password after {flag} while the command runs; "
            "leave it out, and keep it in ~/.pgpass, or the whole URL in a file that LIKEWISE_DATABASE_FILE names",
            err=True,
        )


def on_store(
    database: str | None, work: Callable[[Admin], Awaitable[Result]], *, create: bool = False, to_read: bool = False
) -> Result:
    """Do an operator's `work` on the store, open meanwhile."""

    def as_operator(store: Store) -> Awaitable[Result]:
        return work(Admin(store, now=now, random_bytes=os.urandom))

    return on_bare_store(database, as_operator, create=create, to_read=to_read)


def on_bare_store(
    database: str | None, work: Callable[[Store], Awaitable[Result]], *, create: bool = False, to_read: bool = False
) -> Result:
    """Do `work` on the store itself, open meanwhile."""

    async def working() -> Result:
        async with opened_store(database_url(database), create=create, to_read=to_read) as store:
            return await work(store)

    return run(working())


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Do asynchronous work to its end, or until Ctrl-C, which cancels it; a second one does not wait for that.

    Where `asyncio.run` has Ctrl-C cancel whatever Python happens to be in the middle of, and may miss it as the loop
    goes to sleep, here the loop hears of it, and is woken. Where the loop does not hear of it, for something else
    keeps it waiting, a pipe that nobody reads or a server that does not answer, that is broken off.
    """
    is_heard = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if not is_heard:
        return asyncio.run(work)
    try:
        return asyncio.run(_until_interrupted(work))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


async def _until_interrupted(work: Coroutine[Any, Any, Result]) -> Result:
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    presses = itertools.count()

    def interrupt(*_: object) -> None:
        if next(presses):
            raise KeyboardInterrupt
        signal.setitimer(signal.ITIMER_REAL, _DEAF_SECONDS_MAX)

    def hear() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        task.cancel()

    loop.add_signal_handler(signal.SIGINT, hear)
    # The loop is woken and hears of it, when it can; this one is called wherever Python is, before.
    signal.signal(signal.SIGINT, interrupt)
    alarm = signal.signal(signal.SIGALRM, interrupt)
    try:
        return await task
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGALRM, alarm)


@asynccontextmanager
async def opened_store(
    url: str, *, create: bool = False, alone: bool = False, to_read: bool = False
) -> AsyncIterator[Store]:
    store = await open_store(url, create=create, alone=alone, to_read=to_read)
    try:
        yield store
    finally:
        await store.close()


def read_key_file(path: str) -> bytes:
    """Read a key file, `-` for standard input; raise `BadKey`."""
    try:
        with click.open_file(path, "rb") as file:
            text = file.read(_KEY_BYTES_MAX + 1)
    except OSError as error:
        raise BadKey(f"the key file {path} cannot be read ({error.strerror})", "check its path and mode") from error
    if not text.strip():
        raise BadKey(f"the key file {path} is empty", "give the file that holds the key")
    if len(text) > _KEY_BYTES_MAX:
        raise BadKey(f"the key file {path} is too large to be a key", "give a file of at most 64 KiB")
    return bytes(text)


def key_id_of_file(path: str, given: str | None) -> str:
    """Take the key id that was given, or the one in a file name like Apple's, `AuthKey_ABC123DEFG.p8`.

    Raise `BadName` where there is none, or one of another form.
    """
    stem = Path(path).stem
    if given is not None:
        return key_id_of(given)
    if not stem.startswith("AuthKey_"):
        raise BadName("the key has no key id", "give --key-id, or name the file AuthKey_ABC123DEFG.p8")
    return key_id_of(stem.removeprefix("AuthKey_"))
