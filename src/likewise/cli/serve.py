"""`likewise serve`: the service in production."""

import asyncio
import os
from typing import Any

import click

from likewise.app import App
from likewise.cli.common import database_option, database_url, on_store
from likewise.config import Settings, read_settings, unknown_variables
from likewise.errors import BadSetting


@click.command()
@database_option
@click.option("--host", help="The address to listen on. [default: 127.0.0.1; variable: LIKEWISE_HOST]")
@click.option("--port", type=int, help="The port to listen on. [default: 8080; variable: LIKEWISE_PORT]")
def serve(**flags: Any) -> None:
    """Serve in production, until SIGTERM or Ctrl-C.

    Settings come from LIKEWISE_… variables and flags alone; see `likewise config`.
    """
    settings = read_settings(os.environ, flags)
    database_url(flags["database"])
    for sentence in unknown_variables(os.environ):
        click.echo(f"warning: {sentence}", err=True)
    keys = on_store(flags["database"], lambda store: store.developer_keys())
    if all(key.revoked is not None for key in keys):
        raise BadSetting(
            "no developer key is registered, so nobody could be let in",
            "register one: `likewise key add AuthKey_ABC123DEFG.p8 --team-id DEF123GHIJ`",
        )
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    from likewise.serving import free_address, serve  # noqa: PLC0415 - the server costs every other command its start

    address = free_address(settings.host, settings.port)
    async with App(settings) as app:
        await serve(
            app,
            address,
            shutdown_seconds_max=settings.shutdown_seconds_max,
            on_listening=lambda: click.echo(f"likewise serves on {address.url}", err=True),
        )
    click.echo("likewise has stopped", err=True)
