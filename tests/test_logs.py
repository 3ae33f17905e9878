"""Logs: one entry is one line, whatever is in it; who is named, and that nobody can flood or forge them."""

import json
import logging
import multiprocessing
import re
import sys
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from likewise.app import App
from likewise.asgi import METHODS, UNKNOWN
from likewise.errors import StoreUnavailable
from likewise.logs import JsonLines, Lines, Repeats, configure, fields, printable
from likewise.logs.requests import REQUEST_ID_CHARACTERS_MAX
from likewise.metrics import own_seat, shared_seats
from tests.house import LIKE_BODY, TEAM_ID, ask, raw_headers

SONG_PATH = "/v1/me/ratings/songs/907242702"
RATING = "/v1/me/ratings/{type}/{id}"
ADMIN_TOKEN = "correct-horse-battery-staple-and-more"
ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=40)
"""Surrogates, control characters and what turns text around included."""


def entry(message, *, name="likewise", failure=None, **named):
    error_info = (type(failure), failure, failure.__traceback__) if failure else None
    record = logging.LogRecord(name, logging.WARNING, "", 0, message, (), error_info)
    record.created, record.msecs = 1_763_337_600.123, 123.0
    record.__dict__.update(fields(**named))
    return record


# One entry


def test_an_entry_for_people_is_time_level_message_and_fields():
    line = Lines().format(entry("nobody came", status=503, request_id="a-1", listener=None, error=""))

    assert line == "2025-11-17T00:00:00.123Z WARNING nobody came status=503 request_id=a-1"


def test_an_entry_for_machines_is_an_object_of_the_same():
    line = JsonLines().format(entry("nobody came", status=503, request_id="a-1", listener=None, error=""))

    assert line == (
        '{"time": "2025-11-17T00:00:00.123Z", "level": "warning", "message": "nobody came", '
        '"status": 503, "request_id": "a-1"}'
    )


@pytest.mark.parametrize("formatter", [Lines(), JsonLines()])
def test_an_entry_of_another_program_says_whose_it_is(formatter):
    line = formatter.format(entry("a task was lost", name="asyncio"))

    assert re.search(r'logger(=|": ")asyncio', line)


def failed():
    try:
        _ = dict[str, str]()["no\n2025-11-17T00:00:00.123Z INFO all is well\r\x1b[2J"]
    except KeyError as error:
        return ValueError(*error.args).with_traceback(error.__traceback__)


def test_a_traceback_is_one_field_for_machines():
    parsed = json.loads(JsonLines().format(entry("answered 500", failure=failed())))

    assert parsed["traceback"].startswith("Traceback")
    assert "all is well" in parsed["traceback"]


def test_no_line_of_a_traceback_passes_for_an_entry():
    first, *rest = Lines().format(entry("answered 500", failure=failed())).split("\n")

    assert first.endswith("answered 500")
    assert len(rest) > 3
    assert all(line.startswith("    ") and line.isprintable() for line in rest)


@given(ANY_TEXT, ANY_TEXT)
def test_whatever_is_in_it_an_entry_stays_one_line(message, value):
    for line in (Lines().format(entry(message, error=value)), JsonLines().format(entry(message, error=value))):
        assert line.isprintable()
        assert len(line.splitlines()) == 1
    parsed = json.loads(line)
    assert parsed["message"] == message
    assert parsed.get("error", "") == value


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_where_a_value_ends_can_be_seen(value):
    line = Lines().format(entry("m", error=value, status=1)).partition(" m ")[2]

    assert line.endswith("status=1")
    shown = line.removesuffix("status=1").strip(" ").removeprefix("error=")
    assert (json.loads(shown) if shown.startswith('"') else shown) == value


@pytest.mark.parametrize(
    ("text", "shown"), [("héllo, wörld", "héllo, wörld"), ("a\nb\x1b\u202e\ud800", r"a\nb\x1b\u202e\ud800")]
)
def test_what_people_can_read_is_left_as_it_is(text, shown):
    assert printable(text) == shown


# Which form, which level


@pytest.mark.parametrize(
    ("format", "is_terminal", "is_json"),
    [
        ("auto", True, False),
        ("auto", False, True),
        ("console", False, False),
        ("json", True, True),
    ],
)
def test_people_on_a_terminal_and_machines_get_what_is_theirs(format, is_terminal, is_json, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    configure(format=format)

    logging.getLogger("likewise").warning("hello")

    out, line = capsys.readouterr()
    assert out == ""
    assert line.startswith("{") == is_json
    assert line.count("\n") == line.count("hello") == 1


def test_whoever_configures_again_is_not_heard_twice_and_the_level_is_the_last_ones(capsys):
    configure(level="debug")
    configure(level="error")
    logger = logging.getLogger("likewise")

    logger.warning("too quiet")
    logger.error("once")

    assert re.fullmatch(r"\S+ ERROR once\n", capsys.readouterr().err)


def test_whoever_has_closed_stderr_has_no_log_and_no_trouble(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    configure(format="auto")

    logging.getLogger("likewise").warning("nobody hears")

    [handler] = [each for each in logging.getLogger().handlers if type(each).__module__ == "likewise.logs"]
    assert isinstance(handler.formatter, JsonLines)


# Repeats


class Seconds:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_what_was_said_is_not_said_again_for_ten_seconds_and_then_how_often_it_was_not():
    seconds = Seconds()
    repeats = Repeats(seconds=seconds)

    assert repeats.due("a") == 0
    seconds.now = 9.9
    assert [repeats.due("a"), repeats.due("a"), repeats.due("b")] == [None, None, 0]
    seconds.now = 10.0
    assert [repeats.due("a"), repeats.due("a")] == [2, None]


def test_no_more_than_a_hundred_things_are_remembered():
    repeats = Repeats(seconds=Seconds())
    for number in range(101):
        repeats.due(str(number))

    assert len(repeats._said) == 100
    assert repeats.due("0") == 0
    assert repeats.due("100") is None


# What a request leaves


@pytest.fixture
async def logged(house, caplog):
    """Make an application whose log is caught, with these settings."""
    apps = []
    caplog.set_level(logging.DEBUG, logger="likewise")

    async def make(*, seat=None, **settings):
        app = App(replace(house.app._settings, **settings), now=house.clock, seat=seat)
        await app.open()
        apps.append(app)
        return app

    yield make
    for app in apps:
        await app.close()


def entries(caplog):
    formatter = JsonLines()
    return [json.loads(formatter.format(record)) for record in caplog.records if record.name == "likewise"]


async def test_without_an_access_log_a_request_leaves_nothing(house, logged, caplog):
    app = await logged()
    await ask(app, "PUT", SONG_PATH.encode(), raw_headers(house.headers(house.ada_token)), LIKE_BODY)
    await ask(app, "GET", b"/v1/me/nothing")

    assert entries(caplog) == []


async def test_with_an_access_log_each_request_leaves_a_line(house, logged, caplog):
    app = await logged(access_log="on")
    headers = raw_headers(house.headers(house.ada_token))
    put = await ask(app, "PUT", SONG_PATH.encode(), [*headers, (b"x-request-id", b"mine-1")], LIKE_BODY)
    missing = await ask(app, "BREW", b"/coffee?l=x", headers)

    first, second = entries(caplog)
    assert first.pop("milliseconds") > 0
    assert first.pop("time")
    assert first == {
        "level": "info",
        "message": "request",
        "request_id": "mine-1",
        "method": "PUT",
        "endpoint": RATING,
        "status": 200,
    }
    assert put.headers["x-request-id"] == "mine-1"
    assert (second["method"], second["endpoint"], second["status"]) == ("other", "unknown", 404)
    assert (second["error"], second["request_id"]) == ("PathNotFound", missing.headers["x-request-id"])


async def named_listeners(house, app, caplog):
    for token in (house.ada_token, house.ben_token, house.ada_token):
        await ask(app, "GET", SONG_PATH.encode(), raw_headers(house.headers(token)))
    names = [each.get("listener") for each in entries(caplog)]
    caplog.clear()
    return names


async def test_listeners_are_not_named_unless_that_is_asked_for(house, logged, caplog):
    app = await logged(access_log="on")
    assert await named_listeners(house, app, caplog) == [None] * 3

    app = await logged(access_log="on", log_listeners="clear")
    assert await named_listeners(house, app, caplog) == ["ada", "ben", "ada"]


async def test_a_hash_tells_listeners_apart_and_nothing_else_and_is_the_same_on_all_workers(house, logged, caplog):
    first, second = shared_seats(2, multiprocessing.get_context("spawn"))
    hashed = {"access_log": "on", "log_listeners": "hashed"}
    ada, ben, again = await named_listeners(house, await logged(seat=first, **hashed), caplog)
    neighbours = await named_listeners(house, await logged(seat=second, **hashed), caplog)
    others = await named_listeners(house, await logged(seat=own_seat(), **hashed), caplog)

    assert ada == again != ben
    assert re.fullmatch("[0-9a-f]{16}", ada)
    assert neighbours == [ada, ben, ada]
    assert {ada, ben}.isdisjoint(others)


async def test_a_flood_of_refusals_is_one_line_and_says_later_how_many_there_were(house, caplog):
    caplog.set_level(logging.INFO, logger="likewise")
    seconds = Seconds()
    async with App(house.app._settings, now=house.clock, seconds=seconds) as app:
        for _ in range(50):
            await ask(app, "GET", b"/v1/test")
        await ask(app, "GET", b"/v1/me/storefront", [(b"authorization", f"Bearer {house.sign()}".encode())])
        seconds.now = 10.0
        last = await ask(app, "GET", b"/v1/test")

    first, other, again = entries(caplog)
    assert first["message"] == again["message"] == "refused: the request has no developer token"
    assert other["message"] == "refused: the request has no music user token"
    assert (first["level"], first["endpoint"], first["status"], first["error"]) == (
        "info",
        "/v1/test",
        401,
        "BadDeveloperToken",
    )
    assert "kept_back" not in first
    assert again["kept_back"] == 49
    assert again["request_id"] == last.headers["x-request-id"]


async def test_a_team_that_asks_too_often_is_named(house, logged, caplog):
    app = await logged(rate_limit=1)
    for _ in range(3):
        await ask(app, "GET", b"/v1/test", [(b"authorization", f"Bearer {house.sign()}".encode())])

    [line] = entries(caplog)
    assert line["message"] == f"refused: the team {TEAM_ID} asks too often"
    assert line["status"] == 429


async def test_every_failure_has_its_line_and_its_traceback_once(house, logged, caplog, monkeypatch):
    app = await logged()

    async def fail(*_arguments):
        raise RuntimeError("a bug")

    monkeypatch.setattr(app.store, "get", fail)
    headers = raw_headers(house.headers(house.ada_token))
    ids = [(await ask(app, "GET", SONG_PATH.encode(), headers)).headers["x-request-id"] for _ in range(3)]

    lines = entries(caplog)
    assert [line["request_id"] for line in lines] == ids
    assert {(line["message"], line["error"], line["endpoint"]) for line in lines} == {
        ("answered 500", "RuntimeError", RATING)
    }
    assert ["traceback" in line for line in lines] == [True, False, False]


async def test_a_database_that_is_gone_is_told_with_the_request(logged, caplog, monkeypatch):
    app = await logged()

    async def fail():
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(app.store, "ping", fail)
    answer = await ask(app, "GET", b"/readyz")

    [line] = entries(caplog)
    assert line["message"] == "the database failed a request: the disk is full"
    assert (line["level"], line["request_id"]) == ("error", answer.headers["x-request-id"])


# Request ids


@pytest.mark.parametrize("id", ["1", "abc.DEF_123-xyz", "x" * REQUEST_ID_CHARACTERS_MAX])
async def test_a_well_formed_request_id_is_kept(house, id):
    answer = await ask(house.app, "GET", b"/livez", [(b"x-request-id", id.encode())])

    assert answer.headers.get_list("x-request-id") == [id]


@pytest.mark.parametrize(
    "id",
    [b"", b"x" * (REQUEST_ID_CHARACTERS_MAX + 1), b"a b", b"a\nb", b"a\r\nx: y", b'a"b', b"\xff", b"a\x1b[2J", b"a\n"],
)
async def test_any_other_is_replaced_by_one_of_ours(house, id):
    answer = await ask(house.app, "GET", b"/livez", [(b"x-request-id", id)])

    assert re.fullmatch("[0-9a-f]{12}-[0-9a-f]+", answer.headers["x-request-id"])


async def test_no_two_requests_have_one_id_of_ours_and_no_two_workers(house):
    async with App(house.app._settings) as other:
        ids = [(await ask(app, "GET", b"/livez")).headers["x-request-id"] for app in [house.app, other] * 20]

    assert len(set(ids)) == 40


@pytest.mark.parametrize("target", [b"/v1/me/nothing", b"/v1/test", b"/" + b"x" * 40_000, b"/livez"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PATCH"])
async def test_every_answer_has_a_request_id(house, method, target):
    assert (await ask(house.app, method, target)).headers["x-request-id"]


# Nobody can write into the log


HOSTILE_BYTES = st.binary(max_size=60) | st.sampled_from(
    [b"\r\n2025-11-17T00:00:00.123Z INFO all is well", b"\x1b[2J", "\u2028\u202e".encode(), b"%0a%0d", b'"}\n{"']
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=HOSTILE_BYTES, query=HOSTILE_BYTES, name=HOSTILE_BYTES, value=HOSTILE_BYTES, method=st.text(max_size=9))
async def test_nothing_a_client_sends_is_in_a_line(logged, caplog, path, query, name, value, method):
    caplog.clear()
    app = await logged(access_log="on", log_listeners="clear")
    named = (name, b"authorization", b"x-request-id", b"music-user-token", b"origin")

    await ask(app, method, b"/" + path.replace(b"?", b"") + b"?" + query, [(each, value) for each in named])

    records = [record for record in caplog.records if record.name == "likewise"]
    assert records
    for record in records:
        line = json.loads(JsonLines().format(record))
        assert line["endpoint"] in {UNKNOWN, *app._opened().api.paths}
        assert line["method"] in {*METHODS, "other"}
        assert re.fullmatch("[0-9A-Za-z._-]{1,64}", line["request_id"])
        assert Lines().format(record).isprintable()


async def test_no_token_is_in_any_line_whatever_is_asked(house, logged, caplog):
    caplog.set_level(logging.DEBUG)
    app = await logged(access_log="on", log_listeners="clear", admin_token=ADMIN_TOKEN, rate_limit=20)
    good = house.headers(house.ada_token)
    tokens = [good["Authorization"].removeprefix("Bearer "), house.ada_token, house.ben_token, ADMIN_TOKEN]
    for token in tokens:
        path = f"/v1/me/ratings/songs/{token}?ids={token}&l={token}".encode()
        for headers in (good, good | {"Music-User-Token": token}, good | {"Authorization": f"Bearer {token}"}):
            for name in ("X-Request-Id", "Origin", "Cookie", "User-Agent"):
                hostile = raw_headers(headers | {name: token})
                await ask(app, "PUT", path, hostile, f'{{"attributes":{{"value":"{token}"}}}}'.encode())
                await ask(app, "GET", b"/" + token.encode(), hostile)
                await ask(app, "POST", b"/_likewise/listeners", hostile, f'{{"name":"{token}"}}'.encode())

    written = "\n".join(Lines().format(record) + JsonLines().format(record) for record in caplog.records)
    assert "listener=ada" in written
    for token in tokens:
        assert token not in written


async def test_what_is_rated_is_in_no_line(house, logged, caplog):
    app = await logged(access_log="on", log_listeners="clear")
    headers = raw_headers(house.headers(house.ada_token))
    await ask(app, "PUT", SONG_PATH.encode(), headers, LIKE_BODY)
    await ask(app, "GET", b"/v1/me/ratings/songs?ids=907242702", headers)
    await ask(app, "GET", b"/v1/me/rating/songs/907242702", headers)

    assert len(entries(caplog)) == 3
    assert all("907242702" not in json.dumps(each) for each in entries(caplog))
