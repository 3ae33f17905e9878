"""One server for serving.py, as its own process, on `likewise.serving.serve`. It prints its port when it listens.

    server.py likewise URL    Likewise over the database of this URL
    server.py empty FILE      an application that does nothing: it answers every request with the bytes in FILE

Both stand on the same function with the same options, so what lies between them is the work of Likewise itself.
"""

import json
import sys
from pathlib import Path

from likewise.app import App
from likewise.asgi import Application, HeaderPair, Receive, Scope, Send
from likewise.config import Settings
from likewise.serving import free_address, run, serve


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


async def main(kind: str, source: str) -> None:
    if kind == "likewise":
        async with App(Settings(database=source)) as app:
            await _serve(app)
    else:
        answer = json.loads(Path(source).read_text("utf-8"))  # noqa: ASYNC240 - nothing else is waiting
        headers = [(name.encode(), value.encode()) for name, value in answer["headers"]]
        await _serve(EmptyApp(headers, answer["body"].encode()))


async def _serve(app: Application) -> None:
    address = free_address("127.0.0.1", 0)
    await serve(app, address, shutdown_seconds_max=2, on_listening=lambda: print(address.port, flush=True))


run(main(*sys.argv[1:]))
