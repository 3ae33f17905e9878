"""Turns at what takes long."""

import pytest

from likewise.errors import StoreUnavailable
from likewise.stores.turns import Turns

ADA, BEN = 1, 2


async def test_nobody_waits_for_a_turn_for_ever_and_who_has_one_keeps_it():
    turns = Turns(1, seconds_max=0.05)

    async with turns.of(ADA):
        for listener in (ADA, BEN):
            with pytest.raises(StoreUnavailable):
                async with turns.of(listener):
                    pytest.fail("two had their turn at once")

    async with turns.of(BEN):
        pass


async def test_what_takes_too_long_in_a_turn_is_no_waiting():
    turns = Turns(1, seconds_max=60)

    with pytest.raises(TimeoutError):
        async with turns.of(ADA):
            raise TimeoutError

    async with turns.of(ADA):
        pass
