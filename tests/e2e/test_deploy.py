"""What stands in deploy/ works: the health check of the image, and nginx in front."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from likewise.tokens import generate_private_key
from tests.certificates import made_today
from tests.e2e.server import environment, running, wait_for_line

DEPLOY = Path(__file__).parents[2] / "deploy"
SECONDS_MAX = 30
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


@pytest.fixture
def url(tmp_path):
    url = f"sqlite:///{tmp_path}/likewise.db"
    command = [sys.executable, "-m", "likewise", "key", "add", "-", "--key-id", "ABC123DEFG", "--team-id", "DEF123GHIJ"]
    subprocess.run(command, input=generate_private_key(), env=environment(LIKEWISE_DATABASE=url), check=True)
    return url


@pytest.fixture
def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class TestTheHealthCheck:
    @pytest.fixture(params=["port", "tls", "socket"])
    def settings(self, request, url, tmp_path, free_port):
        settings = {"LIKEWISE_DATABASE": url, "LIKEWISE_PORT": str(free_port)}
        if request.param == "tls":
            certificate, key = made_today(tmp_path)
            settings |= {"LIKEWISE_TLS_CERTIFICATE": str(certificate), "LIKEWISE_TLS_KEY": str(key)}
        if request.param == "socket":
            settings["LIKEWISE_SOCKET"] = str(tmp_path / "likewise.sock")
        return settings

    def test_it_says_whether_the_service_answers(self, settings):
        def check():
            command = [sys.executable, str(DEPLOY / "healthcheck.py")]
            return subprocess.run(
                command, env=environment(**settings), capture_output=True, text=True, timeout=SECONDS_MAX, check=False
            )

        with running([sys.executable, "-m", "likewise", "serve"], **settings) as process:
            wait_for_line(process, "serves on")
            assert (check().returncode, check().stderr) == (0, "")

        done = check()
        assert done.returncode == 1
        assert done.stderr.startswith("likewise does not answer: ")

    def test_any_other_answer_is_no_health(self, free_port):
        with socket.create_server(("127.0.0.1", free_port)) as server:
            command = [sys.executable, str(DEPLOY / "healthcheck.py")]
            with subprocess.Popen(
                command, env=environment(LIKEWISE_PORT=str(free_port)), stderr=subprocess.PIPE, text=True
            ) as check:
                connection, _ = server.accept()
                with connection:
                    connection.recv(1_000)
                    connection.sendall(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
                _, errors = check.communicate(timeout=SECONDS_MAX)

        assert check.returncode == 1
        assert "likewise answers b'HTTP/1.1 503'" in errors


@pytest.mark.skipif(NGINX is None, reason="needs nginx")
class TestNginx:
    @pytest.fixture
    def proxy(self, tmp_path, free_port):
        """Run nginx on the configuration that we ship, with its paths in a folder of the test's."""
        certificate, key = made_today(tmp_path)
        shipped = (DEPLOY / "nginx.conf").read_text("utf-8")
        for ours, theirs in (
            ("443", f"127.0.0.1:{free_port}"),
            ("/run/likewise/likewise.sock", tmp_path / "likewise.sock"),
            ("/etc/nginx/likewise/fullchain.pem", certificate),
            ("/etc/nginx/likewise/privkey.pem", key),
        ):
            assert ours in shipped
            shipped = shipped.replace(ours, str(theirs))
        folders = "".join(
            f"{name}_temp_path {tmp_path}/nginx-{name};\n"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;" if os.geteuid() == 0 else ""
        (tmp_path / "nginx.conf").write_text(
            f"{user} daemon off; pid {tmp_path}/nginx.pid; error_log stderr;\n"
            f"events {{}}\nhttp {{ access_log off;\n{folders}{shipped}}}\n"
        )
        with running([str(NGINX), "-p", str(tmp_path), "-e", "stderr", "-c", str(tmp_path / "nginx.conf")]) as process:
            deadline = time.monotonic() + SECONDS_MAX
            while time.monotonic() < deadline and process.poll() is None:
                with socket.socket() as knock:
                    if knock.connect_ex(("127.0.0.1", free_port)) == 0:
                        break
                time.sleep(0.02)
            yield httpx2.Client(base_url=f"https://127.0.0.1:{free_port}", verify=False, timeout=SECONDS_MAX)

    def test_the_shipped_configuration_puts_tls_in_front_of_the_socket(self, url, tmp_path, proxy):
        token = "x" * 32
        settings = {"LIKEWISE_SOCKET": str(tmp_path / "likewise.sock"), "LIKEWISE_ADMIN_TOKEN": token}
        with running([sys.executable, "-m", "likewise", "serve"], LIKEWISE_DATABASE=url, **settings) as process, proxy:
            wait_for_line(process, "serves on")

            assert proxy.get("/readyz").json() == {"status": "ok"}
            assert proxy.get("/v1/me/ratings/songs/1").headers["access-control-allow-origin"] == "*"
            long = proxy.get("/v1/me/ratings/songs?ids=" + ",".join(["1"] * 10_000))
            assert long.status_code == 401  # it came through
            inside = proxy.get("/_likewise/keys", headers={"Authorization": f"Bearer {token}"})
            assert inside.status_code == 404
            assert "nginx" in inside.text
