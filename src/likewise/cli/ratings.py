"""`likewise rate`, `likewise show` and `likewise list`: ratings on any server, for people and scripts."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import click

from likewise.cli.calling import TypeName, calling, checked_id, server_options
from likewise.cli.output import json_option, tell
from likewise.cli.output import show as show_rows
from likewise.client import Rating
from likewise.domain import Kind, Value
from likewise.errors import BadName, CallFailed, MethodNotAllowed, NotRated, PathNotFound

OPINIONS = {"like": Value.LIKE, "dislike": Value.DISLIKE, "clear": None}
_WORDS = {Value.LIKE: "like", Value.DISLIKE: "dislike"}
_DONE = {"like": "liked", "dislike": "disliked", "clear": "cleared"}


@click.command()
@click.argument("type", type=TypeName())
@click.argument("id")
@click.argument("opinion", type=click.Choice(list(OPINIONS)))
@server_options
@json_option
def rate(type: Kind, id: str, opinion: str, as_json: bool, **server: str | None) -> None:  # noqa: FBT001 - click's way
    """Like, dislike or clear one item: likewise rate songs 907242702 like."""
    checked_id(type, id)
    value = OPINIONS[opinion]
    sentence = f"{_DONE[opinion]} {type.type} {id}"
    with calling(**server) as client:
        if value is not None:
            client.put_rating(type, id, value)
        else:
            try:
                client.delete_rating(type, id)
            except NotRated:
                sentence = f"{type.type} {id} was not rated"
    tell({"type": type.type, "id": id, "value": value}, as_json=as_json, sentence=sentence)


@click.command()
@click.argument("type", type=TypeName())
@click.argument("ids", metavar="ID…", nargs=-1, required=True)
@server_options
@json_option
def show(type: Kind, ids: tuple[str, ...], as_json: bool, **server: str | None) -> None:  # noqa: FBT001 - click's way
    """Show the ratings of some items; ID may be - to read ids from standard input, one a line."""
    wanted = [checked_id(type, id) for id in dict.fromkeys(_each(ids))]
    with calling(**server) as client:
        values = {rating.item.id: rating.value for rating in client.get_ratings(type, wanted)}
    rows = [{"type": type.type, "id": id, "value": _value(values.get(id), as_json=as_json)} for id in wanted]
    show_rows(rows, as_json=as_json, empty="no id was given")


@click.command(name="list")
@click.option("--type", "types", type=TypeName(), multiple=True, help="Only this type; again for more.")
@click.option("--value", type=click.Choice(["like", "dislike"]), help="Only likes, or only dislikes.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many.")
@server_options
@json_option
def list_(
    types: tuple[Kind, ...],
    value: str | None,
    limit: int | None,
    as_json: bool,  # noqa: FBT001 - click's way
    **server: str | None,
) -> None:
    """List all ratings, newest first."""
    with calling(**server) as client:
        try:
            found = list(islice(client.list_ratings(types=types, value=OPINIONS[value] if value else None), limit))
        except (PathNotFound, MethodNotAllowed) as error:
            raise CallFailed(
                "this server cannot list ratings", "Apple's API has no list; ask for ids with `likewise show`"
            ) from error
    show_rows([_row(rating, as_json=as_json) for rating in found], as_json=as_json, empty="nothing is rated")


def _row(rating: Rating, *, as_json: bool) -> dict[str, Any]:
    at = rating.rated_at
    return {
        "type": rating.item.kind.type,
        "id": rating.item.id,
        "value": _value(rating.value, as_json=as_json),
        "rated": at.isoformat(timespec="milliseconds").replace("+00:00", "Z") if at else None,
        "name": rating.name,
        "artist": rating.artist_name,
        "library_id": rating.library_item.id if rating.library_item else None,
    }


def _value(value: Value | None, *, as_json: bool) -> int | str | None:
    return value if as_json or value is None else _WORDS[value]


def _each(ids: Iterable[str]) -> Iterator[str]:
    for id in ids:
        if id != "-":
            yield id
            continue
        try:
            with click.open_file("-", encoding="utf-8") as stream:
                yield from filter(None, map(str.strip, stream))
        except UnicodeDecodeError as error:
            raise BadName("standard input is no UTF-8", "give ids, one a line") from error
