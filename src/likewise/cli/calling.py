"""How the commands reach a server: which one, with whose tokens, and what they say when it refuses.

Tokens come from variables, files, standard input or a profile, never from the command line, which everybody on the
machine can read. Tokens and the URL they are for come from one place together, so that none is sent elsewhere.
"""

import logging
import os
import stat
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import click

from likewise import errors
from likewise.cli.running import default_folder, find_neighbour
from likewise.cli.variables import DEVELOPER_TOKEN, KEY_FILE, KEY_ID, PROFILE, TEAM_ID, URL, USER_TOKEN
from likewise.client import Client, Limits, SigningKey
from likewise.client.credentials import checked_base_url
from likewise.domain import KINDS, Kind, has_listener_name
from likewise.errors import BadName, BadSetting, CallFailed

Command = TypeVar("Command", bound=Callable[..., Any])

DEFAULT_LISTENER = "ada"
DEFAULT_PROFILE = "default"
_FILE_BYTES_MAX = 64 * 1024
_PROFILE_KEYS = {"url", "developer_token", "key_file", "team_id", "key_id", "user_token"}
_HINT_WAYS = "start `likewise dev`, or see docs/client.md for variables and profiles"


class Access(NamedTuple):
    """A server, and the tokens for it."""

    url: str
    developer_token: str | SigningKey
    user_token: str

    def __repr__(self) -> str:
        return f"Access(url={self.url!r})"


def server_options(command: Command) -> Command:
    """Give a command the options that say which server it asks."""
    options = [
        click.option("--url", metavar="URL", help="The server to ask. [variable: LIKEWISE_URL]"),
        click.option("--profile", metavar="NAME", help="Ask as NAME.toml in the configuration folder says."),
        click.option(
            "--developer-token-file",
            metavar="FILE",
            help="A developer token. [variable: LIKEWISE_DEVELOPER_TOKEN_FILE]",
        ),
        click.option(
            "--user-token-file", metavar="FILE", help="A music user token. [variable: LIKEWISE_USER_TOKEN_FILE]"
        ),
        click.option("--as", "asking_as", metavar="NAME", help="Whom to ask for on a `likewise dev`. [default: ada]"),
    ]
    for option in reversed(options):
        command = option(command)
    return command


per_second_option = click.option(
    "--per-second",
    type=click.FloatRange(min=0, min_open=True, max=1_000),
    default=5.0,
    show_default=True,
    help="How many requests a second to make.",
)


@contextmanager
def calling(**options: str | None) -> Iterator[Client]:
    """Open a client to the server that options and environment name, and explain what it refuses."""
    with calling_with(find_access(os.environ, **options)) as client:
        yield client


@contextmanager
def calling_with(access: Access, *, per_second: float | None = None) -> Iterator[Client]:
    """Open a client to a server, of so many requests a second, and explain what it refuses."""
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # a line for each request is nothing for people
    if _is_plain(access.url):
        click.echo(f"warning: whoever is between here and {access.url} can read the tokens; use https", err=True)
    limits = Limits(per_second_max=per_second)
    with explained(), Client(access.developer_token, access.user_token, base_url=access.url, limits=limits) as client:
        yield client


def _is_plain(url: str) -> bool:
    """Say whether what is sent to a server leaves this machine unencrypted."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        is_here = ip_address(host).is_loopback
    except ValueError:
        is_here = host == "localhost" or host.endswith(".localhost")
    return parts.scheme == "http" and not is_here


def find_access(
    environment: Mapping[str, str],
    *,
    url: str | None = None,
    profile: str | None = None,
    developer_token_file: str | None = None,
    user_token_file: str | None = None,
    asking_as: str | None = None,
) -> Access:
    """Find out which server to ask, and with which tokens; raise `BadSetting`.

    In this order: flags and variables where there is any token among them, the profile, a `likewise dev` that runs
    here. A URL alone only says which of the latter two is meant. Whom to ask as can be chosen for the last alone.
    """
    if (developer_token_file, user_token_file) == ("-", "-"):
        raise BadSetting("both tokens are to come from standard input", "give one of them in a file")
    url = url or environment.get(URL)
    files = {DEVELOPER_TOKEN: developer_token_file, USER_TOKEN: user_token_file}
    given = {name: _token(environment, name, file) for name, file in files.items()}
    key = _signing_key(environment.get(KEY_FILE), environment.get(TEAM_ID), environment.get(KEY_ID))
    profile = profile or environment.get(PROFILE)
    if profile is None and (given[DEVELOPER_TOKEN] or given[USER_TOKEN] or key):
        return _as_itself(_access_of(url, given[DEVELOPER_TOKEN] or key, given[USER_TOKEN]), asking_as)
    chosen = _access_by_profile(profile)
    if chosen is not None and url in {None, chosen.url}:
        return _as_itself(chosen, asking_as)
    neighbour = None if profile else _access_to_neighbour(asking_as)
    if neighbour is not None and url in {None, neighbour.url}:
        return neighbour
    if url is None:
        raise BadSetting("no server is named, and no `likewise dev` runs here", _HINT_WAYS)
    raise BadSetting(f"there is no developer token for {checked_base_url(url)}", _HINT_TOKENS)


_HINT_TOKENS = f"set {DEVELOPER_TOKEN}_FILE and {USER_TOKEN}_FILE to files that hold the tokens"


def _as_itself(access: Access, listener: str | None) -> Access:
    """Return the access, unless somebody is named to ask as: its token is one listener's. Raise `BadSetting`."""
    if listener is not None:
        raise BadSetting(
            f"--as {listener} is for a `likewise dev`, and another server's tokens are chosen",
            "leave out --as, or unset the variables or the profile that hold the tokens",
        )
    return access


def _access_of(url: str | None, developer_token: str | SigningKey | None, user_token: str | None) -> Access:
    if url is None:
        raise BadSetting("there are tokens, but no server is named", f"give --url, or set the variable {URL}")
    if developer_token is None:
        raise BadSetting("there is no developer token", f"set {DEVELOPER_TOKEN}_FILE, or {KEY_FILE} and {TEAM_ID}")
    if user_token is None:
        raise BadSetting("there is no music user token", f"set {USER_TOKEN}_FILE")
    return Access(checked_base_url(url), developer_token, user_token)


def _access_to_neighbour(listener: str | None) -> Access | None:
    neighbour = find_neighbour(default_folder())
    if neighbour is None:
        return None
    token = neighbour.user_tokens.get(listener or DEFAULT_LISTENER)
    if token is None:
        raise BadSetting(
            f"the `likewise dev` that runs here has no listener {listener!r}",
            f"give --as one of: {', '.join(neighbour.user_tokens)}",
        )
    key = SigningKey(neighbour.private_key, team_id=neighbour.team_id, key_id=neighbour.key_id)
    return Access(checked_base_url(neighbour.url), key, token)


def _access_by_profile(name: str | None) -> Access | None:
    if name is not None and not has_listener_name(name):
        raise BadSetting(
            f"{name!r} is no name for a profile", "use 1 to 64 characters of a-z, 0-9, dot, underscore and hyphen"
        )
    path = _profiles_folder() / f"{name or DEFAULT_PROFILE}.toml"
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise BadSetting(f"the profile {path} can be read by others", f"keep it to yourself: chmod 600 {path}")
            document = tomllib.loads(file.read(_FILE_BYTES_MAX).decode())
    except FileNotFoundError as error:
        if name is None:
            return None
        raise BadSetting(f"there is no profile {path}", "write it; docs/client.md says how") from error
    except (OSError, ValueError) as error:
        raise BadSetting(
            f"the profile {path} cannot be read", "it is TOML, and yours; docs/client.md says what"
        ) from error
    return _access_in(path, document)


def _access_in(path: Path, document: dict[str, Any]) -> Access:
    unknown = document.keys() - _PROFILE_KEYS
    if unknown or not all(isinstance(value, str) for value in document.values()):
        raise BadSetting(
            f"the profile {path} holds what is no setting of it", f"it may have: {', '.join(sorted(_PROFILE_KEYS))}"
        )
    key_file = document.get("key_file")
    key = _signing_key(key_file and str(path.parent / key_file), document.get("team_id"), document.get("key_id"))
    missing = [name for name in ("url", "user_token") if name not in document]
    if missing or not (key or document.get("developer_token")):
        raise BadSetting(
            f"the profile {path} lacks {' and '.join(missing) or 'a developer token'}",
            "it needs url, user_token, and developer_token or key_file and team_id",
        )
    return Access(
        checked_base_url(document["url"]), document.get("developer_token") or key or "", document["user_token"]
    )


def _profiles_folder() -> Path:
    from platformdirs import user_config_path  # noqa: PLC0415 - needed where nothing else says whom to ask

    return user_config_path("likewise", appauthor=False)


def _signing_key(file: str | None, team_id: str | None, key_id: str | None) -> SigningKey | None:
    if file is None:
        return None
    if team_id is None:
        raise BadSetting("there is a key, but no team id", f"set {TEAM_ID}, or team_id in the profile")
    return SigningKey(Path(file), team_id=team_id, key_id=key_id)


def _token(environment: Mapping[str, str], variable: str, file: str | None) -> str | None:
    """Read a token from the flag's file, `-` for standard input, or from the variable or the file it names."""
    text = environment.get(variable)
    path = environment.get(f"{variable}_FILE")
    if file is None and text is not None and path is not None:
        raise BadSetting(f"both {variable} and {variable}_FILE are set", "set one of them")
    if file is None and path is None:
        return text
    try:
        with click.open_file(file or path or "", "rb") as stream:
            return bytes(stream.read(_FILE_BYTES_MAX)).decode().strip()
    except (OSError, ValueError) as error:
        raise BadSetting(f"the file for {variable} cannot be read", "check that it exists and is yours") from error


@contextmanager
def explained() -> Iterator[None]:
    """Turn what a server refuses into a sentence and a hint for people."""
    try:
        yield
    except errors.BadDeveloperToken as error:
        raise CallFailed(str(error), "is it for this server, and not expired?") from error
    except errors.BadUserToken as error:
        raise CallFailed(str(error), "is it for this server and this team, and not expired?") from error
    except errors.TooManyRequests as error:
        after = f" in {error.retry_after:.0f} seconds" if error.retry_after is not None else " later"
        raise CallFailed("the server wants fewer requests", f"try again{after}") from error


# What people type


class TypeName(click.ParamType[Kind]):
    """One of the nine types that can be rated; a near miss is told what was meant."""

    name = "type"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Kind:  # noqa: ARG002 - click's
        kind = value if isinstance(value, Kind) else KINDS.get(value)
        if kind is None:
            close = get_close_matches(value.lower().replace("_", "-"), KINDS, n=1, cutoff=0.5)
            guess = f"did you mean {close[0]}?" if close else f"give one of: {', '.join(KINDS)}"
            raise BadName(f"{value!r} is no type", guess)
        return kind

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:  # noqa: ARG002 - click's
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - while completing alone

        return [CompletionItem(type) for type in KINDS if type.startswith(incomplete)]


def checked_id(kind: Kind, id: str) -> str:
    """Check an id before anything is asked; raise `BadName` with a guess at its type."""
    if kind.has_id(id):
        return id
    fitting = [each.type for each in KINDS.values() if each.has_id(id)]
    hint = (
        f"it would be one of: {', '.join(fitting)}"
        if fitting
        else f"see docs/api.md for what ids of {kind.type} look like"
    )
    raise BadName(f"{id!r} is no id of {kind.type}", hint)
