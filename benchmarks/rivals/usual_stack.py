"""What a team would reach for, done well: FastAPI, SQLAlchemy 2, aiosqlite, PyJWT, uvicorn with uvloop and httptools.

    usual_stack fill STATE FILE           make its database out of the state that seeding.py wrote
    usual_stack serve FILE PORT WORKERS   serve ratings of songs from it

It answers GET one, GET many and PUT with the bytes of Likewise. Done well is meant so: the primary key is the only
index that is needed, and the table has no other row number; WAL with `synchronous=FULL`, for an acknowledged PUT is to
be on disk here too; connections from pools, and a single one for writes, so that writers queue for it where they would
spin on a busy database; reads without a transaction around their one statement; verified developer tokens are
remembered, as many as Likewise remembers, and what the database said of keys and user tokens is believed for a minute,
where Likewise asks again after two seconds; nothing runs in a thread but SQLite; bodies are checked by pydantic, and
documents written by it as bytes.

It knows no links, no languages, no origins, no change numbers, no limits and no metrics, so it does less. It runs in
`.venv-bench`, which has nothing of Likewise.
"""

import asyncio
import base64
import hashlib
import json
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

import jwt
import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException, Query, Request, Response
from pydantic import BaseModel
from sqlalchemy import LargeBinary, event, insert, select
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

REMEMBERED_MAX = 10_000
BELIEVED_SECONDS = 60.0
READERS = 10
HEADERS = {"content-language": "en-US", "cache-control": "no-store", "access-control-allow-origin": "*"}

Known = TypeVar("Known")


# What is stored


class Base(DeclarativeBase):
    pass


class Key(Base):
    __tablename__ = "developer_keys"
    id: Mapped[str] = mapped_column(primary_key=True)
    team_id: Mapped[str]
    public_key: Mapped[str]


class Token(Base):
    __tablename__ = "user_tokens"
    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    listener: Mapped[int]
    team_id: Mapped[str]
    expires: Mapped[int]


class Rating(Base):
    __tablename__ = "ratings"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 - SQLAlchemy's way
    listener: Mapped[int] = mapped_column(primary_key=True)
    type: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int]
    time: Mapped[int]


def engine_on(path: str, *, pool_size: int, **options: Any) -> AsyncEngine:
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}", pool_size=pool_size, max_overflow=0, **options)

    @event.listens_for(engine.sync_engine, "connect")
    def _set_up(connection: Any, _: object) -> None:
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000", "cache_size=-8192"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return engine


# What is said


class Attributes(BaseModel):
    value: Literal[1, -1]


class RatingRequest(BaseModel):
    type: Literal["rating", "ratings"] = "rating"
    attributes: Attributes


class RatingDocument(BaseModel):
    id: str
    type: Literal["ratings"] = "ratings"
    href: str
    attributes: Attributes


class RatingsResponse(BaseModel):
    data: list[RatingDocument]


def answer_with(type: str, ratings: Sequence[tuple[str, int]]) -> Response:
    data = [
        RatingDocument.model_construct(
            id=id,
            type="ratings",
            href=f"/v1/me/ratings/{type}/{id}",
            attributes=Attributes.model_construct(value=value),
        )
        for id, value in ratings
    ]
    content = RatingsResponse.model_construct(data=data).model_dump_json()
    headers = HEADERS | {"x-request-id": uuid.uuid4().hex}
    return Response(content, media_type="application/json;charset=utf-8", headers=headers)


# Who may ask


class Believed(Generic[Known]):
    """What was found out in the last minute, by key; at most 10 000 things."""

    def __init__(self) -> None:
        self._known: dict[Any, tuple[float, Known]] = {}

    async def get(self, key: Any, find: Callable[[], Awaitable[Known | None]]) -> Known | None:
        now = time.monotonic()
        until, known = self._known.get(key, (0.0, None))
        if now < until:
            return known
        found = await find()
        if found is not None:
            if len(self._known) >= REMEMBERED_MAX:
                self._known.pop(next(iter(self._known)))
            self._known[key] = now + BELIEVED_SECONDS, found
        return found


class KnownKey(NamedTuple):
    team_id: str
    public_key: str


class KnownToken(NamedTuple):
    listener: int
    team_id: str
    expires: int


class Verified(NamedTuple):
    key_id: str
    team_id: str
    expires: float


class Service:
    """What there is while the application runs."""

    def __init__(self, path: str) -> None:
        # A read of one statement needs no transaction, and no rollback, which is a trip to the connection's thread.
        alone = {"isolation_level": "AUTOCOMMIT", "pool_reset_on_return": None}
        self._read_engine = engine_on(path, pool_size=READERS, **alone)
        self._write_engine = engine_on(path, pool_size=1)
        self.read = async_sessionmaker(self._read_engine, expire_on_commit=False)
        self.write = async_sessionmaker(self._write_engine, expire_on_commit=False)
        self._verified: dict[str, Verified] = {}
        self._keys: Believed[KnownKey] = Believed()
        self._tokens: Believed[KnownToken] = Believed()

    async def close(self) -> None:
        await self._read_engine.dispose()
        await self._write_engine.dispose()

    async def developer(self, authorization: str | None) -> Verified:
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            raise HTTPException(401)
        verified = self._verified.get(token)
        try:
            key_id = verified.key_id if verified else jwt.get_unverified_header(token)["kid"]
            key = await self._keys.get(key_id, lambda: self._find_key(key_id))
            if key is None:
                raise HTTPException(401)
            if verified is None:
                claims = jwt.decode(token, key.public_key, algorithms=["ES256"], options={"require": ["exp", "iat"]})
                verified = Verified(key_id, claims["iss"], claims["exp"])
                if len(self._verified) >= REMEMBERED_MAX:
                    self._verified.pop(next(iter(self._verified)))
                self._verified[token] = verified
        except (jwt.PyJWTError, KeyError) as error:
            raise HTTPException(401) from error
        if verified.expires <= time.time() or verified.team_id != key.team_id:
            raise HTTPException(401)
        return verified

    async def listener(self, team_id: str, user_token: str | None) -> int:
        digest = hashlib.sha256((user_token or "").encode()).digest()
        token = await self._tokens.get(digest, lambda: self._find_token(digest))
        if token is None or token.team_id != team_id or token.expires <= time.time() * 1000:
            raise HTTPException(403)
        return token.listener

    async def _find_key(self, id: str) -> KnownKey | None:
        async with self.read() as session:
            row = (await session.execute(select(Key.team_id, Key.public_key).where(Key.id == id))).first()
        return KnownKey(*row) if row else None

    async def _find_token(self, digest: bytes) -> KnownToken | None:
        found = select(Token.listener, Token.team_id, Token.expires).where(Token.digest == digest)
        async with self.read() as session:
            row = (await session.execute(found)).first()
        return KnownToken(*row) if row else None


async def service_of(request: Request) -> Service:  # a plain function would run in a thread
    service: Service = request.app.state.service
    return service


async def listener_of(
    service: Annotated[Service, Depends(service_of)],
    authorization: Annotated[str | None, Header()] = None,
    music_user_token: Annotated[str | None, Header()] = None,
) -> int:
    developer = await service.developer(authorization)
    return await service.listener(developer.team_id, music_user_token)


async def reading(service: Annotated[Service, Depends(service_of)]) -> AsyncIterator[AsyncSession]:
    async with service.read() as session:
        yield session


async def writing(service: Annotated[Service, Depends(service_of)]) -> AsyncIterator[AsyncSession]:
    async with service.write() as session:
        yield session


AListener = Annotated[int, Depends(listener_of)]
Reading = Annotated[AsyncSession, Depends(reading)]
Writing = Annotated[AsyncSession, Depends(writing)]


# What is done


async def get_one(listener: AListener, session: Reading, type: str, id: str) -> Response:
    chosen = select(Rating.value).where(Rating.listener == listener, Rating.type == type, Rating.id == id)
    value = await session.scalar(chosen)
    if value is None:
        raise HTTPException(404)
    return answer_with(type, [(id, value)])


async def get_many(listener: AListener, session: Reading, type: str, ids: Annotated[str, Query()]) -> Response:
    wanted = list(dict.fromkeys(filter(None, ids.split(","))))
    if len(wanted) > 300:
        raise HTTPException(400)
    chosen = select(Rating.id, Rating.value).where(
        Rating.listener == listener, Rating.type == type, Rating.id.in_(wanted)
    )
    values = {id: value for id, value in await session.execute(chosen)}  # noqa: C416 - rows are no pairs to mypy
    return answer_with(type, [(id, values[id]) for id in wanted if id in values])


async def put(listener: AListener, session: Writing, type: str, id: str, rating: RatingRequest) -> Response:
    value = rating.attributes.value
    row = {"listener": listener, "type": type, "id": id, "value": value, "time": time.time_ns() // 1_000_000}
    statement = upsert(Rating).values(row)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["listener", "type", "id"],
            set_={"value": statement.excluded.value, "time": statement.excluded.time},
        )
    )
    await session.commit()
    return answer_with(type, [(id, value)])


def make_app() -> FastAPI:
    """Make the application on the database of the command line, for each worker anew."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.service = Service(sys.argv[2])
        yield
        await app.state.service.close()

    app = FastAPI(lifespan=lifespan, openapi_url=None)
    app.get("/v1/me/ratings/{type}/{id}")(get_one)
    app.get("/v1/me/ratings/{type}")(get_many)
    app.put("/v1/me/ratings/{type}/{id}")(put)
    return app


# Commands


async def fill(state_file: str, path: str) -> None:
    state = json.loads(Path(state_file).read_text("utf-8"))  # noqa: ASYNC240 - nothing else is waiting
    key = state["key"]
    tokens, ratings = [], []
    for number, listener in enumerate(state["listeners"], 1):
        digest = base64.b64decode(listener["digest"])
        tokens.append({"digest": digest, "listener": number, "team_id": key["team_id"], "expires": 2**53})
        for id, value in listener["ratings"].items():
            ratings.append({"listener": number, "type": "songs", "id": id, "value": value, "time": 0})
    engine = engine_on(path, pool_size=1)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        await connection.execute(insert(Key), [key])
        await connection.execute(insert(Token), tokens)
        await connection.execute(insert(Rating), ratings)
    await engine.dispose()


def main(command: str, source: str, *arguments: str) -> None:
    if command == "fill":
        asyncio.run(fill(source, *arguments))
        return
    port, workers = arguments
    uvicorn.run(
        "benchmarks.rivals.usual_stack:make_app",
        factory=True,
        port=int(port),
        workers=int(workers),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        backlog=2048,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
