"""Connecting to PostgreSQL where a URL names several hosts: to the one that may be written to, whichever that is now.

asyncpg asks one host after another, and waits for each as long as it may take at all. A machine that is gone without a
word would so keep everybody from its successor; here all hosts are asked at once.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, TypeAlias
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import asyncpg

Connection: TypeAlias = Any  # asyncpg's stubs know connections and pools apart, where to us they are one


async def connect(url: str, **options: Any) -> Connection:
    """Connect as `asyncpg.connect` does; of several hosts, to the first that answers and is what the URL asks for.

    Where it asks for nothing, several hosts are a primary and its standbys, and the primary is meant.
    """
    urls = urls_of(url)
    if len(urls) == 1:
        return await asyncpg.connect(urls[0], **options)
    attempts = [asyncio.ensure_future(asyncpg.connect(each, **options)) for each in urls]
    chosen = None
    try:
        chosen = await _first(attempts)
        return chosen.result()
    finally:
        for attempt in attempts:
            if attempt is not chosen:
                attempt.cancel()
                attempt.add_done_callback(_drop)


async def _first(attempts: Sequence["asyncio.Task[Connection]"]) -> "asyncio.Task[Connection]":
    """Wait for the first that succeeds; when none does, raise what one of them says."""
    waiting = set(attempts)
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for attempt in done:
            if attempt.exception() is None:
                return attempt
    errors = [error for attempt in attempts if (error := attempt.exception()) is not None]
    # That a standby is a standby says less than why the primary does not answer.
    raise min(errors, key=lambda error: isinstance(error, asyncpg.TargetServerAttributeNotMatched))


def _drop(attempt: "asyncio.Task[Connection]") -> None:
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().terminate()


def urls_of(url: str) -> list[str]:
    """Return the URL once for each of the hosts it names, whether before the path or as the parameter `host`."""
    parts = urlsplit(url)
    query = parse_qs(parts.query, keep_blank_values=True)
    user, at, hosts = parts.netloc.rpartition("@")
    in_query = not hosts
    if in_query:
        hosts = query.get("host", [""])[-1]
    if "," not in hosts:
        return [url]
    query.setdefault("target_session_attrs", ["read-write"])
    names = hosts.split(",")
    ports = query.get("port", [""])[-1].split(",")
    urls = []
    for number, name in enumerate(names):
        if in_query:
            query["host"] = [name]
            if len(ports) == len(names):
                query["port"] = [ports[number]]
        # As they stand: netloc and path are escaped already.
        netloc = parts.netloc if in_query else f"{user}{at}{name}"
        encoded = urlencode(query, doseq=True, quote_via=quote)
        urls.append(parts._replace(netloc=netloc, query=encoded).geturl())
    return urls
