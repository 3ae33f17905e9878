"""`likewise import` and `likewise export`: what goes in comes out, with its time, once, whatever else is in a file."""

import csv
import io
import json
import os
import pty
import signal
import stat
import subprocess
import sys
import zipfile
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from likewise.cli import main
from likewise.domain import Keep, Kind, Value
from likewise.transfer import exporting, importing
from likewise.transfer.exporting import Tally
from likewise.transfer.exporting import exported as exported_from
from likewise.transfer.formats.rows import Row
from likewise.transfer.importing import BATCH_ROWS, Counts, Importer, Rules
from likewise.transfer.sources import Search, Source
from tests.contract.adapters import ADAPTERS
from tests.exports import make
from tests.house import TUESDAY

COUNTS = list(Counts.__dataclass_fields__)


class Silence:
    """A report that nobody reads."""

    def unmatched(self, source, row, reason):
        pass

    def bad(self, source, row):
        pass


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def likewise(tmp_path, monkeypatch, capsysbinary):
    """The command in this process, on a database with the listener ada."""
    for name in list(os.environ):
        if name.startswith("LIKEWISE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("LIKEWISE_DATABASE", f"sqlite:///{tmp_path}/likewise.db")
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        captured = capsysbinary.readouterr()
        return Outcome(int(stop.value.code or 0), captured.out.decode(), captured.err.decode())

    run("listener", "add", "ada")
    return run


@pytest.fixture
def file(tmp_path):
    """Write a file, of lines where it is given objects."""

    def write(name, content):
        if not isinstance(content, bytes):
            content = b"".join(json.dumps(line).encode() + b"\n" for line in content)
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return write


@pytest.fixture
def imported(likewise):
    """Import, and return what became of the rows of each file, zeros left out."""

    def run(*arguments):
        outcome = likewise("import", "--json", *arguments)
        return {
            Path(row["file"]).name: {name: row[name] for name in COUNTS if row[name]} for row in json.loads(outcome.out)
        }

    return run


@pytest.fixture
def exported(likewise):
    """Return what is rated: its type and id, its value, its time."""

    def run(*arguments):
        lines = [json.loads(line) for line in likewise("export", *arguments).out.splitlines()]
        return {(line["type"], line["id"]): (line["value"], line["time"]) for line in lines if "value" in line}

    return run


def song(id, value=1, time="2020-01-01T00:00:00.000Z", **more):
    return {"type": "songs", "id": id, "value": value, "time": time} | more


# In


def test_a_whole_privacy_export_goes_in_with_its_times(imported, exported, file):
    path = file("Apple_Media_Services.zip", make.apple_archive())

    assert imported(path) == {
        "Apple Music - Favorites.csv": {"read": 7, "new": 4, "unrated": 1, "not_rateable": 1, "bad": 1},
        "Apple Music Likes and Dislikes.csv": {"read": 13, "new": 3, "same": 1, "kept": 1, "unrated": 1, "bad": 7},
        "Apple Music Library Albums.json": {"read": 3, "new": 2, "unrated": 1},
        "Apple Music Library Playlists.json": {"read": 2, "new": 1, "unmatched": 1},
        "Apple Music Library Tracks.json": {"read": 7, "new": 1, "same": 2, "unmatched": 1, "unrated": 1, "bad": 2},
    }
    assert exported() == {
        ("songs", "1193701079"): (1, "2024-02-02T02:02:02.000Z"),
        ("songs", "1440833098"): (-1, "2016-11-19T08:00:00.500Z"),
        ("songs", "310730204"): (1, "2023-03-03T03:03:03.003Z"),
        ("songs", "907242702"): (1, "2017-01-02T03:04:05.006Z"),
        ("albums", "1193700985"): (1, "2024-02-03T02:02:02.000Z"),
        ("albums", "310730196"): (1, "2023-03-04T00:00:00.000Z"),
        ("music-videos", "639322181"): (-1, "2023-03-05T00:00:00.000Z"),
        ("playlists", "pl.cb4d1c09a2df4230a78d0395fe1f8fde"): (1, "2016-12-24T18:00:00.000Z"),
        ("playlists", "pl.u-8aAVZAzIr2xB"): (1, "2024-04-04T04:04:04.000Z"),
        ("stations", "ra.985484166"): (1, "2023-03-06T00:00:00.000Z"),
        ("library-albums", "l.upload1"): (1, "2022-05-01T12:00:00.000Z"),
    }


@pytest.mark.parametrize("adapter", ADAPTERS)
async def test_every_store_takes_all_in_and_gives_it_out_again(tmp_path, adapter):
    make.write_all(tmp_path / "exports")
    lines = []
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        store = await ADAPTERS[adapter](tmp_path / str(number)).open()
        ada = await store.add_listener("ada", "us")
        importer = Importer(store, ada, Rules(Keep.NEWER, Kind.SONG, TUESDAY), Silence())
        with ExitStack() as stack:
            found = [each for each in Search(stack).in_path(tmp_path / "exports") if isinstance(each, Source)]
            for source in sorted(found, key=lambda each: each.name):
                await importer.take(source, lambda _counts, _read: None)
        lines.append(b"".join([chunk async for chunk in exported_from(store, ada, "ndjson", None, Tally())]))
        await store.close()
        for path in (tmp_path / "exports").iterdir():
            path.unlink()
        (tmp_path / "exports" / "all.ndjson").write_bytes(lines[-1])

    assert lines[0] == lines[1]
    assert len(lines[0].splitlines()) == 18


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("id", ["", "5"])
async def test_halves_of_characters_and_controls_in_names_harm_no_store(tmp_path, adapter, id):
    track = {
        "Apple Music Track Identifier": id,
        "Title": "a\ud800\0",
        "Artist": "\x1b[2J",
        "Track Like Rating": "LIKED",
    }
    (tmp_path / "tracks.json").write_text(json.dumps([track]))
    store = await ADAPTERS[adapter](tmp_path).open()
    ada = await store.add_listener("ada", "us")
    with ExitStack() as stack:
        [source] = Search(stack).in_path(tmp_path / "tracks.json")
        assert isinstance(source, Source)
        importer = Importer(store, ada, Rules(Keep.NEWER, Kind.SONG, TUESDAY), Silence())

        counts = await importer.take(source, lambda _counts, _read: None)

    await store.close()
    assert (counts.new, counts.unmatched) == ((1, 0) if id else (0, 1))


def test_to_import_again_changes_nothing(likewise, imported, tmp_path):
    make.write_all(tmp_path / "exports")
    imported(tmp_path / "exports")
    imported(tmp_path / "exports")  # by now all names are known, in whatever order the files came
    before = likewise("export").out

    again = imported(tmp_path / "exports")

    assert likewise("export").out == before
    assert sum(counts.get("new", 0) + counts.get("changed", 0) for counts in again.values()) == 0


def test_the_table_for_people_has_a_sum(likewise, file):
    outcome = likewise("import", file("a.ndjson", [song("5")]), file("b.ndjson", [song("6"), song("7")]))

    assert outcome.code == 0
    assert [line.split()[:4] for line in outcome.out.splitlines()] == [
        ["file", "format", "read", "new"],
        ["a.ndjson", "ndjson", "1", "1"],
        ["b.ndjson", "ndjson", "2", "2"],
        ["all", "3", "3", "0"],
    ]
    assert outcome.err == ""


@pytest.mark.parametrize(
    ("policy", "older", "newer", "counts"),
    [
        ("newer", (1, "2020-01-02T00:00:00.000Z"), (-1, "2020-01-03T00:00:00.000Z"), {"changed": 1, "kept": 1}),
        ("file", (-1, "2020-01-01T00:00:00.000Z"), (-1, "2020-01-03T00:00:00.000Z"), {"changed": 2}),
        ("keep", (1, "2020-01-02T00:00:00.000Z"), (1, "2020-01-02T00:00:00.000Z"), {"kept": 2}),
    ],
)
@pytest.mark.parametrize("rehearsal", [False, True])
def test_what_counts_where_something_is_rated_already(
    imported, exported, file, policy, older, newer, counts, rehearsal
):
    imported(file("a.ndjson", [song("5", 1, "2020-01-02T00:00:00.000Z"), song("6", 1, "2020-01-02T00:00:00.000Z")]))
    before = exported()
    lines = [song("5", -1, "2020-01-01T00:00:00.000Z"), song("6", -1, "2020-01-03T00:00:00.000Z")]

    again = imported("--on-conflict", policy, *(["--dry-run"] if rehearsal else []), file("b.ndjson", lines))

    assert again == {"b.ndjson": {"read": 2, **counts}}
    assert exported() == (before if rehearsal else {("songs", "5"): older, ("songs", "6"): newer})


def test_as_many_rows_as_go_down_together_are_all_there_is(imported, exported, file):
    path = file("a.jsonl", [song(str(number)) for number in range(1, BATCH_ROWS + 1)])

    assert imported(path) == {"a.jsonl": {"read": BATCH_ROWS, "new": BATCH_ROWS}}
    assert len(exported()) == BATCH_ROWS


def test_with_or_without_ids_rows_are_taken_in_their_order(imported, exported, file):
    imported(file("names.ndjson", [song("5", title="T", artist="A")]))
    header, by_name = ("type", "id", "value", "title", "artist"), ("songs", "", "dislike", "T", "A")
    path = file("t.csv", make.table([header, by_name, ("songs", "5", "like", "", "")]))

    assert imported("--on-conflict", "file", path) == {"t.csv": {"read": 2, "changed": 2}}
    assert [value for value, _ in exported().values()] == [1]


def test_uploads_of_many_times_go_in_with_theirs(likewise, imported, file):
    lines = [
        {"type": "library-songs", "id": f"i.{n:04}", "value": 1, "time": f"2020-01-01T00:00:00.{n:03}Z"}
        | {"added": f"2021-01-01T00:00:00.{n:03}Z"}
        for n in range(500)
    ]

    assert imported(file("a.ndjson", lines)) == {"a.ndjson": {"read": 500, "new": 500}}
    assert [json.loads(line) for line in likewise("export").out.splitlines()] == lines


def test_of_duplicates_the_newest_counts_in_whatever_order(imported, exported, file):
    lines = [song("5", value, f"2020-01-0{day}T00:00:00.000Z") for value, day in ((1, 2), (-1, 3), (1, 1), (-1, 3))]

    assert imported(file("a.ndjson", lines)) == {"a.ndjson": {"read": 4, "new": 1, "changed": 1, "kept": 1, "same": 1}}
    assert exported() == {("songs", "5"): (-1, "2020-01-03T00:00:00.000Z")}


def test_a_dry_run_writes_nothing_and_says_what_would_happen(imported, exported, file):
    lines = [song("5"), song("5", -1, "2019-01-01T00:00:00.000Z"), song("5", -1, "2021-01-01T00:00:00.000Z")]
    shelf = {"type": "library-songs", "id": "i.x", "catalog_id": "5", "added": "2020-01-01T00:00:00.000Z"}

    assert imported("--dry-run", file("a.ndjson", [*lines, shelf])) == {
        "a.ndjson": {"read": 4, "new": 2, "changed": 1, "kept": 1}
    }
    assert exported() == {}
    library = file("Library.xml", make.library_xml())
    assert imported("--dry-run", library) == {"Library.xml": {"read": 5, "new": 3, "unmatched": 1, "unrated": 1}}


def test_no_rating_in_a_file_clears_none(imported, exported, file):
    imported(file("a.ndjson", [song("726383385")]))

    counts = imported(file("f.csv", b"Item Reference,Preference,Type,Created\n726383385,NEUTRAL,SONG,2030-01-01\n"))

    assert counts == {"f.csv": {"read": 1, "unrated": 1}}
    assert ("songs", "726383385") in exported()


def test_a_row_without_a_time_has_its_files_and_never_moves_that_of_the_same_value(imported, exported, file):
    path = file("likes.csv", b"Item Reference,Preference\n5,LIKE\n6,DISLIKE\n7,LIKE\n")
    os.utime(path, (1_600_000_000, 1_600_000_000))
    imported(file("a.ndjson", [song("5", 1, "2001-01-01T00:00:00.000Z"), song("6", 1, "2001-01-01T00:00:00.000Z")]))

    assert imported(path) == {"likes.csv": {"read": 3, "same": 1, "changed": 1, "new": 1}}
    assert exported() == {
        ("songs", "5"): (1, "2001-01-01T00:00:00.000Z"),
        ("songs", "6"): (-1, "2020-09-13T12:26:40.000Z"),
        ("songs", "7"): (1, "2020-09-13T12:26:40.000Z"),
    }


@pytest.mark.parametrize("dated", [-1_000_000_000, 15_000_000_000])
def test_a_files_date_counts_from_1970_to_the_present(imported, exported, file, dated):
    path = file("likes.csv", b"Item Reference,Preference\n5,LIKE\n")
    os.utime(path, (dated, dated))

    imported(path)

    [(_, time)] = exported().values()
    assert datetime(1970, 1, 1, tzinfo=UTC) <= datetime.fromisoformat(time) <= datetime.now(UTC)


def test_numbers_that_may_be_anything_are_what_is_assumed(likewise, exported, file):
    path = file("likes.csv", b"Item Reference,Preference\n5,LIKE\n")

    told = likewise("import", path)
    likewise("import", "--assume", "albums", path)

    assert told.err == f"note: numbers in {path} are taken for songs; --assume says otherwise\n"
    assert set(exported()) == {("songs", "5"), ("albums", "5")}


def test_on_a_terminal_it_asks_once_what_numbers_are(exported, file):
    for name in ("a.csv", "b.csv"):
        file(name, b"Item Reference,Preference\n5,LIKE\n")
    process, terminal = pty.fork()
    if process == 0:  # pragma: no cover - another process
        os.execve(sys.executable, [sys.executable, "-m", "likewise", "import", "a.csv", "b.csv"], dict(os.environ))
    os.write(terminal, b"music-videos\n")
    shown = b""
    while True:
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # how Linux says that the other side has gone
            break
        if not piece:
            break
        shown += piece
    _, status = os.waitpid(process, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert shown.count(b"does not say what its numbers are") == 1
    assert set(exported()) == {("music-videos", "5")}


# Names


def test_names_learned_from_one_file_find_what_another_knows_by_name_alone(imported, exported, file):
    favorites, loved = file("favorites.csv", make.apple_favorites()), file("loved.json", make.lastfm())

    counts = imported(loved, favorites)

    assert counts["loved.json"] == {"read": 3, "same": 1, "unmatched": 1, "bad": 1}
    assert exported()["songs", "310730204"] == (1, "2023-03-03T03:03:03.003Z")


def test_isrc_and_recording_find_a_song_before_its_name_does(imported, exported, file):
    facts = {"isrc": "USUG12002836", "musicbrainz_id": "b84ee12a-09ef-421b-82de-0441a926375b"}
    known = [song("1", **facts), song("2", title="T", artist="A"), song("3", isrc="no ISRC", title="T3", artist="A")]
    imported(file("known.ndjson", known))
    tracks: list[dict[str, Any]] = [
        {"title": "T", "creator": "A", "identifier": ["urn:isrc:us-ug1-20-02836"]},
        {"title": "T", "creator": "A", "identifier": [f"https://musicbrainz.org/recording/{facts['musicbrainz_id']}"]},
        {"title": "T", "creator": "A", "identifier": ["urn:isrc:nonsense"]},
    ]
    for track in tracks:
        track["extension"] = {"urn:likewise:rating": [{"value": -1, "time": "2030-01-01T00:00:00.000Z"}]}

    assert imported(file("x.jspf", json.dumps({"playlist": {"track": tracks}}).encode()))["x.jspf"] == {
        "read": 3,
        "changed": 2,
        "same": 1,
    }
    assert [value for value, _ in exported().values()] == [-1, -1, 1]


def test_two_of_one_name_are_none_unless_the_album_decides(imported, exported, file, tmp_path):
    imported(
        file("k.ndjson", [song("1", title="T", artist="A", album="X"), song("2", title="T", artist="A", album="Y")])
    )
    rows = [
        ("type", "id", "value", "title", "artist", "album"),
        *(("songs", "", "-1", "T", "A", album) for album in "YZ"),
    ]

    counts = imported(file("t.csv", make.table(rows)), "--report", tmp_path / "report.csv")

    assert counts == {"t.csv": {"read": 2, "changed": 1, "unmatched": 1}}
    assert [value for value, _ in exported().values()] == [1, -1]
    [row] = csv.DictReader(io.StringIO((tmp_path / "report.csv").read_text("utf-8-sig")))
    assert (row["type"], row["id"], row["value"], row["title"], row["album"]) == ("songs", "", "dislike", "T", "Z")


def test_a_report_is_mended_and_imported(likewise, imported, exported, file, tmp_path):
    report = tmp_path / "report.csv"
    table = file("loved.json", make.lastfm())
    outcome = likewise("import", table, "--report", report)
    assert outcome.code == 1
    assert f"see {report}" in outcome.err

    mended = report.read_text("utf-8-sig").replace(
        "songs,,like,2020-09-13T12:26:41", "songs,777,like,2020-09-13T12:26:41"
    )
    report.write_text(mended, "utf-8")

    assert imported(report, "--report", report) == {"report.csv": {"read": 2, "new": 1, "unmatched": 1}}
    assert exported() == {("songs", "777"): (1, "2020-09-13T12:26:41.000Z")}
    assert stat.S_IMODE(report.stat().st_mode) == 0o600


# Libraries


def test_tracks_of_a_library_are_uploads_until_they_are_found(imported, exported, file):
    library = file("Library.xml", make.library_xml())
    home = ("library-songs", "i.5E1F000000000065")

    assert imported(library) == {"Library.xml": {"read": 5, "new": 3, "unmatched": 1, "unrated": 1}}
    assert home in exported()

    imported(file("favorites.csv", make.apple_favorites()))
    assert imported(library) == {"Library.xml": {"read": 5, "same": 4, "unrated": 1}}
    assert home not in exported()
    assert exported()["songs", "310730204"] == (1, "2023-03-03T03:03:03.003Z")


def test_a_track_whose_catalog_item_has_another_library_id_is_that_item(imported, exported, file):
    shelf = {"type": "library-songs", "id": "i.other", "catalog_id": "5", "added": "2020-01-01T00:00:00.000Z"}
    imported(
        file("a.ndjson", [song("5", -1, "2001-01-01T00:00:00.000Z", title="Cloudbusting", artist="Kate Bush"), shelf])
    )
    track = make.xml_track(101, "Cloudbusting", "Kate Bush", "", "Loved")

    assert imported(file("Library.xml", make.library_xml(track))) == {"Library.xml": {"read": 1, "changed": 1}}
    assert exported() == {("songs", "5"): (1, "2019-09-09T09:09:09.000Z")}


def test_an_upload_is_found_by_its_name_by_what_is_no_library(imported, file):
    track = make.xml_track(101, "Demo", "The Neighbours", "", "Loved")
    imported(file("Library.xml", make.library_xml(track)))

    rows = [("type", "id", "value", "title", "artist"), ("songs", "", "dislike", "DEMO", "the neighbours")]
    assert imported(file("t.csv", make.table(rows)))["t.csv"] == {"read": 1, "changed": 1}


def test_library_items_are_linked_once_and_not_against_what_is_there(likewise, imported, file):
    added = {"added": "2020-01-01T00:00:00.000Z"}
    first = {"type": "library-songs", "id": "i.x", "catalog_id": "5", **added}
    second = {"type": "library-songs", "id": "i.y", "catalog_id": "5", **added}
    moved = {"type": "library-songs", "id": "i.x", "catalog_id": "6", **added}
    upload = {"type": "library-songs", "id": "i.z", **added}

    assert imported(file("a.ndjson", [first, upload])) == {"a.ndjson": {"read": 2, "new": 2}}
    assert imported(file("a.ndjson", [first, upload])) == {"a.ndjson": {"read": 2, "same": 2}}
    assert imported(file("b.ndjson", [second, moved])) == {"b.ndjson": {"read": 2, "changed": 1, "bad": 1}}
    assert "line 1: songs 5 has the library id" not in likewise("import", file("d.ndjson", [first])).err


def test_a_dead_library_id_stays_dead(likewise, imported, exported, file):
    path = file("a.ndjson", [{"type": "library-songs", "id": "i.z", "value": 1, "time": "2020-01-01T00:00:00.000Z"}])
    imported(path)
    likewise("library", "unlink", "ada", "songs", "i.z")

    assert imported(path) == {"a.ndjson": {"read": 1, "kept": 1}}
    assert exported() == {}


def test_a_dry_run_links_nothing_and_counts_what_it_would_find(imported, exported, file):
    imported(file("a.ndjson", [song("5", -1, title="Cloudbusting", artist="Kate Bush")]))
    track = make.xml_track(101, "Cloudbusting", "Kate Bush", "", "Loved")
    before = exported()

    counts = imported("--dry-run", file("Library.xml", make.library_xml(track)))

    assert counts == {"Library.xml": {"read": 1, "kept": 1}}
    assert exported() == before


# What goes wrong


def test_every_bad_row_is_told_and_the_rest_goes_in(likewise, exported, file, tmp_path):
    path = file("likes.csv", make.apple_likes())

    outcome = likewise("import", path, "--report", tmp_path / "report.csv", "--assume", "songs")

    assert outcome.code == 1
    assert outcome.err.startswith(f"warning: {path}, line 7: there is no id\n")
    assert outcome.err.endswith(
        f"error: 7 rows or files could not be read, all others were\n\nhint: see {tmp_path}/report.csv\n"
    )
    rows = list(csv.DictReader(io.StringIO((tmp_path / "report.csv").read_text("utf-8-sig"))))
    assert [(row["file"], row["line"]) for row in rows] == [(str(path), str(line)) for line in range(7, 14)]
    assert ("songs", "310730204") in exported()


def test_files_that_cannot_be_read_are_told_beside_those_that_can(likewise, exported, file, tmp_path):
    good = file("good.ndjson", [song("5")])
    archive = file("a.zip", make.packed({"../x": b"", "notes.txt": b"", "cut.json": make.library_tracks()[:-20]}))

    files = (good, archive, file("empty", b""))
    outcome = likewise("import", *files)
    assert likewise("import", *files, "--report", tmp_path / "report.csv").code == 1

    assert outcome.code == 1
    assert f"{archive}/../x: its name leads out of the archive" in outcome.err
    assert f"{archive}/cut.json, line 43: an element is no JSON, or breaks off" in outcome.err
    assert "empty: it is empty" in outcome.err
    assert "note: 1 other file holds no likes" in outcome.err
    assert ("songs", "5") in exported()


def test_nothing_of_a_damaged_member_is_in_and_all_of_the_others(likewise, exported, file, tmp_path):
    lines = b"".join(json.dumps(song(str(number))).encode() + b"\n" for number in range(1, 20_000))
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:  # not packed, so that the damage makes another id of an id
        archive.writestr("damaged", lines)
        archive.writestr("whole", json.dumps(song("5")))
    damaged = content.getvalue().replace(b'"10000"', b'"10001"', 1)

    outcome = likewise("import", file("a.zip", damaged), "--report", tmp_path / "report.csv")

    assert outcome.code == 1
    told = "a.zip/damaged,,it cannot be unpacked to its end (Bad CRC-32 for file 'damaged')"
    assert told in (tmp_path / "report.csv").read_text("utf-8")
    assert list(exported()) == [("songs", "5")]


def test_what_a_file_gave_before_it_broke_is_in(likewise, exported, file, monkeypatch, tmp_path):
    lines = b"".join(json.dumps(song(str(number))).encode() + b"\n" for number in range(1, 20_000))
    damaged = bytearray(make.packed({"likes": lines}))
    damaged[-2_000] ^= 0xFF
    monkeypatch.setattr("likewise.transfer.sources._fault_of", lambda _: "")  # it breaks after it was looked through

    outcome = likewise("import", file("a.zip", bytes(damaged)), "--report", tmp_path / "report.csv")

    assert outcome.code == 1
    assert "it cannot be unpacked to its end" in (tmp_path / "report.csv").read_text("utf-8")
    assert len(exported()) > 10_000


@pytest.mark.parametrize(("conflict", "value"), [("newer", -1), ("file", 1), ("keep", 1)])
def test_rows_for_one_item_count_in_their_order_however_they_are_written(
    likewise, exported, file, monkeypatch, conflict, value
):
    monkeypatch.setattr(importing, "WINDOW_ROWS", 16)
    rows = [song("9", 1), song("7"), song("9", -1, "2021-01-01T00:00:00.000Z"), song("8"), song("9", 1)]
    others = [song(str(number)) for number in range(200, 100, -1)]

    likewise("import", file("a.ndjson", [*rows, *others]), "--on-conflict", conflict)

    assert exported()["songs", "9"][0] == value
    assert len(exported()) == 3 + len(others)


def test_few_rows_that_are_large_are_written_before_they_fill_the_memory(monkeypatch):
    monkeypatch.setattr(importing, "WINDOW_BYTES", 1_000)
    rows = [Row(line, Kind.SONG, str(line), Value.LIKE) for line in range(1, 101)]
    read = iter(range(0, 100_000, 500))

    batches = list(importing._batches(iter(rows), lambda: next(read)))

    assert {row for batch in batches for row in batch} == set(rows)
    assert max(map(len, batches)) < 50


def test_a_file_that_is_missing_stops_it_before_anything_happens(likewise, exported, file):
    outcome = likewise("import", file("good.ndjson", [song("5")]), "missing.zip")

    assert outcome.code == 1
    assert outcome.err.startswith("error: the file missing.zip cannot be read (No such file or directory)\n\nhint: ")
    assert exported() == {}


def test_a_report_that_cannot_be_written_stops_it_before_anything_happens(likewise, exported, file):
    outcome = likewise("import", file("good.ndjson", [song("5")]), "--report", "no/such/folder.csv")

    assert outcome.code == 1
    assert "folder.csv cannot be written (No such file or directory)" in outcome.err
    assert exported() == {}


def test_nobody_is_guessed_where_there_are_two(likewise, file):
    likewise("listener", "add", "ben")
    path = file("a.ndjson", [song("5")])

    assert likewise("import", path) == (
        2,
        "",
        "error: there is more than one listener\n\nhint: say whose likes with --listener NAME\n",
    )
    assert likewise("import", path, "--listener", "ben").code == 0
    assert likewise("import", path, "--listener", "eve").code == 1
    assert likewise("export", "--listener", "ada").out == ""


def test_without_a_listener_it_says_what_to_do(likewise):
    likewise("listener", "remove", "ada", "--yes")

    assert likewise("export").err.startswith("error: there is no listener yet\n\nhint: ")


def test_an_interrupted_import_ends_in_one_line_and_goes_on_the_next_time(imported, exported, file):
    path = file("a.ndjson", [song(str(number)) for number in range(1, 200_000)])
    with subprocess.Popen(
        [sys.executable, "-m", "likewise", "import", path], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        while not exported():  # until the first rows are in
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)

    assert (process.returncode, out, err.strip()) == (1, "", "stopped")
    counts = imported(path)["a.ndjson"]
    assert counts["same"] > 0
    assert counts["same"] + counts["new"] == 199_999


# Out


def test_our_lines_lose_nothing(likewise, tmp_path):
    make.write_all(tmp_path / "exports")
    likewise("import", tmp_path / "exports")
    likewise("export", "--out", "first.ndjson")
    other = f"sqlite:///{tmp_path}/other.db"
    likewise("listener", "add", "ben", "--database", other)

    outcome = likewise("import", "first.ndjson", "--database", other)
    likewise("export", "--out", "second.ndjson", "--database", other)

    assert outcome.code == 0
    first = (tmp_path / "first.ndjson").read_bytes()
    assert first == (tmp_path / "second.ndjson").read_bytes()
    assert {"library-songs", "library-playlists", "songs"} <= {json.loads(line)["type"] for line in first.splitlines()}


def test_every_row_of_a_table_has_all_its_cells(likewise, imported, file):
    imported(file("a.ndjson", [song("5"), song("6", title="T")]))

    rows = list(csv.reader(likewise("export", "--format", "csv").out.splitlines()))

    assert [len(row) for row in rows] == [9, 9, 9]


def test_a_table_opens_in_spreadsheets_runs_no_formula_and_comes_back(likewise, imported, exported, file):
    imported(file("a.ndjson", [song("5", title="=1+1", artist="@A"), song("6", -1, title="'=x", artist="\uff1dB")]))
    before = exported()

    outcome = likewise("export", "--format", "csv")

    assert outcome.out.startswith("\ufefftype,id,value,time,title,artist,album,isrc,musicbrainz_id\r\n")
    assert "songs,5,like,2020-01-01T00:00:00.000Z,'=1+1,'@A,,,\r\n" in outcome.out
    assert "songs,6,dislike,2020-01-01T00:00:00.000Z,''=x,'\uff1dB,,,\r\n" in outcome.out
    likewise("listener", "add", "ben")
    likewise("import", "--listener", "ben", file("a.csv", outcome.out.encode()))
    assert exported("--listener", "ben") == before
    assert '"title":"\'=x"' in likewise("export", "--listener", "ben").out


def test_a_playlist_has_likes_or_dislikes_and_comes_back(likewise, imported, exported, file, tmp_path):
    imported(
        file(
            "a.ndjson",
            [
                song(
                    "5",
                    title="T",
                    artist="A",
                    isrc="USUG12002836",
                    musicbrainz_id="b84ee12a-09ef-421b-82de-0441a926375b",
                ),
                song("6", -1),
                {**song("7"), "type": "albums"},
                {**song("8"), "type": "music-videos"},
                {**song("i.x", title="U"), "type": "library-songs"},
                {**song("i.y"), "type": "library-songs"},
            ],
        )
    )
    before = exported()

    likes = likewise("export", "--format", "jspf")
    dislikes = likewise("export", "--format", "jspf", "--only", "dislikes", "--out", "dislikes.jspf")

    assert json.loads(likes.out)["playlist"]["title"] == "Likes of ada"
    assert likes.err == "exported 3 ratings, left out 3 that are no likes or that jspf cannot say\n"
    assert (
        dislikes.err == "exported 1 rating to dislikes.jspf, left out 5 that are no dislikes or that jspf cannot say\n"
    )
    likewise("listener", "add", "ben")
    likewise("import", "--listener", "ben", file("likes.jspf", likes.out.encode()), tmp_path / "dislikes.jspf")
    after = exported("--listener", "ben")
    assert after == {key: before[key] for key in after}
    assert set(after) == {("songs", "5"), ("songs", "6"), ("music-videos", "8")}


def test_a_page_without_anything_to_say_leaves_no_gap(likewise, imported, file, monkeypatch):
    monkeypatch.setattr(exporting, "PAGE", 1)
    imported(file("a.ndjson", [song("4", title="T", artist="A"), song("5"), song("6", title="T", artist="A")]))

    loved = json.loads(likewise("export", "--format", "lastfm").out)["lovedtracks"]
    assert len(loved["track"]) == 2
    assert loved["@attr"] == {"user": "ada", "page": "1", "perPage": "2", "totalPages": "1", "total": "2"}


@pytest.mark.parametrize(("format", "count"), [("listenbrainz", 2), ("lastfm", 1)])
def test_other_services_are_told_what_they_know_and_the_rest_is_counted(likewise, imported, file, format, count):
    recordings = [f"{number:08}-0000-0000-0000-000000000000" for number in range(2)]
    lines = [
        song("5", title="T", artist="A", musicbrainz_id=recordings[0]),
        song("6", -1, musicbrainz_id=recordings[1]),
        song("7"),
        song("8", title="No artist"),
        song("9") | {"type": "albums"},
    ]
    imported(file("a.ndjson", lines))

    outcome = likewise("export", "--format", format)
    back = imported("--dry-run", file("back.json", outcome.out.encode()))

    assert outcome.err == f"exported {count} rating{'s' * (count > 1)}, left out {5 - count} that {format} cannot say\n"
    assert back == {"back.json": {"read": count, "same": count}}


def test_only_some_go_out(imported, exported, file):
    imported(file("a.ndjson", [song("5"), song("6", -1)]))

    assert set(exported("--only", "likes")) == {("songs", "5")}
    assert set(exported("--only", "dislikes")) == {("songs", "6")}


def test_nothing_goes_out_as_an_empty_document(likewise):
    assert likewise("export") == (0, "", "exported 0 ratings\n")
    page = {"user": "ada", "page": "1", "perPage": "0", "totalPages": "1", "total": "0"}
    assert json.loads(likewise("export", "--format", "lastfm").out) == {"lovedtracks": {"track": [], "@attr": page}}


def test_a_file_is_replaced_whole_and_for_its_owner_alone(likewise, imported, file, tmp_path):
    imported(file("a.ndjson", [song("5")]))
    (tmp_path / "out").write_bytes(b"before")
    (tmp_path / "link").symlink_to("out")

    likewise("export", "--out", "link")

    assert (tmp_path / "link").is_symlink()
    assert b'"id":"5"' in (tmp_path / "out").read_bytes()
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o600
    assert not list(tmp_path.glob(".likewise-*"))


def test_a_file_that_cannot_be_written_is_told_and_a_device_stays_one(likewise, imported, file):
    imported(file("a.ndjson", [song("5")]))

    refused = likewise("export", "--out", "no/such/folder")

    assert (refused.code, refused.out) == (1, "")
    assert "cannot be written (No such file or directory)" in refused.err
    assert likewise("export", "--out", "/dev/null").code == 0
    assert not Path("/dev/null").is_file()
    assert likewise("export", "--out", "/dev/full").code == 1
