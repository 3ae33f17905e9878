"""The client against a real server in a process of its own, and the examples of its documentation."""

import doctest
import re
from pathlib import Path

import pytest

from likewise import AsyncClient, Client, SigningKey, Value, errors
from likewise.stores import open_store
from tests.e2e.server import dev_server
from tests.house import RATABLE

DOCUMENT = Path(__file__).parents[2] / "docs/client.md"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with dev_server(tmp_path_factory.mktemp("client") / "data") as server:
        yield server


@pytest.fixture
def ada(server):
    key = SigningKey(server.facts["private_key"], team_id=server.facts["team_id"])
    with Client(key, server.facts["music_user_tokens"]["ada"], base_url=server.url) as client:
        yield client


@pytest.mark.parametrize("type", RATABLE)
def test_all_nine_types_by_four_verbs(ada, type):
    id = RATABLE[type]

    assert ada.put_rating(type, id, -1).value is Value.DISLIKE
    assert ada.put_rating(type, id, 1).value is Value.LIKE
    assert ada.get_rating(type, id).value is Value.LIKE
    assert [rating.item.id for rating in ada.get_ratings(type, [id])] == [id]
    ada.delete_rating(type, id)
    with pytest.raises(errors.NotRated):
        ada.get_rating(type, id)
    with pytest.raises(errors.NotRated):
        ada.delete_rating(type, id)


def test_favorites_and_the_library(ada):
    ids = [str(id) for id in range(1, 602)]
    ada.add_favorites("albums", ids, ids_per_request=300)
    assert len(ada.get_ratings("albums", ids, ids_per_request=300)) == 601
    ada.remove_favorites("albums", ids)
    assert ada.get_ratings("albums", ids) == []
    ada.add_to_library("songs", ids)
    assert sum(1 for each in ada.list_library("songs") if each.twin) == 601
    twin = ada.get_twin("songs", "1")
    assert ada.get_twin(*twin).id == "1"
    ada.remove_from_library("songs", twin.id)
    with pytest.raises(errors.NoRelatedResources):
        ada.get_twin("songs", "1")


async def test_asyncio_too(server):
    token, user_token = server.facts["developer_token"], server.facts["music_user_tokens"]["ben"]
    async with AsyncClient(token, user_token, base_url=server.url) as ben:
        await ben.put_rating("songs", "1", 1)

        assert (await ben.get_rating("songs", "1")).value is Value.LIKE
        with pytest.raises(errors.BadUserToken):
            async with AsyncClient(token, base_url=server.url) as nobody:
                await nobody.get_rating("songs", "1")


async def test_whoever_follows_the_changes_from_before_what_was_forgotten_begins_again(tmp_path):
    with dev_server(tmp_path) as server:
        token, user_tokens = server.facts["developer_token"], server.facts["music_user_tokens"]
        with (
            Client(token, user_tokens["ada"], base_url=server.url) as ada,
            Client(token, user_tokens["ben"], base_url=server.url) as ben,
        ):
            ada.write_ratings([("songs", str(id), 1) for id in range(1, 4)])
            old = ada.get_cursor()
            ada.delete_rating("songs", "2")
            assert [(each.item.id, each.value) for each in ada.get_changes(old).entries] == [("2", None)]
            store = await open_store(f"sqlite:///{tmp_path}/likewise.db")
            assert await store.forget(await store.listener("ada"), before=2**53, limit=10) == 1
            await store.close()

            with pytest.raises(errors.CursorGone) as gone:
                ada.get_changes(old)
            with pytest.raises(errors.CursorGone):
                ben.get_changes(ada.get_cursor())
            async with AsyncClient(token, user_tokens["ada"], base_url=server.url) as again:
                with pytest.raises(errors.CursorGone):
                    await again.get_changes(old)
                new = await again.get_cursor()
                assert {rating.item.id async for rating in again.list_ratings()} == {"1", "3"}
                assert not (await again.get_changes(new)).entries

    assert "begin again" in str(gone.value)


def test_the_examples_of_the_documentation(server):
    text = DOCUMENT.read_text("utf-8").replace("http://127.0.0.1:8080", server.url)
    blocks = re.findall(r"^```pycon\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    names = {
        "DEVELOPER_TOKEN": server.facts["developer_token"],
        "MUSIC_USER_TOKEN": server.facts["music_user_tokens"]["ben"],
        "PATH_OF_P8": server.facts["private_key"],
        "TEAM_ID": server.facts["team_id"],
    }
    runner = doctest.DocTestRunner()
    said: list[str] = []
    assert len(blocks) >= 5
    for number, block in enumerate(blocks):
        test = doctest.DocTestParser().get_doctest(block, names, f"example {number}", DOCUMENT.name, 0)
        runner.run(test, out=said.append, clear_globs=False)
        names |= test.globs

    assert runner.summarize(verbose=False).failed == 0, "".join(said)
