"""`likewise dev`: a ratings server for developers, with keys, listeners and tokens that make themselves."""

import json
import os
import shlex
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from likewise.app import App
from likewise.cli.household import Household, open_household
from likewise.cli.running import announced, default_folder
from likewise.config import Settings, read_settings, variable
from likewise.errors import BadSetting

_EXAMPLE_SONG = "907242702"
_HEEDED = ("extensions", "ids_max", "rate_limit")


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65_535), help="0 picks a free one.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where data lives. [default: a likewise folder in the platform's data folder]",
)
@click.option("--reset", is_flag=True, help="Forget all ratings, keys and tokens first.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON when it listens, and nothing else.")
def dev(host: str, port: int, data: Path | None, reset: bool, as_json: bool) -> None:  # noqa: FBT001 - click's way
    """Serve for development: nothing to set up.

    The first run makes a developer key and the listeners ada and ben with tokens; later runs use them again. Of the
    variables it heeds LIKEWISE_EXTENSIONS, LIKEWISE_IDS_MAX and LIKEWISE_RATE_LIMIT.
    """
    # Only now, for the server costs every other command its start.
    from likewise.serving import run  # noqa: PLC0415 - see above

    run(_dev(host, port, data, reset=reset, as_json=as_json))


async def _dev(host: str, port: int, data: Path | None, *, reset: bool, as_json: bool) -> None:
    from likewise.serving import free_address, leave, serve  # noqa: PLC0415 - the server costs all other commands their start

    chosen = _chosen_settings(os.environ)
    if data == Path():
        raise BadSetting("the data folder has no name", "give --data a folder of its own, or leave it out")
    address = free_address(host, port)
    folder = data if data is not None else default_folder()
    with open_household(folder, reset=reset) as household, ExitStack() as stack:
        await household.settle()

        def greet() -> None:
            stack.enter_context(announced(household.folder, address.url))
            if as_json:
                click.echo(json.dumps(_facts(household, address.url)))
            else:
                click.echo(_greeting(household, address.url))

        settings = replace(chosen, database=household.database)
        async with App(settings) as app:
            is_finished = await serve(
                app, address, shutdown_seconds_max=settings.shutdown_seconds_max, on_listening=greet
            )
    click.echo("likewise has stopped", err=True)
    if not is_finished:
        leave()


def _chosen_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings that change what an application is answered; the rest is `dev`'s own. Raise `BadSetting`."""
    names = map(variable, _HEEDED)
    return read_settings({name: environment[name] for name in names if name in environment})


def _facts(household: Household, url: str) -> dict[str, Any]:
    return {
        "url": url,
        "team_id": household.team_id,
        "key_id": household.key_id,
        "private_key": str(household.private_key),
        "developer_token": household.developer_token(),
        "music_user_tokens": household.user_tokens,
    }


def _greeting(household: Household, url: str) -> str:
    curl = f"curl -K {shlex.quote(str(household.curl_file('ada')))}"
    song = f"{url}/v1/me/ratings/songs/{_EXAMPLE_SONG}"
    body = '{"type":"rating","attributes":{"value":1}}'
    tokens = "\n".join(f"  {name}'s music user token\n{token}" for name, token in household.user_tokens.items())
    return f"""\
Likewise serves Apple's personal ratings on {url}

  developer token (team {household.team_id}, key {household.key_id})
{household.developer_token()}
{tokens}

Try it as ada, whose tokens are in the file that -K names:

{curl} -X PUT {song} -d '{body}'
{curl} {song}
{curl} '{url}/v1/me/ratings/songs?ids={_EXAMPLE_SONG},1440833098'
{curl} -X DELETE {song}

Data lives in {household.folder}. Ctrl-C stops the server; `{household.reset_command}` starts over."""
