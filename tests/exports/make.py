"""A made-up person's exports in every format that an import reads, with the dirt that such files have.

`python -m tests.exports.make FOLDER` writes them to a folder; every run writes the same bytes.
"""

import csv
import io
import json
import sys
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

_LIKES_HEADER = ("Item Description", "Preference", "Created", "Last Modified", "Item Reference")
_PLAYLIST = "pl.cb4d1c09a2df4230a78d0395fe1f8fde"
_RECORDING = "b84ee12a-09ef-421b-82de-0441a926375b"
_ZIP_DATE = (2022, 5, 1, 12, 0, 0)


def table(rows: Iterable[Sequence[str]], *, delimiter: str = ",") -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def apple_likes() -> bytes:
    good = table(
        [
            _LIKES_HEADER,
            ("Björk - Jóga", "LOVE", "2016-11-18T15:15:30.271Z", "2017-01-02T03:04:05.006Z", "907242702"),
            ("Nickelback - Photograph", "DISLIKE", "2016-11-19T08:00:00.500Z", "", "1440833098"),
            ("A list of my own", "LOVE", "2016-12-24T18:00:00Z", "", _PLAYLIST),
            ("Sigur Rós - Hoppípolla", "NONE", "2016-12-25T18:00:00Z", "", "726383385"),
            # The same song twice: the newer row counts.
            ("Björk - Jóga", "DISLIKE", "2015-01-01T00:00:00Z", "", "907242702"),
        ]
    )
    dirt = (
        b'"A row without an id",LOVE,2016-11-18T15:15:30.271Z,,\n'
        b'"Nobody - Nothing",MAYBE,2016-11-18T15:15:30.271Z,,726383386\n'
        b'"Nobody - Never",LOVE,the other day,,726383387\n'
        b'"Caf\xe9 - in Latin-1",LOVE,2016-11-18T15:15:30.271Z,,726383388\n'
        b'"Too - many",LOVE,2016-11-18T15:15:30.271Z,,726383389,' + b"x," * 10_000 + b"\n"
        b"Too few,LOVE\n"
        b'"An open quote,LOVE,2016-11-18T15:15:30.271Z,,726383390\n'
    )
    return good + dirt + b'"Kate Bush - Cloudbusting",love,2018-08-08T08:08:08.888Z,,310730204\n'


def apple_favorites() -> bytes:
    return table(
        [
            ("Preference", "Favorite Type", "Item Reference", "Item Description", "Last Modified"),
            ("LIKE", "SONG", "310730204", "Kate Bush - Cloudbusting", "2023-03-03T03:03:03.003Z"),
            ("like", "album", "310730196", "Kate Bush - Hounds of Love", "2023-03-04T00:00:00Z"),
            ("DISLIKE", "MUSIC VIDEO", "639322181", "Somebody - Something", "2023-03-05T00:00:00Z"),
            ("LIKE", "STATION", "ra.985484166", "Pure Pop", "2023-03-06T00:00:00Z"),
            ("LIKE", "ARTIST", "636195", "Kate Bush", "2023-03-07T00:00:00Z"),
            ("NEUTRAL", "SONG", "726383385", "Sigur Rós - Hoppípolla", "2023-03-08T00:00:00Z"),
            ("LIKE", "SONG", "1.44083E+11", "Spoilt by - a Spreadsheet", "2023-03-09T00:00:00Z"),
        ]
    )


def library_tracks() -> bytes:
    tracks = [
        {
            "Content Type": "Song",
            "Track Identifier": 11,
            "Apple Music Track Identifier": 310730204,
            "Title": "Cloudbusting",
            "Artist": "Kate Bush",
            "Album": "Hounds of Love",
            "Date Added To Library": "2014-07-20T04:01:33Z",
            "Last Modified Date": "2016-07-20T04:01:33Z",
            "Track Like Rating": "LIKED",
            "Album Like Rating": "LIKED",
            "Rating": 20,
        },
        {
            "Content Type": "Song",
            "Track Identifier": 12,
            "Title": "Homework (Demo)",
            "Artist": "The Neighbours",
            "Album": "Tape",
            "Last Modified Date": "2016-07-21T04:01:33Z",
            "Track Like Rating": "LIKED",
        },
        {
            "Content Type": "Song",
            "Track Identifier": 13,
            "Apple Music Track Identifier": 1193701079,
            "Title": "Redbone",
            "Artist": "Childish Gambino",
            "Album": "“Awaken, My Love!”",
            "Track Like Rating": "UNDEFINED",
            "Favorite Status - Track": True,
            "Favorite Date - Track": "2024-02-02T02:02:02Z",
        },
        {"Content Type": "Song", "Track Identifier": 14, "Title": "Stars", "Rating": 100, "Album Rating": 100},
        "no object",
        {"Content Type": "Song", "Track Identifier": 15, "Apple Music Track Identifier": "x", "Title": "Bad id"},
    ]
    return json.dumps(tracks, ensure_ascii=False, indent=2).encode()


def library_albums() -> bytes:
    albums = [
        {
            "Album ID": "l.oVcmBZH",
            "Catalog Identifiers - Album": "1193700985",
            "Title": "“Awaken, My Love!”",
            "Album Artist": "Childish Gambino",
            "Favorite Album - Status": True,
            "Favorite Album - Date": "2024-02-03T02:02:02Z",
        },
        {"Album ID": "l.upload1", "Title": "Tape", "Favorite Album - Status": True},
        {"Album ID": "l.neither", "Title": "Nothing said", "Favorite Album - Status": False},
    ]
    return json.dumps(albums, ensure_ascii=False).encode()


def library_playlists() -> bytes:
    playlists = [
        {
            "Title": "Running",
            "Public Playlist Identifier": "pl.u-8aAVZAzIr2xB",
            "Favorite Status - Playlist": True,
            "Favorite Date - Playlist": "2024-04-04T04:04:04Z",
        },
        {"Title": "Private", "Playlist Like Rating": "LIKED"},
    ]
    return json.dumps(playlists).encode()


_XML_TRACK = """\
\t\t<key>{number}</key>
\t\t<dict>
\t\t\t<key>Track ID</key><integer>{number}</integer>
\t\t\t<key>Name</key><string>{name}</string>
\t\t\t<key>Artist</key><string>{artist}</string>
\t\t\t<key>Album</key><string>{album}</string>
\t\t\t<key>Date Modified</key><date>2019-09-09T09:09:09Z</date>
\t\t\t<key>Rating</key><integer>100</integer>
\t\t\t{said}
\t\t\t<key>Persistent ID</key><string>{persistent_id}</string>
\t\t</dict>
"""


def xml_track(number: int, name: str, artist: str, album: str, *said: str) -> str:
    """Write a track of a Library.xml that says these things are true."""
    persistent_id = f"5E1F{number:012X}"
    true = "".join(f"<key>{key}</key><true/>" for key in said)
    fields = {"number": number, "name": name, "artist": artist, "album": album, "said": true}
    return _XML_TRACK.format(persistent_id=persistent_id, **fields)


def library_xml(tracks: str | None = None) -> bytes:
    if tracks is None:
        tracks = (
            xml_track(101, "Cloudbusting", "Kate Bush", "Hounds of Love", "Loved", "Album Loved")
            + xml_track(102, "Running Up That Hill", "Kate Bush", "Hounds of Love", "Album Loved")
            + xml_track(103, "Song &amp; Dance", "The Neighbours", "Tape", "Favorited")
            + xml_track(104, "Noise", "The Neighbours", "Tape", "Disliked")
        )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<!DOCTYPE plist PUBLIC "-//Apple Computer//DTD PLIST 1.0//EN" '
        '"http://www.apple.com/DTDs/PropertyList-1.0.dtd">\n'
        '<plist version="1.0">\n<dict>\n\t<key>Major Version</key><integer>1</integer>\n\t<key>Tracks</key>\n\t<dict>\n'
        f"{tracks}"
        "\t</dict>\n\t<key>Playlists</key>\n\t<array>\n\t\t<dict>\n\t\t\t<key>Name</key><string>Library</string>\n"
        "\t\t</dict>\n\t</array>\n</dict>\n</plist>\n"
    ).encode()


_FEEDBACK = (
    {"recording_mbid": _RECORDING, "recording_msid": None, "score": 1, "created": 1700000000},
    {
        "recording_mbid": None,
        "recording_msid": "af8bc5ad-9fac-4a4b-93f2-8a3e8a2a5b3c",
        "score": -1,
        "created": 1700000001,
    },
    {
        "recording_mbid": "0c6ce5e5-0a6e-4b8c-a3a4-bd32f4e5ce2b",
        "recording_msid": None,
        "score": 0,
        "created": 1700000002,
    },
)


def listenbrainz() -> bytes:
    lines = [json.dumps(entry) for entry in _FEEDBACK]
    return "\n".join([lines[0], "not JSON at all", *lines[1:], '{"recording_mbid":null,"score":7}', ""]).encode()


def listenbrainz_api() -> bytes:
    metadata = {"track_name": "Redbone (feat. Nobody)", "artist_name": "CHILDISH GAMBINO", "release_name": "Awaken"}
    entry = {"created": 1710000000, "score": 1, "recording_mbid": None, "track_metadata": metadata}
    return json.dumps({"count": 1, "feedback": [entry], "offset": 0, "total_count": 1}).encode()


def lastfm() -> bytes:
    track = [
        {"name": "cloudbusting", "artist": {"name": "KATE BUSH"}, "mbid": "", "date": {"uts": "1600000000"}},
        {"name": "Unheard Of", "artist": {"name": "Nobody"}, "mbid": "", "date": {"uts": "1600000001"}},
        {"name": "Before all", "artist": {"name": "Nobody"}, "date": {"uts": "-5"}},
    ]
    return json.dumps({"lovedtracks": {"track": track, "@attr": {"user": "ada", "page": "1"}}}).encode()


def spotify() -> bytes:
    library = {
        "tracks": [
            {"artist": "Kate Bush", "album": "Hounds of Love", "track": "Cloudbusting", "uri": "spotify:track:1"}
        ],
        "albums": [{"artist": "Kate Bush", "album": "Hounds Of Love", "uri": "spotify:album:1"}],
        "shows": [{"name": "A show", "publisher": "Somebody", "uri": "spotify:show:1"}],
        "artists": [{"name": "Kate Bush", "uri": "spotify:artist:1"}],
        "bannedTracks": [{"artist": "Nickelback", "album": "All the Right", "track": "Photograph", "uri": "x"}, 7],
        "other": ["whatever"],
    }
    return json.dumps(library, indent=2).encode()


def jspf() -> bytes:
    tracks = [
        {
            "title": "Redbone",
            "creator": "Childish Gambino",
            "identifier": ["https://music.apple.com/us/album/awaken-my-love/1193700985?i=1193701079"],
        },
        {
            "title": "Cloudbusting",
            "creator": "Kate Bush",
            "identifier": f"https://musicbrainz.org/recording/{_RECORDING}",
        },
        {"title": "Nowhere", "creator": "Nobody", "identifier": []},
    ]
    return json.dumps({"playlist": {"title": "Liked", "track": tracks}}).encode()


def own_lines() -> bytes:
    return b"".join(
        json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
        for line in (
            {
                "type": "library-songs",
                "id": "i.7PJN4BYC1WZ8r",
                "catalog_id": "907242702",
                "added": "2020-01-02T03:04:05.006Z",
            },
            {"type": "library-playlists", "id": "p.unrated1", "added": "2020-01-02T03:04:05.007Z"},
            {"type": "songs", "id": "907242702", "value": 1, "time": "2026-11-02T14:05:09.123Z", "title": "Jóga"},
            {
                "type": "library-songs",
                "id": "i.upload1",
                "value": -1,
                "time": "2019-11-02T14:05:09.124Z",
                "added": "2020-01-02T03:04:05.008Z",
            },
            {"type": "songs", "id": "x", "value": 1},
            {"type": "songs", "id": "5", "value": 2},
        )
    )


def own_table() -> bytes:
    header = "\ufefftype,id,value,time,title,artist\r\n"
    return f"{header}songs,726383385,like,2025-05-05T05:05:05.005Z,'=1+1,Sigur Rós\r\n".encode()


FILES = {
    "Apple Music Likes and Dislikes.csv": apple_likes,
    "Apple Music - Favorites.csv": apple_favorites,
    "Apple Music Library Tracks.json": library_tracks,
    "Apple Music Library Albums.json": library_albums,
    "Apple Music Library Playlists.json": library_playlists,
    "Library.xml": library_xml,
    "feedback.jsonl": listenbrainz,
    "feedback.json": listenbrainz_api,
    "lovedtracks.json": lastfm,
    "YourLibrary.json": spotify,
    "liked.jspf": jspf,
    "likes.ndjson": own_lines,
    "likes.csv": own_table,
}
"""Every single file, by the name that people know it by."""


def packed(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, _ZIP_DATE), content, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def apple_archive() -> bytes:
    """Pack a whole privacy export: likes among other things, some packed twice, as a Mac leaves it."""
    folder = "Apple_Media_Services/Apple Music Activity/"
    tracks = "Apple Music Library Tracks.json"
    companions = {f"__MACOSX/{folder}._Apple Music - Favorites.csv": b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X"}
    members = {
        f"{folder}Apple Music Likes and Dislikes.csv": apple_likes(),
        f"{folder}Apple Music - Favorites.csv": apple_favorites(),
        f"{folder}{tracks}.zip": packed({tracks: library_tracks(), **companions}),
        f"{folder}Apple Music Library Albums.json": library_albums(),
        f"{folder}Apple Music Library Playlists.json": library_playlists(),
        f"{folder}Apple Music Play Activity.csv": b"Artist Name,Song Name,Play Duration\nKate Bush,Cloudbusting,1\n",
        f"{folder}Empty.json": b"",
        **companions,
    }
    return packed({"Apple_Media_Services/": b"", **members})


def tidy_archive() -> bytes:
    """Pack a small export without dirt, as the documents show it."""
    folder = "Apple_Media_Services/Apple Music Activity/"
    favorites = table(
        [
            ("Favorite Type", "Item Reference", "Item Description", "Last Modified", "Preference"),
            ("SONG", "310730204", "Kate Bush - Cloudbusting", "2023-03-03T03:03:03.003Z", "LIKE"),
            ("ALBUM", "310730196", "Kate Bush - Hounds of Love", "2023-03-04T18:30:00.000Z", "LIKE"),
            ("SONG", "1440833098", "Nickelback - Photograph", "2016-11-19T08:00:00.500Z", "DISLIKE"),
            ("ARTIST", "636195", "Kate Bush", "2023-03-07T00:00:00.000Z", "LIKE"),
        ]
    )
    track = {
        "Content Type": "Song",
        "Apple Music Track Identifier": 1193701079,
        "Title": "Redbone",
        "Artist": "Childish Gambino",
        "Album": "“Awaken, My Love!”",
        "Track Like Rating": "LIKED",
        "Last Modified Date": "2017-05-06T07:08:09Z",
    }
    demo = {"Content Type": "Song", "Title": "Demo", "Artist": "The Neighbours", "Track Like Rating": "LIKED"}
    tracks = json.dumps([track, demo]).encode()
    members = {
        f"{folder}Apple Music - Favorites.csv": favorites,
        f"{folder}Apple Music Library Tracks.json.zip": packed({"Apple Music Library Tracks.json": tracks}),
        f"{folder}Apple Music Play Activity.csv": b"Artist Name,Song Name,Play Duration\nKate Bush,Cloudbusting,1\n",
    }
    return packed(members)


def write_all(folder: Path) -> None:
    """Write every file, and the archive."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in FILES.items():
        folder.joinpath(name).write_bytes(make())
    folder.joinpath("Apple_Media_Services.zip").write_bytes(apple_archive())


if __name__ == "__main__":
    write_all(Path(sys.argv[1]))
