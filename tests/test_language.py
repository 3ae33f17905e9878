"""The parameter `l`, the storefronts' languages, and what Content-Language says about the choice."""

import re
import string
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from likewise.storefronts import STOREFRONTS, choose_language
from tests.house import DISLIKE_BODY, LIKE_BODY, RATABLE, House, ask, error_of, raw_headers

SONG_PATH = "/v1/me/ratings/songs/907242702"
MY_STOREFRONT = "/v1/me/storefront"

MALFORMED_TAGS = [
    "x",
    "e",
    "eng",
    "english",
    "e1",
    "12",
    "-",
    "-US",
    "en-",
    "ja-",
    "en--US",
    "en-US-",
    "en-123456789",
    "en-USUSUSUSU",
    "en-US-123456789",
    "en US",
    "en-U S",
    " en",
    "en ",
    "en\n",
    "en-US\n",
    "en,fr",
    "en;q=1",
    "*",
    "en-*",
    "en-Ü",
    "éé",
    "日本",
    "\N{FULLWIDTH LATIN SMALL LETTER E}\N{FULLWIDTH LATIN SMALL LETTER N}",
    "en-\N{ARABIC-INDIC DIGIT ONE}",
    "en\0",
    "<script>",
    "'",
    '"',
    "../en",
]


def bad_language(tag: str) -> dict[str, object]:
    return {
        "title": "Invalid Parameter Value",
        "detail": f"Invalid language tag '{tag}'",
        "status": "400",
        "code": "40005",
        "source": {"parameter": "l"},
    }


def url(path: str, **parameters: str) -> str:
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters.items())
    return f"{path}?{query}"


# The listener's storefront decides


async def test_without_l_the_default_language_of_the_storefront_counts(client, bens_client):
    adas = await client.get(MY_STOREFRONT)
    bens = await bens_client.get(MY_STOREFRONT)

    assert adas.headers["content-language"] == "en-US"
    assert bens.headers["content-language"] == "ja"


@pytest.mark.parametrize("tag", ["en-US", "es-MX", "ar", "ru", "zh-Hans-CN"])
async def test_a_tag_of_the_storefront_is_chosen(client, tag):
    response = await client.get(url(MY_STOREFRONT, l=tag))

    assert response.headers["content-language"] == tag


@pytest.mark.parametrize(
    ("tag", "chosen"),
    [("ES-mx", "es-MX"), ("es-mx", "es-MX"), ("AR", "ar"), ("ZH-HANS-CN", "zh-Hans-CN"), ("zh-hans-cn", "zh-Hans-CN")],
)
async def test_a_tag_is_matched_in_any_case_and_written_as_the_storefront_does(client, tag, chosen):
    response = await client.get(url(MY_STOREFRONT, l=tag))

    assert response.headers["content-language"] == chosen


@pytest.mark.parametrize(
    "tag",
    ["en", "es", "es-ES", "zh", "zh-Hans", "zh-CN", "ar-EG", "ru-RU", "es-MX-x", "fr-FR", "de", "ja", "xx", "qq-ZZ"],
)
async def test_a_well_formed_tag_that_the_storefront_lacks_is_ignored(client, tag):
    response = await client.get(url(MY_STOREFRONT, l=tag))

    assert response.status_code == 200
    assert response.headers["content-language"] == "en-US"


@pytest.mark.parametrize("tag", ["en-1", "en-12345678", "en-a1b2c3d4-x-y-z", "xx-" + "-".join(["abcdefgh"] * 50)])
async def test_later_subtags_have_1_to_8_letters_and_digits(client, tag):
    response = await client.get(url(MY_STOREFRONT, l=tag))

    assert response.status_code == 200


@pytest.mark.parametrize("tag", ["", "_", "en_US", "es_MX", "zh_Hans_CN", "x_", "_x", "e n_", "éé_", "es-MX_"])
async def test_a_tag_that_is_empty_or_holds_an_underscore_counts_as_absent(client, tag):
    response = await client.get(url(MY_STOREFRONT, l=tag))

    assert response.status_code == 200
    assert response.headers["content-language"] == "en-US"


@pytest.mark.parametrize("tag", MALFORMED_TAGS, ids=ascii)
async def test_a_malformed_tag_is_refused(client, tag):
    response = await client.get(url(MY_STOREFRONT, l=tag))

    assert response.status_code == 400
    assert error_of(response) == bad_language(tag)


async def test_what_is_no_utf8_is_no_tag(house, client):
    response = await ask(house.app, "GET", f"{MY_STOREFRONT}?l=%ff%fe".encode(), raw_headers(client.headers))

    assert error_of(response)["source"] == {"parameter": "l"}


@pytest.mark.parametrize(
    ("query", "chosen"),
    [
        ("l=ar&l=ru", "ru"),
        ("l=ru&l=ar", "ar"),
        ("l=x&l=ar", "ar"),
        ("l=ar&l=", "en-US"),
        ("l=ar&l=en_US", "en-US"),
        ("l=ar&l=fr-FR", "en-US"),
        ("l=ar&L=ru", "ar"),
        ("l=ar&other=ru", "ar"),
    ],
)
async def test_the_last_of_several_tags_wins(client, query, chosen):
    response = await client.get(f"{MY_STOREFRONT}?{query}")

    assert response.headers["content-language"] == chosen


async def test_the_last_of_several_tags_wins_even_when_it_is_malformed(client):
    response = await client.get(f"{MY_STOREFRONT}?l=ar&l=x")

    assert error_of(response) == bad_language("x")


async def test_the_header_accept_language_does_not_choose(client):
    response = await client.get(MY_STOREFRONT, headers={"Accept-Language": "ar"})

    assert response.headers["content-language"] == "en-US"


# Every operation reads it


@pytest.mark.parametrize(("type", "id"), RATABLE.items(), ids=RATABLE)
async def test_the_language_of_a_ratings_answer_is_named_and_changes_nothing_in_it(client, type, id):
    path = f"/v1/me/ratings/{type}"

    put = await client.put(f"{path}/{id}?l=ru", content=LIKE_BODY)
    got = await client.get(f"{path}/{id}?l=ru")
    many = await client.get(f"{path}?ids={id}&l=ru")
    plain = await client.get(f"{path}/{id}")

    assert [response.headers["content-language"] for response in (put, got, many)] == ["ru"] * 3
    assert put.content == got.content == many.content == plain.content


OPERATIONS = [
    ("GET", "/v1/me/ratings/songs/1"),
    ("PUT", "/v1/me/ratings/songs/1"),
    ("DELETE", "/v1/me/ratings/songs/1"),
    ("GET", "/v1/me/ratings/songs?ids=1"),
    ("POST", "/v1/me/favorites?ids%5Bsongs%5D=1"),
    ("DELETE", "/v1/me/favorites?ids%5Bsongs%5D=1"),
    ("POST", "/v1/me/library?ids%5Bsongs%5D=1"),
    ("GET", "/v1/me/library?ids%5Blibrary-songs%5D=i.a"),
    ("GET", "/v1/me/library/songs"),
    ("GET", "/v1/me/library/songs?ids=i.a"),
    ("GET", "/v1/me/library/songs/i.a"),
    ("DELETE", "/v1/me/library/songs/i.a"),
    ("GET", "/v1/me/library/songs/i.a/catalog"),
    ("GET", "/v1/catalog/us/songs/1/library"),
    ("GET", "/v1/me/storefront"),
    ("GET", "/v1/storefronts"),
    ("GET", "/v1/storefronts?ids=us"),
    ("GET", "/v1/storefronts/us"),
]


@pytest.mark.parametrize(("method", "target"), OPERATIONS)
async def test_every_operation_refuses_a_malformed_tag(client, method, target):
    response = await client.request(method, f"{target}{'&' if '?' in target else '?'}l=x", content=LIKE_BODY)

    assert response.status_code == 400
    assert error_of(response) == bad_language("x")


@pytest.mark.parametrize(("method", "target"), OPERATIONS)
async def test_every_200_names_its_language(client, method, target):
    response = await client.request(method, f"{target}{'&' if '?' in target else '?'}l=ar", content=LIKE_BODY)

    if response.status_code == 200:
        assert response.headers["content-language"] == "ar"
    else:
        assert response.status_code in {202, 404}
        assert "content-language" not in response.headers


async def test_a_malformed_tag_writes_nothing(client):
    await client.put(SONG_PATH, content=LIKE_BODY)

    await client.put(f"{SONG_PATH}?l=x", content=DISLIKE_BODY)
    await client.delete(f"{SONG_PATH}?l=x")
    await client.request("DELETE", "/v1/me/favorites?ids[songs]=907242702&l=x")
    await client.post("/v1/me/library?ids[songs]=907242702&l=x")

    assert (await client.get(SONG_PATH)).json()["data"][0]["attributes"] == {"value": 1}
    assert (await client.get("/v1/me/library/songs")).json()["data"] == []


# Storefronts


def test_there_are_167_storefronts():
    assert len(STOREFRONTS) == 167


def test_every_storefront_is_whole():
    for id, storefront in STOREFRONTS.items():
        assert storefront.id == id
        assert re.fullmatch(r"[a-z]{2}", id)
        assert storefront.name
        assert storefront.default_language_tag in storefront.supported_language_tags
        assert storefront.policy in {"allowed", "opt-in", "prohibited"}


def test_every_language_of_every_storefront_can_be_chosen():
    for storefront in STOREFRONTS.values():
        for tag in storefront.supported_language_tags:
            assert choose_language(tag, [storefront]) == tag
            assert choose_language(tag.swapcase(), [storefront]) == tag
        assert choose_language(None, [storefront]) == storefront.default_language_tag


async def test_one_storefront_is_in_its_own_language(client):
    by_default = await client.get("/v1/storefronts/ch")
    in_french = await client.get("/v1/storefronts/ch?l=fr-fr")
    in_japanese = await client.get("/v1/storefronts/ch?l=ja")

    languages = [response.headers["content-language"] for response in (by_default, in_french, in_japanese)]
    assert languages == ["de-CH", "fr-FR", "de-CH"]


async def test_several_storefronts_are_in_a_language_that_one_of_them_has(client):
    by_default = await client.get("/v1/storefronts?ids=jp,ch")
    in_french = await client.get("/v1/storefronts?ids=jp,ch&l=fr-FR")
    none = await client.get("/v1/storefronts?ids=zz&l=fr-FR")

    assert by_default.headers["content-language"] == "ja"
    assert in_french.headers["content-language"] == "fr-FR"
    assert none.headers["content-language"] == "en-US"


# Whatever the tag


WELL_FORMED = st.from_regex(r"[A-Za-z]{2}(-[A-Za-z0-9]{1,8}){0,4}", fullmatch=True)
NEARLY = st.text(string.ascii_letters + string.digits + "-_ \n", max_size=12)
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def is_well_formed(tag: str) -> bool:
    """Say the rule again, in other words than the source."""
    primary, *others = tag.split("-")
    return (
        len(primary) == 2
        and set(primary) <= set(string.ascii_letters)
        and all(1 <= len(other) <= 8 and set(other) <= set(string.ascii_letters + string.digits) for other in others)
    )


@given(tag=WELL_FORMED | NEARLY | ANY_TEXT | st.sampled_from(MALFORMED_TAGS))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_every_tag_is_absent_well_formed_or_refused(house: House, tag: str) -> None:
    response = await ask(
        house.app, "GET", url(MY_STOREFRONT, l=tag).encode(), raw_headers(house.headers(house.ada_token))
    )

    if tag == "" or "_" in tag or is_well_formed(tag):
        assert response.status_code == 200
        assert response.headers["content-language"] in STOREFRONTS["us"].supported_language_tags
    else:
        assert response.status_code == 400
        assert error_of(response) == bad_language(tag)


@given(tag=WELL_FORMED, id=st.sampled_from(sorted(STOREFRONTS)))
@settings(deadline=None)
def test_the_choice_is_the_tag_or_the_storefronts_default(tag: str, id: str) -> None:
    storefront = STOREFRONTS[id]

    chosen = choose_language(tag, [storefront])

    assert chosen in storefront.supported_language_tags
    assert chosen.lower() == tag.lower() or chosen == storefront.default_language_tag
