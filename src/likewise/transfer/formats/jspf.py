"""JSPF, the playlist format: every track of a playlist is liked, unless the playlist is one of our dislikes."""

from collections.abc import Iterator
from typing import IO, Any

from likewise.domain import Item, Kind, Value
from likewise.transfer.formats.heads import Head
from likewise.transfer.formats.objects import object_at, text_at
from likewise.transfer.formats.rows import BadRow, Names, Row, Said, item_of_url, time_of
from likewise.transfer.formats.streams import document_of

RATING_EXTENSION = "urn:likewise:rating"
"""Our extension of a track: an array with one object of `value` and `time`."""
TRACK_EXTENSION = "https://musicbrainz.org/doc/jspf#track"
RECORDING_URL = "https://musicbrainz.org/recording/"

_ISRC_URN = "urn:isrc:"


def sniff(head: Head) -> bool:
    return "playlist" in head.keys


def read(stream: IO[bytes]) -> Iterator[Said]:
    tracks = object_at(document_of(stream), "playlist").get("track")
    if not isinstance(tracks, list):
        yield BadRow(1, "the list of tracks is missing")
        return
    for number, track in enumerate(tracks, 1):
        yield _said(number, track) if isinstance(track, dict) else BadRow(number, "there is no object")


def _said(number: int, track: dict[str, Any]) -> Said:
    item, isrc, recording = _identified(track.get("identifier"))
    extensions = object_at(track, "extension")
    rating = _first(extensions.get(RATING_EXTENSION))
    moment = text_at(rating, "time") or text_at(extensions.get(TRACK_EXTENSION), "added_at")
    value = Value.DISLIKE if rating.get("value") == -1 else Value.LIKE
    kind, id = item or (Kind.SONG, "")
    title, artist = text_at(track, "title"), text_at(track, "creator")
    names = Names(title, artist, text_at(track, "album"), isrc, recording)
    try:
        return Row(number, kind, id, value, time_of(moment), names)
    except ValueError as error:
        return BadRow(number, str(error))


def _identified(identifiers: object) -> tuple[Item | None, str, str]:
    """Find among web addresses and other names an item of Apple's, an ISRC and a MusicBrainz recording."""
    item, isrc, recording = None, "", ""
    for identifier in identifiers if isinstance(identifiers, list) else [identifiers]:
        if isinstance(identifier, str):
            item = item or item_of_url(identifier)
            if identifier.lower().startswith(_ISRC_URN):
                isrc = identifier[len(_ISRC_URN) :]
            if identifier.startswith(RECORDING_URL):
                recording = identifier.removeprefix(RECORDING_URL)
    return item, isrc, recording


def _first(extension: object) -> dict[str, Any]:
    found = extension[0] if isinstance(extension, list) and extension else extension
    return found if isinstance(found, dict) else {}
