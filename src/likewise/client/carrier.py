"""What both clients share: requests as httpx2 takes them, and how much of an answer we are willing to hear."""

from collections.abc import Callable, Generator
from typing import TypeVar

import httpx2

from likewise import __version__
from likewise.client import calls
from likewise.client.answers import not_understood
from likewise.client.credentials import (
    APPLE,
    SigningKey,
    checked_base_url,
    checked_user_token,
    token_source,
)
from likewise.client.exchange import Answer, Limits, Outcome, Pace, Plan, Send, Step, Surroundings, exchange
from likewise.domain import Item, Kind
from likewise.errors import BadAnswer, ServerUnreachable

Result = TypeVar("Result")

PAGES_MAX = 100_000
"""Of one list; a server that has more of them plays a trick on us."""

_USER_AGENT = f"likewise/{__version__}"


class Carrier:
    """Knows the server and who asks it; sends nothing itself."""

    def __init__(
        self,
        developer_token: str | SigningKey,
        user_token: str | None,
        *,
        base_url: str = APPLE,
        limits: Limits | None = None,
        around: Surroundings | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self._around = around or Surroundings()
        self._developer_token = token_source(developer_token, self._around.now)
        self._user_token = checked_user_token(user_token)
        self.base_url = checked_base_url(base_url)
        self._pace = Pace(self.limits.per_second_max, self._around.monotonic)
        self._storefront_id: str | None = None

    def begin(self, plan: Plan[Result]) -> Generator[Step, Outcome | None, Result]:
        return exchange(plan, self.limits, self._around, self._pace)

    def request(self, send: Send) -> httpx2.Request:
        # Compressed, few bytes could become very many, and the answers are small.
        headers = [
            ("Authorization", f"Bearer {self._developer_token()}"),
            ("Accept", "application/json"),
            ("Accept-Encoding", "identity"),
            ("User-Agent", _USER_AGENT),
        ]
        if self._user_token is not None:
            headers.append(("Music-User-Token", self._user_token))
        method, target, body, *_ = send.request
        if body is not None:
            headers.append(("Content-Type", "application/json"))
        seconds = min(self.limits.silence_seconds_max, send.seconds_left)
        timeout = dict.fromkeys(("connect", "read", "write", "pool"), seconds)
        return httpx2.Request(
            method, self.base_url + target, headers=headers, content=body, extensions={"timeout": timeout}
        )

    def intake(self, response: httpx2.Response, send: Send) -> "Intake":
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise BadAnswer("the server compressed its answer, which was not asked for", "is something between us?")
        monotonic = self._around.monotonic
        return Intake(response, self.limits.answer_bytes_max, monotonic, deadline=monotonic() + send.seconds_left)

    def unreachable(self, error: httpx2.TransportError) -> ServerUnreachable:
        match error:
            case httpx2.TimeoutException():
                said = f"{self.base_url} did not answer in time"
            case httpx2.ConnectError():
                said = f"{self.base_url} cannot be reached"
            case _:
                said = f"{self.base_url} broke the connection off"
        unreachable = ServerUnreachable(said, "is the server running, and the network up?")
        unreachable.__cause__ = error
        return unreachable

    def get_twin(self, type: str | Kind, id: str) -> Plan[Item]:
        """Find the other side of a link; the listener's storefront is asked for once, when it is first needed."""
        item = calls.item_with_twin(type, id)
        if self._storefront_id is None and not item.kind.is_library:
            self._storefront_id = (yield from calls.get_storefront()).id
        return (yield from calls.get_twin(item, self._storefront_id or ""))

    def __repr__(self) -> str:
        return repr(self.base_url)


class Intake:
    """Takes in an answer piece by piece, and no more of it than the limits allow."""

    def __init__(
        self, response: httpx2.Response, bytes_max: int, monotonic: Callable[[], float], *, deadline: float
    ) -> None:
        self._response = response
        self._bytes_max = bytes_max
        self._monotonic = monotonic
        self._deadline = deadline
        self._bytes_read = 0
        self._pieces: list[bytes] = []

    def add(self, piece: bytes) -> None:
        """Take in a piece; raise `BadAnswer` when it is too much, `httpx2.ReadTimeout` when it took too long."""
        self._bytes_read += len(piece)
        if self._bytes_read > self._bytes_max:
            raise BadAnswer(f"the server's answer has more than {self._bytes_max} bytes")
        if self._monotonic() > self._deadline:
            raise httpx2.ReadTimeout("the answer takes too long")
        self._pieces.append(piece)

    def answer(self) -> Answer:
        return Answer(self._response.status_code, self._response.headers, b"".join(self._pieces))


class Turn:
    """Turns the pages of a list, from one path to the next; raises `BadAnswer` when they go round."""

    def __init__(self) -> None:
        self._seen: set[int] = set()  # hashes, for a path may be long

    def next(self, href: str | None) -> str | None:
        if href is not None:
            if hash(href) in self._seen or len(self._seen) >= PAGES_MAX:
                raise not_understood()
            self._seen.add(hash(href))
        return href
