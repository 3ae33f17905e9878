"""Match keys: which spellings are one, and which are not."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from likewise.domain import Item, ItemName, Kind, item_name_of
from likewise.errors import BadName
from likewise.matching import KEY_CHARACTERS_MAX, key_of, match_key

SONG = Item(Kind.SONG, "1")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Beyoncé", "BEYONCE"),
        ("Beyonce\u0301", "Beyonc\u00e9"),
        ("Don\u2019t Stop", "dont stop"),
        ("Don't Stop", "Don`t  Stop!"),
        ("Hells Bells", "Hells-Bells"),
        ("Simon & Garfunkel", "Simon and Garfunkel"),
        ("Umbrella (feat. JAY-Z)", "Umbrella"),
        ("Umbrella [ft. JAY-Z]", "Umbrella"),
        ("Umbrella feat. JAY-Z", "Umbrella"),
        ("Rihanna Featuring Jay-Z", "Rihanna"),
        ("Rihanna ft. Jay-Z", "rihanna"),
        ("Umbrella (feat. JAY-Z) [Live]", "Umbrella (Live)"),
        ("Sigur Rós", "Sigur Ros"),
        ("Blue Öyster Cult", "Blue Oyster Cult"),
        ("Røyksopp", "Royksopp"),
        ("Straße", "STRASSE"),
        ("Æther", "Aether"),
        ("\uff21\uff22\uff22\uff21", "ABBA"),
        ("Song 2 - Remastered", "Song 2 (Remastered)"),
    ],
)
def test_two_spellings_of_one_name_have_one_key(one, other):
    assert key_of(one) == key_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Umbrella", "Umbrella (Live)"),
        ("???", "!!!"),
        ("か", "が"),  # a mark in Japanese is half of a letter
        ("Song 2", "Song 3"),
        ("Feat", "Feature"),
        ("Defeat of Them", "Defeat"),
        ("6 ft under", "6 ft deep"),
        ("Featuring Nobody", "Featuring Somebody"),
    ],
)
def test_two_names_have_two_keys(one, other):
    assert key_of(one) != key_of(other)


def test_a_match_key_wants_both_names():
    assert match_key("Something", "The Beatles") == "something\nthe beatles"
    assert match_key("Something", None) is match_key(None, "The Beatles") is match_key("", " ") is None


texts = st.text(max_size=60)
words = st.text(st.characters(categories=["Ll", "Lu", "Nd"], max_codepoint=0x17F), min_size=1, max_size=8)
titles = st.lists(words, min_size=1, max_size=4).map(" ".join)


@given(texts)
def test_whatever_says_anything_has_a_short_key_on_one_line(text):
    key = key_of(text)

    assert (key is None) == (not text.split())
    if key is not None:
        assert 0 < len(key) <= KEY_CHARACTERS_MAX
        assert key == " ".join(key.split())


@given(titles)
def test_case_accents_punctuation_and_guests_count_for_nothing(title):
    key = key_of(title)

    assert key_of(title.casefold()) == key
    assert key_of(unicodedata.normalize("NFD", title)) == key
    assert key_of(f"  «{title.replace(' ', ' - ')}»! ") == key
    assert key_of(f"{title} (feat. Somebody)") == key


# Names


@given(st.none() | st.text(max_size=700), st.none() | st.text(max_size=20))
def test_whatever_is_said_of_an_item_becomes_a_name_that_any_database_takes(title, artist):
    name = item_name_of(SONG, title=title, artist=artist)

    for text in (name.title, name.artist):
        if text is not None:
            assert 0 < len(text) <= 500
            assert text.encode()
            assert text == text.strip()
            assert "\x00" not in text


def test_facts_are_brought_into_their_form():
    name = item_name_of(
        SONG,
        title="  Some\tthing ",
        artist="",
        isrc="us-ug1-20-02836",
        musicbrainz_id=" B84EE12A-09ef-421b-82de-0441a926375b",
    )

    assert name == ItemName(SONG, "Some thing", None, None, "USUG12002836", "b84ee12a-09ef-421b-82de-0441a926375b")


@pytest.mark.parametrize(
    ("facts", "about"),
    [
        ({"isrc": "USUG1200283"}, "isrc"),
        ({"isrc": "US-UG1-20-0283X"}, "isrc"),
        ({"isrc": "ÜSUG12002836"}, "isrc"),
        ({"musicbrainz_id": "b84ee12a09ef421b82de0441a926375b"}, "musicbrainz_id"),
        ({"musicbrainz_id": "b84ee12a-09ef-421b-82de-0441a926375g"}, "musicbrainz_id"),
    ],
)
def test_a_bad_identifier_is_refused(facts, about):
    with pytest.raises(BadName) as refusal:
        item_name_of(SONG, **facts)

    assert refusal.value.about == about
    assert refusal.value.hint
