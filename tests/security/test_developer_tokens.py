"""Developer tokens as attackers make them: what RFC 7515 shows, and what RFC 8725 warns of.

What `tests/test_gate.py` has of signatures, claims and times is not said again here.
"""

import base64
import itertools
import json

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from likewise.domain import DeveloperKey
from likewise.errors import BadDeveloperToken
from likewise.gate import AUTHORIZATION_BYTES_MAX
from likewise.tokens import key_id_of_token, read_public_key, verify_developer_token
from tests.house import (
    KEY_ID,
    MONDAY,
    TEAM_ID,
    ask,
    encoded,
    good_claims,
    good_header,
    is_empty_401,
    numbers_of_signature,
    packed,
    raw_signature,
    signed,
)

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

CLAIMS = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"

# RFC 7515, appendix A: each with the key that it is good with.
A1_HS256 = (
    f"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{CLAIMS}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    {
        "kty": "oct",
        "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
    },
)
_A2_SIGNATURE = (
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9"
    "uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB"
    "_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rq"
    "Vt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
)
_A2_MODULUS = (
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yR"
    "T-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXB"
    "dQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9ia"
    "GNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
)
A2_RS256 = f"eyJhbGciOiJSUzI1NiJ9.{CLAIMS}.{_A2_SIGNATURE}", {"kty": "RSA", "n": _A2_MODULUS, "e": "AQAB"}
A3_ES256 = (
    f"eyJhbGciOiJFUzI1NiJ9.{CLAIMS}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    {
        "kty": "EC",
        "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    },
)
_A4_SIGNATURE = (
    "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCA"
    "PZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn"
)
A4_ES512 = (
    f"eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.{_A4_SIGNATURE}",
    {
        "kty": "EC",
        "crv": "P-521",
        "x": "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
        "y": "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2",
    },
)
A5_NONE = f"eyJhbGciOiJub25lIn0.{CLAIMS}."
VECTORS = {"HS256": A1_HS256, "RS256": A2_RS256, "ES256": A3_ES256, "ES512": A4_ES512}


async def try_token(house, token):
    bearer = token if isinstance(token, bytes) else token.encode()
    return await ask(house.app, "GET", b"/v1/test", [(b"authorization", b"Bearer " + bearer)])


def spellings(segment: str) -> list[str]:
    """All texts but the given one that lax decoders take for the same bytes."""
    wanted = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    others = (segment[:-1] + last for last in alphabet if last != segment[-1])
    return [other for other in others if base64.urlsafe_b64decode(other + "=" * (-len(other) % 4)) == wanted]


# RFC 7515, appendix A


@pytest.mark.parametrize("algorithm", VECTORS)
def test_each_vector_of_the_rfc_is_good_where_its_algorithm_is_welcome(algorithm):
    token, jwk = VECTORS[algorithm]

    assert jwt.PyJWS().decode(token, jwt.PyJWK(jwk, algorithm).key, algorithms=[algorithm])


@pytest.mark.parametrize("algorithm", VECTORS)
async def test_each_vector_of_the_rfc_is_refused_for_it_names_no_key(house, algorithm):
    assert is_empty_401(await try_token(house, VECTORS[algorithm][0]))


async def test_the_unsecured_vector_of_the_rfc_is_refused(house):
    assert is_empty_401(await try_token(house, A5_NONE))


def test_the_es256_vector_passes_the_signature_check_and_fails_at_its_claims():
    key = DeveloperKey(KEY_ID, TEAM_ID, read_public_key(json.dumps(A3_ES256[1]).encode()), MONDAY)

    with pytest.raises(BadDeveloperToken, match="issuer is not the team"):
        verify_developer_token(A3_ES256[0].encode(), key, now_seconds=1_300_819_379)


@pytest.mark.parametrize("position", [0, 40, -1])
def test_with_one_character_of_its_signature_changed_the_es256_vector_fails_at_the_signature(position):
    key = DeveloperKey(KEY_ID, TEAM_ID, read_public_key(json.dumps(A3_ES256[1]).encode()), MONDAY)
    message, _, signature = A3_ES256[0].rpartition(".")
    letters = list(signature)
    letters[position] = "A" if letters[position] != "A" else "Q"

    with pytest.raises(BadDeveloperToken, match="signature or payload is bad"):
        verify_developer_token(f"{message}.{''.join(letters)}".encode(), key, now_seconds=1_300_819_379)


# Algorithms (RFC 8725, sections 2.1 and 3.1)


@pytest.mark.parametrize("alg", ["".join(letters) for letters in itertools.product("nN", "oO", "nN", "eE")])
@pytest.mark.parametrize("signature", ["", "A" * 86, "good"])
async def test_none_is_no_algorithm_in_whatever_letters(house, alg, signature):
    header, claims = good_header(alg=alg), good_claims(house)
    token = (
        signed(house.private_key, header, claims) if signature == "good" else f"{packed(header, claims)}.{signature}"
    )

    assert is_empty_401(await try_token(house, token))


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512", "ES256"])
@pytest.mark.parametrize("form", ["PEM", "DER", "point", "compressed point", "JWK", "x"])
async def test_the_public_key_in_no_form_is_a_secret_that_signs(house, alg, form):
    public_key = serialization.load_pem_public_key(read_public_key(house.private_key).encode())
    assert isinstance(public_key, ec.EllipticCurvePublicKey)
    encoding, format = serialization.Encoding, serialization.PublicFormat
    secret = {
        "PEM": read_public_key(house.private_key).encode(),
        "DER": public_key.public_bytes(encoding.DER, format.SubjectPublicKeyInfo),
        "point": public_key.public_bytes(encoding.X962, format.UncompressedPoint),
        "compressed point": public_key.public_bytes(encoding.X962, format.CompressedPoint),
        "JWK": jwt.algorithms.ECAlgorithm.to_jwk(public_key).encode(),
        "x": public_key.public_numbers().x.to_bytes(32),
    }[form]
    message = packed(good_header(alg=alg), good_claims(house))
    digest = jwt.algorithms.HMACAlgorithm.SHA512 if alg == "HS512" else jwt.algorithms.HMACAlgorithm.SHA256
    mac = jwt.algorithms.HMACAlgorithm(digest)

    token = f"{message}.{encoded(mac.sign(message.encode(), secret))}"

    assert is_empty_401(await try_token(house, token))


# Keys that a token brings or names


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256"])
@pytest.mark.parametrize("value", [{"kty": "EC"}, "https://attacker.example/keys.json", ["MIIB"], "file:///etc/passwd"])
async def test_what_a_header_says_of_other_keys_is_not_read(house, name, value):
    good = signed(house.private_key, good_header(**{name: value}), good_claims(house))

    assert (await try_token(house, good)).status_code == 200
    assert is_empty_401(
        await try_token(house, A3_ES256[0].replace("eyJhbGciOiJFUzI1NiJ9", encoded(good_header(**{name: value}))))
    )


@pytest.mark.parametrize(
    "key_id",
    [
        "../../../x",
        "..%2f..%2f",
        "/dev/null/",
        "' OR 1=1--",
        "'; DROP --",
        "ABC123DEF\0",
        "ABC123DEF\n",
        "ABC123DEF%",
        "\u0410BC123DEFG",  # a Cyrillic capital A
        "ABC\uff1123DEFG",  # a full-width 1
        "ABC\u066123DEFG",  # an Arabic-Indic 1
        "ABC123DEFG\u200b",
        "ABC123DEF\u0130",
        ["ABC123DEFG"],
        {"ABC123DEFG": 1},
        True,
    ],
    ids=repr,
)
async def test_a_key_id_is_ten_letters_and_digits_and_nothing_that_looks_or_acts_like_them(house, key_id):
    token = signed(house.private_key, good_header(kid=key_id), good_claims(house))

    assert is_empty_401(await try_token(house, token))


# The form (RFC 7515, section 3.1; RFC 8725, section 2.7)


@pytest.mark.parametrize("parts", [1, 2, 4, 5, 6])
async def test_a_token_has_three_parts_so_an_encrypted_one_is_refused(house, parts):
    token = ".".join((house.sign().split(".") * 2)[:parts])

    assert is_empty_401(await try_token(house, token))


async def test_a_token_in_a_token_is_refused(house):
    nested = signed(house.private_key, good_header(cty="JWT"), house.sign().encode())

    assert is_empty_401(await try_token(house, nested))


async def test_the_json_serialization_is_refused(house):
    header, claims, signature = house.sign().split(".")
    document = {"payload": claims, "protected": header, "signature": signature}

    assert is_empty_401(await try_token(house, json.dumps(document, separators=(",", ":"))))


@pytest.mark.parametrize("blank", ["\n", "\r\n", "\t", "\x0b", "\u00a0"], ids=repr)
@pytest.mark.parametrize("where", ["before", "after", "before a dot"])
async def test_no_blank_but_spaces_stands_around_a_token(house, blank, where):
    token = house.sign()
    spoiled = {"before": blank + token, "after": token + blank, "before a dot": token.replace(".", f"{blank}.", 1)}

    assert is_empty_401(await try_token(house, spoiled[where]))


@pytest.mark.parametrize("segment", [0, 1, 2])
@pytest.mark.parametrize("blanks", [1, 2])
async def test_a_segment_has_one_spelling(house, segment, blanks):
    """The last character of base64 may hold bits that mean nothing, which lax decoders drop."""
    header = good_header(x="")
    header += b" " * ((blanks - len(header)) % 3)
    claims = good_claims(house)
    claims += b" " * ((blanks - len(claims)) % 3)
    segments = signed(house.private_key, header, claims).split(".")
    assert (await try_token(house, ".".join(segments))).status_code == 200
    others = spellings(segments[segment])
    assert others

    for other in others:
        # Of header and claims another spelling is signed too, which only whoever has the key can do.
        message = ".".join([*segments[:segment], other, *segments[segment + 1 : 2]])
        signature = other if segment == 2 else encoded(raw_signature(*numbers_of_signature(house.private_key, message)))
        token = f"{'.'.join(segments[:2]) if segment == 2 else message}.{signature}"

        assert is_empty_401(await try_token(house, token))


@pytest.mark.parametrize(
    ("members", "is_good"),
    [
        ('"alg":"none","alg":"ES256","kid":"ABC123DEFG"', True),
        ('"alg":"ES256","kid":"ABC123DEFG","alg":"none"', False),
        ('"kid":"XXXXXXXXXX","alg":"ES256","kid":"ABC123DEFG"', True),
        ('"alg":"ES256","kid":"ABC123DEFG","kid":"XXXXXXXXXX"', False),
    ],
)
async def test_of_a_repeated_member_of_the_header_the_last_counts_everywhere(house, members, is_good):
    response = await try_token(house, signed(house.private_key, f"{{{members}}}".encode(), good_claims(house)))

    assert response.status_code == 200 if is_good else is_empty_401(response)


# Numbers as claims


@pytest.mark.parametrize(
    "exp",
    [
        "NaN",
        "Infinity",
        "-Infinity",
        "1e400",
        "-1e400",
        "1e308",
        "-1",
        "-0.0",
        "0",
        "true",
        "false",
        "1" * 400,
        '"9999999999"',
    ],
)
async def test_an_expiry_that_is_no_moment_soon_is_refused(house, exp):
    now = house.clock() // 1000
    payload = f'{{"iss":"{TEAM_ID}","iat":{now},"exp":{exp}}}'.encode()

    assert is_empty_401(await try_token(house, signed(house.private_key, good_header(), payload)))


@pytest.mark.parametrize("iat", ["NaN", "Infinity", "-Infinity", "1e400", "true", "false", '"0"', "[]"])
async def test_a_time_of_issue_that_is_no_number_is_refused(house, iat):
    payload = f'{{"iss":"{TEAM_ID}","iat":{iat},"exp":{house.clock() // 1000 + 60}}}'.encode()

    assert is_empty_401(await try_token(house, signed(house.private_key, good_header(), payload)))


# Signatures


@pytest.mark.parametrize("r", ["good", 0, P256_ORDER, P256_ORDER + 1, 2**256 - 1])
@pytest.mark.parametrize("s", ["good", 0, P256_ORDER, P256_ORDER + 1, 2**256 - 1])
async def test_numbers_of_a_signature_lie_between_zero_and_the_order(house, r, s):
    message = packed(good_header(), good_claims(house))
    good_r, good_s = numbers_of_signature(house.private_key, message)
    signature = raw_signature(good_r if r == "good" else r, good_s if s == "good" else s)

    response = await try_token(house, f"{message}.{encoded(signature)}")

    assert response.status_code == 200 if (r, s) == ("good", "good") else is_empty_401(response)


# What is remembered of them


async def test_a_header_of_many_blanks_fills_no_memory(house):
    """Whoever may come in is remembered by the header: 10 000 of 64 KiB each would be 640 MB."""
    token = house.sign().encode()

    def headers(blanks):
        header = b"Bearer " + b" " * blanks + token
        return len(header), [(b"authorization", header), (b"music-user-token", house.ada_token.encode())]

    length, within = headers(AUTHORIZATION_BYTES_MAX - len(b"Bearer ") - len(token))
    _, beyond = headers(AUTHORIZATION_BYTES_MAX - len(b"Bearer ") - len(token) + 1)
    assert length == AUTHORIZATION_BYTES_MAX

    assert (await ask(house.app, "GET", b"/v1/me/storefront", within)).status_code == 200
    assert is_empty_401(await ask(house.app, "GET", b"/v1/me/storefront", beyond))


def test_a_key_id_is_read_from_nothing_longer_than_a_token_may_be():
    with pytest.raises(BadDeveloperToken, match="no signed JWT"):
        key_id_of_token(A3_ES256[0].encode() + b"A" * 8_192)
