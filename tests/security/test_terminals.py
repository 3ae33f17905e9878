"""What strangers wrote, as names of songs, errors of servers and names of files are, does nothing to a terminal."""

import io
import json
import zipfile
from contextlib import nullcontext

import pytest
from rich.console import Console
from rich.progress import Progress

from likewise.cli import moving, output
from likewise.cli.output import show, tell
from likewise.cli.terminal import harmless
from likewise.transfer.formats import FORMATS
from likewise.transfer.importing import Counts
from likewise.transfer.sources import Source
from tests.client.servers import answer, faulty_server
from tests.house import MONDAY

CLEAR = "\x1b[2J\x1b[H"
TITLE = "\x1b]0;owned\x07"
EIGHT_BIT = "\x9b2J"
TURNED = "\u202egnihton\u202c"
LINES = "a\rb\nc\u2028d\u2029e\x85f"
HOSTILE = [CLEAR, TITLE, EIGHT_BIT, TURNED, LINES, "\x00\x08\x0b\x0c\x7f"]


def acts(text):
    """Say whether anything but line ends of ours is in a text that would act on a terminal."""
    return harmless(text.replace("\n", "")) != text.replace("\n", "")


@pytest.mark.parametrize("text", HOSTILE)
def test_what_acts_is_written_out(text):
    assert not acts(harmless(text))
    assert json.loads(f'"{harmless(text)}"') == text


@pytest.mark.parametrize(
    "text", ["Björk", "久石\u3000譲", "👩\u200d👩\u200d👧", "क्\u200dष", "l\u2019été", ":heart: [bold]x[/]"]
)
def test_what_only_looks_is_left_as_it_is(text, capsys):
    assert harmless(text) == text

    show([{"name": text}], as_json=False, empty="")

    assert text in capsys.readouterr().out


@pytest.mark.parametrize("as_json", [False, True], ids=["table", "JSON"])
@pytest.mark.parametrize("text", HOSTILE)
def test_no_row_and_no_sentence_acts(capsys, text, as_json):
    show([{"name": text}], as_json=as_json, empty="")
    tell({"name": text}, as_json=as_json, sentence=f"did {text}")

    captured = capsys.readouterr()
    assert captured.out
    assert not acts(captured.out + captured.err)
    if as_json:
        rows, facts = map(json.loads, captured.out.splitlines())
        assert (rows, facts) == ([{"name": text}], {"name": text})


@pytest.fixture
def server_of(monkeypatch):
    def serve(*answers):
        monkeypatch.setenv("LIKEWISE_DEVELOPER_TOKEN", "developer")
        monkeypatch.setenv("LIKEWISE_USER_TOKEN", "user")
        return faulty_server(answers)

    return serve


@pytest.mark.parametrize("as_json", [False, True], ids=["table", "JSON"])
@pytest.mark.parametrize("text", HOSTILE)
def test_the_names_that_a_server_tells_do_nothing(likewise, server_of, text, as_json):
    attributes = {"value": 1, "name": text, "artistName": text}
    rating = {"id": "1", "type": "ratings", "href": "/v1/me/ratings/songs/1", "attributes": attributes}
    with server_of(answer(200, json.dumps({"data": [rating]}).encode())) as server:
        outcome = likewise("list", "--url", server.url, *(["--json"] if as_json else []))

    assert outcome.code == 0, outcome.err
    assert "songs" in outcome.out
    assert not acts(outcome.out + outcome.err)


@pytest.mark.parametrize("text", HOSTILE)
def test_the_errors_that_a_server_tells_do_nothing(likewise, server_of, text):
    error = {"id": text, "title": text, "detail": f"x{text}", "status": "400", "code": "40005"}
    with server_of(answer(400, json.dumps({"errors": [error]}).encode())) as server:
        outcome = likewise("list", "--url", server.url)

    assert outcome.code == 1
    assert not acts(outcome.err)


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_file_says_does_nothing_when_it_is_refused(likewise, tmp_path, text):
    row = {"type": "songs", "id": "1", "value": text, "isrc": text, "title": "x", "ratedAt": text}
    (tmp_path / "likes.ndjson").write_text(
        json.dumps({"type": "songs", "id": "2", "value": 1}) + "\n" + json.dumps(row)
    )
    likewise("listener", "add", "ada")

    imported = likewise("import", "likes.ndjson")
    loaded = likewise("names", "load", "likes.ndjson")

    for outcome in (imported, loaded):
        assert outcome.code == 1
        assert "warning: " in outcome.err
        assert not acts(outcome.out + outcome.err)


@pytest.mark.parametrize("text", HOSTILE)
def test_names_that_were_loaded_do_nothing_when_they_are_shown(likewise, tmp_path, text):
    row = {"type": "songs", "id": "1", "title": f"x{text}", "artist": f"y{text}"}
    (tmp_path / "names.ndjson").write_text(json.dumps(row))
    likewise("listener", "add", "ada")
    assert likewise("names", "load", "names.ndjson").code == 0

    for arguments in ((), ("--json",)):
        shown = likewise("names", "show", "songs", "1", *arguments)
        assert "x" in shown.out
        assert not acts(shown.out)


@pytest.mark.parametrize("text", [*HOSTILE, "[/x]", "[link=file:///etc/passwd]"])
def test_names_of_files_in_an_archive_do_nothing(likewise, tmp_path, text):
    with zipfile.ZipFile(tmp_path / "likes.zip", "w") as archive:
        archive.writestr(f"a{text}.ndjson", '{"type":"songs","id":"1","value":1}\n{"type":"songs"}\n')
        archive.writestr(f"b{text}/../../c.ndjson", '{"type":"songs","id":"1","value":1}')
    likewise("listener", "add", "ada")

    for arguments in ((), ("--json",)):
        outcome = likewise("import", "likes.zip", *arguments)
        assert outcome.code == 1
        assert not acts(outcome.out + outcome.err)


def test_the_name_of_a_file_is_no_markup_of_its_bar(monkeypatch):
    """`[/x]` would end the command with an error of the library that draws the bar."""
    drawn = io.StringIO()
    made = Progress.__init__

    def on_a_terminal(progress, *columns, **options):
        console = Console(file=drawn, force_terminal=True, width=100)
        made(progress, *columns, **(options | {"console": console, "disable": False, "transient": False}))

    monkeypatch.setattr(Progress, "__init__", on_a_terminal)
    with output.progress() as shown:
        shown("[/x] [bold]songs", 1, 2)
    with moving._progress() as bar_of:
        bar_of(Source("[bold]y", MONDAY, 2, FORMATS[0], lambda: nullcontext(io.BytesIO())))(Counts(), 1)

    assert "[/x] [bold]songs" in drawn.getvalue()
    assert "[bold]y 0" in drawn.getvalue()
