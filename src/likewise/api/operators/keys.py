"""Developer keys: register, list, revoke."""

from collections.abc import Mapping
from typing import Any

from likewise.admin import Admin, NewKey, new_key_of
from likewise.api.operators.documents import Row, created, moment_or_none, page, text_of, those_after, window_of
from likewise.api.parameters import DELETED
from likewise.asgi import Request, Response
from likewise.domain import DeveloperKey
from likewise.errors import BadBody, BadKey
from likewise.ndjson import moment
from likewise.wire import decode_object, encode


async def register(admin: Admin, request: Request) -> Response:
    new = _new_key_of(decode_object(await request.body()))
    return created(_row(await admin.register_key(new)))


def _new_key_of(body: Mapping[str, Any]) -> NewKey:
    key_id, team_id = text_of(body, "key_id"), text_of(body, "team_id")
    member = "jwk" if "jwk" in body else "public_key"
    key = _jwk_of(body) if member == "jwk" else text_of(body, member).encode()
    try:
        return new_key_of(key_id, team_id, key)
    except BadKey as error:
        raise BadBody(f"/{member}", str(error)) from error


def _jwk_of(body: Mapping[str, Any]) -> bytes:
    if "public_key" in body or not isinstance(body["jwk"], dict):
        raise BadBody("/jwk", "A key is one of 'public_key', a string in PEM, and 'jwk', an object")
    return encode(body["jwk"])


async def get_many(admin: Admin, request: Request) -> Response:
    window = window_of(request.query)
    keys = those_after(await admin.keys(), window.after, _id)
    return page(keys, window, path="/_likewise/keys", row=_row, cursor=_id)


async def revoke(admin: Admin, _request: Request, id: str) -> Response:
    await admin.revoke_key(id)
    return DELETED


def _id(key: DeveloperKey) -> str:
    return key.id


def _row(key: DeveloperKey) -> Row:
    return {
        "key_id": key.id,
        "team_id": key.team_id,
        "public_key": key.public_key,
        "created": moment(key.created),
        "revoked": moment_or_none(key.revoked),
    }
