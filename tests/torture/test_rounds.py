"""Nothing acknowledged is ever lost, and histories are right: a dozen kills here, and 200 by `make torture`."""

import pytest

from tests.torture.clients import Work
from tests.torture.rounds import Failed, Plan, Run

KILLS = [
    Plan(seed=1, engine="sqlite", workers=1, rounds=4),
    Plan(seed=2, engine="sqlite", workers=2, rounds=2),
    Plan(seed=3, engine="postgres", workers=1, rounds=3),
    Plan(seed=4, engine="postgres", workers=2, rounds=3),
]


@pytest.mark.parametrize("plan", KILLS, ids=str)
async def test_whatever_is_killed_every_answer_stays_true(plan, tmp_path):
    run = Run(plan, tmp_path)

    await run.go()

    assert run.history.size > 100


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_no_worker_serves_a_stale_read(engine, tmp_path):
    run = Run(Plan(5, engine, workers=2, rounds=1, groups=1, is_gentle=True, work=Work.MOSTLY_READS), tmp_path)

    await run.go()

    assert run.history.size > 100


@pytest.mark.parametrize(
    "plan",
    [
        Plan(6, "sqlite", fault="acknowledges_before_the_commit", rounds=20),
        Plan(7, "postgres", fault="loses_the_rating_of_a_link", rounds=20, is_gentle=True),
        Plan(
            8,
            "sqlite",
            fault="serves_stale_reads",
            workers=2,
            rounds=20,
            groups=1,
            is_gentle=True,
            work=Work.MOSTLY_READS,
        ),
    ],
    ids=lambda plan: plan.fault,
)
async def test_a_service_that_breaks_a_promise_is_found_out(plan, tmp_path):
    with pytest.raises(Failed, match="no order explains"):
        await Run(plan, tmp_path).go()
