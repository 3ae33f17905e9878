"""Taking an address: ports that are free, Unix sockets that are nobody's, and nothing of anybody else's touched."""

import os
import socket
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from likewise.config import Settings
from likewise.errors import AddressInUse, BadSetting
from likewise.serving.addresses import Port, UnixSocket, free_address, open_address, open_socket
from tests.certificates import NOW, made_today

TODAY = datetime.now(UTC)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "likewise.sock"


def connects(path):
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
        return True


@pytest.mark.parametrize(
    ("address", "url"),
    [
        (Port("127.0.0.1", 8080), "http://127.0.0.1:8080"),
        (Port("::1", 8080), "http://[::1]:8080"),
    ],
)
def test_the_url_of_a_port(address, url):
    assert address.url == url


def test_settings_name_a_port_a_port_with_tls_or_a_socket(tmp_path, path):
    certificate, key = made_today(tmp_path)
    tls = Settings(port=0, tls_certificate=str(certificate), tls_key=str(key))

    with open_address(Settings(port=0), now=TODAY) as address:
        assert address.url.startswith("http://127.0.0.1:")
    with open_address(tls, now=TODAY) as address:
        assert address.url.startswith("https://127.0.0.1:")
    with open_address(Settings(socket=str(path)), now=TODAY) as address:
        assert address.url == f"unix:{path}"


def test_a_certificate_that_is_no_good_is_refused_before_anything_listens(tmp_path):
    certificate, key = made_today(tmp_path)

    with pytest.raises(BadSetting, match="is not valid before"):
        open_address(Settings(port=0, tls_certificate=str(certificate), tls_key=str(key)), now=NOW).__enter__()


def test_a_port_in_use_is_refused():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(AddressInUse, match="is in use"):
            free_address("127.0.0.1", taken.getsockname()[1])


def test_a_socket_takes_connections_in_its_mode_until_the_block_ends(path):
    with open_socket(path, mode=0o640) as unix_socket:
        found = path.stat()

        assert unix_socket.path == path
        assert stat.S_ISSOCK(found.st_mode)
        assert stat.S_IMODE(found.st_mode) == 0o640
        assert connects(path)

    assert not path.exists()


def test_making_a_socket_leaves_the_umask_and_no_other_file(path):
    before = os.umask(0o27)
    try:
        with open_socket(path, mode=0o600):
            assert os.umask(0o27) == 0o27
    finally:
        os.umask(before)

    assert list(path.parent.iterdir()) == []


def test_a_socket_in_use_is_refused_and_stays(path):
    with open_socket(path, mode=0o600):
        with pytest.raises(AddressInUse, match=f"the socket {path} is in use"):
            open_socket(path, mode=0o600).__enter__()

        assert connects(path)


def test_a_socket_whose_owner_is_too_busy_is_in_use(path):
    with socket.socket(socket.AF_UNIX) as owner, socket.socket(socket.AF_UNIX) as waiting:
        owner.bind(str(path))
        owner.listen(0)
        waiting.connect(str(path))

        with pytest.raises(AddressInUse, match="is in use"):
            open_socket(path, mode=0o600).__enter__()

    assert path.exists()


def test_a_socket_that_nobody_listens_on_is_replaced(path):
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(path))

    with open_socket(path, mode=0o600):
        assert connects(path)


def test_of_many_that_find_a_stale_socket_at_once_one_gets_it(path):
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(path))

    def attempt(_number):
        context = open_socket(path, mode=0o600)
        try:
            context.__enter__()
        except AddressInUse:
            return None
        return context

    with ThreadPoolExecutor(8) as threads:
        [winner] = [context for context in threads.map(attempt, range(8)) if context]

    assert connects(path)
    winner.__exit__(None, None, None)


@pytest.mark.parametrize("make", [lambda path: path.write_text("dear"), lambda path: path.mkdir()])
def test_what_is_no_socket_is_left_alone(path, make):
    make(path)

    with pytest.raises(BadSetting, match=f"{path} is there and is no socket"):
        open_socket(path, mode=0o600).__enter__()

    assert path.exists()


def test_a_link_to_a_socket_is_no_socket(path):
    with open_socket(path.with_name("other.sock"), mode=0o600):
        path.symlink_to("other.sock")
        with pytest.raises(BadSetting, match="is no socket"):
            open_socket(path, mode=0o600).__enter__()


@pytest.mark.parametrize("name", ["nowhere/likewise.sock", f"{'x' * 108}.sock", "likewise.sock/x"])
def test_where_no_socket_can_be_it_is_said_so(tmp_path, path, name):
    path.write_text("a file")

    with pytest.raises(BadSetting, match=r"cannot be made \(") as refusal:
        open_socket(tmp_path / name, mode=0o600).__enter__()

    assert "108 bytes" in refusal.value.hint


def test_a_socket_that_has_taken_the_place_is_not_removed(path):
    with open_socket(path, mode=0o600):
        path.unlink()
        with socket.socket(socket.AF_UNIX) as another:
            another.bind(str(path))
            os.utime(path, ns=(1, 1))

    assert path.exists()


def test_a_socket_can_be_withdrawn_early_and_again(path):
    with open_socket(path, mode=0o600) as unix_socket:
        assert isinstance(unix_socket, UnixSocket)
        unix_socket.withdraw()

        assert not path.exists()
