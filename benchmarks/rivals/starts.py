"""Starts whom we measure, each as processes of its own on its core, and looks whether they answer alike.

Who is not installed is named with what installs it, and left out.
"""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from benchmarks.measuring import HOST, INSTALL, ROOT, Cores, fail, port_of, running_on, stderr
from benchmarks.rivals.answers import SET_BY_SERVER, Asker, ensure_alike, ensure_same_answer

from likewise.serving import free_address

RIVALS_PYTHON = ROOT / ".venv-bench" / "bin" / "python"
PRISM = ROOT / ".venv-bench" / "prism" / "node_modules" / ".bin" / "prism"
INSTALL_RIVALS = "`make rivals`"
START_SECONDS_MAX = 60

NGINX_CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    server {{
        listen {host}:{port} backlog=1024;
        default_type "{content_type}";
        {headers}
        location / {{ return 200 '{body}'; }}
    }}
}}
"""


class Started(NamedTuple):
    port: int
    pid: int


class Starter:
    """Starts rivals until `stack` ends; `folder` has what seeding.py wrote, and is where they keep theirs."""

    def __init__(self, stack: ExitStack, folder: Path, cores: Cores) -> None:
        self._stack = stack
        self._folder = folder
        self._cores = cores
        self._asker = Asker(folder)
        self._left_out: set[str] = set()

    def likewise(self, url: str, workers: int) -> Started:
        return self._server(workers, sys.executable, "-m", "benchmarks.server", "likewise", url, str(workers))

    def starlette(self, url: str, ours: Started) -> Started | None:
        if not self._is_there("Starlette", RIVALS_PYTHON.exists(), INSTALL_RIVALS):
            return None
        started = self._server(1, str(RIVALS_PYTHON), "-m", "benchmarks.rivals.starlette_rim", url)
        ensure_alike(self._asker, ours.port, started.port, "Starlette")
        return started

    def empty(self, ours: Started) -> Started:
        """Start the application that answers GET one, and nothing else, with our bytes."""
        _, headers, body = self._asker.response(ours.port, self._asker.one())
        answer = {"headers": [pair for pair in headers if pair[0] not in SET_BY_SERVER], "body": body}
        (self._folder / "answer.json").write_text(json.dumps(answer), "utf-8")
        started = self._server(1, sys.executable, "-m", "benchmarks.server", "empty", str(self._folder / "answer.json"))
        ensure_same_answer(self._asker, ours.port, started.port, "the empty application")
        return started

    def usual_stack(self, state: Path, workers: int, ours: Started) -> Started | None:
        if not self._is_there("FastAPI", RIVALS_PYTHON.exists(), INSTALL_RIVALS):
            return None
        program = [str(RIVALS_PYTHON), "-m", "benchmarks.rivals.usual_stack"]
        database = str(self._folder / f"usual-{workers}.db")
        subprocess.run([*program, "fill", str(state), database], check=True, cwd=ROOT)
        port = free_address(HOST, 0).port
        started = self._silent(port, "FastAPI", [*program, "serve", database, str(port), str(workers)], workers)
        ensure_alike(self._asker, ours.port, started.port, "FastAPI")
        return started

    def nginx(self, ours: Started) -> Started | None:
        if not self._is_there("nginx", shutil.which("nginx") is not None, INSTALL):
            return None
        _, pairs, body = self._asker.response(ours.port, self._asker.one())
        headers = {name: value for name, value in pairs if name not in SET_BY_SERVER}
        port = free_address(HOST, 0).port
        configuration = self._folder / "nginx.conf"
        configuration.write_text(
            NGINX_CONFIGURATION.format(
                folder=self._folder,
                host=HOST,
                port=port,
                content_type=headers.pop("content-type"),
                headers="".join(f'add_header {name} "{value}"; ' for name, value in headers.items()),
                body=body,
            ),
            "ascii",
        )
        command = ["nginx", "-p", str(self._folder), "-e", "stderr", "-c", str(configuration)]
        started = self._silent(port, "nginx", command)
        ensure_same_answer(self._asker, ours.port, started.port, "nginx")
        return started

    def prism(self, ours: Started) -> Started | None:
        """Start a generic mock on a description whose one example is our answer; it keeps nothing, so it is not PUT."""
        if not self._is_there("Prism", PRISM.exists() and shutil.which("node") is not None, INSTALL_RIVALS):
            return None
        _, _, body = self._asker.response(ours.port, self._asker.one())
        description = self._folder / "mock.json"
        description.write_text(json.dumps(_description(json.loads(body))), "utf-8")
        port = free_address(HOST, 0).port
        command = [str(PRISM), "mock", "-h", HOST, "-p", str(port), "-v", "error", str(description)]
        started = self._silent(port, "Prism", command)
        ensure_same_answer(self._asker, ours.port, started.port, "Prism")
        return started

    def _is_there(self, name: str, is_installed: bool, install: str) -> bool:  # noqa: FBT001 - said by all who call
        if not is_installed and name not in self._left_out:
            self._left_out.add(name)
            stderr.print(f"{name} is not installed and is left out; install it with {install}", style="bold yellow")
        return is_installed

    def _server(self, workers: int, *command: str) -> Started:
        environment = {"PYTHONPATH": str(ROOT / "src")}
        process = self._stack.enter_context(running_on(self._cores.of(workers), command, environment=environment))
        return Started(port_of(process, command[2]), process.pid)

    def _silent(self, port: int, name: str, command: list[str], workers: int = 1) -> Started:
        """Start a server that does not say when it listens."""
        process = self._stack.enter_context(running_on(self._cores.of(workers), command, talks=False))
        _wait(lambda: process.poll() is None, lambda: self._is_answering(port), name)
        return Started(port, process.pid)

    def _is_answering(self, port: int) -> bool:
        try:
            status, _, _ = self._asker.response(port, self._asker.one())
        except OSError:
            return False
        return status == 200


def _wait(is_alive: Callable[[], bool], is_answering: Callable[[], bool], name: str) -> None:
    until = time.monotonic() + START_SECONDS_MAX
    while is_alive() and time.monotonic() < until:
        if is_answering():
            return
        time.sleep(0.05)
    fail(f"{name} did not start, or does not answer GET one with 200", "what it had to say about it stands above")


def _description(example: object) -> dict[str, object]:
    """Describe GET one in OpenAPI, as short as it goes."""
    content = {"application/json": {"schema": {"type": "object"}, "example": example}}
    parameters = [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}]
    get = {"parameters": parameters, "responses": {"200": {"description": "A rating", "content": content}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Ratings", "version": "1"},
        "paths": {"/v1/me/ratings/songs/{id}": {"get": get}},
    }
