"""The inverse of `likewise.wire.PROBLEMS`: what a server refused becomes the error that it raised."""

from collections.abc import Mapping
from typing import TypeVar

import msgspec
from msgspec import Struct, field

from likewise import errors
from likewise.wire import PROBLEMS

Error = TypeVar("Error", bound=errors.LikewiseError)

_HINT_BASE_URL = "is the base URL that of a server of the Apple Music API?"
_DETAIL_CHARACTERS_MAX = 300
_METHODS_MAX = 20

# Where several errors share a code, the first in the table is the one that these endpoints raise.
_CLASSES: dict[str, type[Exception]] = {problem.code: kind for kind, problem in reversed(PROBLEMS.items())}
_CODE_ADMIN = PROBLEMS[errors.BadAdminToken].code
_PREFIXES: dict[str, type[errors.BadPathValue]] = {
    "Unknown resource type '": errors.UnknownResourceType,
    "Unknown library resource type '": errors.UnknownLibraryResourceType,
    "Ratings not allowed for resource type '": errors.RatingsNotAllowed,
}


class _Source(Struct):
    parameter: str = ""
    pointer: str | None = None


class Problem(Struct):
    """Apple's error object, as far as we read it."""

    title: str = ""
    detail: str = ""
    code: str = ""
    id: str = ""
    source: _Source = field(default_factory=_Source)


class _Errors(Struct):
    errors: list[Problem]


_decode = msgspec.json.Decoder(_Errors).decode


def refusal_of(
    absent: type[errors.NotFound],
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    retry_after: float | None = None,
) -> errors.LikewiseError:
    """Make the error that an answer stands for; `absent` is what 404 means where it was asked.

    What nobody foresaw becomes `Refused` (4xx), `ServerFailed` (5xx) or `BadAnswer` (anything else, and a 404 that
    does not speak of errors as the API does: that some other program has no such page says nothing about a rating).
    """
    problem = _problem_in(body)
    error = _error_of(absent, status, headers, problem, retry_after)
    if problem is not None:
        error.add_note(f"The server answered {status} with code {problem.code[:20]!r}, error id {problem.id[:40]!r}.")
    return error


def error_of_problem(problem: Problem, absent: type[errors.NotFound]) -> errors.LikewiseError:
    """Make the error that one error object stands for, which says itself what its status would be."""
    status = int(problem.code[:3]) if problem.code[:3].isdecimal() else 400
    return _error_of(absent, status, {}, problem, None)


def _problem_in(body: bytes) -> Problem | None:
    try:
        problems = _decode(body.decode()).errors
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError):
        return None
    return problems[0] if problems else None


def _error_of(
    absent: type[errors.NotFound],
    status: int,
    headers: Mapping[str, str],
    problem: Problem | None,
    retry_after: float | None,
) -> errors.LikewiseError:
    text = _text_of(problem)
    match status:
        case 401 if problem is None or problem.code != _CODE_ADMIN:
            return errors.BadDeveloperToken("the server does not accept the developer token")
        case 403 if problem is None or problem.code == "40300":
            return errors.BadUserToken("the server does not accept the music user token")
        case 429:
            return errors.TooManyRequests(retry_after)
        case 503:
            return errors.StoreUnavailable(text or "the server is unavailable for the moment", "try again later")
        case _ if status >= 500:
            return errors.ServerFailed(text or f"the server failed with status {status}", "try again later")
        case 404 if problem is None:
            return errors.BadAnswer("there is no such API at the base URL", _HINT_BASE_URL)
        case _ if 300 <= status < 400:
            return errors.BadAnswer("the server sends us elsewhere, where the tokens must not go", _HINT_BASE_URL)
        case _ if problem is not None:
            return _error_of_code(absent, headers, problem, problem.code or f"{status}00", text)
        case _ if 400 <= status < 500:
            return errors.Refused(f"The server refused with status {status}")
        case _:
            return errors.BadAnswer(f"the server answered with status {status}", _HINT_BASE_URL)


def _error_of_code(
    absent: type[errors.NotFound], headers: Mapping[str, str], problem: Problem, code: str, text: str
) -> errors.LikewiseError:
    kind = _CLASSES.get(code, errors.Refused)
    if kind is errors.NotFound:
        return _revived(absent, text)
    if kind is errors.BadPathValue:
        kind = next((kind for prefix, kind in _PREFIXES.items() if text.startswith(prefix)), kind)
    if kind is errors.MethodNotAllowed:
        allowed = headers.get("allow", "").split(",", _METHODS_MAX)[:_METHODS_MAX]
        return errors.MethodNotAllowed([method.strip() for method in allowed if method.strip()])
    if kind is errors.BadParameter:
        return errors.BadParameter(problem.source.parameter, text)
    if kind is errors.BadBody:
        return errors.BadBody(problem.source.pointer, text)
    if issubclass(kind, errors.Refused):
        return _revived(kind, text)
    return errors.Refused(text)


def _revived(kind: type[Error], text: str) -> Error:
    """Make an error that was raised elsewhere, with the words it had there."""
    error = kind.__new__(kind)
    error.args = (text,) if text else ()
    return error


def _text_of(problem: Problem | None) -> str:
    # What a stranger wrote shall not fill a log, nor move the cursor of a terminal.
    text = (problem.detail or problem.title) if problem else ""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)[
        :_DETAIL_CHARACTERS_MAX
    ]
