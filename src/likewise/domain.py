"""The words of the house: Kind, Item, Value, Rating, Listener and what belongs to them. No I/O, no JSON, no SQL."""

import re
from collections.abc import Callable
from enum import Enum, IntEnum
from itertools import repeat
from typing import NamedTuple, TypeAlias

from likewise.errors import BadName, RatingsNotAllowed, UnknownLibraryResourceType, UnknownResourceType

Time: TypeAlias = int
"""Milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted."""

_DIGITS = r"[0-9]{1,20}"


class Kind(Enum):
    """One of the nine resource types that can be rated.

    `type` is Apple's name for it, case-sensitive; `number` is how stores write it down, never to be used again for
    another; `id_pattern` matches its ids; `prefix` begins every library id of the kind; `singular` is Apple's
    `playParams.kind`.
    """

    SONG = "songs", 1, _DIGITS, "", "song"
    ALBUM = "albums", 2, _DIGITS, "", "album"
    MUSIC_VIDEO = "music-videos", 3, _DIGITS, "", "musicVideo"
    PLAYLIST = "playlists", 4, r"pl\.[A-Za-z0-9.@_-]{1,61}", "", "playlist"
    STATION = "stations", 5, r"ra\.[A-Za-z0-9.@_-]{1,61}", "", "radioStation"
    LIBRARY_SONG = "library-songs", 6, r"i\.[A-Za-z0-9]{1,62}", "i.", "song"
    LIBRARY_ALBUM = "library-albums", 7, r"l\.[A-Za-z0-9]{1,62}", "l.", "album"
    LIBRARY_MUSIC_VIDEO = "library-music-videos", 8, r"i\.[A-Za-z0-9]{1,62}", "i.", "musicVideo"
    LIBRARY_PLAYLIST = "library-playlists", 9, r"p\.[A-Za-z0-9]{1,62}", "p.", "playlist"

    number: int
    id_pattern: str
    prefix: str
    singular: str
    is_library: bool
    has_id: Callable[[str], re.Match[str] | None]
    """Match an id that is well formed for the kind, of at most 64 characters. No catalog id fits a library kind."""
    has_ids: Callable[[str], re.Match[str] | None]
    """Match such ids joined by commas, at least one."""

    def __init__(self, type: str, number: int, id_pattern: str, prefix: str, singular: str) -> None:
        self.type = type
        self.number = number
        self.id_pattern = id_pattern
        self.prefix = prefix
        self.singular = singular
        self.is_library = bool(prefix)
        self.has_id = re.compile(id_pattern).fullmatch
        self.has_ids = re.compile(f"{id_pattern}(?:,{id_pattern})*").fullmatch

    # Members are singletons; Enum's own hash is a call into Python for each key of a dictionary.
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return str(self)


TWINS: dict[Kind, Kind] = {
    Kind.SONG: Kind.LIBRARY_SONG,
    Kind.ALBUM: Kind.LIBRARY_ALBUM,
    Kind.MUSIC_VIDEO: Kind.LIBRARY_MUSIC_VIDEO,
    Kind.PLAYLIST: Kind.LIBRARY_PLAYLIST,
}
TWINS |= {library: catalog for catalog, library in TWINS.items()}
"""The kind on the other side of the link between catalog and library, either way; stations have none."""

KINDS: dict[str, Kind] = {kind.type: kind for kind in Kind}
KINDS_BY_NUMBER: dict[int, Kind] = {kind.number: kind for kind in Kind}
LIBRARY_KINDS: dict[str, Kind] = {kind.type.removeprefix("library-"): kind for kind in Kind if kind.is_library}
"""Library kinds under their names in paths below `/v1/me/library/`."""


def kind_of(type: str) -> Kind:
    """Find the kind of a ratings path; raise `UnknownResourceType`."""
    kind = KINDS.get(type)
    if kind is None:
        raise UnknownResourceType(type)
    return kind


def library_kind_of(type: str) -> Kind:
    """Find the kind of a path below `/v1/me/library/`; raise `UnknownLibraryResourceType`."""
    kind = LIBRARY_KINDS.get(type)
    if kind is None:
        raise UnknownLibraryResourceType(type)
    return kind


class Item(NamedTuple):
    """What is rated: a song, album, … of the catalog, or of one listener's library. Ids are compared byte for byte."""

    kind: Kind
    id: str


def item_of(kind: Kind, id: str) -> Item:
    """Name an item; raise `RatingsNotAllowed` for an id that is malformed or of another namespace."""
    if not kind.has_id(id):
        raise RatingsNotAllowed(kind.type)
    return Item(kind, id)


def items_of(kind: Kind, ids: list[str]) -> list[Item]:
    """Name items, leaving out ids that are malformed or of another namespace, as GET many does."""
    # All at once first, for they mostly are: as many ids as there are pieces between commas.
    text = ",".join(ids)
    if not kind.has_ids(text) or text.count(",") >= len(ids):
        ids = list(filter(kind.has_id, ids))
    return list(map(Item._make, zip(repeat(kind), ids)))


class Value(IntEnum):
    """There are two ratings; «no rating» is the absence of one."""

    LIKE = 1
    DISLIKE = -1


class Rating(NamedTuple):
    """What a listener thinks of an item, under the id it was asked for; `time` is when they last said so."""

    item: Item
    value: Value
    time: Time


class Keep(Enum):
    """What is stored already and stays as it is, whatever a change says; `number` is how stores are told."""

    NEWER = 1
    """What was rated or cleared at the change's time or later."""
    RATED = 2
    """Whatever is rated now."""

    @property
    def number(self) -> int:
        return self.value


class Change(NamedTuple):
    """One thing to write: set a rating, or clear it (`value` None), perhaps only a rating of the value `only`.

    `time` is when that happened, None for the present; `unless` says what it must not replace.
    """

    item: Item
    value: Value | None
    only: Value | None = None
    time: Time | None = None
    unless: Keep | None = None


class History(NamedTuple):
    """Where one listener's numbered changes stand: `last` is the number of the last one.

    Of the changes up to number `forgotten` some have left no trace, so nobody can follow from before it. `era` is
    drawn at random with each listener: numbers of one era never mean anything in another.
    """

    last: int
    forgotten: int
    era: int


class Changed(NamedTuple):
    """What became of one item by the listener's change `number`; `value` None says that its rating was cleared."""

    item: Item
    value: Value | None
    time: Time
    number: int


class ChangesPage(NamedTuple):
    """Changes in the order of their numbers, and the history at the moment they were read."""

    changes: list[Changed]
    history: History


class Place(NamedTuple):
    """Where a rating stands in the list of the newest: by time, newest first, then by kind's number and id."""

    time: Time
    item: Item


class ListedRating(NamedTuple):
    """A rating with both of its addresses: `item` is where it is stored, `library_item` its library id, if any.

    An upload is both.
    """

    item: Item
    value: Value
    time: Time
    library_item: Item | None


class RatingsPage(NamedTuple):
    """`total` counts all ratings that match, on whatever page; `history` is of the moment they were read."""

    ratings: list[ListedRating]
    total: int
    history: History


class ItemName(NamedTuple):
    """What is known about an item: its names, and how other catalogs call it. None is unknown; no text is empty.

    A playlist's or station's owner is its `artist`. `isrc` is of ISO 3901, without hyphens; `musicbrainz_id` a UUID in
    lower case. `item_name_of` makes one of anything.
    """

    item: Item
    title: str | None = None
    artist: str | None = None
    album: str | None = None
    isrc: str | None = None
    musicbrainz_id: str | None = None


class Clue(Enum):
    """By what an item is looked up: a fact of `ItemName`, or the key that `likewise.matching` makes of two."""

    ISRC = "isrc"
    MUSICBRAINZ_ID = "musicbrainz_id"
    MATCH_KEY = "match_key"


class Storefront(NamedTuple):
    """One country or region of the Apple Music catalog; `policy` is Apple's `explicitContentPolicy`."""

    id: str
    name: str
    default_language_tag: str
    supported_language_tags: tuple[str, ...]
    policy: str


class Listener(NamedTuple):
    """Whoever's likes these are. A name, a storefront, and nothing else; `id` is the store's and never reused."""

    id: int
    name: str
    storefront: str


class LibraryItem(NamedTuple):
    """An item in one listener's library; `twin` is its catalog item, None for an upload without one."""

    item: Item
    twin: Item | None
    added: Time


class LibraryPage(NamedTuple):
    """Some items of a library, newest first; `total` counts all of their kind."""

    items: list[LibraryItem]
    total: int


class DeveloperKey(NamedTuple):
    """The public half of a key that signs developer tokens; `public_key` is PEM (SubjectPublicKeyInfo)."""

    id: str
    team_id: str
    public_key: str
    created: Time
    revoked: Time | None = None


class UserToken(NamedTuple):
    """What is known of a music user token. The token itself is known to its owner alone; `id` is short, for people."""

    id: str
    listener: Listener
    team_id: str
    created: Time
    expires: Time
    revoked: Time | None = None


NAME_CHARACTERS_MAX = 500
"""The most characters of a title, an artist or an album; what is longer is cut."""

_has_isrc = re.compile(r"[A-Z]{2}[A-Z0-9]{3}[0-9]{7}").fullmatch
_has_uuid = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
# Controls, among them NUL, which no text of PostgreSQL may hold, and halves of surrogate pairs, which no UTF-8 may.
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")


def item_name_of(
    item: Item,
    *,
    title: str | None = None,
    artist: str | None = None,
    album: str | None = None,
    isrc: str | None = None,
    musicbrainz_id: str | None = None,
) -> ItemName:
    """Name an item with what anybody says of it: texts are trimmed and cut; raise `BadName` for a bad ISRC or UUID."""
    return ItemName(item, _text_of(title), _text_of(artist), _text_of(album), isrc_of(isrc), _uuid_of(musicbrainz_id))


def _text_of(text: str | None) -> str | None:
    return " ".join(_UNFIT.sub(" ", text or "").split())[:NAME_CHARACTERS_MAX].rstrip() or None


def isrc_of(text: str | None) -> str | None:
    """Read an ISRC (ISO 3901) in any case, with hyphens or without; None for none. Raise `BadName`."""
    isrc = (text or "").strip().replace("-", "").upper()
    if isrc and not _has_isrc(isrc):
        raise BadName(f"{text!r} is no ISRC", "an ISRC looks like USUG12002836", about="isrc")
    return isrc or None


def _uuid_of(text: str | None) -> str | None:
    uuid = (text or "").strip().lower()
    if uuid and not _has_uuid(uuid):
        hint = "a MusicBrainz id looks like b84ee12a-09ef-421b-82de-0441a926375b"
        raise BadName(f"{text!r} is no MusicBrainz id", hint, about="musicbrainz_id")
    return uuid or None


LISTENER_NAME = r"[a-z0-9._-]{1,64}"
APPLE_ID = r"[A-Za-z0-9]{10}"

has_listener_name = re.compile(LISTENER_NAME).fullmatch
"""Match a listener's name: 1 to 64 of `a-z`, `0-9`, `.`, `_`, `-`."""
has_apple_id = re.compile(APPLE_ID).fullmatch
"""Match a team id or key id: 10 letters and digits."""


def listener_name_of(name: str) -> str:
    """Check a listener's name: 1 to 64 of `a-z`, `0-9`, `.`, `_`, `-`; raise `BadName`."""
    if not has_listener_name(name):
        raise BadName(
            f"{name!r} is no name for a listener",
            "use 1 to 64 characters of a-z, 0-9, dot, underscore and hyphen",
            about="name",
        )
    return name


def team_id_of(team_id: str) -> str:
    """Check a team id: 10 letters and digits, as Apple issues them; raise `BadName`."""
    if not has_apple_id(team_id):
        hint = "a team id has 10 letters and digits, like DEF123GHIJ"
        raise BadName(f"{team_id!r} is no team id", hint, about="team_id")
    return team_id


def key_id_of(key_id: str) -> str:
    """Check a key id (`kid`): 10 letters and digits, as Apple issues them; raise `BadName`."""
    if not has_apple_id(key_id):
        hint = "a key id has 10 letters and digits, like ABC123DEFG"
        raise BadName(f"{key_id!r} is no key id", hint, about="key_id")
    return key_id
