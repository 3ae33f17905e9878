"""What a request leaves in the log: why it was refused or failed, and, where that is asked for, that it was made.

Nothing that a client sends is written down but its method, if HTTP has it, its request id, if that is harmless, and,
when its token is wrong, its address. Of the path only the endpoint's documented form is, for ids in it tell what
somebody likes. Tokens and keys never are.
"""

import hashlib
import itertools
import logging
import re
from collections.abc import Callable
from typing import Any

from likewise.asgi import METHODS, OTHER, UNKNOWN, HeaderPair, Request, Scope
from likewise.domain import Listener
from likewise.errors import (
    BadAdminToken,
    BadDeveloperToken,
    BadUserToken,
    LikewiseError,
    StoreUnavailable,
    TooManyRequests,
)
from likewise.logs import Repeats, fields
from likewise.proxies import Proxies

REQUEST_ID_CHARACTERS_MAX = 64
_HEADER = b"x-request-id"
_is_harmless = re.compile(rb"[0-9A-Za-z._-]{1,%d}" % REQUEST_ID_CHARACTERS_MAX).fullmatch

_WRONG_TOKEN = (BadAdminToken, BadDeveloperToken, BadUserToken)

logger = logging.getLogger("likewise")


class RequestIds:
    """Names requests: as the client, or a proxy before us, has named them, or by a prefix of our own and a number.

    A name that is `secret` is not taken up. The prefix is random, so that no two workers give the same name, and the
    number is 15 times faster than a UUID.
    """

    def __init__(self, random_bytes: Callable[[int], bytes], *, secret: str) -> None:
        self._secret = secret.encode()
        self._prefix = random_bytes(6).hex().encode()
        self._next = itertools.count(1).__next__

    def of(self, request: Request | None) -> HeaderPair:
        """Return the request's id, as the header that tells it to the client."""
        given = request.headers.get(_HEADER) if request else None
        if given is not None and _is_harmless(given) and given != self._secret:
            return _HEADER, given
        return _HEADER, b"%b-%x" % (self._prefix, self._next())


class RequestLog:
    """Writes the log of requests.

    `access` is whether each gets a line. `listeners` says how listeners are named: `clear`, `hashed` or not at all. A
    hash, made with the secret `key`, tells that two requests came from one listener, and not from which. `proxies` know
    from where somebody came whose token is wrong.
    """

    def __init__(
        self, *, access: bool, listeners: str, key: bytes, proxies: Proxies, seconds: Callable[[], float]
    ) -> None:
        self.access = access
        self._listeners = listeners
        self._key = key
        self._proxies = proxies
        self._repeats = Repeats(seconds=seconds)

    def note(
        self,
        request_id: HeaderPair,
        scope: Scope,
        request: Request | None,
        status: int,
        seconds: float,
        error: Exception | None,
    ) -> None:
        """Log a request that was answered with `status` after `seconds`, because of `error` if there was one."""
        method = scope["method"]
        about: dict[str, Any] = {
            "request_id": request_id[1].decode(),
            "method": method if method in METHODS else OTHER,
            "endpoint": request.endpoint if request else UNKNOWN,
            "status": status,
            "listener": self._named(request.caller) if request else "",
        }
        if error is not None:
            about["error"] = type(error).__name__
            if isinstance(error, _WRONG_TOKEN):
                about["client"] = self._proxies.client(scope)
            self._report(error, about)
        if self.access:
            logger.info("request", extra=fields(**about, milliseconds=round(seconds * 1000, 3)))

    def _report(self, error: Exception, about: dict[str, Any]) -> None:
        match error:
            case BadAdminToken() | BadDeveloperToken() | BadUserToken():
                self._say(logging.INFO, f"refused: {error}", about)
            case TooManyRequests(team_id=team_id):
                self._say(logging.INFO, f"refused: the team {team_id} asks too often", about)
            case StoreUnavailable():
                self._say(logging.ERROR, f"the database failed a request: {error}", about)
            case LikewiseError():
                pass
            case _:
                # Each has its line, for it should not be; where it comes from need not be said each time.
                kept_back = self._repeats.due(type(error).__name__)
                logger.error("answered 500", exc_info=None if kept_back is None else error, extra=fields(**about))

    def _say(self, level: int, sentence: str, about: dict[str, Any]) -> None:
        kept_back = self._repeats.due(sentence)
        if kept_back is not None:
            logger.log(level, sentence, extra=fields(**about, kept_back=kept_back or None))

    def _named(self, caller: Any) -> str:
        if self._listeners == "off" or not isinstance(caller, Listener):
            return ""
        if self._listeners == "clear":
            return caller.name
        return hashlib.blake2b(str(caller.id).encode(), key=self._key, digest_size=8).hexdigest()
