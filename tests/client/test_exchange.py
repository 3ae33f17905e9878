"""When a request is sent again, and when it had better not be; and what a refusal is to those who asked."""

import json
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from likewise import errors
from likewise.client.exchange import Answer, Limits, Pace, Request, Send, Surroundings, Wait, exchange
from likewise.client.refusals import refusal_of
from likewise.wire import PROBLEMS, answer_to
from tests.test_errors_on_the_wire import REFUSALS

GET = Request("GET", "/v1/test")
PUT = Request("PUT", "/v1/me/ratings/songs/1", b"{}")
DELETE = Request("DELETE", "/v1/me/ratings/songs/1", absent=errors.NotRated)
POST = Request("POST", "/v1/me/library?ids%5Bsongs%5D=1", is_repeatable=False)

GOOD = Answer(200, {}, b"")
BUSY = Answer(429, {}, b"")
DOWN = Answer(503, {}, b"")
DROPPED = errors.ServerUnreachable("dropped")
NOT_RATED = Answer(404, {}, answer_to(errors.NotRated()).body)


class Turned:
    """A clock that the test turns by reporting what came of each step."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def surroundings(self, jitter: float) -> Surroundings:
        return Surroundings(now=lambda: self.seconds, monotonic=lambda: self.seconds, jitter=lambda: jitter)


def one(request):
    answer = yield request
    return answer


def play(request, outcomes, *, limits=None, jitter=1.0, seconds_each=0.0):
    """Play a call against these outcomes; return what it came to, and how long it waited each time."""
    clock = Turned()
    limits, around = limits or Limits(), clock.surroundings(jitter)
    steps = exchange(one(request), limits, around, Pace(limits.per_second_max, around.monotonic))
    waits: list[float] = []
    rest = iter(outcomes)
    report: Any = None
    while True:
        try:
            step = steps.send(report)
        except StopIteration as done:
            return done.value, waits
        except errors.LikewiseError as error:
            return error, waits
        if isinstance(step, Wait):
            waits.append(step.seconds)
            clock.seconds += step.seconds
            report = None
        else:
            assert isinstance(step, Send)
            assert step.request == request
            clock.seconds += seconds_each
            report = next(rest)


class TestTryingAgain:
    @pytest.mark.parametrize("request_", [GET, PUT, DELETE], ids=lambda request: request.method)
    @pytest.mark.parametrize("trouble", [BUSY, DOWN, DROPPED], ids=["429", "503", "dropped"])
    def test_what_is_repeatable_is_tried_again(self, request_, trouble):
        outcome, waits = play(request_, [trouble, trouble, GOOD])

        assert outcome == GOOD
        assert waits == [0.25, 0.5]

    @pytest.mark.parametrize("trouble", [BUSY, DOWN, DROPPED], ids=["429", "503", "dropped"])
    def test_what_is_not_repeatable_never_is(self, trouble):
        outcome, waits = play(POST, [trouble])

        assert isinstance(outcome, errors.LikewiseError)
        assert waits == []

    @pytest.mark.parametrize("status", [300, 302, 400, 401, 403, 404, 409, 418, 500, 502, 504])
    def test_other_answers_are_final(self, status):
        outcome, waits = play(GET, [Answer(status, {}, b"")])

        assert isinstance(outcome, errors.LikewiseError)
        assert waits == []

    def test_after_the_last_try_the_last_error_is_raised(self):
        outcome, waits = play(GET, [DROPPED, DROPPED, DOWN, BUSY])

        assert isinstance(outcome, errors.TooManyRequests)
        assert waits == [0.25, 0.5, 1.0]

    def test_one_try_may_be_all(self):
        outcome, waits = play(GET, [DROPPED], limits=Limits(tries_max=1))

        assert (outcome, waits) == (DROPPED, [])

    def test_waits_double_up_to_a_limit(self):
        limits = Limits(tries_max=50, seconds_max=1_000, wait_seconds_max=2)

        _, waits = play(GET, [DROPPED] * 49 + [GOOD], limits=limits)

        assert waits[:5] == [0.25, 0.5, 1.0, 2, 2]
        assert waits[-1] == 2

    def test_jitter_shortens_a_wait_by_any_part_of_it(self):
        assert play(GET, [DROPPED, DROPPED, GOOD], jitter=0.0)[1] == [0.0, 0.0]
        assert play(GET, [DROPPED, DROPPED, GOOD], jitter=0.5)[1] == [0.125, 0.25]

    def test_the_total_time_is_bounded(self):
        outcome, waits = play(GET, [DROPPED] * 3, limits=Limits(seconds_max=25, tries_max=10), seconds_each=10)

        assert outcome is DROPPED
        assert len(waits) == 2

    def test_a_first_answer_may_take_all_the_time_there_is(self):
        assert play(GET, [GOOD], seconds_each=1_000)[0] == GOOD

    @pytest.mark.parametrize("value", [-1, float("nan")])
    @pytest.mark.parametrize("limit", [each.name for each in fields(Limits)])
    def test_limits_that_make_no_sense_are_refused(self, limit, value):
        with pytest.raises(errors.BadSetting):
            Limits(**{limit: value})

    @pytest.mark.parametrize(
        "limit", ["tries_max", "seconds_max", "silence_seconds_max", "answer_bytes_max", "per_second_max"]
    )
    def test_limits_that_leave_nothing_are_refused(self, limit):
        with pytest.raises(errors.BadSetting):
            Limits(**{limit: 0})

    def test_a_client_may_try_again_without_waiting(self):
        limits = Limits(wait_seconds_first=0, wait_seconds_max=0)

        assert play(GET, [DROPPED, GOOD], limits=limits) == (GOOD, [0])


class TestPace:
    def test_requests_wait_for_their_turn(self):
        clock = Turned()
        pace = Pace(4, lambda: clock.seconds)

        assert [pace.wait_seconds() for _ in range(3)] == [0, 0.25, 0.5]
        clock.seconds += 0.6
        assert pace.wait_seconds() == pytest.approx(0.15)
        clock.seconds += 10
        assert pace.wait_seconds() == 0

    def test_what_is_tried_again_waits_too(self):
        limits = Limits(per_second_max=1)

        assert play(GET, [DROPPED, DROPPED, GOOD], limits=limits, jitter=0) == (GOOD, [0, 1, 0, 1])

    def test_without_one_nothing_waits(self):
        assert Pace(None, lambda: 0).wait_seconds() == 0


class TestRetryAfter:
    @pytest.mark.parametrize("trouble", [BUSY, DOWN], ids=["429", "503"])
    def test_seconds_are_waited_and_a_little_more(self, trouble):
        _, waits = play(GET, [trouble._replace(headers={"retry-after": " 7 "}), GOOD])

        assert waits == [7.25]

    def test_a_date_is_waited_for(self):
        date = "Thu, 01 Jan 1970 00:16:45 GMT"  # the clock shows 1 000 seconds

        assert play(GET, [BUSY._replace(headers={"retry-after": date}), GOOD], jitter=0)[1] == [5]

    def test_a_date_that_is_past_is_not_waited_for(self):
        date = "Thu, 01 Jan 1970 00:00:00 -0000"

        assert play(GET, [BUSY._replace(headers={"retry-after": date}), GOOD], jitter=0)[1] == [0]

    @pytest.mark.parametrize("seconds", ["30", "99999999999999999999"])
    def test_one_beyond_the_total_time_ends_it_at_once_and_says_for_how_long(self, seconds):
        outcome, waits = play(GET, [BUSY._replace(headers={"retry-after": seconds})])

        assert isinstance(outcome, errors.TooManyRequests)
        assert outcome.retry_after is not None
        assert outcome.retry_after >= 30
        assert waits == []

    @given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, [0-9]{1,5} Jan [0-9]{1,25} [0-9:]{1,9} [-+A-Z0-9]{0,25}"))
    @example("Mon, 01 Jan 99999999999999999999 00:00:00 GMT")
    @example("Mon, 01 Jan 2026 00:00:00 +99999999999999999999")
    def test_whatever_it_says_the_call_comes_to_an_end(self, text):
        outcome, waits = play(GET, [BUSY._replace(headers={"retry-after": text}), GOOD])

        assert outcome == GOOD or not waits
        assert all(0 <= wait <= 30 for wait in waits)


class TestDeletingTwice:
    @pytest.mark.parametrize("trouble", [DOWN, DROPPED], ids=["503", "dropped"])
    def test_what_is_gone_after_a_try_in_doubt_was_deleted(self, trouble):
        assert play(DELETE, [trouble, NOT_RATED])[0] == NOT_RATED

    def test_what_is_gone_at_the_first_try_was_not_there(self):
        assert isinstance(play(DELETE, [NOT_RATED])[0], errors.NotRated)

    def test_a_try_that_was_refused_is_not_in_doubt(self):
        assert isinstance(play(DELETE, [BUSY, NOT_RATED])[0], errors.NotRated)

    def test_only_deleting_is_done_by_being_gone(self):
        assert isinstance(play(GET, [DROPPED, NOT_RATED])[0], errors.ResourceNotFound)

    def test_a_404_that_does_not_speak_of_it_says_nothing(self):
        assert isinstance(play(DELETE, [DROPPED, Answer(404, {}, b"<html>")])[0], errors.BadAnswer)


# The inverse of the table of problems

RAISED: dict[type[Exception], Exception] = {
    errors.UrlTooLong: errors.UrlTooLong(5),
    errors.MethodNotAllowed: errors.MethodNotAllowed(["GET", "PUT"]),
    errors.UnknownResourceType: errors.UnknownResourceType("song"),
    errors.UnknownLibraryResourceType: errors.UnknownLibraryResourceType("library-songs"),
    errors.RatingsNotAllowed: errors.RatingsNotAllowed("songs"),
    errors.BadParameter: errors.BadParameter("ids", "text"),
    errors.BadBody: errors.BadBody("/attributes/value", "text"),
    errors.BodyTooLarge: errors.BodyTooLarge(5),
    errors.BodyTooSlow: errors.BodyTooSlow(5),
    errors.NoRelatedResources: errors.NoRelatedResources("catalog"),
}
# What has no sign of its own on the wire comes back as the nearest that has.
NEAREST: dict[type[Exception], type[Exception]] = {errors.ListenerRemoved: errors.BadUserToken}


def refused(error, absent=errors.ResourceNotFound):
    status, body, headers = answer_to(error)
    return refusal_of(absent, status, {name.decode(): value.decode() for name, value in headers}, body)


@pytest.mark.parametrize("kind", REFUSALS, ids=lambda kind: kind.__name__)
def test_a_refusal_comes_back_as_what_was_raised_with_its_words(kind):
    raised = RAISED[kind] if kind in RAISED else kind()
    absent = kind if issubclass(kind, errors.NotFound) else errors.ResourceNotFound

    error = refused(raised, absent)

    assert type(error) is NEAREST.get(kind, kind)
    if not isinstance(error, errors.BadDeveloperToken | errors.BadUserToken | errors.BadAdminToken) and str(raised):
        assert str(error) == str(raised)
    for attribute in ("parameter", "pointer", "allowed"):
        assert getattr(error, attribute, None) == getattr(raised, attribute, None)


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (errors.StoreUnavailable("the database"), errors.StoreUnavailable),
        (ValueError("a secret"), errors.ServerFailed),
        (errors.AlreadyExists("there is one"), errors.Refused),
        (errors.BadName("no name"), errors.BadBody),
    ],
)
def test_a_failure_comes_back_too(raised, kind):
    assert type(refused(raised)) is kind


@pytest.mark.parametrize("code", sorted({problem.code for problem in PROBLEMS.values()}))
def test_every_code_of_the_table_has_its_error(code):
    error = refusal_of(
        errors.ResourceNotFound, int(code[:3]), {}, document({"code": code, "title": "T", "detail": "D"})
    )

    assert isinstance(error, errors.LikewiseError)
    assert type(error) is not errors.LikewiseError


def document(*problems):
    return json.dumps({"errors": problems}).encode()


@pytest.mark.parametrize(
    ("status", "body", "kind", "text"),
    [
        (
            400,
            document({"code": "40012", "title": "Insufficient Permissions"}),
            errors.Refused,
            "Insufficient Permissions",
        ),
        (400, document({"code": "49999", "title": "T", "detail": "A new fault"}), errors.Refused, "A new fault"),
        (400, document({"title": "T"}), errors.Refused, "T"),
        (400, b"", errors.Refused, "The server refused with status 400"),
        (400, document(), errors.Refused, "The server refused with status 400"),
        (400, document({"code": "40008", "detail": "Something new"}), errors.BadPathValue, "Something new"),
        (400, document({"code": "40008", "detail": "\x1b[2J" + "x" * 999}), errors.BadPathValue, None),
        (401, document({"code": "40101", "title": "Unauthorized"}), errors.BadDeveloperToken, None),
        (401, b"<html>", errors.BadDeveloperToken, None),
        (403, b"", errors.BadUserToken, None),
        (
            403,
            document({"code": "40399", "title": "T", "detail": "No subscription"}),
            errors.Refused,
            "No subscription",
        ),
        (
            404,
            document({"title": "Resource Not Found", "status": "404"}),
            errors.ResourceNotFound,
            "Resource Not Found",
        ),
        (404, b"<html>no such page</html>", errors.BadAnswer, "there is no such API at the base URL"),
        (404, b'{"detail":"Not Found"}', errors.BadAnswer, None),
        (404, b'{"errors":[{"code":40400}]}', errors.BadAnswer, None),
        (405, document({"code": "40500"}), errors.MethodNotAllowed, ""),
        (429, b"", errors.TooManyRequests, None),
        (
            500,
            document({"code": "50001", "detail": "Upstream Service Error"}),
            errors.ServerFailed,
            "Upstream Service Error",
        ),
        (502, b"<html>", errors.ServerFailed, "the server failed with status 502"),
        (503, b"\xff", errors.StoreUnavailable, None),
        (307, b"", errors.BadAnswer, None),
        (100, b"", errors.BadAnswer, None),
        (999, b"[" * 99_999, errors.ServerFailed, None),
    ],
)
def test_what_nobody_foresaw_is_a_sensible_error(status, body, kind, text):
    error = refusal_of(errors.ResourceNotFound, status, {}, body)

    assert type(error) is kind
    assert text is None or str(error) == text
    assert str(error).isprintable()
    assert len(str(error)) <= 300


def test_the_servers_id_of_the_error_is_noted():
    error = refused(errors.RatingsNotAllowed("songs"))

    [note] = error.__notes__
    assert note.startswith("The server answered 400 with code '40008', error id '")
