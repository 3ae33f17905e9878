"""The documents that come and go, as schemas with names."""

from likewise import errors
from likewise.admin import USER_TOKEN_DAYS_MAX
from likewise.api.description import refusals
from likewise.api.description.parts import Part, array, closed, one_of, only, opened, or_null, schema, text, whole
from likewise.api.lists.bulk import BULK_RATINGS_MAX
from likewise.domain import APPLE_ID, KINDS, LIBRARY_KINDS, LISTENER_NAME, TWINS, Kind, Value
from likewise.storefronts import STOREFRONTS
from likewise.tokens import USER_TOKEN_DAYS

_VALUES = [int(value) for value in Value]
_SECOND = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"
_KEPT_MEMBERS = ("name", "artistName")

RATABLE_TYPES = list(KINDS)
LIBRARY_TYPES = list(LIBRARY_KINDS)
ANY_ID = "|".join(dict.fromkeys(kind.id_pattern for kind in Kind))
LIBRARY_ID = "|".join(dict.fromkeys(kind.id_pattern for kind in LIBRARY_KINDS.values()))
CATALOG_ID = "|".join(dict.fromkeys(TWINS[kind].id_pattern for kind in LIBRARY_KINDS.values()))
_PLACES = "|".join(f"{kind.number}[.]{kind.id_pattern}" for kind in Kind)
PLACE = f"-?[0-9]{{1,15}}\\.(?:{_PLACES})"
LINK_PLACE = "|".join(f"{type}/{kind.id_pattern}" for type, kind in LIBRARY_KINDS.items())


def _moment(says: str) -> Part:
    return text(rf"{_SECOND}\.[0-9]{{3}}Z", says, format="date-time")


def _value(*more: None) -> Part:
    return {"enum": [*_VALUES, *more], "description": "1 is a like, -1 a dislike"}


def _rating(attributes: Part, **relationships: Part) -> Part:
    return closed(
        ["relationships"],
        id=text(ANY_ID, "the id that was asked for"),
        type=only("ratings"),
        href=text(rf"/v1/me/ratings/(?:{'|'.join(KINDS)})/.+"),
        attributes=attributes,
        relationships=closed(list(relationships), **relationships),
    )


def _related(says: str) -> Part:
    return {**closed(data=array(schema("Identifier"), minItems=1, maxItems=1)), "description": says}


_CONTENT = _related("what is rated, with `include=content`")
_NAMES = {"name": text(says="its title, where it is known"), "artistName": text(says="whose it is, where it is known")}
_NEXT = text("/.+", "the path of the page that follows; absent on the last")


def _data(items: str) -> Part:
    return closed(data=array(schema(items)))


def _page(items: str, **meta: Part) -> Part:
    found = {"data": array(schema(items)), "next": _NEXT}
    return closed(["next", "meta"], **found, meta=closed(list(meta), **meta)) if meta else closed(["next"], **found)


_APPLE: dict[str, Part] = {
    "Value": _value(),
    "Rating": _rating(closed(value=schema("Value")), content=_CONTENT),
    "Ratings": _data("Rating"),
    "RatingRequest": {
        **opened(
            ["type"],
            type={**one_of("rating", "ratings"), "description": "`rating` in Apple's samples, `ratings` in its schema"},
            attributes=opened(value={**_value(), "type": "integer"}),
        ),
        "description": "A number is an integer as JSON writes it: 1, not 1.0. Other members are ignored.",
    },
    "Identifier": closed(
        ["attributes"],
        id=text(ANY_ID),
        type=one_of(*RATABLE_TYPES),
        href=text(r"/v1/(?:catalog/[a-z]{2}|me/library)/.+"),
        attributes=closed(_KEPT_MEMBERS, **_NAMES),
    ),
    "Identifiers": _data("Identifier"),
    "LibraryItem": closed(
        id=text(LIBRARY_ID),
        type=one_of(*(f"library-{type}" for type in LIBRARY_TYPES)),
        href=text(rf"/v1/me/library/(?:{'|'.join(LIBRARY_TYPES)})/.+"),
        attributes=closed(
            playParams=closed(
                ["catalogId"],
                id=text(LIBRARY_ID),
                kind=one_of(*dict.fromkeys(kind.singular for kind in LIBRARY_KINDS.values())),
                isLibrary={"const": True},
                catalogId=text(CATALOG_ID, "the catalog's id of it; an upload has none"),
            ),
            dateAdded=text(rf"{_SECOND}Z", format="date-time"),
        ),
    ),
    "LibraryItems": _data("LibraryItem"),
    "LibraryPage": _page("LibraryItem", total=whole(0, 2**53)),
    "Storefront": closed(
        id=text("[a-z]{2}"),
        type=only("storefronts"),
        href=text("/v1/storefronts/[a-z]{2}"),
        attributes=closed(
            name={"type": "string"},
            defaultLanguageTag={"type": "string"},
            supportedLanguageTags=array({"type": "string"}),
            explicitContentPolicy=one_of(*sorted({storefront.policy for storefront in STOREFRONTS.values()})),
        ),
    ),
    "Storefronts": _data("Storefront"),
    "StorefrontPage": _page("Storefront"),
}

_EXTENSIONS: dict[str, Part] = {
    "Cursor": text("[0-9]{1,16}[.][0-9]{1,18}", "which change was seen last; opaque, and one listener's alone"),
    "ListedRating": _rating(
        closed(
            _KEPT_MEMBERS,
            value={**_value(None), "description": "1 is a like, -1 a dislike, null that it was cleared"},
            ratedAt=_moment("when that happened"),
            **_NAMES,
        ),
        content=_CONTENT,
        library=_related("its id in the library, where it is there"),
    ),
    "ListedRatings": _page("ListedRating", total=whole(0, 2**53), cursor=schema("Cursor")),
    "ManyRatings": opened(
        data=array(
            {"anyOf": [schema("BulkRating"), {"description": "the answer says what is wrong with it"}]},
            maxItems=BULK_RATINGS_MAX,
        )
    ),
    "BulkRating": opened(
        type=one_of(*RATABLE_TYPES),
        id=text(ANY_ID),
        attributes=opened(value={**_value(None), "description": "1 is a like, -1 a dislike, null clears"}),
    ),
    "Outcomes": closed(data=array({"anyOf": [schema("Outcome"), schema("BulkRefusal")]}, maxItems=BULK_RATINGS_MAX)),
    "Outcome": _rating(closed(value=_value(None))),
    "BulkRefusal": closed(
        errors=array(refusals.error_schemas([errors.BadBody, errors.NotFound]), minItems=1, maxItems=1)
    ),
}

_KEY_MEMBERS = {"key_id": text(APPLE_ID), "team_id": text(APPLE_ID)}
_LINK_MEMBERS = {"type": one_of(*LIBRARY_TYPES), "library_id": text(LIBRARY_ID)}


def _link(type: str, kind: Kind) -> Part:
    return opened(type=only(type), library_id=text(kind.id_pattern), catalog_id=text(TWINS[kind].id_pattern))


def _token(**more: Part) -> Part:
    return closed(
        **more,
        id=text("[A-Za-z0-9_-]+", "names it, and opens nothing"),
        team_id=text(APPLE_ID),
        created=_moment("when it was issued"),
        expires=_moment("from when on it is refused"),
        revoked=or_null(_moment("when it was revoked")),
    )


_OPERATORS: dict[str, Part] = {
    "Listener": closed(name=text(LISTENER_NAME), storefront=one_of(*STOREFRONTS)),
    "NewListener": opened(name=text(LISTENER_NAME), storefront=one_of(*STOREFRONTS)),
    "Listeners": _data("Listener"),
    "ListenerPage": _page("Listener"),
    "UserToken": _token(),
    "UserTokenPage": _page("UserToken"),
    "NewUserToken": opened(
        ["days"],
        team_id=text(APPLE_ID),
        days=whole(1, USER_TOKEN_DAYS_MAX, default=USER_TOKEN_DAYS, description="how long it lives"),
    ),
    "IssuedUserToken": _token(music_user_token=text("[A-Za-z0-9+/]+==", "in clear this once")),
    "IssuedUserTokens": _data("IssuedUserToken"),
    "Key": closed(
        **_KEY_MEMBERS,
        public_key=text(says="in PEM"),
        created=_moment("when it was registered"),
        revoked=or_null(_moment("when it was revoked")),
    ),
    "Keys": _data("Key"),
    "KeyPage": _page("Key"),
    "NewKey": {
        "oneOf": [
            opened(
                **_KEY_MEMBERS,
                public_key=text(says="the public half of a P-256 key, in PEM", format="p256-pem"),
            ),
            opened(**_KEY_MEMBERS, jwk={"type": "object", "description": "the same as a JWK (RFC 7517)"}),
        ]
    },
    "Link": closed(
        **_LINK_MEMBERS,
        catalog_id=or_null(text(CATALOG_ID)),
        added=_moment("when it was added to the library"),
    ),
    "LinkPage": _page("Link"),
    "NewLink": {"anyOf": [_link(type, kind) for type, kind in LIBRARY_KINDS.items()]},
    "MadeLinks": closed(data=array(closed(**_LINK_MEMBERS, catalog_id=text(CATALOG_ID)), minItems=1, maxItems=1)),
}

_SERVICE: dict[str, Part] = {
    "Health": closed(status=only("ok")),
}

SCHEMAS: dict[str, Part] = _APPLE | _EXTENSIONS | _OPERATORS | _SERVICE
