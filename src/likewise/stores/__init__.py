"""The stores: adapters of the port `likewise.store`, and the one place that knows which URL means which."""

from likewise.errors import BadSetting
from likewise.store import Store

_HINT = "use sqlite:///relative/path, sqlite:////absolute/path or sqlite:///:memory:"


async def open_store(url: str, *, create: bool = True) -> Store:
    """Open the store a database URL names and bring its schema up to date.

    `create` allows to begin a new database where there is none. Raise `BadSetting` for a URL of no known form,
    `StoreUnusable` for a database that is not ours, newer than we are or no database, `StoreUnavailable` for one that
    does not answer.
    """
    scheme, separator, path = url.partition(":///")
    if scheme != "sqlite" or not separator or not path:
        raise BadSetting("the database URL has no form that Likewise knows", _HINT)
    from likewise.stores.sqlite import SQLiteStore  # noqa: PLC0415 - a driver is loaded when its URL is used

    return await SQLiteStore.open(path, create=create)
