"""«Apple Music Library Tracks.json», «… Library Albums.json» and «… Library Playlists.json», of Apple's privacy export.

Arrays of objects, whose keys have changed over the years. The keys `Rating` and `Album Rating` are stars, never likes.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

from likewise.domain import Kind, Time, Value
from likewise.transfer.formats.heads import Head
from likewise.transfer.formats.rows import BadRow, Names, Row, Said, preference_of, shortened, text_of, time_of
from likewise.transfer.formats.streams import elements_of

_Fields = Mapping[str, Any]

_TRACK_KEYS = {"Track Identifier", "Apple Music Track Identifier", "Track Like Rating", "Favorite Status - Track"}
_ALBUM_KEYS = {"Album ID", "Catalog Identifiers - Album", "Favorite Album - Status"}
_PLAYLIST_KEYS = {"Public Playlist Identifier", "Playlist Like Rating", "Favorite Status - Playlist"}


def sniff_tracks(head: Head) -> bool:
    return bool(head.keys_in_array & _TRACK_KEYS)


def sniff_albums(head: Head) -> bool:
    return bool(head.keys_in_array & _ALBUM_KEYS) and not sniff_tracks(head)


def sniff_playlists(head: Head) -> bool:
    return bool(head.keys_in_array & _PLAYLIST_KEYS) and not sniff_tracks(head)


def read_tracks(stream: IO[bytes]) -> Iterator[Said]:
    yield from _read(stream, _track_and_album)


def read_albums(stream: IO[bytes]) -> Iterator[Said]:
    yield from _read(stream, _album)


def read_playlists(stream: IO[bytes]) -> Iterator[Said]:
    yield from _read(stream, _playlist)


def _read(stream: IO[bytes], said_of: Callable[[int, _Fields], Iterator[Said]]) -> Iterator[Said]:
    for line, element in elements_of(stream):
        if not isinstance(element, dict):
            yield BadRow(line, "there is no object")
            continue
        try:
            yield from said_of(line, element)
        except ValueError as error:
            yield BadRow(line, str(error))


def _track_and_album(line: int, track: _Fields) -> Iterator[Said]:
    value = _value(track, "Favorite Status - Track", "Track Like Rating")
    kind = Kind.MUSIC_VIDEO if text_of(track.get("Content Type")).casefold() == "music video" else Kind.SONG
    id = text_of(track.get("Apple Music Track Identifier"))
    names = Names(text_of(track.get("Title")), text_of(track.get("Artist")), text_of(track.get("Album")))
    time = _time(track, "Favorite Date - Track", "Last Modified Date", "Date Added To Library")
    yield _row(line, kind, id, value, time, names)
    album_value = _value(track, "Favorite Status - Album", "Album Like Rating")
    if album_value is not None:
        artist = text_of(track.get("Album Artist")) or names.artist
        album_time = _time(track, "Favorite Date - Album", "Last Modified Date", "Date Added To Library")
        yield Row(line, Kind.ALBUM, "", album_value, album_time, Names(names.album, artist))


def _album(line: int, album: _Fields) -> Iterator[Said]:
    value = _value(album, "Favorite Album - Status", "Favorite Status - Album", "Album Like Rating")
    time = _time(album, "Favorite Album - Date", "Favorite Date - Album", "Last Modified Date", "Date Added To Library")
    names = Names(
        _first(album, "Title", "Album Title", "Album"), _first(album, "Album Artist", "Artist", "Artist Name")
    )
    id = _first_id(album.get("Catalog Identifiers - Album"))
    library_id = text_of(album.get("Album ID"))
    if not id and Kind.LIBRARY_ALBUM.has_id(library_id):
        yield Row(line, Kind.LIBRARY_ALBUM, library_id, value, time, names)
    else:
        yield _row(line, Kind.ALBUM, id, value, time, names)


def _playlist(line: int, playlist: _Fields) -> Iterator[Said]:
    value = _value(playlist, "Favorite Status - Playlist", "Playlist Like Rating")
    time = _time(
        playlist, "Favorite Date - Playlist", "Playlist Last Modified Date", "Last Modified Date", "Added Date"
    )
    names = Names(_first(playlist, "Title", "Playlist Title", "Name"))
    yield _row(line, Kind.PLAYLIST, text_of(playlist.get("Public Playlist Identifier")), value, time, names)


def _row(line: int, kind: Kind, id: str, value: Value | None, time: Time | None, names: Names) -> Row:
    if id and not kind.has_id(id):
        raise ValueError(f"{shortened(id)} is no id of {kind.type}")
    return Row(line, kind, id, value, time, names)


def _value(fields: _Fields, status_key: str, *rating_keys: str) -> Value | None:
    """Read what is rated: a favorite is a like, and what is no favorite may yet be disliked."""
    for key in (status_key, *rating_keys):
        said = fields.get(key)
        if said is True:
            return Value.LIKE
        if said is None or said is False:
            continue
        # «true» and «false» have been seen as texts in exports of other things.
        if (text := text_of(said).casefold()) == "true":
            return Value.LIKE
        value = None if text == "false" else preference_of(text)
        if value is not None:
            return value
    return None


def _time(fields: _Fields, *keys: str) -> Time | None:
    return next((time_of(text) for key in keys if (text := text_of(fields.get(key)))), None)


def _first(fields: _Fields, *keys: str) -> str:
    return next((text for key in keys if (text := text_of(fields.get(key)))), "")


def _first_id(identifiers: object) -> str:
    """Take the first of a list, or of a text that lists them."""
    if isinstance(identifiers, list):
        identifiers = identifiers[0] if identifiers else ""
    return text_of(identifiers).partition(",")[0].strip()
