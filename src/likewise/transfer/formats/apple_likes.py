"""«Apple Music Likes and Dislikes.csv» and «Apple Music - Favorites.csv», of Apple's privacy export.

The older one has no type: a number may be a song, an album or a music video. Apple has described the newer one with
two spellings of some columns, in no certain order.
"""

from collections.abc import Iterator
from typing import IO

from likewise.domain import Kind, Time
from likewise.transfer.formats.heads import Head
from likewise.transfer.formats.rows import (
    NO_NAMES,
    BadRow,
    Names,
    NotRateable,
    Row,
    Said,
    kind_of_id,
    preference_of,
    shortened,
    time_of,
)
from likewise.transfer.formats.tables import Record, records_of

_REFERENCE = ("item reference",)
_PREFERENCE = ("preference",)
_TYPE = ("favorite type", "type")
_DESCRIPTION = ("item description", "description")
_TIMES = ("last modified", "last modified date", "created", "created date")
_KINDS = {
    "song": Kind.SONG,
    "album": Kind.ALBUM,
    "music video": Kind.MUSIC_VIDEO,
    "playlist": Kind.PLAYLIST,
    "station": Kind.STATION,
}
_NOT_RATEABLE = "artist"


def sniff(head: Head) -> bool:
    """Recognise the older one."""
    return "item reference" in head.columns or {"item description", "preference"} <= head.columns


def sniff_favorites(head: Head) -> bool:
    return sniff(head) and not head.columns.isdisjoint(_TYPE)


def read(stream: IO[bytes]) -> Iterator[Said]:
    for record in records_of(stream, required=[_REFERENCE, _PREFERENCE]):
        yield record if isinstance(record, BadRow) else _said(record)


def _said(record: Record) -> Said:
    line, cells = record
    try:
        value = preference_of(_cell(cells, _PREFERENCE))
        type = " ".join(_cell(cells, _TYPE).replace("-", " ").casefold().split())
        if type == _NOT_RATEABLE:
            return NotRateable(line)
        id = _cell(cells, _REFERENCE)
        kind = _kind_of(type, id)
        return Row(line, kind, id, value, _time(cells), _names(kind, _cell(cells, _DESCRIPTION)))
    except ValueError as error:
        return BadRow(line, str(error))


def _kind_of(type: str, id: str) -> Kind | None:
    if not type:
        return kind_of_id(id)
    # «Songs» and «library-songs» never occur; a plural costs nothing.
    kind = _KINDS.get(type) or _KINDS.get(type.removesuffix("s"))
    if kind is None:
        raise ValueError(f"{shortened(type)} is no type that can be rated")
    if not kind.has_id(id):
        raise ValueError(f"{shortened(id)} is no id of {kind.type}")
    return kind


def _time(cells: dict[str, str]) -> Time | None:
    for name in _TIMES:
        if cells.get(name):
            return time_of(cells[name])
    return None


def _names(kind: Kind | None, description: str) -> Names:
    """Split «Artist - Title»; playlists and stations have their name alone."""
    if kind in {Kind.PLAYLIST, Kind.STATION}:
        return Names(title=description)
    artist, dash, title = description.partition(" - ")
    return Names(title=title, artist=artist) if dash else NO_NAMES


def _cell(cells: dict[str, str], spellings: tuple[str, ...]) -> str:
    return next((cells[name] for name in spellings if cells.get(name)), "")
