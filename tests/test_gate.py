"""The gate over HTTP: which developer tokens and music user tokens let a request in, and what a refusal looks like.

401 is about the developer token, 403 about the music user token; clients depend on never seeing one for the other.
"""

import hashlib
import hmac
import itertools
import json
import os

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from likewise.asgi import Headers
from likewise.domain import DeveloperKey, Listener, UserToken
from likewise.gate import Gate
from likewise.tokens import Remembered, digest_of, generate_private_key, mint_user_token, read_public_key
from tests.house import (
    DAY,
    DISLIKE_BODY,
    FORBIDDEN,
    KEY_ID,
    LIKE_BODY,
    MONDAY,
    NOT_RATED,
    TEAM_ID,
    House,
    ask,
    encoded,
    error_of,
    good_claims,
    good_header,
    is_empty_401,
    issue_user_token,
    numbers_of_signature,
    packed,
    raw_headers,
    raw_signature,
    signed,
)

SONG_PATH = "/v1/me/ratings/songs/907242702"
OTHER_KEY_ID = "XYZ123DEFG"
OTHER_TEAM_ID = "XYZ123GHIJ"
SIX_MONTHS = 15_777_000
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
BELIEVED_MILLISECONDS = 2_000
TOKEN_CHARACTERS_MAX = 8_192

USER_TOKEN_HEADERS = ["Music-User-Token", "media-user-token", "X-Apple-Music-User-Token"]
PRECEDENCE = list(itertools.combinations(USER_TOKEN_HEADERS, 2))
PERSONAL = [
    ("GET", "/v1/me/ratings/songs/907242702"),
    ("PUT", "/v1/me/ratings/songs/907242702"),
    ("DELETE", "/v1/me/ratings/songs/907242702"),
    ("GET", "/v1/me/ratings/songs?ids=1"),
    ("POST", "/v1/me/favorites?ids%5Bsongs%5D=1"),
    ("DELETE", "/v1/me/favorites?ids%5Bsongs%5D=1"),
    ("POST", "/v1/me/library?ids%5Bsongs%5D=1"),
    ("GET", "/v1/me/library?ids%5Blibrary-songs%5D=i.a"),
    ("GET", "/v1/me/library/songs"),
    ("GET", "/v1/me/library/songs/i.a"),
    ("DELETE", "/v1/me/library/songs/i.a"),
    ("GET", "/v1/me/library/songs/i.a/catalog"),
    ("GET", "/v1/catalog/us/songs/1/library"),
    ("GET", "/v1/me/storefront"),
]
FOR_DEVELOPERS = ["/v1/test", "/v1/storefronts", "/v1/storefronts?ids=us", "/v1/storefronts/us"]

every_personal_endpoint = pytest.mark.parametrize(("method", "target"), PERSONAL)


# Tokens by hand


async def try_token(house: House, token: str | bytes, *more_headers: tuple[bytes, bytes]) -> httpx2.Response:
    """Call the endpoint that tests a developer token."""
    bearer = token if isinstance(token, bytes) else token.encode()
    return await ask(house.app, "GET", b"/v1/test", [(b"authorization", b"Bearer " + bearer), *more_headers])


@pytest.fixture
def now(clock) -> int:
    """The time in seconds, a whole number of them."""
    clock.time = MONDAY // 1000 * 1000
    return MONDAY // 1000


@pytest.fixture
async def other_team(house) -> bytes:
    """The private key of another team's developer."""
    private_key = generate_private_key()
    await house.app.store.add_developer_key(
        DeveloperKey(OTHER_KEY_ID, OTHER_TEAM_ID, read_public_key(private_key), MONDAY)
    )
    return private_key


# The shape of the two refusals


@every_personal_endpoint
async def test_without_a_developer_token_every_personal_endpoint_answers_an_empty_401(house, method, target):
    with_user_token = [(b"music-user-token", house.ada_token.encode())]

    response = await ask(house.app, method, target.encode(), with_user_token)

    assert is_empty_401(response)


@every_personal_endpoint
async def test_without_a_user_token_every_personal_endpoint_answers_403(house, method, target):
    async with house.client(developer_token=house.sign()) as client:
        response = await client.request(method, target)

    assert response.status_code == 403
    assert error_of(response) == FORBIDDEN


@pytest.mark.parametrize("target", FOR_DEVELOPERS)
async def test_the_impersonal_endpoints_ask_for_a_developer_token_alone(house, target):
    async with house.client(developer_token=house.sign()) as developer, house.client() as stranger:
        admitted = await developer.get(target)
        refused = await stranger.get(target)

    assert admitted.status_code == 200
    assert is_empty_401(refused)


async def test_a_bad_user_token_does_not_matter_where_none_is_needed(house):
    response = await try_token(house, house.sign(), (b"music-user-token", b"nonsense"))

    assert response.status_code == 200


async def test_a_refused_write_changes_nothing(client, house):
    await client.put(SONG_PATH, content=DISLIKE_BODY)
    no_developer = [(b"music-user-token", house.ada_token.encode())]
    no_listener = [(b"authorization", b"Bearer " + house.sign().encode())]

    for headers in (no_developer, no_listener):
        await ask(house.app, "PUT", SONG_PATH.encode(), headers, LIKE_BODY)
        await ask(house.app, "DELETE", SONG_PATH.encode(), headers)

    assert (await client.get(SONG_PATH)).json()["data"][0]["attributes"] == {"value": -1}


async def test_an_empty_401_to_head_has_the_same_headers(house):
    assert is_empty_401(await ask(house.app, "HEAD", b"/v1/test"))


# The Authorization header


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
async def test_the_scheme_may_be_in_any_case(house, scheme):
    headers = [(b"authorization", f"{scheme} {house.sign()}".encode())]

    response = await ask(house.app, "GET", b"/v1/test", headers)

    assert response.status_code == 200


@pytest.mark.parametrize(
    "form",
    [
        "",
        " ",
        "Bearer",
        "Bearer ",
        "{}",
        "Basic {}",
        "Token {}",
        "Bearer{}",
        "Bearer:{}",
        "Bearer\t{}",
        "Bearer Bearer {}",
        "Bearer {} {}",
        "Bearer {},{}",
        'Bearer "{}"',
        "Bearer {}é",
    ],
)
async def test_another_authorization_is_refused(house, form):
    authorization = form.replace("{}", house.sign()).encode("latin-1")

    response = await ask(house.app, "GET", b"/v1/test", [(b"authorization", authorization)])

    assert is_empty_401(response)


@pytest.mark.parametrize("second", ["the same", "nonsense"])
async def test_a_repeated_authorization_is_refused(house, second):
    good = f"Bearer {house.sign()}".encode()
    other = good if second == "the same" else b"nonsense"

    good_first = await ask(house.app, "GET", b"/v1/test", [(b"authorization", good), (b"authorization", other)])
    good_last = await ask(house.app, "GET", b"/v1/test", [(b"authorization", other), (b"authorization", good)])

    assert is_empty_401(good_first)
    assert is_empty_401(good_last)


async def test_another_repeated_header_is_no_reason_to_refuse(house):
    response = await try_token(house, house.sign(), (b"accept", b"a/b"), (b"accept", b"*/*"))

    assert response.status_code == 200


# The form of a developer token


@pytest.mark.parametrize("typ", [{}, {"typ": "JWT"}, {"typ": "anything"}], ids=["no typ", "JWT", "another typ"])
async def test_typ_is_optional(house, typ):
    token = signed(house.private_key, good_header(**typ), good_claims(house))

    response = await try_token(house, token)

    assert response.status_code == 200


@pytest.mark.parametrize(
    "token",
    [
        b"",
        b"nonsense",
        b".",
        b"..",
        b"a.b.c",
        b"a.b.c.d.e",
        b"." + b"." + b"A" * 86,
        b"A.A." + b"A" * 86,
        b"\xff\xfe",
        b"\x00" * 200,
        "é.é.é".encode(),
        b"e30.e30." + b"A" * 86,
        b"." * 8_000,
        b"A" * 100_000,
    ],
    ids=lambda token: repr(token[:12]),
)
async def test_what_is_no_jwt_is_refused(house, token):
    assert is_empty_401(await try_token(house, token))


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"1",
        b'"ES256"',
        b"{}",
        b"\xff",
        b'{"alg":"ES256"}',
        b'{"kid":"ABC123DEFG"}',
        b'{"alg":null,"kid":"ABC123DEFG"}',
        b'{"alg":["ES256"],"kid":"ABC123DEFG"}',
        b'{"alg":"es256","kid":"ABC123DEFG"}',
        b'{"alg":"ES384","kid":"ABC123DEFG"}',
        b'{"alg":"ES256K","kid":"ABC123DEFG"}',
        b'{"alg":"ES256","kid":null}',
        b'{"alg":"ES256","kid":1}',
        b'{"alg":"ES256","kid":["ABC123DEFG"]}',
        b'{"alg":"ES256","kid":{}}',
        b'{"alg":"ES256","kid":""}',
        b'{"alg":"ES256","kid":"abc123defg"}',
        b'{"alg":"ES256","kid":"ABC123DEFG "}',
        b'{"alg":"ES256","kid":"ABC123DEFG\\u0000"}',
        b'{"alg":"ES256","kid":"\\u0000"}',
        b'{"alg":"ES256","kid":"\\ud800"}',
        b'{"alg":"ES256","kid":"%"}',
        b'{"alg":"ES256","kid":"' + b"K" * 5_000 + b'"}',
        b'{"alg":"ES256","kid":' + b"1" * 5_000 + b"}",
        b'{"alg":"ES256","kid":"ABC123DEFG","x":' + b"[" * 5_000 + b"}",
        b"[" * 5_000,
    ],
    ids=lambda header: repr(header[:40]),
)
async def test_a_header_that_names_no_key_and_es256_is_refused(house, header):
    token = signed(house.private_key, header, good_claims(house))

    assert is_empty_401(await try_token(house, token))


@pytest.mark.parametrize(
    "payload",
    [b"", b"{", b"[]", b"null", b"1", b'"x"', b"{}", b"\xff", b'{"iss":"\xff"}', b"[" * 5_000, b"1" * 5_000],
    ids=lambda payload: repr(payload[:12]),
)
async def test_a_signed_payload_without_claims_is_refused(house, payload):
    token = signed(house.private_key, good_header(), payload)

    assert is_empty_401(await try_token(house, token))


async def test_bad_utf8_in_any_claim_is_refused(house):
    payload = good_claims(house)[:-1] + b',"x":"\xc3\x28"}'

    assert is_empty_401(await try_token(house, signed(house.private_key, good_header(), payload)))


@pytest.mark.parametrize("crit", [["exp"], ["b64"], ["x"], [], "x", None], ids=repr)
async def test_a_header_that_must_be_understood_is_refused(house, crit):
    header = good_header(crit=crit, x=1)

    assert is_empty_401(await try_token(house, signed(house.private_key, header, good_claims(house))))


async def test_a_detached_payload_is_refused(house):
    header = good_header(b64=False)

    assert is_empty_401(await try_token(house, signed(house.private_key, header, good_claims(house))))


async def test_the_last_of_a_repeated_claim_counts(house, now):
    times = f'"iat":{now},"exp":{now + 60}'
    good_last = f'{{"iss":"{OTHER_TEAM_ID}","iss":"{TEAM_ID}",{times}}}'.encode()
    bad_last = f'{{"iss":"{TEAM_ID}","iss":"{OTHER_TEAM_ID}",{times}}}'.encode()

    admitted = await try_token(house, signed(house.private_key, good_header(), good_last))
    refused = await try_token(house, signed(house.private_key, good_header(), bad_last))

    assert admitted.status_code == 200
    assert is_empty_401(refused)


@pytest.mark.parametrize("segment", [0, 1, 2])
async def test_a_padded_segment_is_refused(house, segment):
    segments = house.sign().split(".")
    segments[segment] += "=" * (-len(segments[segment]) % 4 or 4)

    assert is_empty_401(await try_token(house, ".".join(segments)))


@pytest.mark.parametrize("character", ["+", "/", " ", "\n", "\0", "=", ".", "-"])
@pytest.mark.parametrize("segment", [0, 1, 2])
async def test_a_segment_with_another_character_in_it_is_refused(house, segment, character):
    segments = house.sign().split(".")
    segments[segment] = segments[segment][:5] + character + segments[segment][5:]

    assert is_empty_401(await try_token(house, ".".join(segments)))


async def test_a_token_of_8192_characters_is_read_and_a_longer_one_is_refused(house):
    for padding in itertools.product(range(3), range(6_000)):
        header = good_header(x="x" * padding[0])
        payload = good_claims(house, x="x" * padding[1])
        if len(packed(header, payload)) + 1 + 86 == TOKEN_CHARACTERS_MAX:
            break
    within = signed(house.private_key, header, payload)
    beyond = signed(house.private_key, header, payload[:-2] + b'xx"}')
    assert len(within) == TOKEN_CHARACTERS_MAX < len(beyond)

    admitted = await try_token(house, within)
    refused = await try_token(house, beyond)

    assert admitted.status_code == 200
    assert is_empty_401(refused)


# Signatures


async def test_an_unsigned_token_is_refused(house):
    message = packed(json.dumps({"alg": "none", "kid": KEY_ID}).encode(), good_claims(house))

    assert is_empty_401(await try_token(house, message))
    assert is_empty_401(await try_token(house, f"{message}."))
    assert is_empty_401(await try_token(house, f"{message}.{'A' * 86}"))


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "HS256", "RS256", "PS256", "EdDSA"])
async def test_a_good_signature_under_the_name_of_another_algorithm_is_refused(house, alg):
    token = signed(house.private_key, good_header(alg=alg), good_claims(house))

    assert is_empty_401(await try_token(house, token))


@pytest.mark.parametrize("alg", ["HS256", "HS512", "ES256"])
@pytest.mark.parametrize("ending", ["\n", ""], ids=["PEM", "PEM without its last newline"])
async def test_a_token_signed_with_the_public_key_as_a_secret_is_refused(house, alg, ending):
    secret = (read_public_key(house.private_key).rstrip("\n") + ending).encode()
    message = packed(good_header(alg=alg), good_claims(house))
    digest = hmac.digest(secret, message.encode(), hashlib.sha512 if alg != "HS256" else hashlib.sha256)

    assert is_empty_401(await try_token(house, f"{message}.{encoded(digest)}"))


async def test_rs256_is_refused(house):
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    token = jwt.encode(json.loads(good_claims(house)), key, algorithm="RS256", headers={"kid": KEY_ID})

    assert is_empty_401(await try_token(house, token))


async def test_es384_is_refused(house):
    key = ec.generate_private_key(ec.SECP384R1())
    token = jwt.encode(json.loads(good_claims(house)), key, algorithm="ES384", headers={"kid": KEY_ID})

    assert is_empty_401(await try_token(house, token))


async def test_a_signature_by_another_key_is_refused(house):
    token = signed(generate_private_key(), good_header(), good_claims(house))

    assert is_empty_401(await try_token(house, token))


@pytest.mark.parametrize("name", ["jwk", "jku", "x5c"])
async def test_a_key_that_the_token_brings_along_is_not_believed(house, name):
    mallorys = generate_private_key()
    public = serialization.load_pem_public_key(read_public_key(mallorys).encode())
    assert isinstance(public, ec.EllipticCurvePublicKey)
    brought = {
        "jwk": jwt.algorithms.ECAlgorithm.to_jwk(public, as_dict=True),
        "jku": "http://127.0.0.1/",
        "x5c": ["AA=="],
    }

    token = signed(mallorys, good_header(**{name: brought[name]}), good_claims(house))

    assert is_empty_401(await try_token(house, token))


async def test_a_changed_payload_is_refused(house):
    header, _, signature = house.sign().split(".")

    token = f"{header}.{encoded(good_claims(house, exp=house.clock() // 1000 + 7200))}.{signature}"

    assert is_empty_401(await try_token(house, token))


async def test_a_der_signature_is_refused(house):
    message = packed(good_header(), good_claims(house))
    der = encode_dss_signature(*numbers_of_signature(house.private_key, message))

    assert is_empty_401(await try_token(house, f"{message}.{encoded(der)}"))


@pytest.mark.parametrize(
    ("r", "s"), [(0, 0), (0, 1), (1, 0), (1, 1), (P256_ORDER, P256_ORDER), (2**256 - 1, 2**256 - 1)], ids=repr
)
async def test_a_signature_of_no_worth_is_refused(house, r, s):
    message = packed(good_header(), good_claims(house))

    assert is_empty_401(await try_token(house, f"{message}.{encoded(raw_signature(r, s))}"))


@pytest.mark.parametrize("size", [0, 1, 32, 63, 65, 96, 128])
async def test_a_signature_of_another_length_is_refused(house, size):
    message = packed(good_header(), good_claims(house))
    signature = raw_signature(*numbers_of_signature(house.private_key, message))

    assert is_empty_401(await try_token(house, f"{message}.{encoded((signature * 2)[:size])}"))


@pytest.mark.parametrize("half", ["low", "high"])
async def test_both_halves_of_s_are_accepted(house, half):
    message = packed(good_header(), good_claims(house))
    r, s = numbers_of_signature(house.private_key, message)
    low, high = sorted([s, P256_ORDER - s])

    response = await try_token(house, f"{message}.{encoded(raw_signature(r, low if half == 'low' else high))}")

    assert response.status_code == 200


# Keys


async def test_an_unknown_key_is_refused_until_it_is_registered(house):
    private_key = generate_private_key()
    token = signed(private_key, good_header(kid=OTHER_KEY_ID), good_claims(house))
    unknown = await try_token(house, token)
    await house.app.store.add_developer_key(DeveloperKey(OTHER_KEY_ID, TEAM_ID, read_public_key(private_key), MONDAY))

    registered = await try_token(house, token)

    assert is_empty_401(unknown)
    assert registered.status_code == 200


async def test_a_revoked_key_is_refused(house, clock):
    await house.app.store.revoke_developer_key(KEY_ID, now=clock())

    assert is_empty_401(await try_token(house, house.sign()))


@pytest.mark.parametrize("which", ["the same token", "a new token"])
async def test_a_key_revoked_after_its_token_was_seen_is_refused_within_two_seconds(house, clock, which):
    first = house.sign()
    await try_token(house, first)
    await house.app.store.revoke_developer_key(KEY_ID, now=clock())
    clock.advance(BELIEVED_MILLISECONDS - 1)
    token = first if which == "the same token" else house.sign({"exp": clock() // 1000 + 60})

    believed = await try_token(house, token)
    clock.advance(1)
    refused = await try_token(house, token)

    assert believed.status_code == 200
    assert is_empty_401(refused)


async def test_a_token_used_all_the_time_does_not_outlive_its_key(house, clock):
    token = house.sign()
    await try_token(house, token)
    await house.app.store.revoke_developer_key(KEY_ID, now=clock())
    for _ in range(4):
        clock.advance(BELIEVED_MILLISECONDS // 4)
        last = await try_token(house, token)

    assert is_empty_401(last)


async def test_the_issuer_is_the_team_of_the_key(house, other_team):
    claims = good_claims(house, iss=OTHER_TEAM_ID)

    admitted = await try_token(house, signed(other_team, good_header(kid=OTHER_KEY_ID), claims))
    refused = await try_token(house, signed(house.private_key, good_header(), claims))

    assert admitted.status_code == 200
    assert is_empty_401(refused)


@pytest.mark.parametrize("iss", [None, "", 1, True, [TEAM_ID], {}, "def123ghij", TEAM_ID + " ", "DEF123GHI"], ids=repr)
async def test_another_issuer_is_refused(house, iss):
    assert is_empty_401(await try_token(house, signed(house.private_key, good_header(), good_claims(house, iss=iss))))


@pytest.mark.parametrize("claim", ["iss", "iat", "exp"])
async def test_a_claim_that_is_required_is_required(house, claim):
    assert is_empty_401(await try_token(house, house.sign({claim: None})))


# Times


@pytest.mark.parametrize("claim", ["iat", "exp"])
@pytest.mark.parametrize(
    "form", ["null", "true", "false", '"{}"', "[{}]", '{{"t":{}}}', "NaN", "Infinity", '"2026-01-01"']
)
async def test_a_time_that_is_no_number_is_refused(house, now, claim, form):
    times = {"iat": str(now), "exp": str(now + 60)}
    times[claim] = form.format(times[claim])
    payload = f'{{"iss":"{TEAM_ID}","iat":{times["iat"]},"exp":{times["exp"]}}}'.encode()

    assert is_empty_401(await try_token(house, signed(house.private_key, good_header(), payload)))


@pytest.mark.parametrize("claim", ["iat", "exp"])
async def test_a_time_beyond_all_numbers_is_refused(house, now, claim):
    for number in ("1" + "0" * 400, "1e308", "1e999", "1" + "0" * 5_000):
        times = {"iat": str(now), "exp": str(now + 60)} | {claim: number}
        payload = f'{{"iss":"{TEAM_ID}","iat":{times["iat"]},"exp":{times["exp"]}}}'.encode()

        assert is_empty_401(await try_token(house, signed(house.private_key, good_header(), payload)))


@pytest.mark.parametrize(
    ("iat", "exp"),
    [
        (0, 1),
        (0, 3_600),
        (0, SIX_MONTHS),
        (60, 3_600),
        (60, 60 + SIX_MONTHS),
        (0, SIX_MONTHS + 60),
        (-10 * SIX_MONTHS, 1),
        (-10 * SIX_MONTHS, SIX_MONTHS),
        (-1_700_000_000, 1),
        (10, 5),
        (0.5, 60.5),
        (-0.25, SIX_MONTHS - 0.25),
        (60.0, SIX_MONTHS + 60.0),
        (0, 0.001),
    ],
)
async def test_a_token_in_its_time_is_accepted(house, now, iat, exp):
    response = await try_token(house, house.sign({"iat": now + iat, "exp": now + exp}))

    assert response.status_code == 200


@pytest.mark.parametrize(
    ("iat", "exp"),
    [
        (0, 0),
        (0, -1),
        (-3_600, -0.001),
        (61, 3_600),
        (60.5, 3_600),
        (0, SIX_MONTHS + 61),
        (0, SIX_MONTHS + 60.5),
        (-3_600, SIX_MONTHS + 61),
        (61, 61 + SIX_MONTHS),
        (0, -1_763_337_600),
        (0, -2_000_000_000),
    ],
)
async def test_a_token_out_of_its_time_is_refused(house, now, iat, exp):
    assert is_empty_401(await try_token(house, house.sign({"iat": now + iat, "exp": now + exp})))


async def test_a_remembered_token_expires(house, clock, now):
    token = house.sign({"exp": now + 10})
    await try_token(house, token)
    clock.advance(9_999)

    last = await try_token(house, token)
    clock.advance(1)
    expired = await try_token(house, token)

    assert last.status_code == 200
    assert is_empty_401(expired)


@pytest.mark.parametrize(
    "claim",
    [
        {"aud": "someone-else"},
        {"sub": "com.example.app"},
        {"nbf": 9_999_999_999},
        {"jti": "1"},
        {"aud": 1},
        {"nbf": "x"},
    ],
    ids=repr,
)
async def test_other_claims_are_ignored(house, claim):
    token = signed(house.private_key, good_header(), good_claims(house, **claim))

    assert (await try_token(house, token)).status_code == 200


# Origins


async def test_a_token_without_origin_is_good_from_everywhere(house):
    token = house.sign()

    from_web = await try_token(house, token, (b"origin", b"https://example.com"))
    from_nowhere = await try_token(house, token)

    assert (from_web.status_code, from_nowhere.status_code) == (200, 200)


@pytest.mark.parametrize("origin", ["https://example.com", "https://music.example.com:8443", "null"])
async def test_one_of_the_tokens_origins_is_admitted(house, origin):
    token = house.sign({"origin": ["https://example.com", "https://music.example.com:8443", "null"]})

    response = await try_token(house, token, (b"origin", origin.encode()))

    assert response.status_code == 200


@pytest.mark.parametrize(
    "origin",
    [
        b"https://example.org",
        b"http://example.com",
        b"https://example.com:443",
        b"https://example.com/",
        b"https://EXAMPLE.com",
        b"https://sub.example.com",
        b"https://example.com, https://example.com",
        b"null",
        b"*",
        b"",
        b"\xff",
    ],
)
async def test_another_origin_is_refused(house, origin):
    token = house.sign({"origin": ["https://example.com"]})

    assert is_empty_401(await try_token(house, token, (b"origin", origin)))


async def test_a_token_with_origins_is_refused_without_one(house):
    token = house.sign({"origin": ["https://example.com"]})

    assert is_empty_401(await try_token(house, token))


@pytest.mark.parametrize(
    "origins",
    [None, "https://example.com", {}, {"https://example.com": 1}, True, 1, [1], ["https://example.com", None]],
    ids=repr,
)
async def test_origins_that_are_no_array_of_strings_are_refused(house, origins):
    token = signed(house.private_key, good_header(), good_claims(house, origin=origins))

    assert is_empty_401(await try_token(house, token, (b"origin", b"https://example.com")))


@pytest.mark.parametrize("headers", [[], [(b"origin", b"https://example.com")], [(b"origin", b"")]], ids=repr)
async def test_an_empty_array_of_origins_admits_nobody(house, headers):
    token = signed(house.private_key, good_header(), good_claims(house, origin=[]))

    assert is_empty_401(await try_token(house, token, *headers))


async def test_a_remembered_token_is_asked_for_its_origin_again(house):
    token = house.sign({"origin": ["https://example.com"]})
    await try_token(house, token, (b"origin", b"https://example.com"))

    elsewhere = await try_token(house, token, (b"origin", b"https://example.org"))
    nowhere = await try_token(house, token)
    again = await try_token(house, token, (b"origin", b"https://example.com"))

    assert is_empty_401(elsewhere)
    assert is_empty_401(nowhere)
    assert again.status_code == 200


# Music user tokens


async def my_storefront(house: House, *user_tokens: tuple[str, str]) -> httpx2.Response:
    """Ask as whoever these headers say, through a good developer."""
    headers = [(b"authorization", f"Bearer {house.sign()}".encode())]
    headers += [(name.lower().encode(), value.encode("latin-1")) for name, value in user_tokens]
    return await ask(house.app, "GET", b"/v1/me/storefront", headers)


def storefront_in(response: httpx2.Response) -> str:
    [storefront] = response.json()["data"]
    return str(storefront["id"])


@pytest.mark.parametrize("name", USER_TOKEN_HEADERS)
async def test_a_user_token_is_accepted_in_each_of_three_headers(house, name):
    response = await my_storefront(house, (name, house.ben_token))

    assert response.status_code == 200
    assert storefront_in(response) == "jp"


@pytest.mark.parametrize("name", ["User-Token", "X-Music-User-Token", "X-Media-User-Token", "Cookie"])
async def test_a_user_token_in_another_header_is_not_seen(house, name):
    response = await my_storefront(house, (name, house.ben_token))

    assert error_of(response) == FORBIDDEN


@pytest.mark.parametrize(("first", "second"), PRECEDENCE)
@pytest.mark.parametrize("is_reversed", [False, True], ids=["in order", "reversed"])
async def test_the_first_of_the_three_headers_decides(house, first, second, is_reversed):
    pairs = [(first, house.ada_token), (second, house.ben_token)]

    response = await my_storefront(house, *(reversed(pairs) if is_reversed else pairs))

    assert storefront_in(response) == "us"


@pytest.mark.parametrize(("first", "second"), PRECEDENCE)
@pytest.mark.parametrize("bad", ["", "nonsense"], ids=["empty", "unknown"])
async def test_the_first_of_the_three_headers_decides_even_when_it_is_bad(house, first, second, bad):
    refused = await my_storefront(house, (second, house.ada_token), (first, bad))
    admitted = await my_storefront(house, (second, bad), (first, house.ada_token))

    assert error_of(refused) == FORBIDDEN
    assert storefront_in(admitted) == "us"


@pytest.mark.parametrize(
    "token",
    ["", "nonsense", mint_user_token(os.urandom), "\xff" * 100, "A" * 100_000],
    ids=["empty", "nonsense", "well formed", "bytes", "huge"],
)
async def test_an_unknown_user_token_is_refused(house, token):
    response = await my_storefront(house, (USER_TOKEN_HEADERS[0], token))

    assert response.status_code == 403
    assert error_of(response) == FORBIDDEN


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token[:-1],
        lambda token: token + "=",
        lambda token: token.swapcase(),
        lambda token: f" {token}",
        lambda token: f"Bearer {token}",
        lambda token: digest_of(token.encode()).hex(),
        lambda token: digest_of(token.encode()).decode("latin-1"),
    ],
    ids=["cut", "longer", "other case", "space", "Bearer", "hex digest", "digest"],
)
async def test_a_user_token_that_was_changed_is_unknown(house, change):
    response = await my_storefront(house, (USER_TOKEN_HEADERS[0], change(house.ada_token)))

    assert error_of(response) == FORBIDDEN


async def test_a_user_token_issued_after_it_was_refused_works_at_once(house):
    token = mint_user_token(os.urandom)
    refused = await my_storefront(house, (USER_TOKEN_HEADERS[0], token))
    known = UserToken("abcdefgh", house.ada, TEAM_ID, MONDAY, MONDAY + DAY)
    await house.app.store.add_user_token(digest_of(token.encode()), known)

    admitted = await my_storefront(house, (USER_TOKEN_HEADERS[0], token))

    assert refused.status_code == 403
    assert admitted.status_code == 200


@pytest.mark.parametrize("is_remembered", [False, True], ids=["new", "remembered"])
async def test_a_user_token_lives_for_180_days_to_the_millisecond(house, clock, is_remembered):
    clock.time = MONDAY + 180 * DAY - 1

    if is_remembered:
        last = await my_storefront(house, (USER_TOKEN_HEADERS[0], house.ada_token))
        assert last.status_code == 200
    clock.advance(1)
    expired = await my_storefront(house, (USER_TOKEN_HEADERS[0], house.ada_token))

    assert error_of(expired) == FORBIDDEN


async def revoke_all(house: House, listener: Listener) -> None:
    for token in await house.app.store.user_tokens(listener):
        await house.app.store.revoke_user_token(token.id, now=house.clock())


async def test_a_revoked_user_token_is_refused(house):
    await revoke_all(house, house.ada)

    adas = await my_storefront(house, (USER_TOKEN_HEADERS[0], house.ada_token))
    bens = await my_storefront(house, (USER_TOKEN_HEADERS[0], house.ben_token))

    assert error_of(adas) == FORBIDDEN
    assert bens.status_code == 200


async def test_a_user_token_revoked_after_it_was_seen_is_refused_within_two_seconds(house, clock):
    await my_storefront(house, (USER_TOKEN_HEADERS[0], house.ada_token))
    await revoke_all(house, house.ada)
    clock.advance(BELIEVED_MILLISECONDS - 1)

    believed = await my_storefront(house, (USER_TOKEN_HEADERS[0], house.ada_token))
    clock.advance(1)
    refused = await my_storefront(house, (USER_TOKEN_HEADERS[0], house.ada_token))

    assert believed.status_code == 200
    assert error_of(refused) == FORBIDDEN


async def test_a_user_token_belongs_to_the_developers_team(house, other_team):
    theirs = await issue_user_token(house.app.store, house.ben, team_id=OTHER_TEAM_ID)
    their_developer = signed(other_team, good_header(kid=OTHER_KEY_ID), good_claims(house, iss=OTHER_TEAM_ID))

    async def ask_with(developer_token: str, user_token: str) -> httpx2.Response:
        headers = [(b"authorization", f"Bearer {developer_token}".encode()), (b"music-user-token", user_token.encode())]
        return await ask(house.app, "GET", b"/v1/me/storefront", headers)

    assert (await ask_with(house.sign(), house.ben_token)).status_code == 200
    assert (await ask_with(their_developer, theirs)).status_code == 200
    assert error_of(await ask_with(house.sign(), theirs)) == FORBIDDEN
    assert error_of(await ask_with(their_developer, house.ben_token)) == FORBIDDEN


async def test_a_second_user_token_of_a_listener_shows_the_same_ratings(house, client):
    await client.put(SONG_PATH, content=LIKE_BODY)
    second_token = await issue_user_token(house.app.store, house.ada)

    async with house.client(second_token) as second_client:
        response = await second_client.get(SONG_PATH)

    assert response.status_code == 200


@every_personal_endpoint
async def test_a_removed_listener_is_refused(house, bens_client, method, target):
    await house.app.store.remove_listener("ben")

    response = await bens_client.request(method, target, content=LIKE_BODY)

    assert error_of(response) == FORBIDDEN


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("PUT", SONG_PATH),
        ("PUT", "/v1/me/ratings/library-songs/i.a"),
        ("DELETE", SONG_PATH),
        ("POST", "/v1/me/favorites?ids%5Bsongs%5D=1"),
        ("DELETE", "/v1/me/favorites?ids%5Bsongs%5D=1"),
        ("POST", "/v1/me/library?ids%5Bsongs%5D=1"),
    ],
)
async def test_a_listener_removed_a_moment_ago_cannot_write(house, bens_client, method, target):
    await bens_client.get("/v1/me/storefront")
    await house.app.store.remove_listener("ben")

    response = await bens_client.request(method, target, content=LIKE_BODY)

    assert response.status_code == 403
    assert error_of(response) == FORBIDDEN


async def test_a_listener_removed_a_moment_ago_finds_nothing_and_is_soon_refused(house, bens_client, clock):
    await bens_client.put(SONG_PATH, content=LIKE_BODY)
    await bens_client.put("/v1/me/ratings/library-songs/i.upload", content=LIKE_BODY)
    await house.app.store.remove_listener("ben")

    got = await bens_client.get(SONG_PATH)
    many = await bens_client.get("/v1/me/ratings/songs?ids=907242702")
    removed = await bens_client.delete("/v1/me/library/songs/i.upload")
    clock.advance(BELIEVED_MILLISECONDS)
    later = await bens_client.get(SONG_PATH)

    assert error_of(got) == error_of(removed) == NOT_RATED
    assert many.content == b'{"data":[]}'
    assert error_of(later) == FORBIDDEN


# Whoever came in a moment ago


async def both(house: House, developer_token: str, user_token: str, *more: tuple[bytes, bytes]) -> httpx2.Response:
    headers = [(b"authorization", f"Bearer {developer_token}".encode()), (b"music-user-token", user_token.encode())]
    return await ask(house.app, "GET", b"/v1/me/storefront", [*headers, *more])


async def test_a_listener_who_came_in_is_refused_when_the_developer_token_expires(house, clock, now):
    developer = house.sign({"exp": now + 1})
    first = await both(house, developer, house.ada_token)
    clock.advance(999)

    last = await both(house, developer, house.ada_token)
    clock.advance(1)
    expired = await both(house, developer, house.ada_token)

    assert (first.status_code, last.status_code) == (200, 200)
    assert is_empty_401(expired)


async def test_a_listener_who_comes_in_all_the_time_is_refused_when_the_key_is_revoked(house, clock):
    developer = house.sign()
    await both(house, developer, house.ada_token)
    await house.app.store.revoke_developer_key(KEY_ID, now=clock())
    for _ in range(3):
        clock.advance(BELIEVED_MILLISECONDS // 4)
        believed = await both(house, developer, house.ada_token)
        assert believed.status_code == 200
    clock.advance(BELIEVED_MILLISECONDS // 4)

    refused = await both(house, developer, house.ada_token)

    assert is_empty_401(refused)


async def test_a_listener_who_comes_in_all_the_time_is_refused_when_the_user_token_is_revoked(house, clock):
    developer = house.sign()
    await both(house, developer, house.ada_token)
    await revoke_all(house, house.ada)
    for _ in range(3):
        clock.advance(BELIEVED_MILLISECONDS // 4)
        believed = await both(house, developer, house.ada_token)
        assert believed.status_code == 200
    clock.advance(BELIEVED_MILLISECONDS // 4)

    refused = await both(house, developer, house.ada_token)

    assert error_of(refused) == FORBIDDEN


async def test_who_came_in_says_nothing_for_the_one_token_without_the_other(house):
    developer, other_developer = house.sign(), house.sign({"iss": OTHER_TEAM_ID})
    await both(house, developer, house.ada_token)

    bad_developer = await both(house, other_developer, house.ada_token)
    bad_listener = await both(house, developer, "nonsense")
    other_listener = await both(house, developer, house.ben_token)

    assert is_empty_401(bad_developer)
    assert error_of(bad_listener) == FORBIDDEN
    assert storefront_in(other_listener) == "jp"


async def test_who_came_in_is_refused_with_a_repeated_authorization(house):
    developer = house.sign()
    await both(house, developer, house.ada_token)

    response = await both(house, developer, house.ada_token, (b"authorization", f"Bearer {developer}".encode()))

    assert is_empty_401(response)


async def test_who_came_in_from_one_origin_is_refused_from_another(house):
    developer = house.sign({"origin": ["https://example.com"]})
    at_home = await both(house, developer, house.ada_token, (b"origin", b"https://example.com"))

    elsewhere = await both(house, developer, house.ada_token, (b"origin", b"https://example.org"))
    nowhere = await both(house, developer, house.ada_token)

    assert at_home.status_code == 200
    assert is_empty_401(elsewhere)
    assert is_empty_401(nowhere)


# Isolation


async def test_one_listener_never_sees_anothers_ratings(client, bens_client):
    await client.put(SONG_PATH, content=LIKE_BODY)
    await client.put("/v1/me/ratings/library-songs/i.upload", content=LIKE_BODY)

    assert error_of(await bens_client.get(SONG_PATH)) == NOT_RATED
    assert error_of(await bens_client.delete(SONG_PATH)) == NOT_RATED
    assert error_of(await bens_client.get("/v1/me/ratings/library-songs/i.upload")) == NOT_RATED
    assert (await bens_client.get("/v1/me/ratings/songs?ids=907242702")).content == b'{"data":[]}'
    assert (await client.get(SONG_PATH)).status_code == 200


async def test_two_listeners_rate_the_same_song_apart(client, bens_client):
    await client.put(SONG_PATH, content=LIKE_BODY)
    await bens_client.put(SONG_PATH, content=DISLIKE_BODY)
    await client.delete(SONG_PATH)

    assert error_of(await client.get(SONG_PATH)) == NOT_RATED
    assert (await bens_client.get(SONG_PATH)).json()["data"][0]["attributes"] == {"value": -1}


async def test_one_listener_never_sees_anothers_library(client, bens_client):
    await client.post("/v1/me/library?ids[songs]=907242702")
    [item] = (await client.get("/v1/me/library/songs")).json()["data"]

    page = await bens_client.get("/v1/me/library/songs")
    one = await bens_client.get(item["href"])
    many = await bens_client.get(f"/v1/me/library?ids[library-songs]={item['id']}")
    twin = await bens_client.get("/v1/catalog/jp/songs/907242702/library")
    removed = await bens_client.delete(item["href"])

    assert page.json() == {"data": [], "meta": {"total": 0}}
    assert many.json() == {"data": []}
    assert [one.status_code, twin.status_code, removed.status_code] == [404, 404, 404]
    assert (await client.get(item["href"])).json() == {"data": [item]}


# What is remembered is bounded


def test_the_oldest_of_too_many_remembered_things_is_forgotten():
    remembered: Remembered[bytes, int] = Remembered(2)
    for number, token in enumerate([b"a", b"b", b"c"]):
        remembered.put(token, number)

    assert len(remembered) == 2
    assert [remembered.get(token) for token in (b"a", b"b", b"c")] == [None, 1, 2]


def test_remembering_a_thing_again_forgets_no_other():
    remembered: Remembered[bytes, int] = Remembered(2)
    for number, token in enumerate([b"a", b"b", b"a"]):
        remembered.put(token, number)

    assert [remembered.get(token) for token in (b"a", b"b")] == [2, 1]


async def test_a_gate_remembers_no_more_than_its_limit_and_admits_everybody_all_the_same(house):
    gate = Gate(house.app.store, now=house.clock)
    gate._developer_tokens = Remembered(2)
    gate._user_tokens = Remembered(2)
    gate._admitted = Remembered(2)
    tokens = [await issue_user_token(house.app.store, house.ada) for _ in range(5)]

    for _ in range(2):
        for seconds, token in enumerate(tokens, start=60):
            headers = {
                "Authorization": f"Bearer {house.sign({'exp': house.clock() // 1000 + seconds})}",
                "Music-User-Token": token,
            }
            assert await gate.listener(Headers(raw_headers(headers))) == house.ada

    assert len(gate._developer_tokens) == 2
    assert len(gate._user_tokens) == 2
    assert len(gate._admitted) == 2


async def test_a_gate_remembers_nothing_of_those_it_refused(house):
    gate = Gate(house.app.store, now=house.clock)
    good = f"Bearer {house.sign()}".encode()
    attempts = [
        [(b"authorization", b"Bearer nonsense")],
        [(b"authorization", b"Bearer " + house.sign({"iss": OTHER_TEAM_ID}).encode())],
        [(b"authorization", b"Bearer " + house.sign(headers={"kid": OTHER_KEY_ID}).encode())],
        [(b"authorization", good), (b"music-user-token", b"nonsense")],
    ]

    for headers in attempts:
        with pytest.raises(Exception, match="token"):
            await gate.listener(Headers(headers))

    assert len(gate._developer_tokens) == 1  # the good one
    assert len(gate._user_tokens) == 0
    assert len(gate._admitted) == 0
    assert list(gate._keys) == [KEY_ID]


async def test_a_clock_that_is_set_back_keeps_no_revoked_token_alive(house):
    token_of_old = house.sign({"iat": house.clock() // 1000 - 7200, "exp": house.clock() // 1000 + 3600})
    async with house.client(developer_token=token_of_old) as client:
        client.headers["Music-User-Token"] = house.ada_token
        assert (await client.get(SONG_PATH)).status_code == 404
        [token] = await house.app.store.user_tokens(house.ada)
        await house.app.store.revoke_user_token(token.id, now=house.clock())

        house.clock.advance(-3_600_000)

        assert (await client.get(SONG_PATH)).status_code == 403
