"""Match keys: what two spellings of one song have in common. Pure, and without a list of songs.

«Beyoncé feat. JAY-Z» and «Beyonce», «Don't Stop (Remastered)» and «dont stop - remastered» have one key. A recording
that says it is another («Live», «Remastered») keeps saying so.
"""

import re
import unicodedata

KEY_CHARACTERS_MAX = 200
"""The most characters of one text's key, so that an index can hold two; what is longer is cut."""

# Letters that Unicode takes for letters of their own, and keyboards for a letter with something on it.
_PLAIN = str.maketrans(
    {"æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "ł": "l", "þ": "th", "\u0131": "i", "ħ": "h", "&": " and "}
)
_ACCENTS = re.compile(r"[\u0300-\u036f]")  # those of European scripts; a Japanese or Indic mark is half of a letter
_APOSTROPHES = re.compile(r"['`\u00b4\u02bc\u2018\u2019]")
_NO_LETTERS = re.compile(r"[\W_]+")
_GUESTS_ASIDE = re.compile(r"[(\[](?:feat|ft|featuring)\b[^)\]]*[)\]]")
_GUESTS_AT_THE_END = re.compile(r"(?<=\S)\s+(?:ft\.|feat\b|featuring\s).*")


def match_key(title: str | None, artist: str | None) -> str | None:
    """Make the key of a title and an artist, as `Clue.MATCH_KEY` wants it; None where either is unknown."""
    title_part, artist_part = key_of(title), key_of(artist)
    return None if title_part is None or artist_part is None else f"{title_part}\n{artist_part}"


def key_of(text: str | None) -> str | None:
    """Fold case, accents, punctuation and guests («feat.») of a title or an artist; None for a text without anything.

    A text that has nothing but these keeps them, so that «???» and «!!!» are two.
    """
    words = (text or "").split()
    folded = _fold(" ".join(words))
    bare = _GUESTS_AT_THE_END.sub("", _GUESTS_ASIDE.sub(" ", folded))
    for candidate in (bare, folded):
        letters = _NO_LETTERS.sub(" ", _APOSTROPHES.sub("", candidate)).split()
        if letters:
            return _cut(" ".join(letters))
    return _cut(" ".join(folded.split() or words)) or None


def _fold(text: str) -> str:
    bare = _ACCENTS.sub("", unicodedata.normalize("NFKD", text).casefold())
    return unicodedata.normalize("NFKC", bare).translate(_PLAIN)


def _cut(key: str) -> str:
    return key[:KEY_CHARACTERS_MAX].rstrip()
