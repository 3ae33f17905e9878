"""`likewise names`: files of names go in, whatever else is in them, and come out again."""

import io
import json
import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from likewise.cli import main
from likewise.domain import Item, ItemName, Kind
from likewise.transfer.formats.rows import BadRow
from likewise.transfer.naming import names_in

SOMETHING = {"type": "songs", "id": "1441164670", "title": "Something", "artist": "The Beatles"}
EVERYTHING = SOMETHING | {
    "album": "Abbey Road",
    "isrc": "GB-AYE-69-00522",
    "musicbrainz_id": "B84EE12A-09ef-421b-82de-0441a926375b",
}


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def likewise(tmp_path, monkeypatch, capsys):
    for name in list(os.environ):
        if name.startswith("LIKEWISE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("LIKEWISE_DATABASE", f"sqlite:///{tmp_path}/likewise.db")

    def run(*arguments) -> Outcome:
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(int(stop.value.code or 0), captured.out, captured.err)

    run("listener", "add", "ada")
    return run


def lines_of(*rows: object) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def test_names_are_loaded_from_lines_and_shown(likewise, tmp_path):
    file = tmp_path / "names.ndjson"
    file.write_bytes(lines_of(EVERYTHING, {"type": "albums", "id": "1", "title": "One"}))

    loaded = likewise("names", "load", file)
    shown = likewise("names", "show", "songs", "1441164670", "2", "x", "1441164670", "--json")

    assert loaded == (0, "", "learned 2 names\n")
    assert shown.code == 0
    assert json.loads(shown.out) == [
        EVERYTHING | {"isrc": "GBAYE6900522", "musicbrainz_id": "b84ee12a-09ef-421b-82de-0441a926375b"}
    ]
    assert likewise("names", "show", "albums", "1").out.splitlines()[1].split() == ["albums", "1", "One"]


def test_names_are_loaded_from_a_table_in_any_order_of_columns(likewise, tmp_path):
    file = tmp_path / "names.csv"
    file.write_text('\ufeffTitle;id;Type;Other\n"Some; thing";1;songs;x\n\'=Sum;2;songs;\n', "utf-8")

    assert likewise("names", "load", file, "--json").out == '{"names": 2, "bad": 0}\n'

    titles = [row["title"] for row in json.loads(likewise("names", "show", "songs", "1", "2", "--json").out)]
    assert titles == ["Some; thing", "=Sum"]


def test_names_come_through_a_pipe_too(likewise, monkeypatch):
    reading, writing = os.pipe()
    os.write(writing, lines_of(SOMETHING))
    os.close(writing)
    monkeypatch.setattr("likewise.cli.names.opened", lambda _name: nullcontext(reading))

    assert likewise("names", "load", "-") == (0, "", "learned 1 name\n")
    os.close(reading)


def test_waiting_for_a_pipe_is_interrupted_by_one_ctrl_c(likewise):  # noqa: ARG001 - sets the variable
    command = [sys.executable, "-m", "likewise", "names", "load", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(b"\n" * 1_000_000)  # more than a pipe holds, so it is being read when this returns
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        code = process.wait(timeout=30)
        assert process.stderr is not None
        told = process.stderr.read()

    assert code == 1
    assert told == b"\nstopped\n"


def test_what_makes_no_sense_is_told_with_its_line_and_the_rest_goes_in(likewise, tmp_path):
    file = tmp_path / "names.ndjson"
    file.write_bytes(
        lines_of(SOMETHING)
        + b"no json\n\n"
        + lines_of(
            SOMETHING | {"type": "song"},
            SOMETHING | {"id": "i.a"},
            SOMETHING | {"isrc": "x"},
            {"type": "songs", "id": "1"},
            {"type": "library-songs", "id": "i.a", "title": "Demo"},
            {"type": "library-songs", "id": "i.a", "title": "Demo", "added": "2026-01-01T00:00:00Z"},
            {"type": "songs", "id": "2", "title": "Last"},
        )
    )

    loaded = likewise("names", "load", file)

    assert (loaded.code, loaded.out) == (1, "")
    lines = loaded.err.splitlines()
    assert lines[0] == "learned 2 names"
    assert lines[1].startswith("warning: line 2: the line is no rating (")
    assert lines[2:] == [
        "warning: line 4: 'song' is no type that can be rated",
        "warning: line 5: 'i.a' is no id of songs",
        "warning: line 6: 'x' is no ISRC",
        "warning: line 7: there is no name in it",
        "error: 7 rows of names.ndjson made no sense, all others are in",
        "",
        "hint: mend them, and load it again",
    ]
    assert "Last" in likewise("names", "show", "songs", "2").out


def test_what_a_table_says_wrong_is_told_with_its_line(likewise, tmp_path):
    file = tmp_path / "names.csv"
    file.write_bytes(b"type,id,title\nsong,1,a\nsongs,x,b\nlibrary-songs,i.a,c\nsongs\nsongs,1,d\n")

    loaded = likewise("names", "load", file)

    assert loaded.code == 1
    assert [line for line in loaded.err.splitlines() if line.startswith("warning")] == [
        "warning: line 2: 'song' is no type that can be rated",
        "warning: line 3: 'x' is no id of songs",
        "warning: line 4: what a library item is called is its owner's business; import it for them",
        "warning: line 5: the row ends before the column 'id'",
    ]


@pytest.mark.parametrize("text", [b"", b"title,artist\n", b"[]", b"\x00\xff"])
def test_a_file_without_the_columns_is_one_bad_row(likewise, tmp_path, text):
    file = tmp_path / "names.csv"
    file.write_bytes(text)

    loaded = likewise("names", "load", file)

    assert loaded.code == 1
    assert "warning: line 1: the column 'type' is missing" in loaded.err
    assert "error: 1 row of names.csv made no sense" in loaded.err


def test_a_file_that_cannot_be_read_is_said_so(likewise):
    loaded = likewise("names", "load", "/nowhere")

    assert loaded.code == 1
    assert loaded.err.startswith("error: the file /nowhere cannot be read (No such file or directory)")


def test_what_nobody_knows_is_said_so(likewise):
    assert likewise("names", "show", "songs", "1") == (0, "", "nothing is known about that\n")
    assert likewise("names", "show", "songs", "1", "--json").out == "[]\n"
    assert likewise("names", "show", "library-songs", "i.a").code == 2


def test_more_names_than_a_call_takes_all_go_in(likewise, tmp_path):
    file = tmp_path / "names.ndjson"
    file.write_bytes(lines_of(*({"type": "songs", "id": str(n), "title": f"Song {n}"} for n in range(2_500))))

    assert likewise("names", "load", file).err == "learned 2,500 names\n"
    assert len(json.loads(likewise("names", "show", "songs", "0", "1000", "2499", "--json").out)) == 3


@given(
    st.binary(max_size=200)
    | st.lists(st.sampled_from([b"type", b",", b"id", b"\n", b'"', b"songs", b"1"])).map(b"".join)
)
def test_whatever_a_file_holds_is_names_or_bad_rows(content):
    for row in names_in(io.BytesIO(content)):
        assert isinstance(row, ItemName | BadRow)


def test_utf_16_is_read_as_spreadsheets_write_it():
    text = "type\tid\ttitle\nsongs\t1\tÜber\n".encode("utf-16")

    assert list(names_in(io.BytesIO(text))) == [ItemName(Item(Kind.SONG, "1"), "Über")]
