"""How many connections a worker takes: as many as it is allowed to open."""

import resource

import pytest

from likewise.serving.connections import connections_max

NO_LIMIT = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("limits", "connections", "set_to"),
    [
        ((1_024, 524_288), 10_240, 10_496),
        ((1_024, NO_LIMIT), 10_240, 10_496),
        ((1_024, 4_096), 3_840, 4_096),
        ((1_024, 1_024), 768, None),
        ((20_000, 20_000), 10_240, None),
        ((NO_LIMIT, NO_LIMIT), 10_240, None),
        ((100, 100), 1, None),
    ],
)
def test_the_limit_of_open_files_is_raised_as_far_as_needed_and_allowed(monkeypatch, limits, connections, set_to):
    asked = []
    monkeypatch.setattr(resource, "getrlimit", lambda _which: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _which, limits: asked.append(limits))

    assert connections_max() == connections
    assert asked == ([] if set_to is None else [(set_to, limits[1])])


def test_where_it_cannot_be_raised_it_stays(monkeypatch):
    def refuse(_which, _limits):
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _which: (1_024, NO_LIMIT))
    monkeypatch.setattr(resource, "setrlimit", refuse)

    assert connections_max() == 768
