"""What a description cannot say, Schemathesis is told here: which parts of a request must fit together.

Only of requests that are meant to be right. Those that are meant to be wrong go out as they are.
"""

import json
from typing import Any

import schemathesis
from schemathesis.generation.meta import TestPhase

from likewise.domain import KINDS
from likewise.tokens import generate_private_key, read_public_key
from tests.house import RATABLE

LISTENER = "ben"
"""One that no request removes; what is asked of nobody shows little."""
LIBRARY_SONG = "i.7PJN4BYC1WZ8r"
"""One that is linked to a song of the catalog."""

_LISTED = "/v1/me/ratings"
_NOT_WITH_SINCE = ("offset", "filter[type]", "filter[value]")


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    if case.meta is not None and case.meta.generation.mode.is_positive:
        mend(case.operation.path, case.path_parameters or {}, case.query or {}, case.body)
        if case.meta.phase.name != TestPhase.STATEFUL:
            mend_names(f"{case.method} {case.operation.path}", case.path_parameters or {})
    if case.method == "DELETE" and case.operation.path == "/_likewise/listeners/{name}":
        case.path_parameters["name"] = case.path_parameters["name"].replace(LISTENER, "nobody")


def mend_names(label: str, variables: Any) -> None:
    """Ask about what there is."""
    if label.endswith(" /v1/me/library/{type}/{id}/catalog"):
        variables |= {"type": "songs", "id": LIBRARY_SONG}
    if "/_likewise/" in label and "name" in variables:
        variables["name"] = LISTENER


def mend(path: str, variables: Any, query: Any, body: Any) -> None:
    """Make the parts of a right request fit together."""
    if path.startswith("/v1/me/ratings/{type}"):
        # Links between operations are guessed, and a rating's own type is «ratings».
        kind = KINDS.get(variables["type"], KINDS["songs"])
        variables["type"] = kind.type
        if "id" in variables and not kind.has_id(variables["id"]):
            variables["id"] = RATABLE[kind.type]
    if path == _LISTED and "since" in query:
        for name in _NOT_WITH_SINCE:
            query.pop(name, None)
    elif path == _LISTED and "limit" in query:
        query["limit"] = min(int(query["limit"]), 100)
    if path.endswith("/tokens") and isinstance(body, dict) and "days" in body:
        body["days"] = int(body["days"])  # 30.0 is an integer to JSON Schema, but not to us
    if path.endswith(("/tokens", "/keys")):
        # Nothing but a page before tells where one begins.
        query.pop("after", None)
    if path.endswith("/keys") and isinstance(body, dict):
        body.pop("jwk", None)
        body["public_key"] = read_public_key(generate_private_key())


@schemathesis.serializer("application/x-ndjson")
def lines(_context: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()
