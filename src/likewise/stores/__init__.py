"""The stores: adapters of the port `likewise.store`, and the one place that knows which URL means which."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from likewise.errors import BadSetting
from likewise.store import Store
from likewise.stores.migrating import Migration, OnStep
from likewise.stores.rows import migrations_of

_HINT = "use sqlite:///relative/path, sqlite:////absolute/path, sqlite:///:memory: or postgresql://user@host/database"


class _Adapter(Protocol):
    async def open(self, place: str, /, *, create: bool, alone: bool, to_read: bool) -> Store: ...

    async def migrate(self, place: str, /, *, dry_run: bool, on_step: OnStep) -> Migration: ...


async def open_store(url: str, *, create: bool = True, alone: bool = False, to_read: bool = False) -> Store:
    """Open the store a database URL names and bring its schema up to date.

    `create` allows to begin a new database where there is none. `alone` is for `load` and `amend`: it shuts everybody
    else out until the store is closed, and allows the database to be an unfinished copy. `to_read` is for who writes
    nothing: the database need not be writable, but then up to date. Raise `BadSetting` for a URL
    of no known form, `StoreUnusable` for a database that is not ours, newer than we are or no database,
    `StoreUnavailable` for one that does not answer, or that others use and we want alone.
    """
    adapter, place = _adapter_of(url)
    return await adapter.open(place, create=create, alone=alone, to_read=to_read)


async def migrate(url: str, *, dry_run: bool = False, on_step: OnStep = str) -> Migration:
    """Bring the database a URL names up to date and return what was done, or with `dry_run` what would be.

    One that is not there yet is begun. In PostgreSQL with Citus, all tables are distributed over the cluster. Whatever
    interrupts this, doing it again completes it. The errors are those of `open_store`.
    """
    adapter, place = _adapter_of(url)
    return await adapter.migrate(place, dry_run=dry_run, on_step=on_step)


def _adapter_of(url: str) -> tuple[_Adapter, str]:
    scheme, _, _ = url.partition("://")
    path = sqlite_path(url)
    if path is not None:
        with _needing("SQLite", "server"):
            from likewise.stores.sqlite import SQLiteStore  # noqa: PLC0415 - a driver is loaded when its URL is used
        return SQLiteStore, path
    if scheme in {"postgresql", "postgres"}:
        with _needing("PostgreSQL", "postgres"):
            from likewise.stores.postgres import PostgresStore  # noqa: PLC0415 - see above
        return PostgresStore, url
    raise BadSetting("the database URL has no form that Likewise knows", _HINT)


def sqlite_path(url: str) -> str | None:
    """Return the path of a SQLite URL, None for one of another database; `:memory:` is no path."""
    scheme, _, rest = url.partition("://")
    return rest[1:] if scheme == "sqlite" and len(rest) > 1 and rest.startswith("/") else None


def schema_version(url: str) -> int:
    """Return the version of the schema that a database has once it was opened."""
    return len(migrations_of("postgres" if sqlite_path(url) is None else "sqlite"))


@contextmanager
def _needing(database: str, extra: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise BadSetting(
            f"{database} needs the extra likewise[{extra}]", f"install it: pip install 'likewise[{extra}]'"
        ) from error
