"""`likewise config`: what was understood of the settings."""

import json
import os
from typing import Any

import click

from likewise.cli import variables
from likewise.cli.common import database_option, database_url, json_option, show
from likewise.config import described, read_settings, unknown_variables


@click.command()
@database_option
@click.option("--host", help="The address to listen on.")
@click.option("--port", type=int, help="The port to listen on.")
@click.option("--workers", type=int, help="How many processes serve.")
@json_option
def config(as_json: bool, **flags: Any) -> None:  # noqa: FBT001 - click's way
    """Show what `serve` would run with.

    Passwords are hidden.
    """
    database_url(flags["database"])
    settings = read_settings(os.environ, flags)
    for sentence in unknown_variables(os.environ, also_known=variables.CALLING):
        click.echo(f"warning: {sentence}", err=True)
    shown = settings.shown()
    if as_json:
        click.echo(json.dumps(shown))
    else:
        rows = [
            {"variable": variable, "value": value, "meaning": meaning}
            for (variable, _, meaning), value in zip(described(), shown.values(), strict=True)
        ]
        show(rows, as_json=False, empty="")
