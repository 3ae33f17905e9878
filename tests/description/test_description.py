"""The description of the service: complete, whatever is switched on; and true, as far as that can be seen from here.

That it is true of every request is what `tests/description/test_truth.py` finds out.
"""

import json

import pytest
from docs.reference import PAGE, reference

from likewise.api.description import TAGS, describe
from likewise.api.endpoints import anybody, endpoint
from likewise.app import App
from likewise.asgi import Response
from likewise.config import Settings
from likewise.stores import open_store
from tests.house import MONDAY, Clock

ADMIN_TOKEN = "correct-horse-battery-staple-and-more"


@pytest.fixture
async def open_app(tmp_path):
    """Open an application with these settings."""
    url = f"sqlite:///{tmp_path}/likewise.db"
    await (await open_store(url)).close()
    opened = []

    async def open_it(**settings):
        app = App(Settings(database=url, **settings), now=Clock(MONDAY))
        await app.open()
        opened.append(app)
        return app

    yield open_it
    for each in opened:
        await each.close()


@pytest.fixture
async def whole(open_app):
    """The description of a service that has everything."""
    return described(await open_app(admin_token=ADMIN_TOKEN))


def described(app):
    return describe(app._opened().api.endpoints)


def operations_of(description):
    return {(path, method.upper()) for path, methods in description["paths"].items() for method in methods}


def parts_of(part):
    yield part
    for each in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from parts_of(each)


def pointers_in(description):
    return {part["$ref"] for part in parts_of(description) if isinstance(part, dict) and "$ref" in part}


def pointed_at(description, pointer):
    part = description
    for name in pointer.removeprefix("#/").split("/"):
        part = part[name]
    return part


class TestItIsComplete:
    async def test_every_endpoint_and_method_is_described_and_nothing_else(self, open_app):
        app = await open_app(admin_token=ADMIN_TOKEN)

        endpoints = app._opened().api.endpoints

        assert len(endpoints) == len({each.path for each in endpoints})
        assert operations_of(described(app)) == {(each.path, method) for each in endpoints for method in each.handlers}

    def test_what_is_described_is_all_there(self, whole):
        described_ones = {each for operations in TAGS.values() for each in operations}

        assert {each for each in operations_of(whole) if each[1] != "HEAD"} == described_ones

    async def test_without_extensions_there_are_none(self, open_app, whole):
        apple = described(await open_app(admin_token=ADMIN_TOKEN, extensions="off"))

        assert operations_of(whole) - operations_of(apple) == {
            ("/v1/me/ratings", "GET"),
            ("/v1/me/ratings", "HEAD"),
            ("/v1/me/ratings", "POST"),
            ("/v1/me/ratings.ndjson", "GET"),
            ("/v1/me/ratings.ndjson", "HEAD"),
        }
        assert "Extensions" not in [tag["name"] for tag in apple["tags"]]
        assert "Cursor" not in json.dumps(apple["components"])

    async def test_without_an_admin_token_nothing_tells_of_the_operators_api(self, open_app):
        text = json.dumps(described(await open_app()))

        assert "_likewise" not in text
        assert "adminToken" not in text
        assert "Operator" not in text

    async def test_where_the_metrics_are_elsewhere_or_nowhere_they_are_not_described(self, open_app):
        elsewhere = described(await open_app(metrics_address="off"))

        assert "/metrics" not in elsewhere["paths"]

    def test_an_endpoint_that_nobody_has_described_is_a_fault_of_ours(self):
        async def nothing(*_given):
            return Response(200)

        with pytest.raises(LookupError, match="nobody has described GET /v2"):
            describe([endpoint("/v2", anybody, GET=nothing)])


class TestItHoldsTogether:
    def test_every_pointer_leads_somewhere_and_every_component_is_pointed_at(self, whole):
        components = {
            f"#/components/{kind}/{name}"
            for kind, parts in whole["components"].items()
            if kind != "securitySchemes"
            for name in parts
        }

        assert pointers_in(whole) == components
        assert all(pointed_at(whole, pointer) for pointer in components)

    def test_every_operation_has_a_name_of_its_own(self, whole):
        ids = [each["operationId"] for methods in whole["paths"].values() for each in methods.values()]

        assert len(ids) == len(set(ids))

    def test_every_variable_of_a_path_is_described_there(self, whole):
        for path, methods in whole["paths"].items():
            for operation in methods.values():
                named = [each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"]
                assert [f"{{{name}}}" for name in named] == [part for part in path.split("/") if part.startswith("{")]

    def test_what_head_answers_has_no_body(self, whole):
        for methods in whole["paths"].values():
            for answer in methods.get("head", {}).get("responses", {}).values():
                assert "content" not in (pointed_at(whole, answer["$ref"]) if "$ref" in answer else answer)


class TestItIsServed:
    async def test_anybody_may_read_it(self, house):
        async with house.client() as stranger:
            response = await stranger.get("/openapi.json")
            again = await stranger.get("/openapi.json")

        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json;charset=utf-8"
        assert response.json()["openapi"] == "3.1.0"
        assert response.json()["paths"] == described(house.app)["paths"]
        assert again.content == response.content

    async def test_who_may_ask_is_who_is_let_in(self, house):
        async with house.client() as stranger:
            for path, methods in described(house.app)["paths"].items():
                for method, operation in methods.items():
                    response = await stranger.request(method, path)
                    assert (response.status_code == 401) == (operation["security"] != [{}]), (method, path)


async def test_the_reference_is_made_from_it(whole):
    assert len(whole["paths"]) > 20
    assert PAGE.read_text("utf-8") == await reference(), "make reference"
