"""Ctrl-C while a command works on a store."""

import asyncio
import signal
import threading
import time

import pytest

from likewise.cli.common import run


def press_ctrl_c_in(thread_has_begun):
    """Send this process the signal in a thread that is not the main one, as the kernel may; it is not waited for."""

    def press():
        thread_has_begun.wait()
        time.sleep(0.05)  # more likely than not, the loop sleeps by now
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()


def test_it_cancels_the_work_between_two_of_its_steps():
    steps: list[object] = []

    async def work():
        try:
            signal.raise_signal(signal.SIGINT)
            task = asyncio.current_task()
            steps.append(task is not None and task.cancelling())
            await asyncio.sleep(60)
        finally:
            steps.append("cleared away")

    with pytest.raises(KeyboardInterrupt):
        run(work())

    assert steps == [0, "cleared away"]


def test_it_wakes_a_loop_that_sleeps_whichever_thread_hears_of_it():
    overslept = []

    async def work():
        try:
            alarm = asyncio.get_running_loop().time() + 20
            async with asyncio.timeout_at(alarm):
                began = threading.Event()
                press_ctrl_c_in(began)
                began.set()
                await asyncio.Event().wait()
        finally:
            overslept.append(asyncio.get_running_loop().time() >= alarm)

    with pytest.raises(KeyboardInterrupt):
        run(work())

    assert overslept == [False]


def test_a_second_one_does_not_wait():
    steps = []

    async def work():
        try:
            signal.raise_signal(signal.SIGINT)
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            signal.raise_signal(signal.SIGINT)
            await asyncio.sleep(60)
            steps.append("waited")

    with pytest.raises(KeyboardInterrupt):
        run(work())

    assert steps == []


def test_afterwards_it_is_as_it_was():
    async def work():
        return "done"

    assert run(work()) == "done"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_who_ignores_it_goes_on():
    async def work():
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(0)
        return "done"

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert run(work()) == "done"
    finally:
        signal.signal(signal.SIGINT, before)
