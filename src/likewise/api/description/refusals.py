"""What may be refused, read off the table that makes the answers."""

from collections.abc import Iterable

from likewise import errors
from likewise.api.description.parts import (
    ANYWHERE,
    PERSONAL,
    Operation,
    Part,
    Who,
    any_of,
    array,
    closed,
    document,
    only,
    schema,
    text,
    without_body,
)
from likewise.asgi import BODY_SECONDS_MAX, URL_BYTES_MAX
from likewise.wire import PROBLEMS

_WHEN: dict[type[Exception], str] = {
    errors.BadParameter: "a parameter is at fault, and `source.parameter` names it",
    errors.BadBody: "the body is at fault, and `source.pointer` points at the fault in it",
    errors.BadPathValue: "the type is unknown, or the id is not of its type",
    errors.BadAdminToken: "the admin token is missing or wrong, or there are several",
    errors.BadUserToken: "the music user token is missing, unknown, expired, revoked, or for another team",
    errors.NotFound: "there is no such thing, or nothing is rated",
    errors.NoRelatedResources: "the other side of the link does not exist",
    errors.PathNotFound: "there is no such path",
    errors.BodyTooSlow: f"the body took more than {BODY_SECONDS_MAX:g} seconds",
    errors.AlreadyExists: "there is one already, or the library item cannot take this link",
    errors.CursorGone: "what changed after the cursor is no longer known in full: begin again with all ratings",
    errors.BodyTooLarge: "the body is too large",
    errors.UrlTooLong: f"path and query have more than {URL_BYTES_MAX} bytes",
    errors.TooManyRequests: "the team asks more often than it may",
    Exception: "it is the server's fault, and the cause is in its log alone",
    errors.StoreUnavailable: "the database did not answer, or has too much to do",
}
"""When each comes. Refusals that look the same stand here once."""
_BY_CODE = {PROBLEMS[kind].code: kind for kind in _WHEN}

_EVERYWHERE = (errors.UrlTooLong, Exception)
_AT_THE_DOOR: dict[Who, tuple[type[Exception], ...]] = {
    Who.ANYBODY: (),
    Who.DEVELOPER: (errors.BadDeveloperToken, errors.TooManyRequests, errors.StoreUnavailable),
    Who.LISTENER: (
        errors.BadDeveloperToken,
        errors.BadUserToken,
        errors.TooManyRequests,
        errors.StoreUnavailable,
    ),
    Who.OPERATOR: (errors.BadAdminToken, errors.StoreUnavailable),
}
_WITH_A_BODY = (errors.BadBody, errors.BodyTooSlow, errors.BodyTooLarge)

_RETRY_AFTER: Part = {"Retry-After": {"$ref": "#/components/headers/RetryAfter"}}
_HEADERS: dict[type[Exception], Part] = {
    errors.BadAdminToken: {"WWW-Authenticate": {"$ref": "#/components/headers/Bearer"}},
    errors.TooManyRequests: _RETRY_AFTER,
    errors.StoreUnavailable: _RETRY_AFTER,
}
_EMPTY = "401"
_EMPTY_401: Part = {
    "description": "The developer token is missing, malformed, expired, or of no registered key. No body.",
    "headers": ANYWHERE,
}


def refusals_of(operation: Operation, *, is_head: bool = False) -> dict[str, Part]:
    """Point at all that an operation may answer besides success, by status."""
    kind = "HeadError" if is_head else "Error"
    return {
        status: {"$ref": f"#/components/responses/{kind}{'Or'.join(codes)}"}
        for status, codes in _codes_of(operation).items()
    }


def answers(operations: Iterable[Operation]) -> dict[str, Part]:
    """Describe what `refusals_of` points at."""
    found: dict[str, Part] = {}
    for operation in operations:
        for codes in _codes_of(operation).values():
            answer = _answer(codes)
            found[f"Error{'Or'.join(codes)}"] = answer
            found[f"HeadError{'Or'.join(codes)}"] = without_body(answer)
    return found


def _codes_of(operation: Operation) -> dict[str, list[str]]:
    """List what an operation may answer besides success: codes by status. The empty 401 has none of its own."""
    kinds = {*_EVERYWHERE, *_AT_THE_DOOR[operation.who], *operation.refusals}
    if operation.body is not None:
        kinds |= set(_WITH_A_BODY)
    by_status: dict[str, list[str]] = {"401": [_EMPTY]} if errors.BadDeveloperToken in kinds else {}
    for kind in _WHEN:
        if kind in kinds:
            by_status.setdefault(str(PROBLEMS[kind].status), []).append(PROBLEMS[kind].code)
    return dict(sorted(by_status.items()))


def _answer(codes: list[str]) -> Part:
    if codes == [_EMPTY]:
        return _EMPTY_401
    kinds = [_BY_CODE[code] for code in codes]
    says = "\n".join(f"- code {PROBLEMS[kind].code}: {_WHEN[kind]}" for kind in kinds)
    # No two codes of one status have headers of their own.
    return document(says, any_of([schema(f"Error{code}") for code in codes]), PERSONAL, _HEADERS.get(kinds[0], {}))


def schemas() -> dict[str, Part]:
    """Describe the error document of each code."""
    return {f"Error{code}": _errors_document(kind) for code, kind in _BY_CODE.items()}


def error_schemas(kinds: Iterable[type[Exception]]) -> Part:
    """Describe the error object of any of these."""
    return any_of([_error(kind) for kind in kinds])


def _errors_document(kind: type[Exception]) -> Part:
    return {
        **closed(errors=array(_error(kind), minItems=1, maxItems=1)),
        "description": f"{PROBLEMS[kind].title}: {_WHEN[kind]}.",
    }


def _error(kind: type[Exception]) -> Part:
    problem = PROBLEMS[kind]
    members = {
        "id": text("[A-Z2-7]{26}", "new each time"),
        "title": only(problem.title),
        "detail": {"type": "string"},
        "status": only(str(problem.status)),
        "code": only(problem.code),
    }
    if kind is errors.BadParameter:
        return closed(["detail"], **members, source=closed(parameter={"type": "string"}))
    if kind is errors.BadBody:
        pointer = text(says="a JSON pointer (RFC 6901); absent where the body is no JSON object")
        return closed(["detail", "source"], **members, source=closed(pointer=pointer))
    return closed(["detail"], **members)
