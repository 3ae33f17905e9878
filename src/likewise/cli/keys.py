"""`likewise key`: the developer keys whose tokens are let in."""

import click

from likewise.admin import new_key_of
from likewise.cli.commands import Group
from likewise.cli.common import (
    database_option,
    json_option,
    key_file_argument,
    key_id_of_file,
    key_id_option,
    on_store,
    read_key_file,
    show,
    team_id_option,
    tell,
    when,
)


@click.group(cls=Group)
def key() -> None:
    """Register, list and revoke developer keys."""


@key.command()
@key_file_argument
@team_id_option
@key_id_option
@database_option
@json_option
def add(file: str, team_id: str, key_id: str | None, database: str | None, as_json: bool) -> None:  # noqa: FBT001 - click's way
    """Register the public half of a P-256 key: PEM, JWK, or a .p8, whose private half is not kept.

    A team may have several keys at once, so that they can be rotated. Begins the database where there is none.
    """
    id = key_id_of_file(file, key_id)
    new = new_key_of(id, team_id, read_key_file(file))
    on_store(database, lambda admin: admin.register_key(new), create=True)
    tell(
        {"key_id": id, "team_id": team_id},
        as_json=as_json,
        sentence=f"registered the developer key {id} of team {team_id}",
    )


@key.command(name="list")
@database_option
@json_option
def list_(database: str | None, as_json: bool) -> None:  # noqa: FBT001 - click's way
    """List all keys, revoked ones too."""
    keys = on_store(database, lambda admin: admin.keys(), to_read=True)
    rows = [
        {"key_id": each.id, "team_id": each.team_id, "created": when(each.created), "revoked": when(each.revoked)}
        for each in keys
    ]
    show(rows, as_json=as_json, empty="no developer key is registered")


@key.command()
@click.argument("key_id")
@database_option
@json_option
def revoke(key_id: str, database: str | None, as_json: bool) -> None:  # noqa: FBT001 - click's way
    """Revoke a key for ever; running servers follow within seconds."""
    on_store(database, lambda admin: admin.revoke_key(key_id))
    tell({"key_id": key_id}, as_json=as_json, sentence=f"revoked the developer key {key_id}")
