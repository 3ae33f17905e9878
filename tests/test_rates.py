"""The limited rate: never more than what is allowed in any stretch of time, and never less than what is."""

import multiprocessing
from dataclasses import replace
from typing import cast

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likewise.app import App
from likewise.errors import TooManyRequests
from likewise.metrics import shared_seats
from likewise.rates import RateLimit
from tests.house import HOUR, LIKE_BODY, MONDAY, error_of

SONG_PATH = "/v1/me/ratings/songs/907242702"
TOO_MANY = {"title": "Too Many Requests", "status": "429", "code": "42900"}


def rate_limit(requests_per_second, workers=1):
    return RateLimit(requests_per_second, workers=workers)


def accepted(bucket, times):
    """Take at each of these times; return those at which there was room."""
    taken = []
    for time in times:
        try:
            bucket.take(time)
        except TooManyRequests:
            continue
        taken.append(time)
    return taken


# How many


def test_as_many_as_the_limit_at_once_and_not_one_more():
    assert len(accepted(rate_limit(5).of("a"), [MONDAY] * 7)) == 5


def test_room_comes_back_as_time_goes_by_and_to_the_millisecond():
    bucket = rate_limit(5).of("a")
    accepted(bucket, [MONDAY] * 5)

    assert accepted(bucket, [MONDAY + 199, MONDAY + 200, MONDAY + 200, MONDAY + 399, MONDAY + 400]) == [
        MONDAY + 200,
        MONDAY + 400,
    ]


def test_no_more_gathers_than_the_limit_however_long_nobody_asks():
    bucket = rate_limit(5).of("a")
    accepted(bucket, [MONDAY])

    assert len(accepted(bucket, [MONDAY + HOUR] * 7)) == 5


def test_one_team_takes_nothing_from_another():
    both = rate_limit(2)
    accepted(both.of("a"), [MONDAY] * 9)

    assert len(accepted(both.of("b"), [MONDAY] * 9)) == 2
    assert both.of("a") is both.of("a")


def test_a_clock_set_back_gives_nothing_and_takes_nothing_for_long():
    bucket = rate_limit(5).of("a")
    accepted(bucket, [MONDAY] * 5)

    assert accepted(bucket, [MONDAY - HOUR]) == []
    assert accepted(bucket, [MONDAY - HOUR + 200]) == [MONDAY - HOUR + 200]


@given(
    rate=st.integers(1, 50),
    workers=st.integers(1, 8),
    pauses=st.lists(st.integers(0, 1_500), max_size=60),
)
def test_in_no_stretch_of_time_is_there_more_than_the_burst_and_the_rate(rate, workers, pauses):
    times = [MONDAY]
    for pause in pauses:
        times.append(times[-1] + pause)
    taken = accepted(rate_limit(rate, workers).of("a"), times)

    burst = max(rate, workers) / workers
    for first, begun in enumerate(taken):
        for number, ended in enumerate(taken[first:], 1):
            # Reckoned in whole numbers: number <= burst + rate / workers * seconds.
            assert number * workers * 1_000 <= burst * workers * 1_000 + rate * (ended - begun)


@given(rate=st.integers(1, 50), workers=st.integers(1, 8), number=st.integers(1, 200))
def test_whoever_keeps_to_the_rate_is_never_refused(rate, workers, number):
    gap = -(-1_000 * workers // rate)

    assert len(accepted(rate_limit(rate, workers).of("a"), range(MONDAY, MONDAY + number * gap, gap))) == number


@given(rate=st.integers(1, 50), workers=st.integers(1, 8), times=st.lists(st.integers(0, 5_000), min_size=1))
def test_whoever_waits_as_long_as_was_said_is_let_in_and_waits_no_second_too_long(rate, workers, times):
    bucket = rate_limit(rate, workers).of("a")
    for time in sorted(times):
        try:
            bucket.take(MONDAY + time)
        except TooManyRequests as refusal:
            seconds = cast("int", refusal.retry_after)
            assert 1 <= seconds <= -(-workers // rate)
            bucket.take(MONDAY + time + seconds * 1_000)
            return


def test_the_shares_of_all_workers_are_the_limit():
    """Whatever the limit and however many workers: of one request a second, 64 workers give one in 64 seconds each."""
    for rate, workers in [(1, 64), (7, 3), (100, 8)]:
        buckets = [rate_limit(rate, workers).of("a") for _ in range(workers)]
        for bucket in buckets:
            accepted(bucket, [MONDAY] * 200)
        steps = range(MONDAY, MONDAY + 64_000 + 1)

        taken = sum(len(accepted(bucket, steps)) for bucket in buckets)
        assert rate * 64 - workers < taken <= rate * 64


# Over HTTP


@pytest.fixture
async def limited(house):
    """The house with room for three requests a second of each team."""
    async with App(replace(house.app._settings, rate_limit=3), now=house.clock) as app:
        yield replace(house, app=app)


async def statuses(client, number, path=SONG_PATH):
    return [(await client.get(path)).status_code for _ in range(number)]


async def test_over_the_limit_it_is_429_in_apples_shape_and_says_when_to_come_again(limited):
    async with limited.client(limited.ada_token) as client:
        assert await statuses(client, 3) == [404] * 3

        response = await client.get(SONG_PATH)

        assert error_of(response) == TOO_MANY
        assert response.headers["retry-after"] == "1"
        limited.clock.advance(1_000)
        assert await statuses(client, 4) == [404] * 3 + [429]


async def test_all_of_a_teams_listeners_share_the_limit_and_what_is_refused_changes_nothing(limited):
    async with limited.client(limited.ada_token) as ada, limited.client(limited.ben_token) as ben:
        assert await statuses(ada, 2) + await statuses(ben, 2) == [404, 404, 404, 429]
        assert (await ada.put(SONG_PATH, content=LIKE_BODY)).status_code == 429
        limited.clock.advance(1_000)
        assert await statuses(ada, 1) == [404]


async def test_developers_without_a_listener_are_limited_too(limited):
    async with limited.client(developer_token=limited.sign()) as client:
        assert await statuses(client, 4, "/v1/test") == [200, 200, 200, 429]


async def test_tokens_that_say_their_origin_are_limited_too(limited):
    token = limited.sign({"origin": ["https://example.org"]})
    async with limited.client(limited.ada_token, developer_token=token) as client:
        client.headers["Origin"] = "https://example.org"
        assert await statuses(client, 4) == [404, 404, 404, 429]


async def test_the_rate_comes_after_both_tokens_and_before_everything_else(limited):
    async with limited.client(limited.ada_token) as client:
        await statuses(client, 3)
        bad_developer = await client.get(SONG_PATH, headers={"Authorization": "Bearer no"})
        bad_user = await client.get(SONG_PATH, headers={"Music-User-Token": "no"})
        unknown = await client.get("/v1/me/nothing")
        bad_method = await client.post(SONG_PATH)
        preflight = await client.options(SONG_PATH)
        health = await client.get("/livez")
        bad_type = await client.get("/v1/me/ratings/tunes/1")
        bad_language = await client.get(SONG_PATH, params={"l": "!"})
        bad_body = await client.put(SONG_PATH, content=b"x")

    early = [bad_developer, bad_user, unknown, bad_method, preflight, health]
    assert [answer.status_code for answer in early] == [401, 403, 404, 405, 204, 200]
    assert {answer.status_code for answer in (bad_type, bad_language, bad_body)} == {429}


async def test_whoever_is_refused_for_a_token_takes_nothing_from_the_team(limited):
    async with limited.client("no such token") as stranger:
        assert await statuses(stranger, 9) == [403] * 9
    async with limited.client(limited.ada_token) as client:
        assert await statuses(client, 3) == [404] * 3


async def test_each_of_several_workers_gives_out_its_share(house):
    settings = replace(house.app._settings, rate_limit=5)
    for seat in shared_seats(2, multiprocessing.get_context("spawn")):
        async with (
            App(settings, now=house.clock, seat=seat) as app,
            replace(house, app=app).client(house.ada_token) as client,
        ):
            assert await statuses(client, 3) == [404, 404, 429]


async def test_without_a_limit_there_is_none(client: httpx2.AsyncClient):
    assert set(await statuses(client, 300)) == {404}
