"""Bytes on a socket that no client should send: lies about lengths, two requests in the clothes of one, or none.

One server hears it all, and must answer others meanwhile, let go of everything, and stay.
"""

import os
import re
import resource
import select
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest

from tests.e2e.server import dev_server
from tests.house import LIKE_BODY, NOT_RATED, error_of

RATED = "/v1/me/ratings/songs/1"
NEVER_RATED = "/v1/me/ratings/songs/2"
LENGTH = f"Content-Length: {len(LIKE_BODY)}"
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(LIKE_BODY), LIKE_BODY)
ANOTHER = b"GET /v1/test HTTP/1.1\r\nHost: x\r\n\r\n"
"""A request that must never be answered when it hides in another's body, and else is answered 401."""

SECONDS_MAX = 10
PATIENCE_SECONDS = 8
# With IDLE_CONNECTIONS=10000 it takes as many as one worker does.
IDLE = int(os.environ.get("IDLE_CONNECTIONS", "1500"))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with dev_server(tmp_path_factory.mktemp("raw") / "data") as server:
        yield server
        code, errors = server.stop()

    assert code == 0
    assert "Traceback" not in errors
    assert "panicked" not in errors


@pytest.fixture
def client(server):
    with httpx2.Client(base_url=server.url, headers=server.headers(), timeout=PATIENCE_SECONDS) as client:
        yield client


class Answers(NamedTuple):
    statuses: list[int]
    is_closed: bool


def connect(server):
    host, port = server.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS)


def head(server, *lines, path=NEVER_RATED, method="PUT", version="1.1", line_end="\r\n"):
    tokens = [f"{name}: {value}" for name, value in server.headers().items()]
    return line_end.join(
        [f"{method} {path} HTTP/{version}", "Host: x", *tokens, *lines, line_end],
    ).encode("latin-1")


def say(server, said, *, answers_max=1, half_close=False):
    """Send bytes; return the answers until the server closes, or goes on to wait after as many as there may be."""
    with connect(server) as connection:
        try:
            connection.sendall(said)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        except ConnectionError:
            pass  # it has heard enough
        heard = b""
        while True:
            try:
                piece = connection.recv(65_536)
            except ConnectionError:
                piece = b""
            heard += piece
            statuses = [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d+) ", heard)]
            if not piece:
                return Answers(statuses, is_closed=True)
            if len(statuses) >= answers_max and select.select([connection], [], [], 0.05)[0] == []:
                return Answers(statuses, is_closed=False)


REFUSED_HEADS = {
    "two lengths": [LENGTH, "Content-Length: 0"],
    "a list of lengths": [f"{LENGTH}, {len(LIKE_BODY)}"],
    "a length with a sign": [f"Content-Length: +{len(LIKE_BODY)}"],
    "a negative length": ["Content-Length: -1"],
    "a length in hexadecimal": ["Content-Length: 0x2b"],
    "a length past 64 bits": ["Content-Length: 99999999999999999999999"],
    "a coding that only ends like chunked": ["Transfer-Encoding: xchunked"],
    "chunked, but not last": ["Transfer-Encoding: chunked, identity"],
    "chunked, and then taken back": ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
    "no coding": ["Transfer-Encoding: identity"],
    "an empty coding": ["Transfer-Encoding:"],
    "a quoted coding": ['Transfer-Encoding: "chunked"'],
    "a coding with a vertical tab": ["Transfer-Encoding: chunked\x0b"],
    "a coding with a parameter": ["Transfer-Encoding: chunked;q=1"],
    "a space before the colon": ["Transfer-Encoding : chunked"],
    "a folded line": ["Transfer-Encoding:", " chunked"],
    "a bare carriage return": ["X: a\rTransfer-Encoding: chunked"],
    "a NUL": ["X: a\0b", LENGTH],
    "a line without a colon": ["nothing", LENGTH],
}


@pytest.mark.parametrize("lines", REFUSED_HEADS.values(), ids=REFUSED_HEADS)
def test_a_head_that_two_parsers_may_read_differently_is_refused_and_the_connection_closed(server, client, lines):
    for body in (LIKE_BODY, CHUNKS):
        assert say(server, head(server, *lines) + body + ANOTHER) == Answers([400], is_closed=True)

    assert error_of(client.get(NEVER_RATED)) == NOT_RATED


def test_chunks_and_a_length_are_read_as_chunks_and_the_connection_is_closed(server):
    """As RFC 9112 has it (section 6.3): whatever follows is never taken for a request."""
    for length in (4, len(CHUNKS + ANOTHER)):
        for lines in (
            ["Transfer-Encoding: chunked", f"Content-Length: {length}"],
            [f"Content-Length: {length}", "Transfer-Encoding: chunked"],
        ):
            said = head(server, *lines, path=RATED) + CHUNKS + ANOTHER

            assert say(server, said, answers_max=2) == Answers([200], is_closed=True)


def test_chunks_of_http_1_0_are_refused(server):
    said = head(server, "Transfer-Encoding: chunked", version="1.0") + CHUNKS

    assert say(server, said) == Answers([400], is_closed=True)


@pytest.mark.parametrize("line", ["Transfer-Encoding: Chunked", "transfer-encoding:\tchunked "])
def test_chunks_end_where_they_say(server, line):
    said = head(server, line, path=RATED) + CHUNKS + ANOTHER

    assert say(server, said, answers_max=2) == Answers([200, 401], is_closed=False)


LYING_CHUNKS = {
    "a size past 64 bits": b"fffffffffffffffff\r\n{",
    "a negative size": b"-1\r\n{",
    "a size with a prefix": b"0x2b\r\n" + LIKE_BODY + b"\r\n0\r\n\r\n",
    "no size": b"\r\n" + LIKE_BODY + b"\r\n0\r\n\r\n",
    "more than the size": b"5\r\n" + LIKE_BODY + b"\r\n0\r\n\r\n",
    "line feeds alone": b"%x\n%s\n0\n\n" % (len(LIKE_BODY), LIKE_BODY),
    "an extension without end": b"5;" + b"a" * 100_000 + b"\r\n",
    "trailers without end": b"%x\r\n%s\r\n0\r\n" % (len(LIKE_BODY), LIKE_BODY) + b"A: b\r\n" * 50_000,
}


@pytest.mark.parametrize("chunks", LYING_CHUNKS.values(), ids=LYING_CHUNKS)
def test_chunks_that_lie_are_refused_and_the_connection_closed(server, client, chunks):
    assert say(server, head(server, "Transfer-Encoding: chunked") + chunks + ANOTHER) == Answers([400], is_closed=True)

    assert error_of(client.get(NEVER_RATED)) == NOT_RATED


def test_a_body_that_nobody_reads_is_not_taken_for_requests(server):
    body = ANOTHER * 3
    unwanted = f"GET {NEVER_RATED} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body

    assert say(server, unwanted).statuses == [401]


def test_requests_in_one_breath_are_answered_in_their_order(server):
    said = b"".join(
        head(server, LENGTH, path=f"/v1/me/ratings/songs/1{number}") + LIKE_BODY if number % 2 else ANOTHER
        for number in range(50)
    )

    assert say(server, said, answers_max=50) == Answers([401, 200] * 25, is_closed=False)


def test_an_answer_without_a_body_ends_with_its_head(server, client):
    """Else whoever waits for the next answer on the same connection would take the one for the other."""
    client.put(RATED, content=LIKE_BODY)
    asked = [
        ("HEAD", RATED, 200),
        ("HEAD", NEVER_RATED, 404),
        ("HEAD", "/v1/me/nothing", 404),
        ("HEAD", "/v1/storefronts", 200),
        ("HEAD", "/v1/me/ratings.ndjson", 200),
        ("POST", "/v1/me/favorites?ids[songs]=1", 202),
        ("OPTIONS", RATED, 204),
        ("DELETE", RATED, 204),
        ("HEAD", RATED, 404),
    ]
    said = b"".join(head(server, method=method, path=path) for method, path, _ in asked)

    with connect(server) as connection:
        connection.sendall(said + b"HEAD /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        heard = b"".join(iter(lambda: connection.recv(65_536), b""))

    *heads, end = heard.split(b"\r\n\r\n")
    statuses = [status for _, _, status in asked] + [200]
    assert [each[:12] for each in heads] == [b"HTTP/1.1 %d" % status for status in statuses]
    assert end == b""


def test_a_target_may_be_a_whole_url(server):
    """As RFC 9112 has it (section 3.2.2), for the sake of proxies; whose host it names does not matter."""
    for authority in ("api.music.apple.com", "user@x:443", "[::1]"):
        path = f"/v1/me/ratings/songs/3?authority={authority}"
        said = head(server, LENGTH, path=f"https://{authority}{path}") + LIKE_BODY

        assert say(server, said) == Answers([200], is_closed=False)
        assert say(server, head(server, method="DELETE", path=f"http://{authority}{path}")).statuses == [204]

    assert say(server, head(server, method="GET", path="http://api.music.apple.com")).statuses == [404]


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("OPTIONS", "*", 404),
        ("CONNECT", "api.music.apple.com:443", 404),
        ("CONNECT", RATED, 405),
        ("TRACE", RATED, 405),
        ("get", RATED, 405),
    ],
)
def test_no_method_opens_a_way_elsewhere_or_shows_what_was_sent(server, method, target, status):
    said = head(server, method=method, path=target) + ANOTHER

    assert say(server, said, answers_max=2) == Answers([status, 401], is_closed=False)


def test_http_1_0_is_answered_and_the_connection_closed_unless_the_client_would_keep_it(server):
    said = head(server, LENGTH, path=RATED, version="1.0") + LIKE_BODY
    kept = head(server, LENGTH, "Connection: keep-alive", path=RATED, version="1.0") + LIKE_BODY

    assert say(server, said) == Answers([200], is_closed=True)
    assert say(server, kept + ANOTHER, answers_max=2) == Answers([200, 401], is_closed=False)


def test_what_asks_for_another_protocol_is_answered_in_http_1_1(server):
    for protocol in ("h2c", "websocket"):
        upgrade = [
            "Connection: Upgrade, HTTP2-Settings",
            f"Upgrade: {protocol}",
            "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
        ]

        said = head(server, *upgrade, method="GET", path="/v1/test") + ANOTHER

        assert say(server, said, answers_max=2) == Answers([200, 401], is_closed=False)


def test_http_2_without_asking_first_is_hung_up_on(server):
    assert say(server, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0") == Answers([], is_closed=True)


@pytest.mark.parametrize(
    ("target", "status"),
    [(RATED, None), ("/v1/me/ratings/songs/i.1", 400), (f"{RATED}?l=!", 400), ("/v1/me/nothing", 404)],
)
def test_a_body_is_asked_for_only_when_it_is_wanted(server, target, status):
    """Whoever sends `Expect: 100-continue` hears a refusal before the body is on its way."""
    said = head(server, LENGTH, "Expect: 100-continue", path=target)
    with connect(server) as connection:
        connection.sendall(said)
        first = connection.recv(65_536)

        if status is not None:
            assert first.startswith(b"HTTP/1.1 %d " % status)
            return
        assert first == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(LIKE_BODY)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "said",
    [
        b"GET /" + b"a" * 1_000_000,
        b"GET / HTTP/1.1\r\nA: " + b"a" * 1_000_000,
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 9_999,
    ],
)
def test_a_head_without_end_is_431(server, said):
    assert say(server, said) == Answers([431], is_closed=True)


@pytest.mark.parametrize(
    "said",
    [
        b"\0" * 9_999,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xa5" * 500,
        b"GET /livez\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
    ],
    ids=["noughts", "TLS", "HTTP/0.9", "HTTP/9.9"],
)
def test_what_is_no_http_1_is_400(server, said):
    assert say(server, said) == Answers([400], is_closed=True)


def test_a_body_that_breaks_off_rates_nothing(server, client):
    for lines, body in ((["Content-Length: 100"], LIKE_BODY), (["Transfer-Encoding: chunked"], CHUNKS[:-5])):
        assert say(server, head(server, *lines) + body, half_close=True).is_closed

    assert error_of(client.get(NEVER_RATED)) == NOT_RATED


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are counted in /proc")
def test_whoever_is_slow_or_silent_is_let_go_and_holds_up_nobody(server, client):
    """All at once: heads and bodies that come byte by byte, or not at all, and many who only hold on to the line."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed))
    put = head(server, "Content-Length: 100")
    slow = {
        "head": b"GET / HTTP/1.1\r\nA: ",
        "body": put,
        "chunk": head(server, "Transfer-Encoding: chunked") + b"5\r\n{",
        "body that nobody reads": b"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n",
    }
    assert client.get(NEVER_RATED).status_code == 404  # whose connection stays
    before = files_of(server)
    slowest_answer = 0.0
    with ExitStack() as stack:
        dribbling = [connected(stack, server, said) for said in slow.values()]
        stuck = [connected(stack, server, said) for said in [*slow.values(), b"G", put + b"{"] * 10]
        idle = [connected(stack, server, b"") for _ in range(min(IDLE, allowed - 500))]
        asked = [connected(stack, server, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(50)]
        assert eventually(lambda: files_of(server) >= before + len(idle)), "some are not let in"

        deadline = time.monotonic() + SECONDS_MAX + PATIENCE_SECONDS
        while files_of(server) > before and time.monotonic() < deadline:
            began = time.monotonic()
            assert client.get(NEVER_RATED).status_code == 404
            slowest_answer = max(slowest_answer, time.monotonic() - began)
            for connection in dribbling:
                try:
                    connection.sendall(b"a")
                except ConnectionError:
                    connection.close()
                    dribbling.remove(connection)
                    break
            select.select([], [], [], 0.1)

        assert files_of(server) <= before
        assert all(hears_the_end(connection) for connection in [*stuck, *idle, *asked])
    assert slowest_answer < SECONDS_MAX / 2


def eventually(is_so):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so() and time.monotonic() < deadline:
        select.select([], [], [], 0.05)
    return is_so()


def files_of(server):
    """Count what the server has open, its clients' connections among it."""
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


def connected(stack, server, said):
    connection = stack.enter_context(connect(server))
    connection.sendall(said)
    return connection


def hears_the_end(connection):
    try:
        while connection.recv(65_536):
            pass
    except ConnectionError:
        pass
    return True
