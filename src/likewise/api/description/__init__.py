"""What the service answers, as an OpenAPI 3.1 document (https://spec.openapis.org/oas/v3.1.0), made from the map of
endpoints: what is not in the map is not in the document.

It says what is accepted, tolerances included, so that whatever it calls wrong is refused. Three things it cannot say
are in words: that an id must be of its type, which parameters do not go together, and what holds for all paths.
"""

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any

from likewise.api.description import apple, extensions, operators, refusals, service
from likewise.api.description.documents import SCHEMAS
from likewise.api.description.parts import HEADERS, Operation, Part, Who, without_body
from likewise.api.endpoints import Endpoint

TAGS = {
    "Apple Music API": apple.OPERATIONS,
    "Extensions": extensions.OPERATIONS,
    "Operator's API": operators.OPERATIONS,
    "Service": service.OPERATIONS,
}

_ABOUT = """\
Likewise keeps people's likes and dislikes of music, and speaks the Apple Music API while doing so.

- A trailing slash is accepted; parameters that are not described are ignored. Of a repeated one the last counts; one
  whose values are joined by commas has them all.
- HEAD is GET without the body. OPTIONS is 204 on every path, without a token. Any other method that is not described
  is 405 with `Allow` (GET of favorites is 404, as with Apple), any other path 404 with code 40401.
- Whatever is wrong first in this order is what you hear: length of the URL, path, method, tokens, type and id, `l`,
  other parameters, body, and whether the thing exists.
- Answers of more than 1 KiB come in gzip to those who accept it. What the HTTP parser itself refuses is a bare 400, 414
  or 431."""

_SECURITY: Part = {
    "developerToken": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A developer token: a JWT signed with ES256 by a registered key.",
    },
    "musicUserToken": {
        "type": "apiKey",
        "in": "header",
        "name": "Music-User-Token",
        "description": "A music user token. Of the three headers the first that is there counts.",
    },
    "mediaUserToken": {
        "type": "apiKey",
        "in": "header",
        "name": "Media-User-Token",
        "description": "The same, as MusicKit JS sends it.",
    },
    "appleMusicUserToken": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Apple-Music-User-Token",
        "description": "The same, as some clients send it.",
    },
    "adminToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "The operator's secret, from the server's settings.",
    },
}
_BRINGS: dict[Who, list[list[str]]] = {
    Who.ANYBODY: [[]],
    Who.DEVELOPER: [["developerToken"]],
    Who.LISTENER: [
        ["developerToken", "musicUserToken"],
        ["developerToken", "mediaUserToken"],
        ["developerToken", "appleMusicUserToken"],
    ],
    Who.OPERATOR: [["adminToken"]],
}


def describe(endpoints: Sequence[Endpoint]) -> Part:
    """Describe these endpoints; raise `LookupError` for a method that nobody has described."""
    paths = {endpoint.path: dict(_methods(endpoint)) for endpoint in endpoints}
    components = {
        "schemas": SCHEMAS | refusals.schemas(),
        "responses": refusals.answers(_described(endpoints)),
        "headers": HEADERS,
        "securitySchemes": _SECURITY,
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Likewise",
            "version": version("likewise"),
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in TAGS if any(tag in each["tags"] for each in _operations_of(paths))],
        "paths": paths,
        "components": _used(components, paths),
    }


def _described(endpoints: Sequence[Endpoint]) -> list[Operation]:
    return [_find(each.path, method)[1] for each in endpoints for method in each.handlers if method != "HEAD"]


def _operations_of(paths: Part) -> Iterator[Part]:
    return (operation for methods in paths.values() for operation in methods.values())


def _methods(endpoint: Endpoint) -> Iterator[tuple[str, Part]]:
    for method in endpoint.handlers:
        if method == "HEAD":
            yield "head", _operation(*_find(endpoint.path, "GET"), is_head=True)
        else:
            yield method.lower(), _operation(*_find(endpoint.path, method))


def _find(path: str, method: str) -> tuple[str, Operation]:
    for tag, operations in TAGS.items():
        if (path, method) in operations:
            return tag, operations[path, method]
    raise LookupError(f"nobody has described {method} {path}")


def _operation(tag: str, operation: Operation, *, is_head: bool = False) -> Part:
    answers = {str(status): without_body(answer) if is_head else answer for status, answer in operation.answers.items()}
    shown: dict[str, Any] = {
        "operationId": f"head{operation.id[0].upper()}{operation.id[1:]}" if is_head else operation.id,
        "summary": operation.title,
        "tags": [tag],
        "security": [{name: [] for name in names} for names in _BRINGS[operation.who]],
        "responses": answers | refusals.refusals_of(operation, is_head=is_head),
    }
    if operation.says:
        shown["description"] = operation.says
    if operation.parameters:
        shown["parameters"] = list(operation.parameters)
    if operation.body:
        shown["requestBody"] = operation.body
    return shown


def _used(components: Part, paths: Part) -> Part:
    """Leave out components that nothing points at."""
    wanted: set[str] = {f"#/components/securitySchemes/{name}" for name in _schemes_in(paths)}
    waiting: list[Any] = [paths]
    while waiting:
        pointers = set(_pointers_in(waiting.pop())) - wanted
        wanted |= pointers
        waiting += [components[kind][name] for _, _, kind, name in (pointer.split("/") for pointer in pointers)]
    kept = {
        kind: {name: part for name, part in parts.items() if f"#/components/{kind}/{name}" in wanted}
        for kind, parts in components.items()
    }
    return {kind: parts for kind, parts in kept.items() if parts}


def _schemes_in(paths: Part) -> set[str]:
    return {name for each in _operations_of(paths) for way in each["security"] for name in way}


def _pointers_in(part: Any) -> Iterator[str]:
    match part:
        case {"$ref": str(pointer)}:
            yield pointer
        case dict():
            for value in part.values():
                yield from _pointers_in(value)
        case list():
            for value in part:
                yield from _pointers_in(value)
