"""Every call, through the real application without a socket; and through both clients where the server is played."""

import json
from datetime import UTC, datetime

import httpx2
import pytest

from likewise import errors
from likewise.client import AsyncClient, Client, LibraryItem, Rating, RatingChange, SigningKey, Surroundings, Written
from likewise.domain import KINDS, TWINS, Item, Kind, Value
from tests.house import KEY_ID, RATABLE, TEAM_ID, House

SONG, OTHER_SONG = "907242702", "1440833098"


def client_of(house: House, *, developer_token=None, user_token=None) -> AsyncClient:
    return AsyncClient(
        developer_token or house.sign(),
        user_token or house.ada_token,
        base_url="http://likewise.test",
        transport=httpx2.ASGITransport(app=house.app),
    )


@pytest.fixture
async def ada(house):
    async with client_of(house) as client:
        yield client


class TestRatings:
    @pytest.mark.parametrize("type", RATABLE)
    async def test_all_nine_types_by_four_verbs(self, ada, type):
        id = RATABLE[type]
        item = Item(KINDS[type], id)

        with pytest.raises(errors.NotRated):
            await ada.get_rating(type, id)
        assert await ada.put_rating(type, id, Value.DISLIKE) == Rating(item, Value.DISLIKE)
        assert await ada.put_rating(item.kind, id, 1) == Rating(item, Value.LIKE)
        assert await ada.get_rating(type, id) == Rating(item, Value.LIKE)
        assert await ada.get_ratings(type, [id]) == [Rating(item, Value.LIKE)]
        await ada.delete_rating(type, id)
        with pytest.raises(errors.NotRated):
            await ada.delete_rating(type, id)
        assert await ada.get_ratings(type, [id]) == []

    @pytest.mark.parametrize(
        ("number", "ids_per_request"), [(0, 100), (1, 1), (7, 3), (100, 100), (101, 100), (650, 300)]
    )
    async def test_many_ids_are_asked_for_in_parts_and_joined_in_order(self, house, number, ids_per_request):
        async with client_of(house) as ada:
            ids = [str(id) for id in range(number, 0, -1)]
            rated = ids[::7]
            for id in rated:
                await ada.put_rating("songs", id, 1)

            ratings = await ada.get_ratings("songs", [*ids, *ids], ids_per_request=ids_per_request)

        assert [rating.item.id for rating in ratings] == rated

    async def test_a_hundred_ids_at_a_time_unless_told_otherwise(self):
        asked = []

        def answer(request):
            asked.append(request.url.params["ids"].count(",") + 1)
            return httpx2.Response(200, content=b'{"data":[]}')

        with played(answer) as client:
            client.get_ratings("songs", map(str, range(250)))

        assert asked == [100, 100, 50]

    @pytest.mark.parametrize("ids_per_request", [0, -1, 301])
    async def test_parts_have_1_to_300_ids(self, ada, ids_per_request):
        with pytest.raises(errors.BadParameter):
            await ada.get_ratings("songs", ["1"], ids_per_request=ids_per_request)

    @pytest.mark.parametrize("value", [0, 2, True, 1.0, "1", None])
    async def test_any_other_value_is_refused(self, ada, value):
        with pytest.raises(errors.BadBody) as refusal:
            await ada.put_rating("songs", SONG, value)

        assert refusal.value.pointer == "/attributes/value"


class TestNothingBadIsSent:
    @pytest.mark.parametrize(
        ("name", "arguments", "error"),
        [
            ("get_rating", ("songs", "i.7PJN"), errors.RatingsNotAllowed),
            ("get_rating", ("songs", "1/../2"), errors.RatingsNotAllowed),
            ("get_rating", ("songs", ""), errors.RatingsNotAllowed),
            ("get_rating", ("song", "1"), errors.UnknownResourceType),
            ("get_ratings", ("songs", ["1", "2,3"]), errors.RatingsNotAllowed),
            ("get_ratings", ("artists", []), errors.UnknownResourceType),
            ("put_rating", ("library-songs", "1", 1), errors.RatingsNotAllowed),
            ("delete_rating", ("albums", "l.x"), errors.RatingsNotAllowed),
            ("write_ratings", ([("songs", "1", 1), ("songs", "x", 1)],), errors.RatingsNotAllowed),
            ("write_ratings", ([("songs", "1", 0)],), errors.BadBody),
            ("add_favorites", ("songs", ["1&ids[songs]=2"]), errors.RatingsNotAllowed),
            ("remove_favorites", ("song", ["1"]), errors.UnknownResourceType),
            ("add_to_library", ("stations", ["ra.1"]), errors.UnknownResourceType),
            ("add_to_library", ("library-songs", ["i.1"]), errors.UnknownResourceType),
            ("remove_from_library", ("songs", "1"), errors.RatingsNotAllowed),
            ("remove_from_library", ("stations", "ra.1"), errors.UnknownLibraryResourceType),
            ("get_library_items", ("songs", ["1"]), errors.RatingsNotAllowed),
            ("get_twin", ("stations", "ra.1"), errors.UnknownResourceType),
            ("put_rating", ("songs", 907242702, 1), errors.RatingsNotAllowed),
            ("delete_rating", ("songs", None), errors.RatingsNotAllowed),
            ("get_ratings", ("songs", [1, 2]), errors.RatingsNotAllowed),
            ("get_ratings", ("songs", "907242702"), errors.BadParameter),
            ("add_favorites", ("songs", "907242702"), errors.BadParameter),
            ("get_library_items", ("songs", "i.abc"), errors.BadParameter),
        ],
    )
    def test_ids_and_types_are_checked_first(self, name, arguments, error):
        def answer(request):
            raise AssertionError(f"sent {request.url}")

        with played(answer) as client, pytest.raises(error):
            getattr(client, name)(*arguments)

    def test_one_text_is_not_several_types(self):
        with played(lambda _: httpx2.Response(500)) as client, pytest.raises(errors.BadParameter):
            next(client.list_ratings(types="songs"))

    def test_a_list_of_unknown_types_is_refused_before_it_is_asked_for(self):
        def answer(request):
            raise AssertionError(f"sent {request.url}")

        with played(answer) as client:
            for listing in (client.list_ratings(types=["song"]), client.list_library("stations")):
                with pytest.raises(errors.BadPathValue):
                    next(listing)


class TestWhoMayAsk:
    async def test_a_bad_developer_token(self, house):
        async with client_of(house, developer_token="x.y.z") as client:
            with pytest.raises(errors.BadDeveloperToken):
                await client.get_rating("songs", SONG)
            with pytest.raises(errors.BadDeveloperToken):
                await client.test()

    async def test_a_bad_user_token(self, house):
        async with client_of(house, user_token="nobodys") as client:
            await client.test()
            with pytest.raises(errors.BadUserToken):
                await client.get_rating("songs", SONG)

    async def test_a_signing_key_mints_what_is_needed(self, house):
        key = SigningKey(house.private_key, team_id=TEAM_ID, key_id=KEY_ID)
        around = Surroundings(now=lambda: house.clock() / 1000)
        async with AsyncClient(
            key, house.ada_token, base_url="http://x", transport=httpx2.ASGITransport(app=house.app), around=around
        ) as client:
            await client.test()
            house.clock.advance(43_200_000)
            await client.test()


class TestTheLibrary:
    @pytest.mark.parametrize("type", ["songs", "albums", "music-videos", "playlists"])
    async def test_adding_reading_both_ways_and_removing(self, ada, type):
        catalog_item = Item(KINDS[type], RATABLE[type])
        await ada.add_to_library(type, [catalog_item.id])

        [added] = [each async for each in ada.list_library(type)]
        assert added == LibraryItem(added.item, catalog_item, added_at=added.added_at)
        assert added.item.kind is TWINS[catalog_item.kind]
        assert added.added_at == datetime(2025, 11, 17, tzinfo=UTC)
        assert await ada.get_twin(*catalog_item) == added.item
        assert await ada.get_twin(*added.item) == catalog_item
        assert await ada.get_library_items(added.item.kind, [added.item.id]) == [added]
        await ada.remove_from_library(type, added.item.id)
        with pytest.raises(errors.NoRelatedResources):
            await ada.get_twin(*catalog_item)
        with pytest.raises(errors.NoRelatedResources):
            await ada.get_twin(*added.item)
        with pytest.raises(errors.ResourceNotFound):
            await ada.remove_from_library(type, added.item.id)
        assert await ada.get_library_items(type, [added.item.id]) == []

    async def test_a_rating_has_both_addresses(self, ada):
        await ada.add_to_library("songs", [SONG])
        await ada.put_rating("songs", SONG, 1)

        twin = await ada.get_twin("songs", SONG)

        assert (await ada.get_rating(*twin)).value == Value.LIKE

    async def test_a_long_library_is_read_to_its_end(self, ada):
        ids = [str(id) for id in range(1, 251)]
        await ada.add_to_library("songs", ids)

        listed = [each.twin.id async for each in ada.list_library("library-songs")]
        first = await ada.get_library_page("songs")
        second = await ada.get_library_page("songs", first.next)

        assert sorted(listed, key=int) == ids
        assert [each.twin.id for each in first.entries + second.entries] == listed[:200]
        assert first.total == 250

    async def test_the_storefront_is_asked_for_once(self, house):
        paths = []

        class Watching(httpx2.ASGITransport):
            async def handle_async_request(self, request):
                paths.append(request.url.path)
                return await super().handle_async_request(request)

        async with AsyncClient(
            house.sign(), house.ben_token, base_url="http://x", transport=Watching(app=house.app)
        ) as ben:
            for _ in range(2):
                with pytest.raises(errors.NoRelatedResources):
                    await ben.get_twin("songs", SONG)

        assert paths == ["/v1/me/storefront", *["/v1/catalog/jp/songs/907242702/library"] * 2]


class TestFavoritesAndNeighbours:
    async def test_favorites_like_and_clear_likes(self, ada):
        await ada.put_rating("albums", SONG, -1)
        await ada.add_favorites("songs", [SONG, OTHER_SONG], ids_per_request=1)
        assert len(await ada.get_ratings("songs", [SONG, OTHER_SONG])) == 2

        await ada.remove_favorites("songs", [SONG])
        await ada.remove_favorites("albums", [SONG])

        assert [rating.item.id for rating in await ada.get_ratings("songs", [SONG, OTHER_SONG])] == [OTHER_SONG]
        assert (await ada.get_rating("albums", SONG)).value == Value.DISLIKE

    async def test_the_storefront_is_the_listeners(self, ada):
        storefront = await ada.get_storefront()

        assert (storefront.id, storefront.name, storefront.default_language_tag) == ("us", "United States", "en-US")
        assert "es-MX" in storefront.supported_language_tags


# What Likewise has beside Apple's API, on a server that is played


def played(answer) -> Client:
    return Client("developer", "user", base_url="http://likewise.test", transport=httpx2.MockTransport(answer))


def rating(id, **attributes):
    return {"id": id, "type": "ratings", "href": f"/v1/me/ratings/songs/{id}", "attributes": attributes}


class Played:
    """A server that has one answer after the other; remembers what it was asked."""

    def __init__(self, *documents):
        self.documents = list(documents)
        self.asked = []

    def __call__(self, request):
        self.asked.append((request.method, request.url.raw_path.decode(), request.content))
        return httpx2.Response(200, content=json.dumps(self.documents.pop(0)).encode())


class TestLists:
    PAGES = (
        {
            "data": [rating("2", value=1, ratedAt="2026-11-02T14:05:09.123Z", name="Song", artistName="Artist")],
            "next": "/v1/me/ratings?limit=100&offset=abc",
            "meta": {"total": 2, "cursor": "c1"},
        },
        {"data": [rating("1", value=-1, ratedAt="yesterday")]},
    )

    def test_all_ratings_come_page_by_page(self):
        server = Played(*self.PAGES)
        with played(server) as client:
            ratings = client.list_ratings()

            first = next(ratings)
            assert len(server.asked) == 1
            assert first.item == Item(Kind.SONG, "2")
            assert first.rated_at == datetime(2026, 11, 2, 14, 5, 9, 123_000, tzinfo=UTC)
            assert (first.name, first.artist_name) == ("Song", "Artist")
            assert list(ratings) == [Rating(Item(Kind.SONG, "1"), Value.DISLIKE)]
        assert server.asked == [
            ("GET", "/v1/me/ratings?limit=100", b""),
            ("GET", "/v1/me/ratings?limit=100&offset=abc", b""),
        ]

    @pytest.mark.parametrize("text", ["", "yesterday", "2026-11-02T14:05:09", "0001-01-01T00:00:00+14:00"])
    def test_a_rating_whose_time_is_none_has_none(self, text):
        with played(Played({"data": [rating("1", value=1, ratedAt=text)]})) as client:
            assert list(client.list_ratings()) == [Rating(Item(Kind.SONG, "1"), Value.LIKE)]

    async def test_all_ratings_come_page_by_page_to_asyncio_too(self):
        server = Played(*self.PAGES)
        async with AsyncClient(
            "developer", "user", base_url="http://likewise.test", transport=httpx2.MockTransport(server)
        ) as client:
            assert [each.item.id async for each in client.list_ratings()] == ["2", "1"]

    def test_some_types_and_one_value(self):
        server = Played({"data": []})
        with played(server) as client:
            assert list(client.list_ratings(types=["songs", Kind.ALBUM], value=-1)) == []

        [(_, target, _)] = server.asked
        assert target == "/v1/me/ratings?limit=100&filter%5Btype%5D=songs,albums&filter%5Bvalue%5D=-1"

    @pytest.mark.parametrize("data", [[], [{"id": "i.a", "type": "library-songs", "href": "/v1/me/library/songs/i.a"}]])
    def test_the_address_in_the_library_is_told(self, data):
        listed = rating("1", value=1) | {"relationships": {"library": {"data": data}}}
        with played(Played({"data": [listed]})) as client:
            [found] = client.list_ratings()

        assert found.library_item == (Item(Kind.LIBRARY_SONG, "i.a") if data else None)

    def test_changes_come_with_the_cursor_after_them(self):
        document = {
            "data": [rating("1", value=None, ratedAt="2026-11-02T14:05:09Z"), rating("2", value=1)],
            "meta": {"cursor": "c2"},
        }
        server = Played({"data": [], "meta": {"cursor": "c 1&"}}, document)
        with played(server) as client:
            page = client.get_changes(client.get_cursor())

        assert [change.value for change in page.entries] == [None, Value.LIKE]
        assert page.entries[1] == RatingChange(Item(Kind.SONG, "2"), Value.LIKE)
        assert page.cursor == "c2"
        assert [target for _, target, _ in server.asked] == [
            "/v1/me/ratings?limit=1",
            "/v1/me/ratings?since=c+1%26",
        ]

    def test_many_writes_go_1_000_at_a_time_and_each_says_what_became_of_it(self):
        fault = {"status": "404", "code": "40400", "title": "Resource Not Found", "detail": "no such item"}
        good = {"id": "1", "type": "ratings"}
        server = Played({"data": [good] * 999 + [{"errors": [fault]}]}, {"data": [good]})
        with played(server) as client:
            written = client.write_ratings([("songs", str(id), None) for id in range(1, 1_001)] + [("albums", "1", 1)])

        assert written[0] == Written(Item(Kind.SONG, "1"), None)
        assert written[1_000] == Written(Item(Kind.ALBUM, "1"), Value.LIKE)
        assert [type(each.error) for each in written if each.error] == [errors.ResourceNotFound]
        assert str(written[999].error) == "no such item"
        assert [len(json.loads(body)["data"]) for _, _, body in server.asked] == [1_000, 1]
        assert json.loads(server.asked[1][2]) == {"data": [{"type": "albums", "id": "1", "attributes": {"value": 1}}]}


class TestApplesLibrary:
    def test_names_are_read_and_twins_of_playlists_too(self):
        document = {
            "data": [
                {
                    "id": "p.A",
                    "type": "library-playlists",
                    "attributes": {
                        "name": "Mix",
                        "playParams": {"globalId": "pl.u-x"},
                        "dateAdded": "2020-01-01T00:00:00",
                    },
                },
                {"id": "p.B", "type": "library-playlists", "attributes": {"playParams": {"catalogId": "i.5"}}},
                {"id": "p.C", "type": "library-playlists"},
            ]
        }
        with played(Played(document)) as client:
            listed = list(client.list_library("playlists"))

        assert listed == [
            LibraryItem(Item(Kind.LIBRARY_PLAYLIST, "p.A"), Item(Kind.PLAYLIST, "pl.u-x"), "Mix"),
            LibraryItem(Item(Kind.LIBRARY_PLAYLIST, "p.B"), None),
            LibraryItem(Item(Kind.LIBRARY_PLAYLIST, "p.C"), None),
        ]


def test_a_closed_client_sends_nothing():
    client = played(Played())
    client.close()

    with pytest.raises(RuntimeError):
        client.test()
