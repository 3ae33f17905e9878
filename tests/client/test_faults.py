"""Servers that misbehave, and a network that breaks: over real sockets, through both clients."""

import asyncio
import inspect
import itertools
import json
import logging
import socket
import traceback

import pytest

from likewise import errors
from likewise.client import AsyncClient, Client, Limits, Surroundings
from likewise.domain import Item, Kind, Value
from tests.client.servers import DROP, answer, faulty_server
from tests.house import LIKE_BODY

DEVELOPER_TOKEN = "developer.secret.token"
USER_TOKEN = "user-secret-token"
LIKED = b'{"data":[{"id":"1","type":"ratings","href":"/v1/me/ratings/songs/1","attributes":{"value":1}}]}'
SONG = "/v1/me/ratings/songs/1"


@pytest.fixture(params=[Client, AsyncClient], ids=["sync", "async"])
def call(request):
    """Make one call with either client, whose waits take no time; return its result or its error."""

    def call(url, name, *arguments, **options):
        waits: list[float] = []
        options.setdefault("around", Surroundings(jitter=lambda: 1.0))
        if request.param is Client:
            with Client(DEVELOPER_TOKEN, USER_TOKEN, base_url=url, sleep=waits.append, **options) as client:
                try:
                    result = getattr(client, name)(*arguments)
                    return (list(result) if inspect.isgenerator(result) else result), waits
                except errors.LikewiseError as error:
                    return error, waits

        async def sleep(seconds):
            waits.append(seconds)

        async def run():
            async with AsyncClient(DEVELOPER_TOKEN, USER_TOKEN, base_url=url, sleep=sleep, **options) as client:
                try:
                    result = getattr(client, name)(*arguments)
                    if inspect.isasyncgen(result):
                        return [each async for each in result], waits
                    return await result, waits
                except errors.LikewiseError as error:
                    return error, waits

        return asyncio.run(run())

    return call


class TestTryingAgain:
    def test_a_dropped_connection_is_tried_again(self, call):
        with faulty_server([DROP, DROP, answer(200, LIKED)]) as server:
            rating, waits = call(server.url, "put_rating", "songs", "1", 1)

        assert (rating.item, rating.value) == (Item(Kind.SONG, "1"), Value.LIKE)
        assert waits == [0.25, 0.5]
        assert [request.partition(b"\r\n\r\n")[2] for request in server.requests] == [LIKE_BODY] * 3

    def test_retry_after_is_waited_for(self, call):
        with faulty_server([answer(429, b"", "Retry-After: 3"), answer(503), answer(200, LIKED)]) as server:
            _, waits = call(server.url, "get_rating", "songs", "1")

        assert waits == [3.25, 0.5]

    def test_a_truncated_answer_is_tried_again(self, call):
        with faulty_server([answer(200, LIKED)[:-9], answer(200, LIKED)]) as server:
            rating, _ = call(server.url, "get_rating", "songs", "1")

        assert rating.value == Value.LIKE
        assert len(server.requests) == 2

    @pytest.mark.parametrize(
        ("name", "arguments"),
        [
            ("add_to_library", ("songs", ["1"])),
            ("add_favorites", ("songs", ["1"])),
            ("write_ratings", ([("songs", "1", 1)],)),
        ],
    )
    def test_a_post_is_sent_once(self, call, name, arguments):
        for trouble in (DROP, answer(503), answer(429)):
            with faulty_server([trouble]) as server:
                error, waits = call(server.url, name, *arguments)

            assert isinstance(error, errors.LikewiseError)
            assert waits == []
            assert len(server.requests) == 1

    def test_a_deletion_whose_answer_was_lost_is_done(self, call):
        gone = b'{"errors":[{"code":"40400","title":"Resource Not Found"}]}'
        with faulty_server([DROP, answer(404, gone)]) as server:
            assert call(server.url, "delete_rating", "songs", "1")[0] is None
        with faulty_server([answer(404, gone)]) as server:
            assert isinstance(call(server.url, "delete_rating", "songs", "1")[0], errors.NotRated)


class TestNoAnswer:
    def test_nobody_listens(self, call):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]

        error, waits = call(f"http://127.0.0.1:{port}", "test")

        assert str(error) == f"http://127.0.0.1:{port} cannot be reached"
        assert isinstance(error, errors.ServerUnreachable)
        assert waits == [0.25, 0.5, 1.0]

    def test_it_hangs_up_each_time(self, call):
        with faulty_server([DROP]) as server:
            error, _ = call(server.url, "test")

        assert str(error) == f"{server.url} broke the connection off"
        assert len(server.requests) == 4

    def test_it_says_nothing(self, call):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            error, _ = call(url, "test", limits=Limits(tries_max=2, silence_seconds_max=0.05))

        assert str(error) == f"{url} did not answer in time"

    def test_an_answer_that_takes_too_long_in_all_is_given_up(self, call):
        ticks = itertools.count(step=20)
        around = Surroundings(monotonic=lambda: next(ticks))
        with faulty_server([answer(200, LIKED)]) as server:
            error, _ = call(server.url, "get_rating", "songs", "1", around=around)

        assert str(error) == f"{server.url} did not answer in time"


def rating_document(**members):
    return json.dumps({"data": [{"id": "1", "type": "ratings", "attributes": {"value": 1}} | members]}).encode()


STOREFRONT_ASTRAY = json.dumps(
    {"data": [{"id": "../x", "attributes": {"name": "", "defaultLanguageTag": "", "supportedLanguageTags": []}}]}
).encode()


class TestAnswersThatMakeNoSense:
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"<html>",
            b"null",
            b"[]",
            b"{}",
            b'{"data":{}}',
            b'{"data":[1]}',
            b'{"data":[]}',
            b"\xff\xfe",
            b"[" * 100_000,
            rating_document(id=1),
            rating_document(id="2"),
            rating_document(attributes={}),
            rating_document(attributes=None),
            rating_document(attributes={"value": 2}),
            rating_document(attributes={"value": "1"}),
            rating_document(attributes={"value": None}),
            rating_document(attributes={"value": 10**30}),
        ],
    )
    def test_of_a_rating(self, call, body):
        with faulty_server([answer(200, body)]) as server:
            error, _ = call(server.url, "get_rating", "songs", "1")

        assert type(error) is errors.BadAnswer
        assert len(server.requests) == 1

    @pytest.mark.parametrize(
        ("name", "body"),
        [
            ("list_ratings", rating_document()),
            ("list_ratings", rating_document(href="/v1/me/ratings/artists/1")),
            ("list_ratings", rating_document(href="/v1/me/ratings/songs/i.1")),
            ("list_ratings", rating_document(href="/v1/me/ratings/songs/1/2")),
            ("list_ratings", rating_document(href="songs/1")),
            ("get_cursor", b'{"data":[]}'),
            ("get_cursor", b'{"data":[],"meta":{"cursor":1}}'),
            ("get_storefront", b'{"data":[]}'),
            ("get_storefront", STOREFRONT_ASTRAY),
        ],
    )
    def test_of_other_calls(self, call, name, body):
        with faulty_server([answer(200, body)]) as server:
            error, _ = call(server.url, name)

        assert type(error) is errors.BadAnswer

    @pytest.mark.parametrize(
        ("name", "arguments", "body"),
        [
            ("get_changes", ("c",), b'{"data":[]}'),
            ("get_changes", ("c",), b'{"data":[{"id":"1","href":"/v1/me/ratings/songs/1"}],"meta":{"cursor":"d"}}'),
            ("get_changes", ("c",), rating_document(href=SONG, attributes={"value": 3})),
            ("list_library", ("songs",), b'{"data":[{"id":"1","type":"songs"}]}'),
            ("list_library", ("songs",), b'{"data":[{"id":"1","type":"library-songs"}]}'),
            ("list_library", ("songs",), b'{"data":[{"id":"1","type":"library-artists"}]}'),
            ("get_twin", ("library-songs", "i.a"), b'{"data":[]}'),
            ("get_twin", ("library-songs", "i.a"), b'{"data":[{"id":"1","type":"albums"}]}'),
            ("get_twin", ("library-songs", "i.a"), b'{"data":[{"id":"i.b","type":"songs"}]}'),
            ("write_ratings", ([("songs", "1", 1)],), b'{"data":[]}'),
        ],
    )
    def test_of_calls_with_arguments(self, call, name, arguments, body):
        with faulty_server([answer(200, body)]) as server:
            error, _ = call(server.url, name, *arguments)

        assert type(error) is errors.BadAnswer

    def test_an_answer_over_the_limit_is_not_heard_to_its_end(self, call):
        big = answer(200, LIKED + b" " * 10_000)
        with faulty_server([big]) as server:
            error, _ = call(server.url, "get_rating", "songs", "1", limits=Limits(answer_bytes_max=5_000))
            rating, _ = call(server.url, "get_rating", "songs", "1", limits=Limits(answer_bytes_max=10_200))

        assert str(error) == "the server's answer has more than 5000 bytes"
        assert rating.value == Value.LIKE

    def test_an_answer_without_an_end_is_not_heard_to_its_end(self, call):
        head = b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n"
        with faulty_server([head + b"10000\r\n" + b" " * 65_536 + b"\r\n"]) as server:
            limits = Limits(answer_bytes_max=10_000)
            error, _ = call(server.url, "get_rating", "songs", "1", limits=limits)

        assert type(error) is errors.BadAnswer

    def test_compression_that_nobody_asked_for_is_refused(self, call):
        with faulty_server([answer(200, b"\x1f\x8b", "Content-Encoding: gzip")]) as server:
            error, _ = call(server.url, "get_rating", "songs", "1")

        assert type(error) is errors.BadAnswer
        assert b"accept-encoding: identity" in server.requests[0].lower()


class TestTokensStayWithTheServer:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_no_redirect_is_followed(self, call, status):
        with faulty_server([answer(200, LIKED)]) as elsewhere:
            for location in (elsewhere.url + "/x", "//[", "ftp://x", "", "/v1/test"):
                with faulty_server([answer(status, b"", f"Location: {location}")]) as server:
                    error, _ = call(server.url, "get_rating", "songs", "1", limits=Limits(tries_max=1))

                assert isinstance(error, errors.CallFailed)
                assert len(server.requests) == 1
            assert elsewhere.requests == []

    @pytest.mark.parametrize(
        "next",
        [
            "http://127.0.0.1:1/v1/me",
            "//127.0.0.1:1/v1/",
            "/v2/me",
            "v1/me",
            "@127.0.0.1/v1/",
            "",
            "/v1/a b",
            "/v1/\r\nX: y",
            "/v1/\u00e9",
            "/v1/#x",
            "/v1/" + "x" * 16_384,
            "\\\\x/v1/",
        ],
    )
    def test_a_next_page_that_is_no_path_of_the_api_is_refused(self, call, next):
        body = json.dumps({"data": [], "next": next}).encode()
        with faulty_server([answer(200, body)]) as server:
            error, _ = call(server.url, "list_library", "songs")

        assert type(error) is errors.BadAnswer
        assert len(server.requests) == 1

    def test_pages_that_go_round_are_noticed(self, call):
        pages = [b'{"data":[],"next":"/v1/me/library/songs?offset=%d"}' % number for number in (1, 2, 1)]
        with faulty_server([answer(200, page) for page in pages]) as server:
            error, _ = call(server.url, "list_library", "songs")

        assert type(error) is errors.BadAnswer
        assert len(server.requests) == 3

    def test_no_secret_is_logged_or_shown(self, call, caplog):
        caplog.set_level(logging.DEBUG)
        with faulty_server([answer(401), answer(403), answer(500), DROP]) as server:
            for _ in range(4):
                error, _ = call(server.url, "get_rating", "songs", "1")
                shown = "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))
                assert DEVELOPER_TOKEN not in shown
                assert USER_TOKEN not in shown

        assert DEVELOPER_TOKEN.encode() in server.requests[0]
        assert caplog.text
        assert DEVELOPER_TOKEN not in caplog.text
        assert USER_TOKEN not in caplog.text

    def test_no_secret_is_in_a_repr(self):
        for client in (Client, AsyncClient):
            shown = repr(client(DEVELOPER_TOKEN, USER_TOKEN, base_url="http://127.0.0.1:1"))
            assert shown == f"{client.__name__}(base_url='http://127.0.0.1:1')"


def test_without_a_user_token_none_is_sent():
    with faulty_server([answer(200)]) as server, Client(DEVELOPER_TOKEN, base_url=server.url + "/music/") as client:
        client.test()

    assert server.lines == ["GET /music/v1/test HTTP/1.1"]
    assert b"music-user-token" not in server.requests[0].lower()
