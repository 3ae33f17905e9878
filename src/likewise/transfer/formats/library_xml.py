"""«Library.xml» of iTunes and Music: a property list, read as it passes by.

It knows no ids of the catalog, so each track stays the library item that it is, under an id made of its persistent id,
whatever it turns out to be. Only what is true is written down: Loved, Favorited, Disliked.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import IO
from xml.parsers import expat

from likewise.domain import Item, Kind, Time, Value
from likewise.transfer.formats.heads import Head
from likewise.transfer.formats.rows import BadRow, Names, Row, Said, time_of
from likewise.transfer.formats.streams import ROW_BYTES_MAX, Unreadable

DEPTH_MAX = 32
TEXT_CHARACTERS_MAX = 10_000

_CHUNK_BYTES = 64 * 1024
_ALBUMS_REMEMBERED = 10_000

_KEYS = frozenset(
    (
        *("Persistent ID", "Name", "Artist", "Album Artist", "Album", "Date Modified", "Date Added"),
        *("Loved", "Favorited", "Disliked", "Album Loved", "Album Favorited", "Album Disliked"),
        *("Has Video", "Music Video"),
    )
)


def sniff(head: Head) -> bool:
    return head.text.startswith("<") and "<plist" in head.text


def read(stream: IO[bytes]) -> Iterator[Said]:
    seen_albums: OrderedDict[tuple[str, str], None] = OrderedDict()
    for line, track in _tracks_of(stream):
        try:
            yield _track(line, track)
            album = _album(line, track)
        except ValueError as error:
            yield BadRow(line, str(error))
            continue
        # Every track of an album repeats what is said of the album.
        if album is not None and (key := (album.names.artist, album.names.title)) not in seen_albums:
            seen_albums[key] = None
            if len(seen_albums) > _ALBUMS_REMEMBERED:
                seen_albums.popitem(last=False)
            yield album


def _track(line: int, track: dict[str, str]) -> Row:
    persistent_id = track.get("Persistent ID", "")
    is_video = "Music Video" in track or "Has Video" in track
    home = Item(Kind.LIBRARY_MUSIC_VIDEO if is_video else Kind.LIBRARY_SONG, f"i.{persistent_id}")
    if not home.kind.has_id(home.id):
        raise ValueError("the track has no persistent id")
    names = Names(track.get("Name", ""), track.get("Artist", ""), track.get("Album", ""))
    kind = Kind.MUSIC_VIDEO if is_video else Kind.SONG
    return Row(line, kind, "", _value(track, ""), _time(track), names, home)


def _album(line: int, track: dict[str, str]) -> Row | None:
    value = _value(track, "Album ")
    if value is None:
        return None
    artist = track.get("Album Artist") or track.get("Artist", "")
    return Row(line, Kind.ALBUM, "", value, _time(track), Names(track.get("Album", ""), artist))


def _value(track: dict[str, str], of: str) -> Value | None:
    if track.get(f"{of}Loved") == "true" or track.get(f"{of}Favorited") == "true":
        return Value.LIKE
    return Value.DISLIKE if track.get(f"{of}Disliked") == "true" else None


def _time(track: dict[str, str]) -> Time | None:
    return time_of(track.get("Date Modified") or track.get("Date Added") or "")


def _tracks_of(stream: IO[bytes]) -> Iterator[tuple[int, dict[str, str]]]:
    plist = _Plist()
    is_over = False
    while not is_over:
        chunk = stream.read(_CHUNK_BYTES)
        is_over = not chunk
        try:
            plist.feed(chunk)
        finally:
            # What was whole before the XML broke off goes in.
            yield from plist.found
            plist.found.clear()


class _Plist:
    """The dictionaries below `Tracks` of a property list.

    Every declaration of an entity is refused, so no text is longer than it is written, and nothing is ever fetched.
    """

    def __init__(self) -> None:
        parser = self._parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._finish
        parser.CharacterDataHandler = self._hear
        parser.CommentHandler = self._pass
        parser.EntityDeclHandler = self._refuse_entity
        self._depth = 0
        self._silent_bytes = 0
        self._text = ""
        self._section = ""
        self._key = ""
        self._has_tracks = False
        self._line = 1
        self._track: dict[str, str] = {}
        self.found: list[tuple[int, dict[str, str]]] = []

    def feed(self, chunk: bytes) -> None:
        """Read on, nothing at the end; what has come to its end is in `found`. Raise `Unreadable`."""
        self._silent_bytes += len(chunk)
        try:
            self._parser.Parse(chunk, not chunk)
        except (expat.ExpatError, ValueError, LookupError) as error:
            raise self._unreadable(f"the XML makes no sense ({error})") from error
        if self._silent_bytes > ROW_BYTES_MAX:
            raise self._unreadable(f"a tag has more than {ROW_BYTES_MAX >> 20} MiB")
        if not chunk and not self._has_tracks:
            raise self._unreadable("the property list has no tracks")

    def _unreadable(self, reason: str) -> Unreadable:
        return Unreadable(self._parser.CurrentLineNumber, reason)

    # plist 1, its dict 2, the dict of tracks 3, a track 4, what is said of it 5
    def _start(self, name: str, _attributes: dict[str, str]) -> None:
        self._silent_bytes = 0
        self._depth += 1
        self._text = ""
        if self._depth > DEPTH_MAX:
            raise self._unreadable(f"the XML is nested deeper than {DEPTH_MAX}")
        if self._depth == 3 and self._section == "Tracks" and name == "dict":
            self._has_tracks = True
        if self._depth == 4:
            self._line, self._track, self._key = self._parser.CurrentLineNumber, {}, ""

    def _finish(self, name: str) -> None:
        self._silent_bytes = 0
        depth, self._depth = self._depth, self._depth - 1
        if depth == 3 and name == "key":
            self._section = self._text
        elif self._section != "Tracks":
            return
        elif depth == 4 and name == "dict":
            self.found.append((self._line, self._track))
        elif depth == 5 and name == "key":
            self._key = self._text
        elif depth == 5 and self._key in _KEYS:
            self._track[self._key] = name if name in {"true", "false"} else self._text.strip()

    def _hear(self, text: str) -> None:
        self._silent_bytes = 0
        if len(self._text) <= TEXT_CHARACTERS_MAX:
            self._text += text

    def _pass(self, _comment: str) -> None:
        self._silent_bytes = 0

    def _refuse_entity(self, *_declaration: object) -> None:
        raise self._unreadable("the XML declares entities, which are refused")
