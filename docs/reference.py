"""Writes docs/reference.md from the description that the service gives of itself: `make reference`."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2

from likewise.app import App
from likewise.config import Settings
from likewise.stores import open_store

PAGE = Path(__file__).with_name("reference.md")

_HEAD = """\
# Reference

Every path of Likewise with all extensions and the operator's API, made from its `/openapi.json` by `make reference`.
What it all means, and why, is in [the API](api.md) and [the operator's API](operators-api.md).

"""

_EVERYWHERE = ("Access-Control-Allow-Origin", "X-Request-Id")


def main() -> None:
    PAGE.write_text(asyncio.run(reference()), "utf-8")


async def reference() -> str:
    """Return the page."""
    with TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/likewise.db"
        await (await open_store(url)).close()
        async with App(Settings(database=url, admin_token="-" * 32)) as app:
            transport = httpx2.ASGITransport(app=app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
                response = await client.get("/openapi.json")
    return _HEAD + "\n".join(_lines(response.json())) + "\n"


def _lines(description: dict[str, Any]) -> Iterator[str]:
    yield description["info"]["description"]
    yield from _schemes(description["components"]["securitySchemes"])
    for tag in description["tags"]:
        yield f"\n## {tag['name']}"
        for path, methods in description["paths"].items():
            for method, operation in methods.items():
                if tag["name"] in operation["tags"] and method != "head":
                    yield from _operation(f"{method.upper()} {path}", operation)
    yield "\n## Documents"
    schemas = description["components"]["schemas"]
    for name, schema in schemas.items():
        if not _is_error(name):
            yield f"\n### {name}\n"
            yield from _schema(schema)
    yield '\n## Errors\n\nEach as `{"errors":[…]}` with one of these; a 401 without a code has no body.'
    yield "\n| code | status | title: when |\n|---|---|---|"
    for name in filter(_is_error, schemas):
        status = schemas[name]["properties"]["errors"]["items"]["properties"]["status"]["const"]
        yield _row(name.removeprefix("Error"), status, schemas[name]["description"])


def _schemes(schemes: dict[str, Any]) -> Iterator[str]:
    yield "\n## Who may ask\n\n| token | header | is |\n|---|---|---|"
    for name, scheme in schemes.items():
        yield _row(name, f"`{scheme.get('name', 'Authorization: Bearer')}`", scheme["description"])


def _operation(title: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"\n### {operation['summary']}\n\n`{title}`"
    if "description" in operation:
        yield f"\n{operation['description']}"
    yield f"\nNeeds {_needed(operation['security'])}."
    if "parameters" in operation:
        yield "\n| parameter | in | is | |\n|---|---|---|---|"
        for each in operation["parameters"]:
            needed = "" if each.get("required") else "optional; "
            yield _row(f"`{each['name']}`", each["in"], needed + _type(each["schema"]), each["description"])
    if "requestBody" in operation:
        yield f"\nBody: {operation['requestBody']['description']}"
        for media_type, content in operation["requestBody"]["content"].items():
            yield f"\n`{media_type}`: {_type(content['schema'])}\n\n{_example(content['example'])}"
    yield "\n| status | answer | headers |\n|---|---|---|"
    for status, answer in operation["responses"].items():
        if "$ref" not in answer:
            documents = [f"{type}: {_type(content['schema'])}" for type, content in answer.get("content", {}).items()]
            headers = ", ".join(f"`{name}`" for name in answer["headers"] if name not in _EVERYWHERE)
            yield _row(status, " ".join([answer["description"], *documents]), headers)
    codes = [answer["$ref"].rpartition("/Error")[2] for answer in operation["responses"].values() if "$ref" in answer]
    yield f"\n[Refused](#errors) with {', '.join(codes).replace('Or', ', ')}."


def _schema(schema: dict[str, Any]) -> Iterator[str]:
    if "description" in schema:
        yield f"{schema['description']}\n"
    variants = schema.get("anyOf") or schema.get("oneOf") or [schema]
    if "properties" not in variants[0]:
        yield _type(schema)
        return
    for number, variant in enumerate(variants):
        yield ("\nor\n\n" if number else "") + "| member | is | |\n|---|---|---|"
        yield from _members("", variant)


def _members(prefix: str, schema: dict[str, Any]) -> Iterator[str]:
    for name, member in schema.get("properties", {}).items():
        needed = "" if name in schema["required"] else "optional; "
        yield _row(f"`{prefix}{name}`", needed + _type(member), member.get("description", ""))
        yield from _members(f"{prefix}{name}.", member)
        if "items" in member:
            yield from _members(f"{prefix}{name}[].", member["items"])


def _type(schema: dict[str, Any]) -> str:
    """Say in a line what a schema takes."""
    match schema:
        case {"$ref": pointer}:
            name = pointer.rpartition("/")[2]
            return f"[{name}](#{name.lower()})"
        case {"anyOf": schemas} | {"oneOf": schemas}:
            return " or ".join(map(_type, schemas))
        case {"const": value}:
            return f"`{json.dumps(value)}`"
        case {"enum": values}:
            # The storefronts have a list of their own.
            shown = values if len(values) <= 10 else [*values[:3], "…"]
            return ", ".join(f"`{json.dumps(value, ensure_ascii=False)}`" for value in shown)
        case {"type": "array", "items": items}:
            return f"array of {_type(items)}{_bounds(schema, 'Items')}"
        case {"type": "integer"}:
            return f"integer{_bounds(schema, 'imum')}"
        case {"type": "string", "pattern": pattern}:
            return f"string `{pattern.removeprefix('^(?:').removesuffix(')$')}`"
        case {"type": type}:
            return str(type)
        case _:
            return "anything"


def _bounds(schema: dict[str, Any], what: str) -> str:
    low, high = schema.get(f"min{what}"), schema.get(f"max{what}")
    if high is not None:
        return f", {low or 0} to {high}"
    return f", at least {low}" if low else ""


def _example(example: Any) -> str:
    text = example if isinstance(example, str) else json.dumps(example) + "\n"
    return f"```json\n{text}```"


def _is_error(name: str) -> bool:
    return name.startswith("Error")


def _needed(ways: list[dict[str, Any]]) -> str:
    """Say what must be brought: what all ways have in common, and one of the rest."""
    always = [name for name in ways[0] if all(name in way for way in ways)]
    rest = [name for way in ways for name in way if name not in always]
    return " and ".join([*always, *([f"one of {', '.join(rest)}"] if rest else [])]) or "no token"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", "<br>") for cell in cells) + " |"


if __name__ == "__main__":
    main()
