"""Developer tokens and music user tokens: mint, verify, remember. Knows no store.

The rules: https://developer.apple.com/documentation/applemusicapi/generating-developer-tokens and
https://developer.apple.com/documentation/applemusicapi/user-authentication-for-musickit
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from ipaddress import IPv6Address
from typing import Any, Generic, NamedTuple, TypeGuard, TypeVar
from urllib.parse import urlsplit

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.api_jws import PyJWS

from likewise.domain import DeveloperKey, Time, has_apple_id
from likewise.errors import BadDeveloperToken, BadKey, BadName

DEVELOPER_TOKEN_SECONDS_MAX = 15_777_000
"""Six months, Apple's limit."""
CLOCK_SKEW_SECONDS = 60
USER_TOKEN_DAYS = 180
USER_TOKEN_BYTES = 64
_TOKEN_ID_BYTES = 10
REMEMBERED_MAX = 10_000
_DEVELOPER_TOKEN_CHARACTERS_MAX = 8_192
_PORTS = {"http": 80, "https": 443}

Token = TypeVar("Token")
Known = TypeVar("Known")

_jws = PyJWS(algorithms=["ES256"])
# Base64url whose last character has no bits that mean nothing (RFC 4648, section 3.5). Else one signature would have 16
# spellings, and each would be remembered as a token of its own.
_IN_BASE64URL = rb"(?:[\w-]{4})*(?:[\w-][AQgw]|[\w-]{2}[AEIMQUYcgkosw048])?"
_is_compact_jws = re.compile(rb"%b\.%b\.[\w-]{85}[AQgw]" % (_IN_BASE64URL, _IN_BASE64URL)).fullmatch

_is_host = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]").fullmatch


# Keys


def read_private_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """Read a P-256 private key as Apple issues it (`.p8`: PKCS #8 in PEM); raise `BadKey`."""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except TypeError as error:
        raise BadKey(
            "the private key has a password", "take it off: `openssl pkey -in KEY.p8 -out PLAIN.p8`"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        if b"PUBLIC KEY" in pem:
            raise BadKey(
                "this is a public key; minting needs the private one", "give the .p8 file that holds the private key"
            ) from error
        raise BadKey("this is no private key in PEM", "give the .p8 file of the developer key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BadKey(f"the key is {_described(key)}, not P-256", _HINT_NEW_KEY)
    return key


def read_public_key(text: bytes) -> str:
    """Read the public half of a P-256 key from PEM, JWK or a private `.p8`, and return it as PEM; raise `BadKey`."""
    if text.lstrip().startswith(b"{"):
        key: Any = _read_jwk(text)
    elif b"PRIVATE KEY" in text:
        key = read_private_key(text).public_key()
    else:
        try:
            key = serialization.load_pem_public_key(text)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise BadKey("this is no public key in PEM or JWK", _HINT_NEW_KEY) from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BadKey(f"the key is {_described(key)}, not P-256", _HINT_NEW_KEY)
    encoding, format = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(encoding, format).decode()


def generate_private_key() -> bytes:
    """Make a P-256 key in the form of Apple's `.p8` files."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


_HINT_NEW_KEY = "make one with `openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt`"


def _read_jwk(text: bytes) -> Any:
    try:
        key = jwt.PyJWK(json.loads(text), "ES256").key
    except (ValueError, TypeError, RecursionError, jwt.PyJWTError) as error:
        raise BadKey("this is no P-256 key in JWK (RFC 7517)", _HINT_NEW_KEY) from error
    return key.public_key() if isinstance(key, ec.EllipticCurvePrivateKey) else key


def _described(key: object) -> str:
    curve = getattr(key, "curve", None)
    return (
        curve.name
        if curve
        else type(key).__name__.strip("_").removesuffix("Key").removesuffix("Private").removesuffix("Public")
    )


# Developer tokens


class DeveloperToken(NamedTuple):
    """What a verified developer token says. Times are seconds; `origins` None means any."""

    key_id: str
    team_id: str
    expires: float
    origins: frozenset[str] | None

    def check(self, *, now_seconds: float, origin: str | None) -> None:
        """Raise `BadDeveloperToken` when the token has expired or is not for this web origin."""
        if self.expires <= now_seconds:
            raise BadDeveloperToken("the developer token has expired")
        if self.origins is not None and origin not in self.origins:
            raise BadDeveloperToken("the developer token is not for this origin")


def mint_developer_token(
    private_key: bytes, *, key_id: str, team_id: str, now_seconds: int, seconds: int, origins: Sequence[str] = ()
) -> str:
    """Sign a developer token that lives for `seconds`, at most 15 777 000; raise `BadKey` for what is no P-256 key."""
    claims: dict[str, Any] = {"iss": team_id, "iat": now_seconds, "exp": now_seconds + seconds}
    if origins:
        claims["origin"] = list(origins)
    return jwt.encode(claims, read_private_key(private_key), algorithm="ES256", headers={"kid": key_id, "typ": None})


def origin_of(text: str) -> str:
    """Check that a web origin is written as browsers send it (RFC 6454, section 6.2); raise `BadName`."""
    origin = _origin_in(text)
    if origin is None or origin != text:
        hint = f"did you mean {origin}?" if origin else "write it like https://example.org or http://localhost:3000"
        raise BadName(f"{text!r} is no web origin as browsers send it", hint)
    return origin


def _origin_in(url: str) -> str | None:
    """Return the origin of a URL: in lower case and ASCII, without the port that its scheme has anyway."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        host = f"[{IPv6Address(host)}]" if ":" in host else host.encode("idna").decode()
    except (ValueError, UnicodeError):
        return None
    if not parts.scheme or not _is_host(host):
        return None
    has_port = port is not None and port != _PORTS.get(parts.scheme)
    return f"{parts.scheme}://{host}" + (f":{port}" if has_port else "")


def key_id_of_token(token: bytes) -> str:
    """Read which key a developer token claims to be signed with; raise `BadDeveloperToken` for what is no ES256 JWT."""
    if len(token) > _DEVELOPER_TOKEN_CHARACTERS_MAX or not _is_compact_jws(token):
        raise BadDeveloperToken("the developer token is no signed JWT")
    try:
        header = _jws.get_unverified_header(token)
    except (jwt.PyJWTError, RecursionError) as error:
        raise BadDeveloperToken("the developer token has no readable header") from error
    key_id = header.get("kid")
    if header.get("alg") != "ES256" or not isinstance(key_id, str) or not has_apple_id(key_id):
        raise BadDeveloperToken("the developer token is not signed with ES256 by a named key")
    return key_id


def verify_developer_token(token: bytes, key: DeveloperKey, *, now_seconds: float) -> DeveloperToken:
    """Check signature and claims of a developer token; raise `BadDeveloperToken` with the reason."""
    try:
        payload = _jws.decode_complete(token, key.public_key, algorithms=["ES256"])["payload"]
        claims = msgspec.json.decode(payload.decode())
    except (jwt.PyJWTError, UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise BadDeveloperToken("the developer token's signature or payload is bad") from error
    if not isinstance(claims, dict) or claims.get("iss") != key.team_id:
        raise BadDeveloperToken("the developer token's issuer is not the team of its key")
    issued, expires, origins = claims.get("iat"), claims.get("exp"), claims.get("origin")
    if not _is_number(issued) or not _is_number(expires):
        raise BadDeveloperToken("the developer token has no numeric iat or exp")
    # Written so that NaN, which compares as false to everything, is refused.
    if not issued <= now_seconds + CLOCK_SKEW_SECONDS:
        raise BadDeveloperToken("the developer token was issued in the future")
    if not now_seconds < expires <= now_seconds + DEVELOPER_TOKEN_SECONDS_MAX + CLOCK_SKEW_SECONDS:
        raise BadDeveloperToken("the developer token has expired or lives for more than six months")
    if "origin" not in claims:
        return DeveloperToken(key.id, key.team_id, expires, None)
    if not isinstance(origins, list) or not all(isinstance(origin, str) for origin in origins):
        raise BadDeveloperToken("the developer token's origin is no array of strings")
    return DeveloperToken(key.id, key.team_id, expires, frozenset(origins))


def _is_number(claim: object) -> TypeGuard[float]:
    return isinstance(claim, int | float) and not isinstance(claim, bool)


# Music user tokens


def mint_user_token(random_bytes: Callable[[int], bytes]) -> str:
    """Make a music user token: 64 random bytes in standard base64, which ends in `==` as clients expect."""
    return base64.b64encode(random_bytes(USER_TOKEN_BYTES)).decode()


def digest_of(user_token: bytes) -> bytes:
    """Return the SHA-256 of a music user token's text: all that is ever stored of it."""
    return hashlib.sha256(user_token).digest()


def mint_token_id(random_bytes: Callable[[int], bytes]) -> str:
    """Make a name for a user token, which says nothing about it: 16 characters of `a-z2-7`.

    PostgreSQL does not look whether one was given before, for over many machines it would have to ask them all. Of ten
    bytes, two among a thousand million tokens are the same in fewer than one case in a million.
    """
    return base64.b32encode(random_bytes(_TOKEN_ID_BYTES)).decode().lower()


def user_token_expiry(now: Time, *, days: int = USER_TOKEN_DAYS) -> Time:
    return now + days * 86_400_000


# What has been verified is remembered


class Remembered(Generic[Token, Known]):
    """The last things that were found out, by token; at most `entries_max`, the oldest goes first."""

    def __init__(self, entries_max: int = REMEMBERED_MAX) -> None:
        self._entries_max = entries_max
        self._entries: dict[Token, Known] = {}
        self.get = self._entries.get

    def put(self, token: Token, known: Known) -> None:
        if token not in self._entries and len(self._entries) >= self._entries_max:
            del self._entries[next(iter(self._entries))]
        self._entries[token] = known

    def __len__(self) -> int:
        return len(self._entries)
