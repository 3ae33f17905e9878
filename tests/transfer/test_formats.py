"""The readers: any bytes become rows, bad rows or an end, each with its line; and a format is known by its content."""

import io
import json
import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from likewise.domain import Item, Kind, Value
from likewise.transfer.formats import FORMATS, Unreadable, format_of
from likewise.transfer.formats.rows import (
    BadRow,
    Names,
    NotRateable,
    Row,
    Said,
    Shelved,
    item_of_url,
    preference_of,
    text_of,
    time_of,
    time_of_seconds,
)
from likewise.transfer.formats.streams import DOCUMENT_BYTES_MAX, ROW_BYTES_MAX
from likewise.transfer.formats.tables import guarded, unguarded
from tests.exports import make

BY_NAME = {format.name: format for format in FORMATS}
FORMAT_OF_FILE = {
    "Apple Music Likes and Dislikes.csv": "apple-likes",
    "Apple Music - Favorites.csv": "apple-favorites",
    "Apple Music Library Tracks.json": "apple-tracks",
    "Apple Music Library Albums.json": "apple-albums",
    "Apple Music Library Playlists.json": "apple-playlists",
    "Library.xml": "library-xml",
    "feedback.jsonl": "listenbrainz",
    "feedback.json": "listenbrainz-api",
    "lovedtracks.json": "lastfm",
    "YourLibrary.json": "spotify",
    "liked.jspf": "jspf",
    "likes.ndjson": "ndjson",
    "likes.csv": "csv",
}
XML_START = b'<?xml version="1.0"?><plist><dict><key>Tracks</key><dict>'


def read(name, content):
    return list(BY_NAME[name].read(io.BytesIO(content)))


def read_until_unreadable(name, content):
    """Return the rows, and why the rest of the file could not be read."""
    rows: list[Said] = []
    with pytest.raises(Unreadable) as stop:
        rows.extend(iter(BY_NAME[name].read(io.BytesIO(content))))
    return rows, stop.value


def rated(rows):
    """Return what rows say of items with an id."""
    return [(row.kind and row.kind.type, row.id, row.value) for row in rows if isinstance(row, Row) and row.id]


def lines_and_reasons(rows):
    return {row.line: row.reason for row in rows if isinstance(row, BadRow)}


# What any format does


@pytest.mark.parametrize("name", make.FILES)
def test_a_file_is_known_by_its_content(name):
    format = format_of(make.FILES[name]())

    assert format is not None
    assert format.name == FORMAT_OF_FILE[name]


@pytest.mark.parametrize("name", [name for name in make.FILES if not name.endswith(".xml")])
def test_utf_16_and_a_byte_order_mark_change_nothing(name):
    content = make.FILES[name]().decode("utf-8", "replace")

    for encoding in ("utf-16", "utf-8-sig"):
        encoded = content.removeprefix("\ufeff").encode(encoding)
        format = format_of(encoded)
        assert format is not None
        assert format.name == FORMAT_OF_FILE[name]
        assert read(format.name, encoded) == read(format.name, content.encode())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xd8\xff\xe0",
        b"hello",
        b"{}",
        b"[]",
        b"[1,2]",
        b"a,b\n1,2\n",
        b"<html></html>",
        b'"',
        b"{\x00",
        b"a\rb,c",
    ],
)
def test_what_is_none_of_the_formats_is_known_as_such(content):
    assert format_of(content) is None


@given(st.binary(max_size=2_000))
def test_any_bytes_are_of_some_format_or_none(content):
    assert format_of(content) in {None, *FORMATS}


@pytest.mark.parametrize("name", BY_NAME)
@given(data=st.data())
def test_any_bytes_become_rows_or_an_end_and_nothing_else(name, data):
    whole = next(make.FILES[file]() for file, format in FORMAT_OF_FILE.items() if format == name)
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    content = whole[:start] + data.draw(st.binary(max_size=200)) + whole[end:]

    rows: list[Said] = []
    with suppress(Unreadable):
        rows.extend(iter(BY_NAME[name].read(io.BytesIO(content))))
    assert all(row.line >= 1 for row in rows)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
KEYS_OF_ALL = sorted(
    {
        *("type", "id", "value", "time", "added", "catalog_id", "title", "isrc", "score", "created", "track_metadata"),
        *("recording_mbid", "track", "tracks", "albums", "artist", "name", "date", "uts", "playlist", "lovedtracks"),
        *("identifier", "extension", "urn:likewise:rating", "feedback", "Album ID", "Apple Music Track Identifier"),
        *("Favorite Status - Track", "Track Like Rating", "Last Modified Date", "Catalog Identifiers - Album"),
    }
)
DOCUMENTS = st.recursive(
    JSON, lambda inner: st.dictionaries(st.sampled_from(KEYS_OF_ALL), inner, max_size=4) | st.lists(inner, max_size=3)
)


@pytest.mark.parametrize("name", [format.name for format in FORMATS if format.name not in {"csv", "library-xml"}])
@given(document=DOCUMENTS)
def test_any_json_becomes_rows_or_an_end(name, document):
    # NaN and infinities too: Python writes them, JSON has none.
    content = json.dumps(document).encode()

    try:
        rows = read(name, content)
    except Unreadable:
        return
    assert all(row.id == "" or row.kind is None or row.kind.has_id(row.id) for row in rows if isinstance(row, Row))


# Apple's likes and favorites


def test_the_likes_go_in_around_the_dirt():
    rows = read("apple-likes", make.apple_likes())

    assert rated(rows) == [
        (None, "907242702", Value.LIKE),
        (None, "1440833098", Value.DISLIKE),
        ("playlists", "pl.cb4d1c09a2df4230a78d0395fe1f8fde", Value.LIKE),
        (None, "726383385", None),
        (None, "907242702", Value.DISLIKE),
        (None, "310730204", Value.LIKE),
    ]
    assert rows[0].time == time_of("2017-01-02T03:04:05.006Z")
    assert rows[0].names == Names("Jóga", "Björk")
    assert rows[1].time == time_of("2016-11-19T08:00:00.500Z")
    assert rows[2].names == Names("A list of my own")
    assert list(lines_and_reasons(rows)) == [7, 8, 9, 10, 11, 12, 13]


def test_favorites_say_their_types_and_artists_cannot_be_rated():
    rows = read("apple-favorites", make.apple_favorites())

    assert rated(rows) == [
        ("songs", "310730204", Value.LIKE),
        ("albums", "310730196", Value.LIKE),
        ("music-videos", "639322181", Value.DISLIKE),
        ("stations", "ra.985484166", Value.LIKE),
        ("songs", "726383385", None),
    ]
    assert [row.line for row in rows if isinstance(row, NotRateable)] == [6]
    assert lines_and_reasons(rows) == {8: "'1.44083E+11' is no id of songs"}


def test_both_spellings_of_favorites_are_read_in_any_case_and_order():
    guide = b"PREFERENCE,Last Modified Date,Type,Item Reference\nLike,2022-02-02T02:02:02Z,Songs,5\n"

    [row] = read("apple-favorites", guide)

    assert (row.kind, row.id, row.value) == (Kind.SONG, "5", Value.LIKE)
    assert row.time == time_of("2022-02-02T02:02:02Z")
    assert row.names == Names()


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_spreadsheets_other_separators_are_read(delimiter):
    content = make.table([("Item Reference", "Preference", "Type"), ("5", "LIKE", "ALBUM")], delimiter=delimiter)
    format = format_of(content)

    assert format is BY_NAME["apple-favorites"]
    assert rated(read(format.name, content)) == [("albums", "5", Value.LIKE)]


def test_a_column_that_is_missing_is_named():
    rows, error = read_until_unreadable("apple-likes", b"Item Description,Created,Item Reference\nx,,5\n")

    assert rows == []
    assert (error.line, error.reason) == (1, "the column 'preference' is missing")


def test_a_type_that_nobody_rates_is_bad():
    content = b"Item Reference,Preference,Type\n5,LIKE,PODCAST\n"

    assert lines_and_reasons(read("apple-favorites", content)) == {2: "'podcast' is no type that can be rated"}


def test_a_bare_reference_that_is_no_id_of_the_catalog_is_bad():
    content = b"Item Reference,Preference\ni.7PJN4BYC1WZ8r,LIKE\n"

    assert lines_and_reasons(read("apple-likes", content)) == {2: "'i.7PJN4BYC1WZ8r' is no id of Apple's catalog"}


# Lines and records


def test_a_row_of_over_a_mebibyte_is_bad_and_the_next_is_read():
    long = b"x" * (ROW_BYTES_MAX + 1)
    lines = b'{"type":"songs","id":"5","value":1}\n' + long + b'\n{"type":"songs","id":"6","value":1}'
    cells = b"Item Reference,Preference\n5,LIKE\n" + long + b"\n6,LIKE\n" + long

    assert lines_and_reasons(read("ndjson", lines)) == {2: "the line has more than 1 MiB"}
    assert lines_and_reasons(read("listenbrainz", lines))[2] == "the line has more than 1 MiB"
    assert rated(read("ndjson", lines)) == [("songs", "5", Value.LIKE), ("songs", "6", Value.LIKE)]
    assert lines_and_reasons(read("apple-likes", cells)) == dict.fromkeys((3, 5), "the row has more than 1 MiB")
    assert rated(read("apple-likes", cells)) == [(None, "5", Value.LIKE), (None, "6", Value.LIKE)]


def test_a_row_of_a_mebibyte_is_read():
    start = b'{"type":"songs","id":"5","value":1,"title":"'
    line = start + b"x" * (ROW_BYTES_MAX - len(start) - 2) + b'"}'

    assert len(line) == ROW_BYTES_MAX
    assert rated(read("ndjson", line + b"\n")) == [("songs", "5", Value.LIKE)]


def test_a_quoted_cell_may_have_several_lines_and_lines_may_be_blank():
    content = b'Item Description,Item Reference,Preference\n"two\nlines",5,LIKE\n\n6 - 7,6,LIKE\n'

    assert [(row.line, row.id) for row in read("apple-likes", content)] == [(2, "5"), (5, "6")]


def test_columns_that_are_empty_may_be_too_many():
    assert rated(read("apple-likes", b"Item Reference,Preference\n5,LIKE,,,\n")) == [(None, "5", Value.LIKE)]


def test_a_header_alone_says_nothing():
    assert read("apple-likes", b"Item Reference,Preference") == []


def test_memory_stays_flat_however_long_a_line_is():
    class Endless(io.RawIOBase):
        left = 64 * 1024 * 1024

        def readable(self):
            return True

        def readinto(self, buffer):
            size = min(len(buffer), self.left)
            self.left -= size
            buffer[:size] = b"x" * size
            return size

    for name in ("ndjson", "apple-tracks", "library-xml", "apple-likes"):
        tracemalloc.start()
        with suppress(Unreadable):
            list(BY_NAME[name].read(io.BufferedReader(Endless())))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 16 * 1024 * 1024, name


# Apple's library


def test_tracks_are_liked_or_not_and_stars_are_no_likes():
    rows = read("apple-tracks", make.library_tracks())

    assert rated(rows) == [("songs", "310730204", Value.LIKE), ("songs", "1193701079", Value.LIKE)]
    assert [(row.kind, row.names.title, row.value) for row in rows if isinstance(row, Row) and not row.id] == [
        (Kind.ALBUM, "Hounds of Love", Value.LIKE),
        (Kind.SONG, "Homework (Demo)", Value.LIKE),
        (Kind.SONG, "Stars", None),
    ]
    assert rows[0].time == time_of("2016-07-20T04:01:33Z")
    assert lines_and_reasons(rows) == {42: "there is no object", 43: "'x' is no id of songs"}


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ({"Track Like Rating": "disliked"}, Value.DISLIKE),
        ({"Track Like Rating": "none", "Favorite Status - Track": False}, None),
        ({"Track Like Rating": "LIKED", "Favorite Status - Track": "false"}, Value.LIKE),
        ({"Favorite Status - Track": "TRUE"}, Value.LIKE),
        ({"Rating": 100, "Album Rating": 100}, None),
    ],
)
def test_a_tracks_rating_in_all_the_words_of_the_years(said, value):
    track = {"Content Type": "Music Video", "Apple Music Track Identifier": "5"} | said

    assert rated(read("apple-tracks", json.dumps([track]).encode())) == [("music-videos", "5", value)]


def test_albums_are_of_the_catalog_else_of_the_library():
    rows = read("apple-albums", make.library_albums())

    assert rated(rows) == [
        ("albums", "1193700985", Value.LIKE),
        ("library-albums", "l.upload1", Value.LIKE),
        ("library-albums", "l.neither", None),
    ]


@pytest.mark.parametrize(("identifiers", "id"), [([5, 6], "5"), ([], ""), ("5, 6", "5"), (5, "5"), (True, "")])
def test_the_first_of_an_albums_identifiers_counts(identifiers, id):
    [row] = read("apple-albums", json.dumps([{"Catalog Identifiers - Album": identifiers}]).encode())

    assert row.id == id


def test_playlists_are_known_by_their_public_ids():
    rows = read("apple-playlists", make.library_playlists())

    assert rated(rows) == [("playlists", "pl.u-8aAVZAzIr2xB", Value.LIKE)]
    assert rows[1].names == Names("Private")


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (b"{}", 1, "there is no array"),
        (b"", 1, "there is no array"),
        (b"[{},\n{]", 2, "an element is no JSON, or breaks off"),
        (b"[{},\n{}", 2, "the array breaks off"),
        (b"[{}\n{}]", 2, "there is no comma where one goes"),
        (b"[NaN]", 1, "an element is no JSON, or breaks off"),
        (b"[" * 100_000, 1, "an element is nested too deep"),
        (b'["' + b"x" * (2 * ROW_BYTES_MAX), 1, "an element has more than 1 MiB"),
    ],
)
def test_an_array_that_breaks_off_says_where(content, line, reason):
    _, error = read_until_unreadable("apple-tracks", content)

    assert (error.line, error.reason) == (line, reason)


def test_an_array_is_read_across_the_borders_of_what_is_read_at_once():
    tracks = [{"Apple Music Track Identifier": number, "Title": "x" * 1_000} for number in range(1, 1_500)]

    rows = read("apple-tracks", json.dumps(tracks, indent=1).encode())

    assert [row.id for row in rows] == [str(number) for number in range(1, 1_500)]
    assert rows[-1].line == 4 * 1_498 + 2


@pytest.mark.parametrize("content", [b"[]", b" [ ] "])
def test_an_empty_array_says_nothing(content):
    assert read("apple-tracks", content) == []


@given(st.lists(st.integers(0, 10**9), min_size=1), st.integers(1, 7))
def test_numbers_at_the_end_of_what_is_read_are_whole(numbers, chunk_bytes):
    from likewise.transfer.formats.streams import elements_of  # noqa: PLC0415 - below the formats, for this alone

    class Slow(io.BytesIO):
        def read(self, _size=None):
            return super().read(chunk_bytes)

    assert [element for _, element in elements_of(Slow(json.dumps(numbers).encode()))] == numbers


# Library.xml


def test_a_library_knows_persistent_ids_and_what_is_true():
    rows = read("library-xml", make.library_xml())

    assert [(row.home and row.home.id, row.names.title, row.value) for row in rows] == [
        ("i.5E1F000000000065", "Cloudbusting", Value.LIKE),
        (None, "Hounds of Love", Value.LIKE),
        ("i.5E1F000000000066", "Running Up That Hill", None),
        ("i.5E1F000000000067", "Song & Dance", Value.LIKE),
        ("i.5E1F000000000068", "Noise", Value.DISLIKE),
    ]
    assert {row.time for row in rows} == {time_of("2019-09-09T09:09:09Z")}
    assert {row.line for row in rows} == {9, 20, 31, 42}


def test_a_video_of_a_library_is_a_video():
    [row] = read("library-xml", make.library_xml(make.xml_track(1, "V", "A", "B", "Music Video", "Loved")))

    assert row.home == Item(Kind.LIBRARY_MUSIC_VIDEO, "i.5E1F000000000001")
    assert row.kind is Kind.MUSIC_VIDEO


def test_what_is_said_of_an_album_counts_once_in_a_while():
    tracks = "".join(make.xml_track(n, "T", "A", f"Album {n % 10_001}", "Album Disliked") for n in range(10_002))

    albums = [row for row in read("library-xml", make.library_xml(tracks)) if row.kind is Kind.ALBUM]

    # The first album is forgotten when one too many has been met, and met again after it.
    assert [albums[0].names.title, albums[-1].names.title, len(albums)] == ["Album 0", "Album 0", 10_002]
    assert albums[0].value is Value.DISLIKE


@pytest.mark.parametrize(
    ("track", "reason"),
    [
        (make.xml_track(1, "N", "A", "B").replace("Persistent ID", "Other ID"), "the track has no persistent id"),
        (make.xml_track(1, "N", "A", "B").replace("2019-09-09T09:09:09Z", "then"), "'then' is no date"),
    ],
)
def test_a_track_that_makes_no_sense_is_bad(track, reason):
    rows = read("library-xml", make.library_xml(track + make.xml_track(2, "N", "A", "B", "Loved")))

    assert lines_and_reasons(rows) == {9: reason}
    assert rows[1].value is Value.LIKE


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'<!DOCTYPE x [<!ENTITY a "b">]><plist>&a;</plist>', "the XML declares entities, which are refused"),
        (
            b'<!DOCTYPE x [<!ENTITY % a SYSTEM "file:///etc/passwd">%a;]><plist/>',
            "the XML declares entities, which are refused",
        ),
        (b"<plist><dict/></plist>", "the property list has no tracks"),
        (b"<plist>" + b"<dict>" * 40, "the XML is nested deeper than 32"),
        (XML_START + b"<!--" + b"x" * (2 * ROW_BYTES_MAX), "a tag has more than 1 MiB"),
    ],
)
def test_xml_that_wants_too_much_is_refused(content, reason):
    _, error = read_until_unreadable("library-xml", content)

    assert error.reason == reason


@pytest.mark.parametrize(
    "content", [b"<plist>", b"<plist></dict>", b"<plist>&x;</plist>", b'<?xml version="1.0" encoding="x"?><p/>']
)
def test_xml_that_is_none_is_refused(content):
    _, error = read_until_unreadable("library-xml", content)

    assert error.reason.startswith("the XML makes no sense")


def test_what_was_whole_before_the_xml_breaks_off_goes_in():
    content = make.library_xml()[:-200]

    rows, _ = read_until_unreadable("library-xml", content[: content.index(b"<key>104</key>")])

    assert [row.names.title for row in rows if row.home] == ["Cloudbusting", "Running Up That Hill", "Song & Dance"]


def test_a_text_of_a_library_is_cut_and_comments_are_passed_over():
    track = make.xml_track(1, "N" * 200_000, "A<!-- aside -->", "B", "Loved")

    [row] = read("library-xml", make.library_xml(track))

    assert len(row.names.title) < 200_000
    assert row.names.artist == "A"


def test_a_library_in_utf_16_says_so_itself():
    content = make.library_xml().decode().replace("UTF-8", "UTF-16").encode("utf-16")
    format = format_of(content)

    assert format is BY_NAME["library-xml"]
    assert len(read(format.name, content)) == 5


# Other services


def test_feedback_is_by_recording_and_scores_are_ratings():
    rows = read("listenbrainz", make.listenbrainz() + b"\n")

    assert [(row.names.musicbrainz_id[:4], row.value, row.time) for row in rows if isinstance(row, Row)] == [
        ("b84e", Value.LIKE, 1_700_000_000_000),
        ("", Value.DISLIKE, 1_700_000_001_000),
        ("0c6c", None, 1_700_000_002_000),
    ]
    assert list(lines_and_reasons(rows)) == [2, 5]


def test_feedback_of_the_api_has_names():
    [row] = read("listenbrainz-api", make.listenbrainz_api())

    assert row.names == Names("Redbone (feat. Nobody)", "CHILDISH GAMBINO", "Awaken")


@pytest.mark.parametrize("created", [float("1e300"), "soon", True, [], -1])
def test_a_bad_time_is_a_bad_row(created):
    line = json.dumps({"recording_mbid": "x", "score": 1, "created": created}).encode()

    assert list(lines_and_reasons(read("listenbrainz", line))) == [1]


def test_last_fm_may_have_a_single_track():
    rows = read("lastfm", make.lastfm())
    alone = {"lovedtracks": {"track": {"name": "T", "artist": {"#text": "A"}, "date": {"uts": "1"}}}}

    assert [row.names.title for row in rows if isinstance(row, Row)] == ["cloudbusting", "Unheard Of"]
    assert list(lines_and_reasons(rows)) == [3]
    assert read("lastfm", json.dumps(alone).encode()) == [Row(1, Kind.SONG, "", Value.LIKE, 1_000, Names("T", "A"))]


def test_spotify_saves_and_bans():
    rows = read("spotify", make.spotify())

    assert [(row.kind, row.names.title, row.value, row.time) for row in rows if isinstance(row, Row)] == [
        (Kind.SONG, "Cloudbusting", Value.LIKE, None),
        (Kind.ALBUM, "Hounds Of Love", Value.LIKE, None),
        (Kind.SONG, "Photograph", Value.DISLIKE, None),
    ]
    assert [row.line for row in rows if isinstance(row, NotRateable)] == [3, 4]
    assert lines_and_reasons(rows) == {6: "there is no object"}
    assert lines_and_reasons(read("spotify", b'{"tracks":{},"albums":[]}')) == {1: "tracks is no list"}


def test_a_playlist_knows_tracks_by_addresses_and_recordings():
    rows = read("jspf", make.jspf())

    assert rated(rows) == [("songs", "1193701079", Value.LIKE)]
    assert rows[1].names.musicbrainz_id == "b84ee12a-09ef-421b-82de-0441a926375b"


def test_a_playlist_of_ours_tells_values_and_times():
    extension = {"urn:likewise:rating": [{"value": -1, "time": "2020-01-01T00:00:00.001Z"}]}
    foreign = {"https://musicbrainz.org/doc/jspf#track": {"added_at": "2020-01-01T00:00:00Z"}}
    bad = {"urn:likewise:rating": {"time": "never"}}
    tracks = [{"identifier": "urn:isrc:USUG12002836", "extension": each} for each in (extension, foreign, bad)]

    disliked, liked, wrong = read("jspf", json.dumps({"playlist": {"track": [*tracks]}}).encode())

    assert (disliked.value, disliked.time, disliked.names.isrc) == (Value.DISLIKE, 1_577_836_800_001, "USUG12002836")
    assert (liked.value, liked.time) == (Value.LIKE, 1_577_836_800_000)
    assert isinstance(wrong, BadRow)


@pytest.mark.parametrize("identifier", [None, 5, [], [None, 5, {}]])
def test_a_track_of_a_playlist_may_have_no_identifier(identifier):
    track = {"title": "T", "creator": "A", "identifier": identifier}

    [row] = read("jspf", json.dumps({"playlist": {"track": [track]}}).encode())

    assert row == Row(1, Kind.SONG, "", Value.LIKE, None, Names("T", "A"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("listenbrainz-api", b'{"feedback":1}'),
        ("listenbrainz-api", b"[]"),
        ("lastfm", b'{"lovedtracks":{}}'),
        ("jspf", b'{"playlist":[]}'),
        ("listenbrainz-api", b'{"feedback":[1]}'),
        ("lastfm", b'{"lovedtracks":{"track":[1]}}'),
        ("jspf", b'{"playlist":{"track":[1]}}'),
    ],
)
def test_a_document_without_its_list_is_bad(name, content):
    assert list(lines_and_reasons(read(name, content))) == [1]


def test_a_spotify_file_of_something_else_says_nothing():
    assert read("spotify", b"[]") == []


def test_a_whole_document_has_a_limit():
    padding = b" " * DOCUMENT_BYTES_MAX

    _, error = read_until_unreadable("lastfm", b'{"lovedtracks":{"track":[]}}' + padding)
    assert error.reason == "a file of this format may have 64 MiB"
    assert read("lastfm", b'{"lovedtracks":{"track":[]}}' + padding[28:]) == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"{", "truncated"), (b'{"x":"\xff"}', "UTF-8"), (b"[" * 100_000, "nested too deep")],
)
def test_a_document_that_is_no_json_is_refused(content, reason):
    _, error = read_until_unreadable("spotify", content)

    assert reason.casefold() in error.reason.casefold()


# Our own


def test_our_lines_say_all_there_is():
    shelved, unrated, song, upload, *bad = read("ndjson", make.own_lines())

    library_song = Item(Kind.LIBRARY_SONG, "i.7PJN4BYC1WZ8r")
    assert shelved == Shelved(1, library_song, Item(Kind.SONG, "907242702"), 1_577_934_245_006)
    assert unrated == Shelved(2, Item(Kind.LIBRARY_PLAYLIST, "p.unrated1"), None, 1_577_934_245_007)
    assert (song.kind, song.value, song.time) == (Kind.SONG, Value.LIKE, time_of("2026-11-02T14:05:09.123Z"))
    assert (upload.value, upload.added) == (Value.DISLIKE, time_of("2020-01-02T03:04:05.008Z"))
    assert lines_and_reasons(bad) == {5: "'x' is no id of songs", 6: "the value 2 is neither 1 nor -1"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ({"type": "artists", "id": "5", "value": 1}, "'artists' is no type that can be rated"),
        ({"type": "songs", "id": "5", "value": 1, "time": "x"}, "'x' is no date"),
        ({"type": "library-songs", "id": "i.5", "catalog_id": "x", "added": "2020-01-01"}, "'x' is no id of songs"),
        ({"type": "songs"}, "the line is no rating (Object missing required field `id`)"),
    ],
)
def test_a_line_that_makes_no_sense_says_why(line, reason):
    assert lines_and_reasons(read("ndjson", b"\n" + json.dumps(line).encode())) == {2: reason}


def test_a_line_without_a_value_rates_nothing():
    [row] = read("ndjson", b'{"type":"songs","id":"5"}\n   \n')

    assert row.value is None


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (("songs", "5", "like"), ("songs", "5", Value.LIKE)),
        (("", "5", "-1"), (None, "5", Value.DISLIKE)),
        (("", "pl.u-x", "like"), ("playlists", "pl.u-x", Value.LIKE)),
    ],
)
def test_our_table_says_what_is_what(cells, said):
    assert rated(read("csv", make.table([("type", "id", "value"), cells]))) == [said]


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (("artists", "5", "like"), "'artists' is no type that can be rated"),
        (("songs", "x", "like"), "'x' is no id of songs"),
        (("", "x", "like"), "'x' is no id of Apple's catalog"),
        (("songs", "5", "maybe"), "'maybe' is neither like nor dislike"),
        (("songs",), "the row ends before the column 'id'"),
    ],
)
def test_a_row_of_our_table_that_makes_no_sense_says_why(cells, reason):
    assert lines_and_reasons(read("csv", make.table([("type", "id", "value"), cells]))) == {2: reason}


def test_rows_of_a_report_that_nobody_filled_in_say_nothing_or_names():
    header = ("type", "id", "value", "time", "title", "artist", "file", "line", "reason")
    bad, unmatched = ("",) * 6 + ("f", "3", "why"), ("songs", "", "like", "", "T", "A", "f", "4", "why")

    [row] = read("csv", make.table([header, bad, unmatched]))

    assert (row.line, row.kind, row.id, row.names) == (3, Kind.SONG, "", Names("T", "A"))


# Words


@given(st.text())
def test_a_guarded_cell_comes_back_and_starts_no_formula(cell):
    assert unguarded(guarded(cell)) == cell
    assert not guarded(cell).startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


@pytest.mark.parametrize("word", ["LOVE", "like", "Liked", "favorited", " loved "])
def test_likes_in_many_words(word):
    assert preference_of(word) is Value.LIKE


def test_no_rating_in_many_words():
    assert {preference_of(word) for word in ("none", "NEUTRAL", "undefined", "")} == {None}


@given(st.text(max_size=40))
def test_any_text_is_a_time_of_our_range_or_none(text):
    try:
        time = time_of(text)
    except ValueError:
        return
    assert time is None or time >= 0


@given(st.datetimes())
def test_any_date_is_a_time_or_refused(moment):
    if moment.year >= 1970:
        assert time_of(moment.isoformat()) is not None
    else:
        with pytest.raises(ValueError, match="between 1970 and 9999"):
            time_of(moment.isoformat())


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), 10**400, "1" * 5000, "nan", -1, 253402300800])
def test_seconds_out_of_range_are_refused(seconds):
    with pytest.raises(ValueError, match=r".+"):
        time_of_seconds(seconds)


def test_seconds_may_be_absent_or_broken():
    assert (time_of_seconds(None), time_of_seconds(""), time_of_seconds("1.5")) == (None, None, 1_500)


def test_only_texts_and_numbers_are_texts():
    things: list[object] = [5, " x ", True, None, 1.5, [], 10**64]

    assert [text_of(thing) for thing in things] == ["5", "x", "", "", "", "", ""]


@pytest.mark.parametrize(
    ("url", "item"),
    [
        ("https://music.apple.com/us/song/joga/907242702", Item(Kind.SONG, "907242702")),
        ("https://music.apple.com/us/song/907242702", Item(Kind.SONG, "907242702")),
        ("https://music.apple.com/gb/album/x/5?i=6", Item(Kind.SONG, "6")),
        ("https://itunes.apple.com/gb/album/x/5?l=en", Item(Kind.ALBUM, "5")),
        ("https://music.apple.com/us/playlist/x/pl.u-8aAVZ", Item(Kind.PLAYLIST, "pl.u-8aAVZ")),
        ("https://music.apple.com/us/station/x/ra.5", Item(Kind.STATION, "ra.5")),
        ("https://music.apple.com/us/music-video/x/5", Item(Kind.MUSIC_VIDEO, "5")),
        ("https://music.apple.com/us/artist/x/5", None),
        ("https://music.apple.com/us/song/x/y", None),
        ("https://example.com/us/song/x/5", None),
    ],
)
def test_apples_web_addresses_are_items(url, item):
    assert item_of_url(url) == item
