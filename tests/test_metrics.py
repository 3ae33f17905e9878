"""Metrics: what is counted under which name, and that the sums of several workers are right and never fall."""

import asyncio
import multiprocessing
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from likewise.app import App
from likewise.asgi import UNKNOWN
from likewise.config import Settings
from likewise.errors import StoreUnavailable
from likewise.metrics import CELLS_MAX, SECONDS, STATUSES, Metrics, own_seat, shared_seats
from likewise.metrics.exposition import exposition
from likewise.store import BATCH_SIZES, Statistics
from likewise.stores import open_store
from likewise.wire import PROBLEMS
from tests.house import LIKE_BODY, ask, raw_headers

SONG_PATH = "/v1/me/ratings/songs/907242702"
RATING = "/v1/me/ratings/{type}/{id}"
IDLE = Statistics(waiting=0, writes=0, batches=[0] * len(BATCH_SIZES), commits=0)


def samples(text):
    """Read an exposition as Prometheus does: values by name and labels."""
    if isinstance(text, bytes):
        text = text.decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(text, name, **labels):
    return samples(text).get((name, tuple(sorted(labels.items()))))


def requests(text):
    """Return how many requests were counted by endpoint, method and status."""
    return {
        (labels["endpoint"], labels["method"], labels["status"]): count
        for (name, pairs), count in samples(text).items()
        if name == "likewise_requests_total" and (labels := dict(pairs))
    }


async def metrics_of(house):
    return (await ask(house.app, "GET", b"/metrics")).text


# What is counted


async def test_requests_are_counted_by_documented_path_method_and_status(house, client):
    await client.put(SONG_PATH, content=LIKE_BODY)
    await client.get(SONG_PATH)
    await client.get(SONG_PATH + "/")
    await client.head(SONG_PATH)
    await client.get("/v1/me/ratings/songs/1")
    await client.get("/v1/me/ratings/tunes/1")
    await client.patch(SONG_PATH)
    await client.options(SONG_PATH)
    await ask(house.app, "GET", SONG_PATH.encode())

    assert requests(await metrics_of(house)) == {
        (RATING, "PUT", "200"): 1,
        (RATING, "GET", "200"): 2,
        (RATING, "HEAD", "200"): 1,
        (RATING, "GET", "404"): 1,
        (RATING, "GET", "400"): 1,
        (RATING, "PATCH", "405"): 1,
        (RATING, "OPTIONS", "204"): 1,
        (RATING, "GET", "401"): 1,
    }


async def test_paths_that_nobody_documented_are_one_endpoint_and_methods_of_fancy_one_method(house):
    for path in (b"/", b"/v1/me/nothing", b"/v1/me/ratings/songs/1/2", b"/%00", b"/" + b"x" * 32_768):
        await ask(house.app, "GET", path)
    await ask(house.app, "BREW", b"/coffee")
    await ask(house.app, "BREW", SONG_PATH.encode())

    assert requests(await metrics_of(house)) == {
        (UNKNOWN, "GET", "404"): 4,
        (UNKNOWN, "GET", "414"): 1,
        (UNKNOWN, "other", "404"): 1,
        (RATING, "other", "405"): 1,
    }


async def test_nothing_about_anybody_is_in_the_metrics(house, client):
    await client.put(SONG_PATH, content=LIKE_BODY)
    await ask(house.app, "GET", f"/v1/{house.ada_token}".encode(), raw_headers(client.headers))

    text = await metrics_of(house)

    for secret in ("907242702", "ada", house.ada_token, house.sign()[:40], "DEF123GHIJ", "ABC123DEFG"):
        assert secret not in text


async def test_a_request_that_breaks_off_is_counted_as_499_and_one_that_is_cut_off_as_what_cut_it(house):
    async def nobody():
        return {"type": "http.disconnect"}

    async def send(_message):
        pass

    headers = raw_headers(house.headers(house.ada_token))
    scope = {"type": "http", "method": "PUT", "raw_path": SONG_PATH.encode(), "query_string": b"", "headers": headers}
    await house.app(scope, nobody, send)

    async def cut(_message):
        raise StoreUnavailable("half of it is out")

    with pytest.raises(StoreUnavailable):
        await house.app(scope | {"method": "OPTIONS"}, nobody, cut)

    assert requests(await metrics_of(house)) == {(RATING, "PUT", "499"): 1, (RATING, "OPTIONS", "503"): 1}


async def test_a_request_takes_the_time_from_its_head_to_its_last_byte(house):
    ticks = iter([8.0, 8.25, 16.0, 16.375, 32.0, 33.0])
    async with App(house.app._settings, now=house.clock, seconds=lambda: next(ticks)) as app:
        await ask(app, "GET", b"/livez")
        await ask(app, "GET", b"/livez")
        text = app.numbers()[0]

    def bucket(bound):
        return value(text, "likewise_request_duration_seconds_bucket", endpoint="/livez", method="GET", le=bound)

    assert [bucket(bound) for bound in ("0.1", "0.25", "0.5", "+Inf")] == [0, 1, 2, 2]
    assert value(text, "likewise_request_duration_seconds_sum", endpoint="/livez", method="GET") == 0.625


def test_a_time_counts_up_to_its_bound_and_not_past_it():
    metrics = Metrics(["/livez"], own_seat(), engine="sqlite")
    for bound in SECONDS:
        metrics.count("/livez", "GET", 200, bound)
    metrics.count("/livez", "GET", 200, SECONDS[-1] * 1.001)

    [series] = metrics.totals().requests()
    assert series.by_seconds == [1] * (len(SECONDS) + 1)


def test_an_endpoint_that_was_not_announced_is_counted_as_unknown():
    metrics = Metrics(["/livez"], own_seat(), engine="sqlite")
    metrics.count("/console", "GET", 200, 0.001)

    assert requests(exposition(metrics)) == {(UNKNOWN, "other", "200"): 1}


async def test_writes_and_commits_are_counted_as_soon_as_somebody_looks(house, client):
    await client.put(SONG_PATH, content=LIKE_BODY)
    await asyncio.gather(*(client.put(f"/v1/me/ratings/songs/{id}", content=LIKE_BODY) for id in range(9)))

    text = await metrics_of(house)

    commits = value(text, "likewise_commits_total")
    assert 2 <= commits <= 10
    assert value(text, "likewise_write_batch_size_count") == commits
    assert value(text, "likewise_write_batch_size_sum") == 10
    assert value(text, "likewise_write_batch_size_bucket", le="512.0") == commits
    assert value(text, "likewise_writes_waiting", worker="0") == 0
    assert value(text, "likewise_database_connections_max", worker="0") is None


async def test_the_metrics_say_what_is_running(house):
    text = await metrics_of(house)

    assert re.search(r'likewise_build_info\{engine="sqlite",python="3\.\d+\.\d+",version="\d[^"]*"\} 1\.0', text)
    assert value(text, "likewise_worker_starts_total") == 1


@pytest.mark.skipif(not Path("/proc").exists(), reason="processes are looked up in /proc")
async def test_the_metrics_say_how_the_process_is(house):
    text = await metrics_of(house)

    assert value(text, "process_resident_memory_bytes", worker="0") > 1_000_000
    assert value(text, "process_cpu_seconds_total", worker="0") > 0


async def test_what_the_store_does_is_noted_for_all_without_anybody_looking(house, client, monkeypatch):
    monkeypatch.setattr("likewise.app._NOTED_EVERY_SECONDS", 0.001)
    seat = own_seat()
    async with App(house.app._settings, now=house.clock, seat=seat) as app:
        await ask(app, "PUT", SONG_PATH.encode(), raw_headers(client.headers), LIKE_BODY)
        onlooker = Metrics(app._opened().api.paths, seat._replace(number=0), engine="sqlite")
        async with asyncio.timeout(30):
            while not onlooker.totals().commits:  # noqa: ASYNC110 - nobody says when it has been noted
                await asyncio.sleep(0.001)


async def test_what_was_written_at_the_very_end_is_counted(house, client):
    seat = own_seat()
    app = App(house.app._settings, now=house.clock, seat=seat)
    await app.open()
    await ask(app, "PUT", SONG_PATH.encode(), raw_headers(client.headers), LIKE_BODY)
    await app.close()

    assert Metrics(app._opened().api.paths, seat, engine="sqlite").totals().commits == 1


async def test_the_metrics_are_written_anew_ten_times_a_second_and_no_more(house):
    times = [0.0]
    told = []
    async with App(house.app._settings, now=house.clock, seconds=lambda: times[-1]) as app:
        for time in (0.0, 0.09, 0.11, 0.2, 0.22):
            times.append(time)
            await ask(app, "GET", b"/livez")
            told.append(requests(app.numbers()[0])["/livez", "GET", "200"])

    assert told == [1, 1, 3, 3, 5]


# Who may look


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_the_metrics_at_the_root_are_text_for_anybody(house, method):
    response = await ask(house.app, method, b"/metrics")

    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert (response.content == b"") == (method == "HEAD")


@pytest.mark.parametrize("address", ["off", "127.0.0.1:9464"])
@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS"])
async def test_metrics_that_are_off_or_elsewhere_are_not_at_the_root(house, address, method):
    async with App(replace(house.app._settings, metrics_address=address)) as app:
        assert (await ask(app, method, b"/metrics")).status_code == 404


async def test_an_application_that_is_not_open_has_no_numbers(house):
    with pytest.raises(RuntimeError, match="not open"):
        App(house.app._settings).numbers()


# Several workers

PATHS = ["/livez", "/readyz"]


def crew(number):
    return shared_seats(number, multiprocessing.get_context("spawn"))


def test_whoever_is_asked_tells_the_sums_of_all():
    first, second = (Metrics(PATHS, seat, engine="sqlite") for seat in crew(2))
    first.count("/livez", "GET", 200, 0.001)
    second.count("/livez", "GET", 200, 0.1)
    first.note(IDLE._replace(commits=1, writes=2, batches=[0, 1, *[0] * 8], waiting=3))
    second.note(IDLE._replace(commits=10, writes=20, batches=[20, *[0] * 9]))

    for worker in (first, second):
        text = exposition(worker)
        assert value(text, "likewise_requests_total", endpoint="/livez", method="GET", status="200") == 2
        assert value(text, "likewise_request_duration_seconds_count", endpoint="/livez", method="GET") == 2
        assert value(text, "likewise_commits_total") == 11
        assert value(text, "likewise_write_batch_size_sum") == 22
        assert value(text, "likewise_write_batch_size_bucket", le="1.0") == 20
        assert value(text, "likewise_worker_starts_total") == 2
        assert value(text, "likewise_writes_waiting", worker="0") == 3
        assert value(text, "likewise_writes_waiting", worker="1") == 0


def test_a_worker_that_takes_a_dead_ones_seat_goes_on_with_its_numbers_but_not_with_its_work():
    [_, seat] = crew(2)
    dead = Metrics(PATHS, seat, engine="postgresql")
    dead.count("/livez", "GET", 200, 1)
    dead.note(
        Statistics(
            waiting=7,
            writes=5,
            batches=[5, *[0] * 9],
            commits=4,
            connections_in_use=2,
            connections_idle=1,
            connections_max=10,
        )
    )
    assert value(exposition(dead), "likewise_database_connections", worker="1", state="in_use") == 2
    assert value(exposition(dead), "likewise_database_connections", worker="1", state="idle") == 1
    assert value(exposition(dead), "likewise_database_connections_max", worker="1") == 10

    heir = Metrics(PATHS, seat, engine="postgresql")
    before = exposition(heir)
    heir.note(IDLE._replace(commits=1, writes=1, batches=[1, *[0] * 9]))
    heir.count("/livez", "GET", 200, 1)
    after = exposition(heir)

    assert value(before, "likewise_commits_total") == 4
    assert value(before, "likewise_writes_waiting", worker="1") == 0
    assert value(before, "likewise_database_connections_max", worker="1") is None
    assert value(before, "likewise_writes_waiting", worker="0") is None  # nobody has come there
    assert value(after, "likewise_requests_total", endpoint="/livez", method="GET", status="200") == 2
    assert value(after, "likewise_commits_total") == 5
    assert value(after, "likewise_write_batch_size_sum") == 6
    assert value(after, "likewise_worker_starts_total") == 2


WORKERS = 3
EVENTS = st.tuples(
    st.integers(0, WORKERS - 1),
    st.one_of(
        st.just("dies"),
        st.tuples(st.sampled_from([*PATHS, UNKNOWN]), st.sampled_from(["GET", "BREW"]), st.integers(200, 600)),
    ),
)


@settings(deadline=None)
@given(st.lists(EVENTS, max_size=40))
def test_whatever_happens_the_sums_are_all_that_was_counted(history):
    seats = crew(WORKERS)
    workers = [Metrics(PATHS, seat, engine="sqlite") for seat in seats]
    counted: Counter[tuple[str, str, str]] = Counter()
    for number, event in history:
        if event == "dies":
            workers[number] = Metrics(PATHS, seats[number], engine="sqlite")
        else:
            endpoint, method, status = event
            workers[number].count(endpoint, method, status, 0.001)
            label = str(status) if str(status) in STATUSES else "other"
            counted[endpoint, method if method == "GET" else "other", label] += 1

    for worker in workers:
        assert requests(exposition(worker)) == dict(counted)


# Room for all


async def test_there_is_room_for_twice_the_endpoints_there_are(tmp_path):
    url = f"sqlite:///{tmp_path}/likewise.db"
    await (await open_store(url)).close()
    async with App(Settings(database=url, admin_token="x" * 32)) as app:
        paths = app._opened().api.paths

        assert {RATING, "/metrics", "/_likewise/keys/{id}"} <= set(paths)
        assert len(paths) == len(set(paths))
        metrics = Metrics([*paths, *(f"{path}/more" for path in paths)], own_seat(), engine="sqlite")
        assert max(metrics._series.values()) < CELLS_MAX


def test_every_status_that_may_be_answered_has_a_name():
    source = (Path(__file__).parents[1] / "src/likewise/api").rglob("*.py")
    answered = {status for file in source for status in re.findall(r"\b20\d\b", file.read_text("utf-8"))}

    assert {"200", "202", "204"} <= answered
    assert answered | {str(problem.status) for problem in PROBLEMS.values()} <= set(STATUSES)
