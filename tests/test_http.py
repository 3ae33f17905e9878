"""HTTP itself: CORS, lengths, compression, limits of URLs, methods, and the other kinds of ASGI scopes."""

import asyncio
import gc
import time
import weakref
from typing import Any

import httpx2
import pytest

from likewise.app import App, now
from likewise.asgi import Request, accepts_gzip
from likewise.config import Settings
from tests.house import (
    DISLIKE_BODY,
    LIKE_BODY,
    NOT_RATED,
    House,
    ask,
    error_of,
    is_empty_401,
    named_headers,
    raw_headers,
)

SONG_PATH = "/v1/me/ratings/songs/907242702"
URL_BYTES_MAX = 32_768

# One of each status the application answers with.
ANSWERS = [
    ("GET", "/v1/me/ratings/songs?ids=1", 200),
    ("PUT", SONG_PATH, 200),
    ("POST", "/v1/me/favorites?ids%5Bsongs%5D=1", 202),
    ("OPTIONS", SONG_PATH, 204),
    ("GET", "/v1/me/ratings/song/1", 400),
    ("GET", SONG_PATH, 404),
    ("GET", "/v1/nothing", 404),
    ("POST", SONG_PATH, 405),
    ("GET", "/v1/test?" + "x" * 40_000, 414),
    ("GET", "/v1/test", 200),
    ("GET", "/v1/storefronts", 200),
]


# CORS


@pytest.mark.parametrize(("method", "target", "status"), ANSWERS)
async def test_every_answer_may_be_read_by_every_origin(client, method, target, status):
    response = await client.request(method, target, content=LIKE_BODY, headers={"Origin": "https://example.com"})

    assert response.status_code == status
    assert response.headers.get_list("access-control-allow-origin") == ["*"]


async def test_refusals_at_the_gate_may_be_read_by_every_origin(house):
    async with house.client() as stranger, house.client(developer_token=house.sign()) as developer:
        unauthorized = await stranger.get(SONG_PATH)
        forbidden = await developer.get(SONG_PATH)

    for response, status in ((unauthorized, 401), (forbidden, 403)):
        assert response.status_code == status
        assert response.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    "path", [SONG_PATH, "/v1/me/ratings/songs", "/v1/me/ratings/nonsense/1", "/v1/me/favorites", "/v1/storefronts"]
)
async def test_a_preflight_needs_no_token_and_has_exactly_these_headers(house, path):
    asked = [
        (b"origin", b"https://example.com"),
        (b"access-control-request-method", b"PUT"),
        (b"access-control-request-headers", b"authorization,music-user-token"),
    ]

    response = await ask(house.app, "OPTIONS", path.encode(), asked)

    assert response.status_code == 204
    assert response.content == b""
    assert dict(named_headers(response)) == {
        "access-control-allow-origin": "*",
        "access-control-allow-methods": "GET,HEAD,PUT,PATCH,POST,DELETE,OPTIONS",
        "access-control-allow-headers": (
            "Authorization, Music-User-Token, Media-User-Token, X-Apple-Music-User-Token, Content-Type, Accept, "
            "Accept-Language"
        ),
        "access-control-max-age": "86400",
    }


# Lengths and types


@pytest.mark.parametrize(("method", "target", "status"), ANSWERS)
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_content_length_is_on_every_answer_but_204(house, method, target, status, encoding):
    headers = raw_headers(house.headers(house.ada_token) | {"Accept-Encoding": encoding})

    response = await ask(house.app, method, target.encode(), headers, LIKE_BODY)

    assert response.status_code == status
    if status == 204:
        assert "content-length" not in response.headers
    else:
        [length] = response.headers.get_list("content-length")
        assert int(length) == response.num_bytes_downloaded


@pytest.mark.parametrize(
    ("method", "target"), [("POST", "/v1/me/favorites?ids%5Bsongs%5D=1"), ("GET", "/v1/test")], ids=["202", "200"]
)
async def test_an_answer_without_a_body_has_length_0_and_no_type(client, method, target):
    response = await client.request(method, target)

    assert response.content == b""
    assert response.headers["content-length"] == "0"
    assert "content-type" not in response.headers


@pytest.mark.parametrize("target", ["/v1/me/ratings/songs?ids=1", "/v1/storefronts", "/v1/me/storefront"])
async def test_a_document_is_json_in_utf8(client, target):
    response = await client.get(target)

    assert response.headers["content-type"] == "application/json;charset=utf-8"


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/v1/me/ratings/songs?ids=1"),
        ("GET", SONG_PATH),
        ("HEAD", SONG_PATH),
        ("PUT", SONG_PATH),
        ("DELETE", SONG_PATH),
        ("GET", "/v1/me/library/songs"),
        ("POST", "/v1/me/library?ids%5Bsongs%5D=1"),
        ("POST", "/v1/me/favorites?ids%5Bsongs%5D=1"),
        ("GET", "/v1/me/storefront"),
    ],
)
async def test_personal_answers_are_not_to_be_kept(client, method, target):
    await client.put(SONG_PATH, content=LIKE_BODY)

    response = await client.request(method, target, content=LIKE_BODY)

    assert response.status_code < 300
    assert response.headers["cache-control"] == "no-store"


# gzip


# The ids of songs whose liked ratings make a document of exactly so many bytes.
IDS_OF_DOCUMENT = {
    1_024: [f"{number}" for number in range(100_000_000, 100_000_008)] + ["1000000000", "1000000001"],
    1_025: [f"{number}" for number in range(10_000, 10_007)] + ["1000", "1001", "1002", "1003"],
}


async def get_document(house: House, size: int, *headers: tuple[bytes, bytes], method: str = "GET") -> httpx2.Response:
    """Have ada like songs and ask for a document of this size, with these headers beside her tokens."""
    ids = IDS_OF_DOCUMENT[size]
    async with house.client(house.ada_token) as client:
        await client.post(f"/v1/me/favorites?ids[songs]={','.join(ids)}")
    target = f"/v1/me/ratings/songs?ids={','.join(ids)}"
    return await ask(house.app, method, target.encode(), [*raw_headers(house.headers(house.ada_token)), *headers])


def accepting(encoding: str) -> tuple[bytes, bytes]:
    return b"accept-encoding", encoding.encode()


async def test_a_document_of_1024_bytes_is_never_compressed(house):
    response = await get_document(house, 1_024, accepting("gzip"))

    assert len(response.content) == 1_024
    assert "content-encoding" not in response.headers
    assert response.headers["content-length"] == "1024"


async def test_a_document_of_1025_bytes_is_compressed_when_asked(house):
    response = await get_document(house, 1_025, accepting("gzip"))

    assert response.headers["content-encoding"] == "gzip"
    assert response.headers.get_list("vary") == ["Accept-Encoding"]
    assert int(response.headers["content-length"]) == response.num_bytes_downloaded < 1_025
    assert len(response.content) == 1_025
    assert len(response.json()["data"]) == 11


@pytest.mark.parametrize("headers", [[], [accepting("identity")], [accepting("br, deflate")]], ids=repr)
async def test_a_document_is_not_compressed_unasked_but_says_that_it_would_be(house, headers):
    response = await get_document(house, 1_025, *headers)

    assert "content-encoding" not in response.headers
    assert response.headers["content-length"] == "1025"
    assert response.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize("encodings", [("gzip", "br"), ("br", "gzip"), ("", "gzip"), ("gzip", "gzip")])
async def test_a_document_is_compressed_when_one_of_several_headers_asks(house, encodings):
    """Lines of one name are one list (RFC 9110, section 5.3)."""
    response = await get_document(house, 1_025, *map(accepting, encodings))

    assert response.headers["content-encoding"] == "gzip"


async def test_compressed_and_plain_are_the_same_document(house):
    plain = await get_document(house, 1_025)
    compressed = await get_document(house, 1_025, accepting("gzip"))

    assert plain.content == compressed.content


async def test_head_has_the_length_of_the_compressed_document(house):
    get = await get_document(house, 1_025, accepting("gzip"))
    head = await get_document(house, 1_025, accepting("gzip"), method="HEAD")

    assert named_headers(head) == named_headers(get)
    assert head.num_bytes_downloaded == 0


@pytest.mark.parametrize(
    "encoding",
    [
        "gzip",
        "GZIP",
        "gzip, deflate, br",
        "deflate,gzip",
        "br ,\tgzip",
        "gzip;q=1",
        "gzip;q=1.000",
        "gzip;q=0.001",
        "gzip ; q=0.5",
        "gzip;Q=0.5",
        "*",
        "*;q=0.1",
        "identity, *",
        "identity;q=1, gzip;q=0.5",
        "*;q=0, gzip",
        "gzip, *;q=0",
        "identity;q=0, gzip",
        ",,gzip,",
    ],
)
def test_gzip_is_welcome(encoding):
    assert accepts_gzip(encoding.encode())


@pytest.mark.parametrize(
    "encoding",
    [
        "",
        " ",
        ",",
        "identity",
        "deflate",
        "br;q=1.0",
        "gzip;q=0",
        "gzip;q=0.0",
        "gzip;q=0.000",
        "gzip; q=0",
        "gzip ;q = 0",
        "GZIP;Q=0",
        "gzip;q=0, *",
        "*, gzip;q=0",
        "*;q=0",
        "*;q=0.00",
        "identity, *;q=0",
        "gzipped",
        "xgzip",
        "q=1",
        "\xff",
    ],
)
def test_gzip_is_not_welcome(encoding):
    assert not accepts_gzip(encoding.encode("latin-1"))


async def test_a_long_error_is_compressed_too(house):
    tag = "x" * 2_000

    response = await ask(
        house.app, "GET", f"/v1/storefronts?l={tag}".encode(), [*raw_headers(house.headers("")), accepting("gzip")]
    )

    assert response.headers["content-encoding"] == "gzip"
    assert error_of(response)["detail"] == f"Invalid language tag '{tag}'"


# Paths, parameters, methods


@pytest.mark.parametrize(
    "query",
    [
        b"platform=web",
        b"art%5Burl%5D=c,f",
        b"art[url]=c,f",
        b"omit%5Bresource%5D=autos",
        b"omit[resource]=autos",
        b"l=&with=social",
        b"_method=DELETE",
        b"x",
        b"=",
        b"&&&",
        b"%",
        b"%ff=%ff",
        b"\xff=\xff",
        b"a=b=c;d?e#f",
    ],
)
async def test_unknown_query_parameters_are_ignored(house, client, query):
    await client.put(SONG_PATH, content=LIKE_BODY)
    headers = raw_headers(client.headers)

    one = await ask(house.app, "GET", SONG_PATH.encode() + b"?" + query, headers)
    many = await ask(house.app, "GET", b"/v1/me/ratings/songs?" + query + b"&ids=907242702", headers)
    put = await ask(house.app, "PUT", SONG_PATH.encode() + b"?" + query, headers, LIKE_BODY)
    deleted = await ask(house.app, "DELETE", SONG_PATH.encode() + b"?" + query, headers)

    assert [one.status_code, many.status_code, put.status_code, deleted.status_code] == [200, 200, 200, 204]
    assert one.content == many.content == put.content


@pytest.mark.parametrize(
    "name", [b"ids[songs]", b"ids%5Bsongs%5D", b"ids%5bsongs%5d", b"ids[songs%5D", b"%69ds[songs]"]
)
async def test_brackets_in_parameter_names_may_be_percent_encoded(house, client, name):
    response = await ask(house.app, "POST", b"/v1/me/favorites?" + name + b"=907242702", raw_headers(client.headers))

    assert response.status_code == 202
    assert (await client.get(SONG_PATH)).json()["data"][0]["attributes"] == {"value": 1}


@pytest.mark.parametrize("query", ["", "x"], ids=["path alone", "path and query"])
async def test_a_url_of_32_kib_is_read_and_a_longer_one_is_refused(house, query):
    headers = raw_headers(house.headers(house.ada_token))
    target = f"/v1/me/ratings/songs/{'1' * 30}?{query}" if query else f"/v1/me/ratings/songs/{'1' * 30}"
    target += "1" * (URL_BYTES_MAX - len(target))
    assert len(target) == URL_BYTES_MAX

    within = await ask(house.app, "GET", target.encode(), headers)
    beyond = await ask(house.app, "GET", target.encode() + b"1", headers)

    assert within.status_code == 400
    assert beyond.status_code == 414
    assert error_of(beyond) == {
        "title": "Request-URI Too Long",
        "detail": "The path and query of a URL may have 32768 bytes",
        "status": "414",
        "code": "41400",
    }


async def test_many_ids_in_a_url_of_32_kib_are_answered(house, client):
    await client.put(SONG_PATH, content=LIKE_BODY)
    target = b"/v1/me/ratings/songs?ids=907242702" + b"," * 32_734

    response = await ask(house.app, "GET", target, raw_headers(client.headers))

    assert len(target) == URL_BYTES_MAX
    assert response.json()["data"][0]["id"] == "907242702"


@pytest.mark.parametrize(
    "name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-Method", "_method"]
)
async def test_no_header_overrides_the_method(client, name):
    await client.put(SONG_PATH, content=LIKE_BODY)

    got = await client.get(SONG_PATH, headers={name: "DELETE"})
    posted = await client.post(SONG_PATH, headers={name: "PUT"}, content=DISLIKE_BODY)

    assert got.status_code == 200
    assert posted.status_code == 405
    assert (await client.get(SONG_PATH)).json()["data"][0]["attributes"] == {"value": 1}


@pytest.mark.parametrize("name", ["X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Prefix"])
async def test_no_header_overrides_the_path(client, name):
    response = await client.get(SONG_PATH, headers={name: "/v1/test"})

    assert error_of(response) == NOT_RATED


async def test_the_path_is_the_raw_one_whatever_the_server_decoded(house, client):
    await client.put(SONG_PATH, content=LIKE_BODY)

    response = await ask(house.app, "GET", b"/v1/me%2Fratings/songs/907242702", raw_headers(client.headers))

    assert response.status_code == 404


async def test_a_strangers_answer_is_the_same_for_rated_and_unrated(house, client):
    await client.put(SONG_PATH, content=LIKE_BODY)

    rated = await ask(house.app, "GET", SONG_PATH.encode())
    unrated = await ask(house.app, "GET", b"/v1/me/ratings/songs/1")

    assert is_empty_401(rated)
    assert is_empty_401(unrated)


# The other scopes


class Script:
    """Plays a server: hands out these messages, keeps what it is sent."""

    def __init__(self, *messages: str) -> None:
        self._messages = [{"type": message} for message in messages]
        self.sent: list[Any] = []

    async def receive(self) -> Any:
        return self._messages.pop(0)

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    @property
    def sent_types(self) -> list[str]:
        return [message["type"] for message in self.sent]


async def test_a_websocket_is_closed(house):
    server = Script("websocket.connect")

    await house.app({"type": "websocket", "path": "/v1/test", "headers": []}, server.receive, server.send)

    assert server.sent_types == ["websocket.close"]


async def test_the_lifespan_opens_the_application_and_closes_it(house):
    app = App(house.app._settings, now=house.clock)
    headers = raw_headers(house.headers(house.ada_token))
    server = Script("lifespan.startup", "lifespan.shutdown")
    statuses = []

    async def send(message: Any) -> None:
        statuses.append((await ask(app, "GET", b"/v1/test", headers)).status_code)
        await server.send(message)

    await app({"type": "lifespan"}, server.receive, send)

    assert server.sent_types == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert statuses[0] == 200
    assert app.store is not house.app.store


async def test_what_was_rated_in_one_life_is_there_in_the_next(house, client):
    await client.put(SONG_PATH, content=LIKE_BODY)
    await house.app.close()

    async with App(house.app._settings, now=house.clock) as reborn:
        response = await ask(reborn, "GET", SONG_PATH.encode(), raw_headers(client.headers))

    assert response.status_code == 200


async def test_a_lifespan_that_cannot_open_the_database_says_so_and_shuts_down(tmp_path):
    app = App(Settings(database=f"sqlite:///{tmp_path}/missing.db"))
    server = Script("lifespan.startup")

    await app({"type": "lifespan"}, server.receive, server.send)

    assert server.sent_types == ["lifespan.startup.failed"]
    assert "missing.db" in server.sent[0]["message"]
    assert not (tmp_path / "missing.db").exists()


async def test_an_application_that_never_opened_may_be_closed(tmp_path):
    app = App(Settings(database=f"sqlite:///{tmp_path}/missing.db"))
    server = Script("lifespan.shutdown")

    await app({"type": "lifespan"}, server.receive, server.send)

    assert server.sent_types == ["lifespan.shutdown.complete"]


def test_the_applications_own_clock_counts_milliseconds():
    before = time.time()
    shown = now() / 1_000
    after = time.time()

    assert before - 0.001 <= shown <= after


# What is held


@pytest.mark.parametrize("seconds", [60.0, 0.0], ids=["in time", "at the same moment as the time is up"])
async def test_a_request_that_is_cancelled_while_its_body_is_awaited_ends_so(monkeypatch, seconds):
    monkeypatch.setattr("likewise.asgi.BODY_SECONDS_MAX", seconds)

    async def receive():
        reading.cancel()
        await asyncio.Event().wait()

    scope = {"type": "http", "method": "PUT", "raw_path": b"/", "query_string": b"", "headers": []}
    reading = asyncio.create_task(Request(scope, receive).body())
    with pytest.raises(asyncio.CancelledError):
        await reading


@pytest.mark.parametrize(
    ("method", "path", "messages"),
    [
        ("GET", "/v1/nothing", []),
        ("GET", SONG_PATH, []),
        ("PUT", SONG_PATH, [{"type": "http.request", "body": b"{"}]),
        ("PUT", SONG_PATH, [{"type": "http.disconnect"}]),
        ("PUT", SONG_PATH, []),
    ],
    ids=["no path", "no rating", "no document", "no whole body", "no body in time"],
)
async def test_a_request_that_was_refused_is_held_by_nothing(house, monkeypatch, method, path, messages):
    """Not until garbage is looked for, either: what is held may hold a connection open."""

    async def receive():
        if not messages:
            await asyncio.Event().wait()
        return messages.pop()

    async def send(_message):
        pass

    monkeypatch.setattr("likewise.asgi.BODY_SECONDS_MAX", 0.01)
    headers = raw_headers(house.headers(house.ada_token))
    scope = {"type": "http", "method": method, "raw_path": path.encode(), "query_string": b"", "headers": headers}
    held = weakref.ref(receive)
    gc.disable()
    try:
        await house.app(scope, receive, send)
        del receive
        await asyncio.sleep(0)  # the loop's own turn holds on to what woke it up

        assert held() is None
    finally:
        gc.enable()
