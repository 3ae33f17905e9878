"""The storefronts of the Apple Music catalog, and the rule for the query parameter `l`."""

import json
import re
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import resources

from likewise.domain import Storefront
from likewise.errors import BadName, BadParameter

_LANGUAGE_WITHOUT_STOREFRONT = "en-US"
_is_language_tag = re.compile(r"[A-Za-z]{2}(?:-[A-Za-z0-9]{1,8})*").fullmatch


def _read_storefronts() -> dict[str, Storefront]:
    rows = json.loads(resources.files("likewise").joinpath("data/storefronts.json").read_bytes())
    return {
        row["id"]: Storefront(
            row["id"],
            row["name"],
            row["defaultLanguageTag"],
            tuple(row["supportedLanguageTags"]),
            row["explicitContentPolicy"],
        )
        for row in rows
    }


STOREFRONTS: dict[str, Storefront] = _read_storefronts()
"""All storefronts by id (`us`, `jp`, lower case only), in the order in which the API lists them."""


def storefront_id_of(storefront: str) -> str:
    """Check a storefront's id; raise `BadName`, with a guess at what was meant."""
    if storefront not in STOREFRONTS:
        close = get_close_matches(storefront.lower(), STOREFRONTS, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]}?" if close else "a storefront is two lower-case letters, like us or jp"
        raise BadName(f"{storefront!r} is no storefront", hint, about="storefront")
    return storefront


def choose_language(tag: str | None, storefronts: Sequence[Storefront]) -> str:
    """Choose the language of an answer about these storefronts: a listener's one, or those that are shown.

    `tag` is the parameter `l`. Empty, or with an underscore in it, it counts as absent; well formed but unsupported,
    it is ignored and the (first) storefront's default counts. Raise `BadParameter` for a malformed tag.
    """
    if tag and "_" not in tag:
        if not _is_language_tag(tag):
            raise BadParameter("l", f"Invalid language tag '{tag}'")
        wanted = tag.lower()
        for storefront in storefronts:
            for supported in storefront.supported_language_tags:
                if supported.lower() == wanted:
                    return supported
    return storefronts[0].default_language_tag if storefronts else _LANGUAGE_WITHOUT_STOREFRONT
