"""Everything the service may refuse or fail to do, in one tree.

    LikewiseError
    ├── Refused                          what was asked cannot be answered as asked
    │   ├── UrlTooLong                   path and query are over the limit
    │   ├── PathNotFound                 no such endpoint
    │   ├── MethodNotAllowed             the endpoint has other methods
    │   ├── BadDeveloperToken            who is calling?
    │   ├── BadUserToken                 on whose behalf?
    │   │   └── ListenerRemoved          it was somebody's, until a moment ago
    │   ├── BadAdminToken                is it the operator?
    │   ├── BadPathValue
    │   │   ├── UnknownResourceType      «song», «artists»
    │   │   ├── UnknownLibraryResourceType
    │   │   └── RatingsNotAllowed        an id that is not of its type
    │   ├── BadParameter                 one query parameter is at fault
    │   ├── BadBody                      the body is not the document that was asked for
    │   ├── CursorGone                   what changed after it is no longer known in full
    │   ├── BodyTooLarge
    │   ├── BodyTooSlow
    │   ├── TooManyRequests              more than the server lets one caller ask
    │   └── NotFound
    │       ├── NotRated                 nothing is rated under this id
    │       ├── ResourceNotFound         no such library item or storefront
    │       └── NoRelatedResources       the other side of a link does not exist
    ├── ClientGone                       the request broke off before it was whole
    └── Hinted                           people meet these on a terminal too, with a hint at what to do
        ├── StoreError                   the database could not do its part
        │   ├── StoreUnavailable         it did not answer; the same request may succeed later
        │   └── StoreUnusable            it is no database of ours, or a newer one
        ├── CallFailed                   a call to a server brought no answer that the client can use
        │   ├── ServerUnreachable        no connection, no answer in time, or one that broke off
        │   ├── ServerFailed             the server says that it failed
        │   └── BadAnswer                it answered, but not as the Apple Music API does
        └── OperatorError                what an operator asked for cannot be done
            ├── BadSetting               a setting is missing or makes no sense
            ├── AddressInUse             somebody else listens there, and may leave
            ├── BadKey                   a key of the wrong kind, or no key at all
            ├── BadFile                  a file is damaged, foreign or newer
            │   └── BadLine              … in this line
            ├── BadName                  a name, an id or a storefront is misspelled
            ├── AlreadyExists            it is there already
            ├── NotEmpty                 … and would have to go
            ├── NoSuchThing              it is not there
            │   ├── NoSuchListener
            │   └── NoSuchKey
            └── LinkRefused              the library item cannot take this catalog item as its twin

An error's text is for whoever asked: it names the thing and holds no secret. On the wire it is the `detail`
of Apple's error object; on the command line it is the sentence after `error:`, and `hint` the line after `hint:`.
"""

from collections.abc import Sequence


class LikewiseError(Exception):
    """Whatever the service refuses or fails to do on purpose."""


class Refused(LikewiseError):
    """The request, not the service, is at fault."""


class UrlTooLong(Refused):
    def __init__(self, bytes_max: int) -> None:
        super().__init__(f"The path and query of a URL may have {bytes_max} bytes")


class PathNotFound(Refused):
    pass


class MethodNotAllowed(Refused):
    """`allowed` are the methods that the path has."""

    def __init__(self, allowed: Sequence[str]) -> None:
        super().__init__()
        self.allowed = tuple(allowed)


class BadDeveloperToken(Refused):
    """The text says why, for the operator's log only: Apple answers with an empty body."""


class BadUserToken(Refused):
    """The text says why, for the operator's log only: Apple says «Invalid authentication» and no more."""


class ListenerRemoved(BadUserToken):
    def __init__(self) -> None:
        super().__init__("the listener has been removed")


class BadAdminToken(Refused):
    """The text says why, for the operator's log only."""


class BadPathValue(Refused):
    pass


class UnknownResourceType(BadPathValue):
    def __init__(self, type: str) -> None:
        super().__init__(f"Unknown resource type '{type}'")


class UnknownLibraryResourceType(BadPathValue):
    def __init__(self, type: str) -> None:
        super().__init__(f"Unknown library resource type '{type}'")


class RatingsNotAllowed(BadPathValue):
    def __init__(self, type: str) -> None:
        super().__init__(f"Ratings not allowed for resource type '{type}'")


class BadParameter(Refused):
    """`parameter` names the query parameter at fault."""

    def __init__(self, parameter: str, text: str) -> None:
        super().__init__(text)
        self.parameter = parameter


class BadBody(Refused):
    """`pointer` is the JSON pointer (RFC 6901) to the fault, or None when the body is no JSON object at all."""

    def __init__(self, pointer: str | None, text: str) -> None:
        super().__init__(text)
        self.pointer = pointer


class CursorGone(Refused):
    def __init__(self) -> None:
        super().__init__("What changed after this cursor is no longer known in full; begin again with all ratings")


class BodyTooLarge(Refused):
    def __init__(self, most: int, unit: str = "bytes") -> None:
        super().__init__(f"The body may have {most} {unit}")


class BodyTooSlow(Refused):
    def __init__(self, seconds_max: float) -> None:
        super().__init__(f"The body must arrive within {seconds_max:g} seconds")


class TooManyRequests(Refused):
    """`retry_after` is the seconds that the server wants to be left alone, None where it does not say.

    `team_id` says who, for the operator's log only.
    """

    def __init__(self, retry_after: float | None = None, *, team_id: str = "") -> None:
        super().__init__("Too many requests were made in too short a time")
        self.retry_after = retry_after
        self.team_id = team_id


class NotFound(Refused):
    pass


class NotRated(NotFound):
    def __init__(self) -> None:
        super().__init__("Resource with requested id was not found")


class ResourceNotFound(NotFound):
    def __init__(self) -> None:
        super().__init__("Resource with requested id was not found")


class NoRelatedResources(NotFound):
    """`relation` is the side that is missing, `catalog` or `library`."""

    def __init__(self, relation: str) -> None:
        super().__init__(f"No related resources found for {relation}")


class ClientGone(LikewiseError):
    """The client hung up before its request was whole, or sent what cannot be taken for the rest of it."""


class Hinted(LikewiseError):
    """An error that people meet on a terminal: one sentence, and a hint at what to do, ready to paste."""

    def __init__(self, text: str, hint: str = "") -> None:
        super().__init__(text)
        self.hint = hint


class StoreError(Hinted):
    """The database could not do its part."""


class StoreUnavailable(StoreError):
    """The database did not answer, or has too much to do; the same request may succeed later."""


class StoreUnusable(StoreError):
    """What the URL names is no database of ours, or was written by a newer Likewise."""


class CallFailed(Hinted):
    """A call to a server brought no answer that the client can use."""


class ServerUnreachable(CallFailed):
    """There was no connection, no answer in time, or one that broke off; a write may or may not have happened."""


class ServerFailed(CallFailed):
    """The server says that it failed (5xx); a write may or may not have happened."""


class BadAnswer(CallFailed):
    """What answered does not speak the Apple Music API, or says more than we are willing to hear."""


class OperatorError(Hinted):
    """What an operator asked for cannot be done."""


class BadSetting(OperatorError):
    """A setting is missing, unreadable or out of its range."""


class AddressInUse(OperatorError):
    """Somebody else listens where the service should; the same start may succeed later."""


class BadKey(OperatorError):
    """Not a P-256 key, or not the half that is needed."""


class BadFile(OperatorError):
    """A file that was handed in is damaged, of another program, or newer than we are."""


class BadLine(BadFile):
    """`number` counts the lines of the file from 1; the text goes on after it: «is no JSON»."""

    def __init__(self, number: int, text: str, hint: str = "") -> None:
        super().__init__(f"line {number} {text}", hint)
        self.number = number


class BadName(OperatorError):
    """A listener's name, a team id, a key id … does not have its form; `about` says which, as bodies name it."""

    def __init__(self, text: str, hint: str = "", *, about: str = "") -> None:
        super().__init__(text, hint)
        self.about = about


class AlreadyExists(OperatorError):
    """There is one of this name already."""


class NotEmpty(OperatorError):
    """There is something already where what was asked for would go."""


class NoSuchThing(OperatorError):
    """There is none of this name."""


class NoSuchListener(NoSuchThing):
    def __init__(self, name: str) -> None:
        super().__init__(f"there is no listener {name!r}", "see `likewise listener list`")


class NoSuchKey(NoSuchThing):
    def __init__(self, key_id: str) -> None:
        super().__init__(f"there is no developer key {key_id}", "see `likewise key list`")


class LinkRefused(OperatorError):
    """A removed library id stays dead, and a catalog item has one library id per listener."""
