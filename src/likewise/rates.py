"""A limited rate for each developer team: a bucket that fills up as time goes by, and from which each request takes."""

from likewise.domain import Time
from likewise.errors import TooManyRequests

_MILLISECONDS = 1_000


class Bucket:
    """Room for requests of one team on one worker, reckoned in whole numbers, so that nothing is lost to rounding.

    It fills by `rate` in a second, a request takes `cost`, and more than `capacity` never gathers.
    """

    __slots__ = ("_capacity", "_cost", "_filled", "_level", "_rate", "_team_id")

    def __init__(self, team_id: str, *, rate: int, cost: int, capacity: int) -> None:
        self._team_id = team_id
        # By the millisecond the bucket fills by a thousandth of `rate`, so all else is a thousand times as much.
        self._rate = rate
        self._cost = cost * _MILLISECONDS
        self._capacity = self._level = capacity * _MILLISECONDS
        self._filled: Time = 0

    def take(self, now: Time) -> None:
        """Make room for one request; raise `TooManyRequests` when there is none. A clock set back fills nothing."""
        passed = now - self._filled
        self._filled = now
        if passed > 0:
            self._level = min(self._level + passed * self._rate, self._capacity)
        if self._level < self._cost:
            seconds = -(-(self._cost - self._level) // (self._rate * _MILLISECONDS))
            raise TooManyRequests(seconds, team_id=self._team_id)
        self._level -= self._cost


class RateLimit:
    """The buckets of all teams: each may ask `requests_per_second` of all workers together.

    Every worker gives out its share. What a team did not use in the last second it may still use: that much, but one
    request at least, gathers on each worker. There are no more buckets than teams with a registered key.
    """

    def __init__(self, requests_per_second: int, *, workers: int) -> None:
        # Reckoned in parts of a request, of which `workers` make a whole one, a share is a whole number.
        self._rate = requests_per_second
        self._cost = workers
        self._capacity = max(requests_per_second, workers)
        self._buckets: dict[str, Bucket] = {}

    def of(self, team_id: str) -> Bucket:
        """Find the bucket of a team whose developer token has been verified."""
        bucket = self._buckets.get(team_id)
        if bucket is None:
            bucket = Bucket(team_id, rate=self._rate, cost=self._cost, capacity=self._capacity)
            self._buckets[team_id] = bucket
        return bucket
