"""Settings: read once, checked together, frozen, printable. The environment is handed in."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import Field, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from likewise.errors import BadSetting
from likewise.proxies import Proxies

PREFIX = "LIKEWISE_"
_SUFFIX_FILE = "_FILE"
_DIGITS_MAX = 9
_PORT_MAX = 65_535

ADMIN_TOKEN_CHARACTERS_MIN = 32
ADMIN_TOKEN_CHARACTERS_MAX = 512

ROOT, OFF = "root", "off"


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or len(text) > _DIGITS_MAX or not low <= int(text) <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(text)

    return parse


def _text(text: str) -> str:
    if not text:
        raise ValueError("a text that is not empty")
    return text


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"{', '.join(words[:-1])} or {words[-1]}")
        return text

    return parse


def _metrics_address(text: str) -> str:
    if text not in {ROOT, OFF}:
        split_address(text)
    return text


def split_address(text: str) -> tuple[str, int]:
    """Take `HOST:PORT` apart, `[::1]:9464` too; raise `ValueError`."""
    found = re.fullmatch(r"(?:\[([^\]]+)\]|([^:\[\]]+)):([0-9]{1,5})", text)
    if found is None or int(found[3]) > _PORT_MAX:
        raise ValueError(f"{ROOT}, {OFF} or HOST:PORT")
    return found[1] or found[2], int(found[3])


def _admin_token(text: str) -> str:
    # What fits in a header unescaped, and that nobody guesses.
    if not re.fullmatch(f"[!-~]{{{ADMIN_TOKEN_CHARACTERS_MIN},{ADMIN_TOKEN_CHARACTERS_MAX}}}", text):
        raise ValueError(
            f"a text of {ADMIN_TOKEN_CHARACTERS_MIN} to {ADMIN_TOKEN_CHARACTERS_MAX} visible ASCII characters"
        )
    return text


def _mode(text: str) -> str:
    if not re.fullmatch("0?[0-7]{3}", text):
        raise ValueError("a file mode of three octal digits, like 660")
    return text


def _proxies(text: str) -> str:
    Proxies(text)
    return text


def hide_password(url: str) -> str:
    """Return a database URL without its password, wherever in it that is, and however badly it is escaped."""
    if url.startswith("sqlite:"):
        return url
    if "://" not in url:
        return re.sub(r"^.*@", "***@", url, flags=re.DOTALL)  # misspelled, so anything before the host may be it
    url = re.sub(r"(://[^:@/]*:).*@", r"\1***@", url, flags=re.DOTALL)
    return re.sub(r"(password=)[^&]*", r"\1***", url, flags=re.DOTALL | re.IGNORECASE)


def _hide_all(secret: str) -> str:
    return "***" if secret else ""


def _setting(parse: Callable[[str], Any], default: Any, says: str, *, hide: Callable[[str], str] | None = None) -> Any:
    """Describe a setting; one with `hide`, which makes it fit for anybody's eyes, is a secret."""
    return field(default=default, metadata={"parse": parse, "says": says, "hide": hide, "is_secret": hide is not None})


@dataclass(frozen=True, repr=False)
class Settings:
    """What Likewise can be told. Each is the variable `LIKEWISE_` and its name; a secret also `…_FILE`."""

    database: str = _setting(_text, "", "the URL of the database", hide=hide_password)
    host: str = _setting(_text, "127.0.0.1", "the address to listen on")
    port: int = _setting(_integer(0, _PORT_MAX), 8080, "the port to listen on; 0 picks a free one")
    workers: int = _setting(_integer(0, 64), 0, "how many processes serve; 0 chooses by the database")
    ids_max: int = _setting(_integer(1, 10_000), 300, "the most ids in one request")
    shutdown_seconds_max: int = _setting(_integer(1, 600), 10, "the most seconds that a shutdown may take")
    admin_token: str = _setting(_admin_token, "", "the secret that opens the operator's HTTP API", hide=_hide_all)
    tls_certificate: str = _setting(_text, "", "the file with the TLS certificate and its chain, in PEM")
    tls_key: str = _setting(_text, "", "the file with the certificate's private key, in PEM")
    socket: str = _setting(_text, "", "the Unix socket to listen on, instead of host and port")
    socket_mode: str = _setting(_mode, "660", "the file mode of the Unix socket, in octal")
    trusted_proxies: str = _setting(_proxies, "", "the proxies whose X-Forwarded-For says who asked")
    extensions: str = _setting(
        _one_of("on", "off"), "on", "whether to answer what Apple's API does not have: on or off"
    )
    tombstone_days: int = _setting(_integer(1, 3_650), 90, "how many days to remember that a rating was cleared")
    rate_limit: int = _setting(_integer(0, 1_000_000), 0, "the most requests a second of one team; 0 is no limit")
    metrics_address: str = _setting(
        _metrics_address, ROOT, "where the metrics are: root is /metrics of the service; HOST:PORT, or off"
    )
    log_format: str = _setting(
        _one_of("auto", "console", "json"), "auto", "auto logs for people on a terminal, else JSON; console, or json"
    )
    log_level: str = _setting(_one_of("debug", "info", "warning", "error"), "info", "the least level that is logged")
    access_log: str = _setting(_one_of("on", "off"), "off", "on logs a line for each request")
    log_listeners: str = _setting(
        _one_of("off", "hashed", "clear"), "off", "how logs name listeners: hashed for this run, clear, or off: not"
    )

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.shown().items())
        return f"Settings({shown})"

    def shown(self) -> dict[str, Any]:
        """Return all settings by name, fit for anybody's eyes: passwords and tokens are `***`."""
        return {each.name: _hidden(each, getattr(self, each.name)) for each in fields(self)}


def variable(name: str) -> str:
    """Name the environment variable of a setting."""
    return PREFIX + name.upper()


def described() -> list[tuple[str, Any, str]]:
    """Return variable, default and meaning of every setting."""
    return [(variable(each.name), each.default, each.metadata["says"]) for each in fields(Settings)]


def read_settings(environment: Mapping[str, str], flags: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings; a flag that is not None wins over its variable. Raise `BadSetting`, naming which."""
    values: dict[str, Any] = {}
    for each in fields(Settings):
        flag = (flags or {}).get(each.name)
        if flag is not None:
            values[each.name] = _parse(each, str(flag), f"the flag --{each.name}", "give another, or leave it out")
        elif (text := _read_variable(each, environment)) is not None:
            values[each.name] = _parse(each, text, f"the setting {variable(each.name)}", "set it, or unset it")
    return _checked_together(Settings(**values), flags or {})


def unknown_variables(environment: Mapping[str, str], *, also_known: Collection[str] = ()) -> list[str]:
    """Return a sentence on each `LIKEWISE_` variable that means nothing to us, for it may be misspelled.

    `also_known` means something to others.
    """
    known = [variable(each.name) for each in fields(Settings)]
    known += [variable(each.name) + _SUFFIX_FILE for each in fields(Settings) if each.metadata["is_secret"]]
    sentences = []
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in known and name not in also_known:
            close = get_close_matches(name, known, n=1)
            guess = f"; did you mean {close[0]}?" if close else ""
            sentences.append(f"the variable {name} is no setting{guess}")
    return sentences


def _read_variable(each: "Field[Any]", environment: Mapping[str, str]) -> str | None:
    name = variable(each.name)
    text = environment.get(name)
    path = environment.get(name + _SUFFIX_FILE) if each.metadata["is_secret"] else None
    if path is None:
        return text
    if text is not None:
        raise BadSetting(f"both {name} and {name}{_SUFFIX_FILE} are set", "set one of them")
    try:
        return Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        # Its path is not repeated, for it may be the secret itself, set where its file should be.
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        raise BadSetting(
            f"the file that {name}{_SUFFIX_FILE} names cannot be read ({reason})", "check that it exists and is yours"
        ) from error


def _parse(each: "Field[Any]", text: str, name: str, hint: str) -> Any:
    try:
        return each.metadata["parse"](text)
    except ValueError as error:
        raise BadSetting(f"{name} must be {error}", hint) from error


def _checked_together(settings: Settings, flags: Mapping[str, Any]) -> Settings:
    for one, other in (("tls_certificate", "tls_key"), ("tls_key", "tls_certificate")):
        if getattr(settings, one) and not getattr(settings, other):
            raise BadSetting(f"{variable(one)} is set without {variable(other)}", "set both, or none")
    if settings.socket and settings.tls_certificate:
        raise BadSetting(
            f"{variable('socket')} and {variable('tls_certificate')} are both set",
            "unset one of them: whoever connects to a socket is on this machine, and a proxy there speaks TLS",
        )
    for name in ("host", "port"):
        if settings.socket and flags.get(name) is not None:
            raise BadSetting(
                f"the flag --{name} is given, and {variable('socket')} is set",
                f"the service listens in one place: leave out the flag, or unset {variable('socket')}",
            )
    return settings


def _hidden(each: "Field[Any]", value: Any) -> Any:
    hide = each.metadata["hide"]
    return value if hide is None else hide(value)
