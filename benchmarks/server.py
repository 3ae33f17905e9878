"""One server for serving.py, as its own process, on `likewise.serving.serve`. It prints its port when it listens.

    benchmarks.server likewise URL [WORKERS]    Likewise over the database of this URL, with one worker or with several
    benchmarks.server naive URL                 the same handlers over PostgreSQL, with one statement for each request
    benchmarks.server empty FILE                an application that does nothing but answer with the bytes in FILE

All stand on the same function with the same options, so what lies between them is the work of Likewise itself.
"""

import json
import sys
from pathlib import Path

from benchmarks import naive

from likewise.asgi import HeaderPair, Receive, Scope, Send
from likewise.config import Settings
from likewise.serving import free_address, run, serve
from likewise.serving.workers import run_workers


class EmptyApp:
    """Answers 200 with the same headers and body, whatever it is asked; of a PUT it reads the body first."""

    def __init__(self, headers: list[HeaderPair], body: bytes) -> None:
        self._start = {"type": "http.response.start", "status": 200, "headers": headers}
        self._body = {"type": "http.response.body", "body": body}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "PUT":
            await receive()
        await send(self._start)
        await send(self._body)


def main(kind: str, source: str, workers: str = "1") -> None:
    if kind == "likewise":
        _serve_likewise(source, int(workers))
    elif kind == "naive":
        naive.take_over()
        _serve_likewise(source, 1)
    else:
        run(_serve_empty(source))


def _serve_likewise(database: str, workers: int) -> None:
    address = free_address("127.0.0.1", 0)
    settings = Settings(database=database, workers=workers, shutdown_seconds_max=2)
    run_workers(settings, address, on_listening=lambda: print(address.port, flush=True))


async def _serve_empty(source: str) -> None:
    answer = json.loads(Path(source).read_text("utf-8"))  # noqa: ASYNC240 - nothing else is waiting
    headers = [(name.encode(), value.encode()) for name, value in answer["headers"]]
    address = free_address("127.0.0.1", 0)
    app = EmptyApp(headers, answer["body"].encode())
    await serve(app, address, shutdown_seconds_max=2, on_listening=lambda: print(address.port, flush=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
