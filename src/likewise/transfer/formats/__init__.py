"""The formats that likes come in and go out in, each a reader and perhaps a writer, pure: bytes to rows and back.

A format is known by its content, never by its name. A reader yields what the file says row by row (`rows.Said`) and
raises nothing but `Unreadable`, where the rest of a file makes no sense.
"""

from collections.abc import Callable, Iterator
from typing import IO, NamedTuple

from likewise.transfer.formats import (
    apple_library,
    apple_likes,
    jspf,
    lastfm,
    library_xml,
    listenbrainz,
    own_lines,
    own_table,
    spotify,
)
from likewise.transfer.formats.heads import HEAD_BYTES, Head
from likewise.transfer.formats.rows import Said
from likewise.transfer.formats.streams import Unreadable, in_utf8

__all__ = ["FORMATS", "HEAD_BYTES", "Format", "Unreadable", "format_of"]


class Format(NamedTuple):
    """`name` is what the command line calls it, `title` what people do."""

    name: str
    title: str
    sniff: Callable[[Head], bool]
    read_utf8: Callable[[IO[bytes]], Iterator[Said]]
    is_text: bool = True

    def read(self, stream: IO[bytes]) -> Iterator[Said]:
        """Yield what the file says; raise `Unreadable` where the rest of it makes no sense."""
        return self.read_utf8(in_utf8(stream) if self.is_text else stream)


FORMATS = (
    # Those that know ids come first, so that the names they know are learned before others are found by them.
    Format("ndjson", "Likewise, lines", own_lines.sniff, own_lines.read),
    Format("csv", "Likewise, table", own_table.sniff, own_table.read),
    Format("apple-favorites", "Apple Music favorites", apple_likes.sniff_favorites, apple_likes.read),
    Format("apple-likes", "Apple Music likes and dislikes", apple_likes.sniff, apple_likes.read),
    Format("apple-albums", "Apple Music library albums", apple_library.sniff_albums, apple_library.read_albums),
    Format(
        "apple-playlists", "Apple Music library playlists", apple_library.sniff_playlists, apple_library.read_playlists
    ),
    Format("apple-tracks", "Apple Music library tracks", apple_library.sniff_tracks, apple_library.read_tracks),
    Format("jspf", "JSPF playlist", jspf.sniff, jspf.read),
    # XML says itself how it is encoded.
    Format("library-xml", "Library.xml", library_xml.sniff, library_xml.read, is_text=False),
    Format("listenbrainz", "ListenBrainz feedback", listenbrainz.sniff, listenbrainz.read),
    Format("listenbrainz-api", "ListenBrainz API", listenbrainz.sniff_answer, listenbrainz.read_answer),
    Format("lastfm", "Last.fm loved tracks", lastfm.sniff, lastfm.read),
    Format("spotify", "Spotify library", spotify.sniff, spotify.read),
)
"""In the order in which the files of one import are read."""


def format_of(start: bytes) -> Format | None:
    """Recognise a file by its first 64 KiB; None for what is none of the formats."""
    head = Head(start)
    return next((format for format in FORMATS if format.sniff(head)), None)
