"""Last.fm: loved tracks, as its API answers `user.getLovedTracks`. It knows no dislikes."""

from collections.abc import Iterator
from typing import IO, Any

from likewise.domain import Kind, Value
from likewise.transfer.formats.heads import Head
from likewise.transfer.formats.objects import object_at, text_at
from likewise.transfer.formats.rows import BadRow, Names, Row, Said, time_of_seconds
from likewise.transfer.formats.streams import document_of


def sniff(head: Head) -> bool:
    return "lovedtracks" in head.keys


def read(stream: IO[bytes]) -> Iterator[Said]:
    tracks = object_at(document_of(stream), "lovedtracks").get("track")
    # A single track comes without a list around it.
    if isinstance(tracks, dict):
        tracks = [tracks]
    if not isinstance(tracks, list):
        yield BadRow(1, "the list of tracks is missing")
        return
    for number, track in enumerate(tracks, 1):
        yield _said(number, track) if isinstance(track, dict) else BadRow(number, "there is no object")


def _said(number: int, track: dict[str, Any]) -> Said:
    artist = track.get("artist")
    names = Names(
        title=text_at(track, "name"),
        artist=text_at(artist, "name") or text_at(artist, "#text"),
        musicbrainz_id=text_at(track, "mbid"),
    )
    try:
        return Row(number, Kind.SONG, "", Value.LIKE, time_of_seconds(object_at(track, "date").get("uts")), names)
    except ValueError as error:
        return BadRow(number, str(error))
