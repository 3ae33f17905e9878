"""Records: everything that a store keeps, one record a row, as dumps carry it from store to store and into backups.

Unlike the words of `likewise.domain`, records have what is nobody's business but the stores': change numbers,
tombstones, dead library ids. A record is self-contained; it names its listener by id. Kinds are their numbers, times
are milliseconds since 1970, and the order of members is that of the lines in a backup: never to be changed, only to be
added to at the end, with the format's version raised.

The limits here hold for what is read from a file. What a store hands out keeps them anyway.
"""

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

Number: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Id: TypeAlias = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Moment: TypeAlias = Annotated[int, Meta(ge=-62_135_596_800_000, le=253_402_300_799_999)]
"""From the year 1 to the year 9999, so that each can be written as a date."""
Text: TypeAlias = Annotated[str, Meta(max_length=64)]


class _Record(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    # Of the garbage collector's no concern (gc=False): millions of them pass through, and none holds another.
    pass


class Counter(_Record, frozen=True, tag="counter"):
    """The last id that a listener was given, so that none is given twice."""

    listener: Number


class KeyRecord(_Record, frozen=True, tag="key"):
    """A developer key, in the order of ids."""

    id: Text
    team_id: Text
    public_key: Annotated[str, Meta(max_length=64 * 1024)]
    created: Moment
    revoked: Moment | None


class ListenerRecord(_Record, frozen=True, tag="listener"):
    """A listener, in the order of ids, with `likewise.domain.History`: `changes` is the number of the last change."""

    id: Id
    name: Text
    storefront: Text
    changes: Number
    forgotten: Number
    era: Annotated[int, Meta(ge=0, lt=2**53)]


class TokenRecord(_Record, frozen=True, tag="token"):
    """A music user token by the SHA-256 of its text, in the order of listeners and digests."""

    listener: Id
    digest: Annotated[bytes, Meta(min_length=32, max_length=32)]
    id: Text
    team_id: Text
    created: Moment
    expires: Moment
    revoked: Moment | None


class NameRecord(_Record, frozen=True, tag="name"):
    """What an item is called, in the order of listeners, kinds and ids; `listener` is `NOBODY` for catalog items."""

    listener: Number
    kind: Annotated[int, Meta(ge=1, le=9)]
    id: Text
    title: Annotated[str, Meta(max_length=500)] | None
    artist: Annotated[str, Meta(max_length=500)] | None
    album: Annotated[str, Meta(max_length=500)] | None
    isrc: Text | None
    musicbrainz_id: Text | None


class LibraryRecord(_Record, frozen=True, tag="library"):
    """A library id that was ever met, dead ones too, in the order of listeners, kinds and ids."""

    listener: Id
    kind: Annotated[int, Meta(ge=6, le=9)]
    id: Text
    twin: Text | None
    added: Moment
    change: Number
    is_dead: bool


class RatingRecord(_Record, frozen=True, tag="rating"):
    """A rating, or the tombstone of one (`value` 0), in the order of listeners, kinds and ids."""

    listener: Id
    kind: Annotated[int, Meta(ge=1, le=9)]
    id: Text
    value: Annotated[int, Meta(ge=-1, le=1)]
    time: Moment
    change: Number


Record: TypeAlias = Counter | KeyRecord | ListenerRecord | TokenRecord | NameRecord | LibraryRecord | RatingRecord

RECORDS: tuple[type[Record], ...] = (
    Counter,
    KeyRecord,
    ListenerRecord,
    TokenRecord,
    NameRecord,
    LibraryRecord,
    RatingRecord,
)
"""All types of records in the order in which they follow one another."""


NOBODY = 0
"""Whose the counter, the keys and the names of catalog items are, where the ids of listeners are spoken of."""


def listener_of(record: Record) -> int:
    """Return the id of the listener whose record this is, or `NOBODY`."""
    match record:
        case ListenerRecord(id=id):
            return id
        case TokenRecord() | NameRecord() | LibraryRecord() | RatingRecord():
            return record.listener
        case _:
            return NOBODY
