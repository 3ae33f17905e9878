"""Web origins, as browsers send them (RFC 6454, section 6.2)."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from likewise.errors import BadName
from likewise.tokens import origin_of


@pytest.mark.parametrize(
    "origin",
    [
        "https://example.org",
        "http://localhost:3000",
        "https://a.b-c.example_x.org:8443",
        "http://127.0.0.1:80801"[:-1],
        "https://[2001:db8::1]:8443",
        "https://xn--mnchen-3ya.example",
        "capacitor://localhost",
        "http://example.org:443",
    ],
)
def test_an_origin_as_browsers_send_it_is_taken(origin):
    assert origin_of(origin) == origin


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("https://example.org/", "https://example.org"),
        ("https://example.org/app?x=1#y", "https://example.org"),
        ("https://example.org:443", "https://example.org"),
        ("http://example.org:80", "http://example.org"),
        ("HTTPS://Example.ORG", "https://example.org"),
        ("https://user:secret@example.org", "https://example.org"),
        ("https://example.org:08443", "https://example.org:8443"),
        ("https://[2001:DB8:0::1]", "https://[2001:db8::1]"),
        ("https://münchen.example", "https://xn--mnchen-3ya.example"),
    ],
)
def test_what_is_nearly_an_origin_is_refused_with_the_origin_it_means(text, meant):
    with pytest.raises(BadName) as refusal:
        origin_of(text)

    assert refusal.value.hint == f"did you mean {meant}?"
    assert origin_of(meant) == meant


@pytest.mark.parametrize(
    "text",
    [
        "*",
        "null",
        "example.org",
        "example.org:8080",
        "//example.org",
        "https://",
        "https:///path",
        "https://*.example.org",
        "https://[::1",
        "https://example.org:99999",
        "https://example.org:x",
        "https://[nowhere]",
        "https://a..b",
        "https://example.org.",
        "https://a%41",
        "",
        "https://a b",
        f"https://{'x' * 64}.org",
    ],
)
def test_what_is_no_origin_at_all_is_refused_with_an_example(text):
    with pytest.raises(BadName) as refusal:
        origin_of(text)

    assert refusal.value.hint == "write it like https://example.org or http://localhost:3000"


@given(st.text() | st.from_regex(r"https?://[^/]*"))
def test_whatever_is_taken_is_taken_as_it_is_and_nothing_breaks(text):
    with contextlib.suppress(BadName):
        assert origin_of(text) == text
