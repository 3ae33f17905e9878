"""What a description is put together from: schemas (JSON Schema 2020-12), parameters, headers, answers, operations."""

from collections.abc import Collection, Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple, TypeAlias

Part: TypeAlias = dict[str, Any]


class Who(Enum):
    """Who may ask, by what they bring."""

    ANYBODY = "nobody's token"
    DEVELOPER = "a developer token"
    LISTENER = "a developer token and a music user token"
    OPERATOR = "the admin token"


class Operation(NamedTuple):
    """One method of one path. `answers` are those of success, by status; `refusals` what this one has of its own."""

    id: str
    title: str
    who: Who
    answers: Mapping[int, Part]
    refusals: tuple[type[Exception], ...] = ()
    parameters: tuple[Part, ...] = ()
    body: Part | None = None
    says: str = ""


# Schemas


def schema(name: str) -> Part:
    """Point at a schema that has a name."""
    return {"$ref": f"#/components/schemas/{name}"}


def closed(optional: Collection[str] = (), /, **members: Part) -> Part:
    """Describe an object of ours: these members, of which some may be absent, and no others."""
    return {**opened(optional, **members), "additionalProperties": False}


def opened(optional: Collection[str] = (), /, **members: Part) -> Part:
    """Describe an object of a client's: what else is in it is ignored."""
    required = [name for name in members if name not in optional]
    return {"type": "object", "properties": members, "required": required}


def array(items: Part, **more: Any) -> Part:
    return {"type": "array", "items": items, **more}


def text(pattern: str = "", says: str = "", **more: Any) -> Part:
    """Describe a string, which the whole of the pattern must match."""
    found = {"type": "string", **({"pattern": f"^(?:{pattern})$"} if pattern else {}), **more}
    return {**found, "description": says} if says else found


def whole(least: int, most: int, **more: Any) -> Part:
    return {"type": "integer", "minimum": least, "maximum": most, **more}


def one_of(*texts: str) -> Part:
    return {"type": "string", "enum": list(texts)}


def only(text: str) -> Part:
    return {"type": "string", "const": text}


def or_null(schema: Part) -> Part:
    return {"anyOf": [schema, {"type": "null"}]}


# Requests


def in_path(name: str, schema: Part, says: str, **more: Any) -> Part:
    return {"name": name, "in": "path", "required": True, "description": says, "schema": schema, **more}


def in_query(name: str, schema: Part, says: str, **more: Any) -> Part:
    return {"name": name, "in": "query", "description": says, "schema": schema, **more}


def joined(name: str, items: Part, says: str, *, contains: Part | None = None, **more: Any) -> Part:
    """Describe a parameter whose values are joined by commas, and of which one must be like `contains`."""
    values = array(items, **({"contains": contains} if contains else {}))
    return in_query(name, values, says, style="form", explode=False, **more)


def json_body(schema: Part, says: str, example: Any) -> Part:
    return {
        "description": says,
        "required": True,
        "content": {"application/json": {"schema": schema, "example": example}},
    }


# Answers

ANYWHERE: Part = {
    "Access-Control-Allow-Origin": {"$ref": "#/components/headers/Origin"},
    "X-Request-Id": {"$ref": "#/components/headers/RequestId"},
}
PERSONAL: Part = {"Cache-Control": {"$ref": "#/components/headers/NoStore"}}
LANGUAGE: Part = {"Content-Language": {"$ref": "#/components/headers/Language"}}

HEADERS: Part = {
    "Origin": {"description": "Every origin may read it.", "required": True, "schema": only("*")},
    "RequestId": {
        "description": "The request's name in the server's log. One that you send is kept, if it is of such letters.",
        "required": True,
        "schema": text("[A-Za-z0-9._-]{1,64}"),
    },
    "NoStore": {"description": "It is nobody else's business.", "required": True, "schema": only("no-store")},
    "Language": {
        "description": "The language that was chosen.",
        "required": True,
        "schema": text("[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8})*"),
    },
    "RetryAfter": {
        "description": "Seconds until it is worth asking again.",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
    },
    "Bearer": {"description": "How to say who you are.", "required": True, "schema": only("Bearer")},
    "Cursor": {
        "description": "Where the changes go on after these ratings: `since` of `GET /v1/me/ratings`.",
        "required": True,
        "schema": schema("Cursor"),
    },
    "Exposed": {
        "description": "Lets pages of other origins read the header it names.",
        "required": True,
        "schema": only("Likewise-Cursor"),
    },
}


def answer(says: str, *headers: Part) -> Part:
    """Describe an answer without a body."""
    return {"description": says, "headers": ANYWHERE | {name: part for each in headers for name, part in each.items()}}


def document(says: str, schema: Part, *headers: Part, example: Any = None) -> Part:
    return with_content(answer(says, *headers), "application/json", schema, example)


def lines(says: str, *headers: Part, example: str) -> Part:
    """Describe an answer of one JSON document a line."""
    return with_content(answer(says, *headers), "application/x-ndjson", {"type": "string"}, example)


def with_content(answer: Part, media_type: str, schema: Part, example: Any) -> Part:
    shown = {} if example is None else {"example": example}
    return {**answer, "content": {media_type: {"schema": schema, **shown}}}


def without_body(answer: Part) -> Part:
    """Describe the answer to HEAD after that to GET."""
    return {name: part for name, part in answer.items() if name != "content"}


def any_of(schemas: Sequence[Part]) -> Part:
    """Describe what is one of these."""
    return schemas[0] if len(schemas) == 1 else {"anyOf": list(schemas)}
