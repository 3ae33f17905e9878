"""`likewise key`: the developer keys whose tokens are let in."""

import click

from likewise.admin import new_key_of
from likewise.cli.common import (
    database_option,
    json_option,
    key_id_in_name,
    on_store,
    read_key_file,
    show,
    team_id_option,
    tell,
    when,
)
from likewise.errors import BadName


@click.group()
def key() -> None:
    """Register, list and revoke developer keys."""


@key.command()
@click.argument("file", type=click.Path(dir_okay=False, exists=True, allow_dash=True))
@team_id_option
@click.option("--key-id", help="10 letters and digits; by default from a file name like AuthKey_ABC123DEFG.p8.")
@database_option
@json_option
def add(file: str, team_id: str, key_id: str | None, database: str | None, as_json: bool) -> None:  # noqa: FBT001 - click's way
    """Register the public half of a P-256 key: PEM, JWK, or a .p8, whose private half is not kept.

    A team may have several keys at once, so that they can be rotated. Begins the database where there is none.
    """
    id = key_id or key_id_in_name(file)
    if id is None:
        raise BadName("the key has no key id", "give --key-id, or name the file AuthKey_ABC123DEFG.p8")
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
    keys = on_store(database, lambda admin: admin.keys())
    rows = [
        {"key_id": each.id, "team_id": each.team_id, "created": when(each.created), "revoked": when(each.revoked)}
        for each in keys
    ]
    show(rows, as_json=as_json, empty="no developer key is registered")


@key.command()
@click.argument("key_id")
@database_option
def revoke(key_id: str, database: str | None) -> None:
    """Revoke a key for ever; running servers follow within seconds."""
    on_store(database, lambda admin: admin.revoke_key(key_id))
    click.echo(f"revoked the developer key {key_id}", err=True)
