"""Who asked: the rightmost address of X-Forwarded-For that is no trusted proxy's, and nobody else's word."""

import logging
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from likewise.app import App
from likewise.config import Settings
from likewise.logs import Lines
from likewise.proxies import Proxies
from tests.house import ask

PROXIES = Proxies("10.0.0.0/8, 192.0.2.7, 2001:db8::/32")


def asked(peer="10.0.0.1", *forwarded_for, header=b"x-forwarded-for"):
    """A request from `peer` with X-Forwarded-For headers."""
    headers = [(b"host", b"likewise"), *((header, value.encode("latin-1")) for value in forwarded_for)]
    return {"client": (peer, 1234), "headers": headers}


def test_without_proxies_it_is_whoever_connected():
    assert Proxies().client(asked("203.0.113.9")) == "203.0.113.9"
    assert Proxies().client(asked("2001:db8::1")) == "2001:db8::1"


@pytest.mark.parametrize("peer", ["203.0.113.9", "192.0.2.8", "11.0.0.1", "2001:db9::1"])
def test_the_header_of_somebody_untrusted_is_not_believed(peer):
    assert PROXIES.client(asked(peer, "198.51.100.1")) == peer


@pytest.mark.parametrize("peer", ["10.0.0.1", "10.255.255.255", "192.0.2.7", "2001:db8:ffff::1", "::ffff:10.0.0.1"])
def test_a_trusted_proxys_header_is_believed(peer):
    assert PROXIES.client(asked(peer, "198.51.100.1")) == "198.51.100.1"


@pytest.mark.parametrize(
    ("forwarded_for", "client"),
    [
        (["198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        (["1.1.1.1, 198.51.100.1, 10.0.0.3, 10.0.0.2"], "198.51.100.1"),
        (["1.1.1.1", "198.51.100.1", "10.0.0.2"], "198.51.100.1"),
        (["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        (["198.51.100.1:5678"], "198.51.100.1"),
        (["[2a00::1]:5678"], "2a00::1"),
        (["[2a00::1]"], "2a00::1"),
        (["2A00:0::1"], "2a00::1"),
        (["::ffff:198.51.100.1"], "198.51.100.1"),
        (["\t198.51.100.1 "], "198.51.100.1"),
    ],
)
def test_it_is_the_rightmost_address_that_is_not_trusted(forwarded_for, client):
    assert PROXIES.client(asked("10.0.0.1", *forwarded_for)) == client


@pytest.mark.parametrize(
    "forwarded_for",
    [
        "",
        ",",
        "unknown",
        "198.51.100.1, nonsense",
        "198.51.100.1,",
        "_hidden",
        "300.0.0.1",
        "1",
        "[",
        "[]",
        ":",
        "é",
        "unix",
        "fe80::1%eth0\nforged",
    ],
)
def test_what_makes_no_sense_ends_the_search_at_the_last_that_did(forwarded_for):
    assert PROXIES.client(asked("10.0.0.1", forwarded_for)) == "10.0.0.1"
    assert PROXIES.client(asked("10.0.0.1", f"{forwarded_for}, 10.0.0.2")) == "10.0.0.2"


def test_other_headers_do_not_count():
    for header in (b"forwarded", b"x-real-ip", b"x-client-ip", b"true-client-ip"):
        assert PROXIES.client(asked("10.0.0.1", "198.51.100.1", header=header)) == "10.0.0.1"


@pytest.mark.parametrize("peer", [None, ("", "0"), ("", 0), ["", 0]])
def test_whoever_comes_over_the_unix_socket_is_believed_where_the_socket_is_trusted(peer):
    request = asked("", "198.51.100.1") | {"client": peer}

    assert Proxies().client(request) == "unix"
    assert PROXIES.client(request) == "unix"
    assert Proxies("unix").client(request) == "198.51.100.1"
    assert Proxies("10.0.0.0/8,unix").client(request) == "198.51.100.1"
    assert Proxies("unix").client(asked("") | {"client": peer}) == "unix"


def test_to_trust_the_socket_is_not_to_trust_a_network():
    assert Proxies("unix").client(asked("203.0.113.9", "198.51.100.1")) == "203.0.113.9"


def test_ipv4_networks_may_be_written_as_mapped_into_ipv6():
    assert Proxies("::ffff:10.0.0.0/104").client(asked("10.1.2.3", "198.51.100.1")) == "198.51.100.1"


def test_a_chain_is_followed_for_twenty_hops():
    hops = ["198.51.100.1", *["10.0.0.2"] * 19]

    assert PROXIES.client(asked("10.0.0.1", ", ".join(hops))) == "198.51.100.1"
    assert PROXIES.client(asked("10.0.0.1", ", ".join([*hops, "10.0.0.2"]))) == "10.0.0.2"


@pytest.mark.parametrize(
    "trusted", ["nonsense", "10.0.0.1/8", "10.0.0.0/33", "10.0.0", "*", "Unix", "localhost", "1.1.1.1 2.2.2.2"]
)
def test_what_is_no_address_and_no_network_is_refused(trusted):
    with pytest.raises(ValueError, match="IP addresses, networks like"):
        Proxies(trusted)


def test_more_than_a_hundred_are_refused():
    Proxies(",".join(["10.0.0.1"] * 100))
    with pytest.raises(ValueError, match="at most 100"):
        Proxies(",".join(["10.0.0.1"] * 101))


INSIDE = ip_network("10.0.0.0/8")


@given(
    spoofed=st.text(st.characters(codec="latin-1")),
    client=st.ip_addresses(),
    hops=st.lists(st.ip_addresses(network=str(INSIDE)), max_size=5),
)
def test_no_client_can_choose_what_it_is_taken_for(spoofed, client, hops):
    """Whatever it sends, the proxies add the truth to the right of it."""
    expected = getattr(client, "ipv4_mapped", None) or client
    assume(expected not in INSIDE)
    truth = ", ".join(map(str, [client, *hops]))

    for chain in ([f"{spoofed}, {truth}"], [spoofed, truth]):
        assert Proxies(str(INSIDE)).client(asked("10.0.0.1", *chain)) == str(expected)


async def test_the_log_of_a_refusal_says_who_asked(house, caplog):
    settings = Settings(database=house.app._settings.database, trusted_proxies="127.0.0.1")
    headers = [(b"x-forwarded-for", b"1.1.1.1, 198.51.100.1")]
    with caplog.at_level(logging.INFO, "likewise"):
        async with App(settings) as trusting:
            for app in (trusting, house.app):
                assert (await ask(app, "GET", b"/v1/test", headers)).status_code == 401

    said = [Lines().format(record).partition(" INFO ")[2] for record in caplog.records]
    assert all(line.startswith("refused: the request has no developer token") for line in said)
    assert [line.partition("client=")[2] for line in said] == ["198.51.100.1", "127.0.0.1"]


@given(peer=st.text(), values=st.lists(st.binary()), trusted=st.lists(st.ip_addresses().map(str)))
def test_nothing_that_is_sent_breaks_it_and_an_address_comes_out(peer, values, trusted):
    request = {"client": (peer, 1), "headers": [(b"x-forwarded-for", value) for value in values]}

    client = Proxies(",".join([*trusted, "unix"])).client(request)

    assert client == "unix" or str(ip_address(client)) == client
