"""`likewise serve`: the service in production."""

import os
from datetime import UTC, datetime
from typing import Any

import click

from likewise.cli.common import database_option, database_url, on_store
from likewise.config import read_settings, unknown_variables
from likewise.errors import BadSetting


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
    for sentence in unknown_variables(os.environ):
        click.echo(f"warning: {sentence}", err=True)
    keys = on_store(flags["database"], lambda admin: admin.keys())
    if all(key.revoked is not None for key in keys):
        raise BadSetting(
            "no developer key is registered, so nobody could be let in",
            "register one: `likewise key add AuthKey_ABC123DEFG.p8 --team-id DEF123GHIJ`",
        )
    # Only now, for the server costs every other command its start.
    from likewise.serving.addresses import open_address  # noqa: PLC0415 - see above
    from likewise.serving.workers import run_workers  # noqa: PLC0415 - see above

    with open_address(settings, now=datetime.now(UTC)) as address:
        run_workers(settings, address, on_listening=lambda: click.echo(f"likewise serves on {address.url}", err=True))
    click.echo("likewise has stopped", err=True)
