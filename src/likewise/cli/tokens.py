"""`likewise token`: developer tokens and music user tokens."""

import json

import click

from likewise.admin import USER_TOKEN_DAYS_MAX
from likewise.cli.commands import Group
from likewise.cli.common import (
    database_option,
    json_option,
    key_file_argument,
    key_id_of_file,
    key_id_option,
    now,
    on_store,
    read_key_file,
    show,
    team_id_option,
    tell,
    when,
)
from likewise.domain import team_id_of
from likewise.tokens import DEVELOPER_TOKEN_SECONDS_MAX, USER_TOKEN_DAYS, mint_developer_token, origin_of

_DAY_SECONDS = 86_400


@click.group(cls=Group)
def token() -> None:
    """Developer tokens and music user tokens."""


@token.command()
@key_file_argument
@team_id_option
@key_id_option
@click.option(
    "--days",
    type=click.IntRange(1, DEVELOPER_TOKEN_SECONDS_MAX // _DAY_SECONDS),
    default=180,
    show_default=True,
    help="How long it lives.",
)
@click.option(
    "--origin", "origins", multiple=True, help="A web origin it is good for, like https://example.org; again for more."
)
def developer(file: str, team_id: str, key_id: str | None, days: int, origins: tuple[str, ...]) -> None:
    """Mint a developer token from a private key (.p8) and print it. Needs no database."""
    minted = mint_developer_token(
        read_key_file(file),
        key_id=key_id_of_file(file, key_id),
        team_id=team_id_of(team_id),
        now_seconds=now() // 1000,
        seconds=days * _DAY_SECONDS,
        origins=[origin_of(origin) for origin in origins],
    )
    click.echo(minted)


@token.command()
@click.argument("name")
@team_id_option
@click.option(
    "--days",
    type=click.IntRange(1, USER_TOKEN_DAYS_MAX),
    default=USER_TOKEN_DAYS,
    show_default=True,
    help="How long it lives.",
)
@database_option
@json_option
def user(name: str, team_id: str, days: int, database: str | None, as_json: bool) -> None:  # noqa: FBT001 - click's way
    """Issue a music user token for a listener and print it. It is shown this once; only its hash is kept."""
    text, issued = on_store(database, lambda admin: admin.issue_user_token(name, team_id, days=days))
    facts = {"id": issued.id, "listener": name, "team_id": team_id, "expires": when(issued.expires)}
    try:
        click.echo(json.dumps({"music_user_token": text, **facts}) if as_json else text)
    except OSError:
        # Nobody has seen it, so nobody shall use it.
        on_store(database, lambda admin: admin.revoke_user_token(issued.id))
        raise
    if not as_json:
        click.echo(f"token {issued.id} for {name} through team {team_id} until {facts['expires']}", err=True)


@token.command(name="list")
@click.argument("name")
@database_option
@json_option
def list_(name: str, database: str | None, as_json: bool) -> None:  # noqa: FBT001 - click's way
    """List the music user tokens of a listener by their short ids."""
    rows = [
        {
            "id": each.id,
            "team_id": each.team_id,
            "created": when(each.created),
            "expires": when(each.expires),
            "revoked": when(each.revoked),
        }
        for each in on_store(database, lambda admin: admin.user_tokens(name), to_read=True)
    ]
    show(rows, as_json=as_json, empty=f"{name} has no music user token")


@token.command()
@click.argument("id")
@database_option
@json_option
def revoke(id: str, database: str | None, as_json: bool) -> None:  # noqa: FBT001 - click's way
    """Revoke a music user token by its short id; running servers follow within seconds."""
    on_store(database, lambda admin: admin.revoke_user_token(id))
    tell({"id": id}, as_json=as_json, sentence=f"revoked the music user token {id}")
