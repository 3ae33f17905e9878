"""A small stand-in for Apple's servers: a library with names, ratings, and a limit after which it refuses."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Apple:
    """What one account holds; `requests_max` is how many requests are answered before all are 429."""

    url: str = ""
    library: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    ratings: dict[tuple[str, str], int] = field(default_factory=dict)
    unratable: set[str] = field(default_factory=set)
    requests_max: int = 10**9
    requests: list[str] = field(default_factory=list)

    def add(self, type: str, id: str, catalog_id: str | None = None, **names: str) -> None:
        attributes: dict[str, Any] = {**names, "dateAdded": "2020-05-04T03:02:01Z"}
        if catalog_id is not None:
            attributes["playParams"] = {"id": id, "catalogId": catalog_id}
        self.library.setdefault(type, []).append({"id": id, "type": f"library-{type}", "attributes": attributes})

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, dict[str, Any] | None]:
        self.requests.append(f"{method} {target}")
        if len(self.requests) > self.requests_max:
            return 429, None
        parts, query = urlsplit(target), parse_qs(urlsplit(target).query)
        match method, parts.path.strip("/").split("/"):
            case "GET", ["v1", "me", "library", type]:
                return 200, self._library(type, query)
            case "GET", ["v1", "me", "ratings", type]:
                ids = query["ids"][0].split(",")
                return 200, {"data": [self._rating(type, id) for id in ids if (type, id) in self.ratings]}
            case "PUT", ["v1", "me", "ratings", type, id] if id not in self.unratable:
                self.ratings[type, id] = json.loads(body)["attributes"]["value"]
                return 200, {"data": [self._rating(type, id)]}
            case _:
                return 404, {"errors": [{"status": "404", "code": "40400", "title": "Resource Not Found"}]}

    def _library(self, type: str, query: dict[str, list[str]]) -> dict[str, Any]:
        items = self.library.get(type, [])
        if "ids" in query:
            return {"data": [item for item in items if item["id"] in query["ids"][0].split(",")]}
        offset, limit = int(query.get("offset", ["0"])[0]), int(query.get("limit", ["25"])[0])
        document: dict[str, Any] = {"data": items[offset : offset + limit], "meta": {"total": len(items)}}
        if offset + limit < len(items):
            document["next"] = f"/v1/me/library/{type}?offset={offset + limit}&limit={limit}"
        return document

    def _rating(self, type: str, id: str) -> dict[str, Any]:
        return {"id": id, "type": "ratings", "attributes": {"value": self.ratings[type, id]}}


@contextmanager
def apple_server() -> Iterator[Apple]:
    """Serve an account on a free port until the block ends."""
    account = Apple()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            status, document = account.answer(self.command, self.path, body)
            content = b"" if document is None else json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_DELETE = _answer  # noqa: N815 - the library's names

        def log_message(self, format: str, *arguments: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        account.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield account
        finally:
            server.shutdown()
            thread.join()
