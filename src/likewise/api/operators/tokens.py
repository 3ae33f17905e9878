"""Music user tokens of one listener: issue, list, revoke."""

from collections.abc import Mapping
from typing import Any

from likewise.admin import USER_TOKEN_DAYS_MAX, Admin
from likewise.api.operators.documents import Row, created, moment_or_none, page, text_of, those_after, window_of
from likewise.api.parameters import DELETED
from likewise.asgi import Request, Response
from likewise.domain import UserToken
from likewise.errors import BadBody
from likewise.ndjson import moment
from likewise.tokens import USER_TOKEN_DAYS
from likewise.wire import decode_object


async def issue(admin: Admin, request: Request, name: str) -> Response:
    body = decode_object(await request.body())
    text, token = await admin.issue_user_token(name, text_of(body, "team_id"), days=_days_of(body))
    return created({"music_user_token": text, **_row(token)})


def _days_of(body: Mapping[str, Any]) -> int:
    days = body.get("days", USER_TOKEN_DAYS)
    # true is an int in Python, but no integer in JSON.
    if type(days) is not int or not 1 <= days <= USER_TOKEN_DAYS_MAX:
        raise BadBody("/days", f"The days of a music user token are an integer from 1 to {USER_TOKEN_DAYS_MAX}")
    return days


async def get_many(admin: Admin, request: Request, name: str) -> Response:
    window = window_of(request.query)
    tokens = those_after(await admin.user_tokens(name), window.after, _id)
    return page(tokens, window, path=f"/_likewise/listeners/{name}/tokens", row=_row, cursor=_id)


async def revoke(admin: Admin, _request: Request, name: str, id: str) -> Response:
    await admin.revoke_user_token_of(name, id)
    return DELETED


def _id(token: UserToken) -> str:
    return token.id


def _row(token: UserToken) -> Row:
    return {
        "id": token.id,
        "team_id": token.team_id,
        "created": moment(token.created),
        "expires": moment(token.expires),
        "revoked": moment_or_none(token.revoked),
    }
