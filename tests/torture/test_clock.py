"""The clock jumps back: what is written last still counts, nobody is refused for it, and changes keep their order."""

import pytest

from likewise.domain import Item, Kind
from tests.contract.adapters import ADAPTERS, DURABLE_ADAPTERS
from tests.contract.postgres_server import open_house
from tests.house import DISLIKE_BODY, HOUR, LIKE_BODY, TUESDAY, Clock

SONG = "/v1/me/ratings/songs/907242702"


@pytest.mark.parametrize("adapter", DURABLE_ADAPTERS)
async def test_after_the_clock_jumped_back_the_last_write_still_counts(adapter, tmp_path, private_key):
    database = ADAPTERS[adapter](tmp_path)
    clock = Clock(TUESDAY)
    async with open_house(database.url, private_key, clock) as house, house.client(house.ada_token) as ada:
        liked = await ada.put(SONG, content=LIKE_BODY)
        clock.advance(-5 * HOUR)
        ada.headers.update(house.headers(house.ada_token))
        disliked = await ada.put(SONG, content=DISLIKE_BODY)
        read = await ada.get(SONG)
        deleted = await ada.delete(SONG)
        read_again = await ada.get(SONG)
        put_again = await ada.put(SONG, content=LIKE_BODY)
        [row] = database.rows(house.app.store, house.ada)

    assert [each.status_code for each in (liked, disliked, read, deleted, read_again, put_again)] == [
        200,
        200,
        200,
        204,
        404,
        200,
    ]
    assert read.json()["data"][0]["attributes"] == {"value": -1}
    assert row == (Item(Kind.SONG, "907242702"), 1, TUESDAY - 5 * HOUR, 4)


async def test_a_developer_token_that_the_clock_has_not_reached_yet_is_refused_and_good_again_later(house, client):
    assert (await client.get(SONG)).status_code == 404
    house.clock.advance(-5 * HOUR)
    refused = await house.client(house.ada_token, house.sign({"iat": house.clock() // 1000 + 3600})).get(SONG)
    house.clock.advance(5 * HOUR)

    assert refused.status_code == 401
    assert (await client.get(SONG)).status_code == 404
