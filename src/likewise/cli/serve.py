"""`likewise serve`: the service in production."""

import logging
import os
from datetime import UTC, datetime
from typing import Any

import click

from likewise.cli import variables
from likewise.cli.common import database_option, database_url, opened_store, run
from likewise.config import Settings, read_settings, unknown_variables
from likewise.domain import DeveloperKey
from likewise.errors import BadSetting
from likewise.logs import configure

logger = logging.getLogger("likewise")


@click.command()
@database_option
@click.option("--host", help="The address to listen on. [default: 127.0.0.1; variable: LIKEWISE_HOST]")
@click.option("--port", type=int, help="The port to listen on. [default: 8080; variable: LIKEWISE_PORT]")
@click.option(
    "--workers", type=int, help="How many processes serve. [default: by database; variable: LIKEWISE_WORKERS]"
)
def serve(**flags: Any) -> None:
    """Serve in production, until SIGTERM or Ctrl-C.

    Settings come from LIKEWISE_… variables and flags alone; see `likewise config`.
    """
    settings = read_settings(os.environ, flags)
    database_url(flags["database"])
    configure(format=settings.log_format, level=settings.log_level)
    for sentence in unknown_variables(os.environ, also_known=variables.CALLING):
        logger.warning(sentence)
    _check_keys(settings)
    # Only now, for the server costs every other command its start.
    from likewise.serving import leave  # noqa: PLC0415 - see above
    from likewise.serving.addresses import open_address  # noqa: PLC0415 - see above
    from likewise.serving.workers import run_workers  # noqa: PLC0415 - see above

    with open_address(settings, now=datetime.now(UTC)) as address:
        is_finished = run_workers(
            settings, address, on_listening=lambda: logger.info("likewise serves on %s", address.url)
        )
    logger.info("likewise has stopped")
    if not is_finished:
        leave()


def _check_keys(settings: Settings) -> None:
    """Warn when nobody could be let in; raise `BadSetting` when nothing could change that.

    With an admin token, keys can be registered over HTTP. Then an empty PostgreSQL database is begun here too: somebody
    has made it for us. A SQLite file is not, for its path may be misspelled.
    """
    may_begin = bool(settings.admin_token) and not settings.database.startswith("sqlite:")
    if any(key.revoked is None for key in run(_keys(settings.database, create=may_begin))):
        return
    if not settings.admin_token:
        raise BadSetting(
            "no developer key is registered, so nobody could be let in",
            "register one: `likewise key add AuthKey_ABC123DEFG.p8 --team-id DEF123GHIJ`",
        )
    logger.warning("no developer key is registered, so nobody but the operator is let in until one is")


async def _keys(url: str, *, create: bool) -> list[DeveloperKey]:
    async with opened_store(url, create=create) as store:
        return await store.developer_keys()
