"""Spotify's `YourLibrary.json`: what is saved is liked, what is banned is disliked. It tells no times."""

from collections.abc import Iterator
from typing import IO, Any

from likewise.domain import Kind, Value
from likewise.transfer.formats.heads import Head
from likewise.transfer.formats.objects import text_at
from likewise.transfer.formats.rows import BadRow, Names, NotRateable, Row, Said
from likewise.transfer.formats.streams import document_of

_SAVED = {
    "tracks": (Kind.SONG, Value.LIKE),
    "albums": (Kind.ALBUM, Value.LIKE),
    "bannedTracks": (Kind.SONG, Value.DISLIKE),
}
_NOT_RATEABLE = ("artists", "bannedArtists", "shows", "episodes")


def sniff(head: Head) -> bool:
    return len(head.keys & {*_SAVED, *_NOT_RATEABLE}) > 1 or "bannedTracks" in head.keys or head.keys == {"tracks"}


def read(stream: IO[bytes]) -> Iterator[Said]:
    document = document_of(stream)
    number = 0
    for section, entries in (document if isinstance(document, dict) else {}).items():
        if section not in _SAVED and section not in _NOT_RATEABLE:
            continue
        if not isinstance(entries, list):
            number += 1
            yield BadRow(number, f"{section} is no list")
            continue
        for entry in entries:
            number += 1
            yield _said(number, section, entry)


def _said(number: int, section: str, entry: Any) -> Said:
    if section in _NOT_RATEABLE:
        return NotRateable(number)
    if not isinstance(entry, dict):
        return BadRow(number, "there is no object")
    kind, value = _SAVED[section]
    album, artist = text_at(entry, "album"), text_at(entry, "artist")
    names = Names(album, artist) if kind is Kind.ALBUM else Names(text_at(entry, "track"), artist, album)
    return Row(number, kind, "", value, None, names)
