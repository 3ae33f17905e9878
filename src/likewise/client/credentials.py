"""Who calls, and whom: developer tokens, given or minted from a private key, and the base URL.

What is a secret here never shows in a `repr` or an error.
"""

import re
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import TypeAlias

import httpx2

from likewise.domain import key_id_of, team_id_of
from likewise.errors import BadDeveloperToken, BadKey, BadName, BadSetting, BadUserToken

APPLE = "https://api.music.apple.com"

TOKEN_CHARACTERS_MAX = 8_192
_TOKEN_SECONDS = 43_200
_TOKEN_SECONDS_LEFT_MIN = 600
_KEY_BYTES_MAX = 64 * 1024
_PORT_MAX = 65_535

# What a header can carry. Anything else could end up in an error of the HTTP library, secret and all.
_is_token = re.compile(rf"[!-~]{{1,{TOKEN_CHARACTERS_MAX}}}").fullmatch


class SigningKey:
    """The private half of a developer key, from which a client mints developer tokens of 12 hours as it needs them.

    `private_key` is the path of a `.p8` file, or its text, which begins with `-----BEGIN`. Without a `key_id` it is
    read from a file name like Apple's, `AuthKey_ABC123DEFG.p8`. Raise `BadKey` for what is no P-256 key or cannot be
    read, `BadName` for a team id or key id that does not have 10 letters and digits.
    """

    def __init__(self, private_key: str | bytes | PathLike[str], *, team_id: str, key_id: str | None = None) -> None:
        # Not before it is needed, for cryptography costs every other client its start.
        from likewise.tokens import read_private_key  # noqa: PLC0415 - see above

        text, named = _key_text(private_key)
        if key_id is None and named is None:
            raise BadName("the key has no key id", "give key_id, or name the file AuthKey_ABC123DEFG.p8")
        read_private_key(text)
        self._private_key = text
        self.team_id = team_id_of(team_id)
        self.key_id = key_id_of(key_id or named or "")

    def mint(self, *, now_seconds: int, seconds: int = _TOKEN_SECONDS) -> str:
        """Sign a developer token that lives for `seconds`, at most 15 777 000."""
        from likewise.tokens import mint_developer_token  # noqa: PLC0415 - as above

        return mint_developer_token(
            self._private_key, key_id=self.key_id, team_id=self.team_id, now_seconds=now_seconds, seconds=seconds
        )

    def __repr__(self) -> str:
        return f"SigningKey(team_id={self.team_id!r}, key_id={self.key_id!r})"


TokenSource: TypeAlias = Callable[[], str]


def token_source(developer_token: str | SigningKey, now: Callable[[], float]) -> TokenSource:
    """Make what gives a good developer token whenever it is asked; raise `BadDeveloperToken`."""
    if isinstance(developer_token, SigningKey):
        return _Minted(developer_token, now)
    if not _is_token(developer_token):
        raise BadDeveloperToken("the developer token is empty, too long, or holds what no header can carry")
    return lambda: developer_token


def checked_user_token(user_token: str | None) -> str | None:
    """Check that a header can carry the music user token; raise `BadUserToken`."""
    if user_token is not None and not _is_token(user_token):
        raise BadUserToken("the music user token is empty, too long, or holds what no header can carry")
    return user_token


class _Minted:
    """The last developer token that was minted, until it nears its end."""

    def __init__(self, key: SigningKey, now: Callable[[], float]) -> None:
        self._key = key
        self._now = now
        self._token = ""
        self._minted = 0.0

    def __call__(self) -> str:
        now = self._now()
        # One from the future was minted before the clock was set back.
        if not self._token or not self._minted <= now < self._minted + _TOKEN_SECONDS - _TOKEN_SECONDS_LEFT_MIN:
            self._token, self._minted = self._key.mint(now_seconds=int(now)), now
        return self._token


def checked_base_url(base_url: str) -> str:
    """Return a base URL without slashes at its end; raise `BadSetting` for what is none."""
    try:
        url = httpx2.URL(base_url)
        url.raw_host.decode().encode("idna")  # as the resolver will, which fails less politely
    except (httpx2.InvalidURL, UnicodeError) as error:
        raise BadSetting("the base URL is no URL", f"give one like {APPLE}") from error
    if url.scheme not in {"http", "https"} or not url.host or (url.port or 0) > _PORT_MAX:
        raise BadSetting("the base URL is no http or https URL of a server", f"give one like {APPLE}")
    if url.userinfo or url.query or url.fragment:
        raise BadSetting(
            "the base URL holds more than scheme, host, port and path", "leave out user, password, query and fragment"
        )
    return str(url).rstrip("/")


def _key_text(private_key: str | bytes | PathLike[str]) -> tuple[bytes, str | None]:
    """Return the text of a key, and the key id that the name of its file tells."""
    if isinstance(private_key, bytes):
        return private_key, None
    if isinstance(private_key, str) and private_key.lstrip().startswith("-----BEGIN"):
        return private_key.encode(), None
    path = Path(private_key)
    try:
        with path.open("rb") as file:
            text = file.read(_KEY_BYTES_MAX)
    except (OSError, ValueError) as error:
        # The path is not shown: it may well be a key that lost its first line.
        raise BadKey("the key file cannot be read", "give the path of a .p8 file that is yours to read") from error
    name = path.stem
    return text, name.removeprefix("AuthKey_") if name.startswith("AuthKey_") else None
