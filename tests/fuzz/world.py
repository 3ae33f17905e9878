"""A service in this process, and what must hold whatever anybody asks it.

A request is written down as one would send it: method and target, headers, an empty line, the body. `{developer}`,
`{user}` and `{admin}` stand for tokens that are good.

    PUT /v1/me/ratings/songs/907242702?l=en-US
    authorization: Bearer {developer}
    music-user-token: {user}

    {"attributes":{"value":1}}
"""

import asyncio
import json
from collections.abc import Iterator
from typing import Any, NamedTuple, Self
from urllib.parse import unquote

from likewise.api.description import describe
from likewise.app import App
from likewise.config import Settings
from likewise.domain import DeveloperKey, Item, Kind, Listener, Rating, Value
from likewise.tokens import generate_private_key, mint_developer_token, read_public_key
from tests.house import KEY_ID, MONDAY, TEAM_ID, Clock, issue_user_token

ADMIN_TOKEN = "correct-horse-battery-staple-and-more"
SONG = Item(Kind.SONG, "907242702")
LIBRARY_SONG = Item(Kind.LIBRARY_SONG, "i.7PJNkmbT0a1xE2")
_NEVER = 2**63 - 1


class Request(NamedTuple):
    method: str
    target: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Answer(NamedTuple):
    status: int
    headers: dict[bytes, bytes]
    body: bytes


class World:
    """An open application in memory, with ada and ben, who has rated a song; remade after what operators did."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._private_key = generate_private_key()
        self._loop.run_until_complete(self._begin())
        self._described = describe(self._app._opened().api.endpoints)["paths"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._loop.run_until_complete(self._app.close())
        self._loop.close()

    async def _begin(self) -> None:
        settings = Settings(database="sqlite:///:memory:", admin_token=ADMIN_TOKEN, metrics_address="off")
        self._app = App(settings, now=Clock(MONDAY))
        await self._app.open()
        store = self._app.store
        await store.add_developer_key(DeveloperKey(KEY_ID, TEAM_ID, read_public_key(self._private_key), MONDAY))
        self._ada = await store.add_listener("ada", "us")
        self._ben = await store.add_listener("ben", "jp")
        await store.link(self._ada, LIBRARY_SONG, SONG, now=MONDAY)
        for listener in (self._ada, self._ben):
            await store.put(listener, SONG, Value.DISLIKE, now=MONDAY)
        developer = mint_developer_token(
            self._private_key, key_id=KEY_ID, team_id=TEAM_ID, now_seconds=MONDAY // 1000, seconds=3600
        )
        self._tokens = {
            b"{developer}": developer.encode(),
            b"{user}": (await issue_user_token(store, self._ada)).encode(),
            b"{admin}": ADMIN_TOKEN.encode(),
        }

    def ask(self, written: bytes) -> Answer | None:
        """Ask what is written down, and check all that must hold; None for what is no request."""
        request = self._read(written)
        return None if request is None else self._loop.run_until_complete(self._ask(request))

    def _read(self, written: bytes) -> Request | None:
        head, _, body = written.partition(b"\n\n")
        first, *lines = head.split(b"\n")
        method, _, target = first.partition(b" ")
        if not method or not target.startswith(b"/") or b" " in target:
            return None
        for name, token in self._tokens.items():
            lines = [line.replace(name, token) for line in lines]
        headers = [(name.strip().lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
        return Request(method.decode("latin-1"), target, headers, body)

    async def _ask(self, request: Request) -> Answer:
        is_operators = request.target.startswith(b"/_likewise")
        before = await self._changes(self._ada)
        answer = await self._answer(request)
        if is_operators and request.method not in {"GET", "HEAD"}:
            if answer.status < 300:
                await self._app.close()
                await self._begin()
        else:
            assert await self._app.store.get(self._ben, [SONG]) == [Rating(SONG, Value.DISLIKE, MONDAY)]
            if answer.status >= 400 or request.method in {"GET", "HEAD", "OPTIONS"}:
                assert await self._changes(self._ada) == before
        return answer

    async def _changes(self, listener: Listener) -> int:
        _, history = await self._app.store.changes(listener, after=_NEVER, limit=1)
        return history.last

    async def _answer(self, request: Request) -> Answer:
        path, _, query = request.target.partition(b"?")
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": request.method,
            "scheme": "http",
            "path": unquote(path.decode("latin-1")),
            "raw_path": path,
            "query_string": query,
            "headers": request.headers,
            "server": ("127.0.0.1", 80),
            "client": ("127.0.0.1", 123),
        }
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": request.body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        start, *rest = sent
        body = b"".join(each.get("body", b"") for each in rest)
        answer = Answer(start["status"], dict(start["headers"]), body)
        assert len(answer.headers) == len(start["headers"]), "a header is repeated"
        self._check(request, answer)
        return answer

    def _check(self, request: Request, answer: Answer) -> None:
        """Check what holds for every answer."""
        assert 200 <= answer.status < 500, answer
        for name, value in answer.headers.items():
            assert name == name.lower()
            assert not set(name + value) & set(b"\r\n\0"), "a header was smuggled in"
        assert answer.headers[b"access-control-allow-origin"] == b"*"
        is_json = answer.headers.get(b"content-type", b"").startswith(b"application/json")
        if answer.body and is_json and b"content-encoding" not in answer.headers:
            document = json.loads(answer.body)
            if answer.status >= 400:
                [error] = document["errors"]
                assert error["status"] == str(answer.status)
        if answer.status == 204 or request.method == "HEAD":
            assert answer.body == b""
        elif b"content-length" in answer.headers:
            assert int(answer.headers[b"content-length"]) == len(answer.body)
        if answer.status in {200, 201, 202}:
            assert str(answer.status) in set(self._answers_to(request)), "an answer that is not described"

    def _answers_to(self, request: Request) -> Iterator[str]:
        path, _, _ = request.target.partition(b"?")
        segments = path.decode("latin-1").split("/")[1:]
        if len(segments) > 1 and not segments[-1]:
            segments.pop()
        for template, methods in self._described.items():
            parts = template.split("/")[1:]
            if len(parts) == len(segments) and all(
                part.startswith("{") or part == unquote(segment) for part, segment in zip(parts, segments, strict=True)
            ):
                yield from methods.get(request.method.lower(), {}).get("responses", ())
