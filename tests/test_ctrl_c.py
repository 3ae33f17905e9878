"""Ctrl-C while a command works on a store."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from likewise import Limits
from likewise.cli.common import run
from tests.e2e.server import environment

LIKEWISE = (sys.executable, "-m", "likewise")


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


def test_it_breaks_off_what_keeps_the_loop_waiting():
    reader, writer = os.pipe()
    rescue = threading.Timer(20, os.close, [writer])
    read = []

    async def work():
        signal.raise_signal(signal.SIGINT)
        read.append(os.read(reader, 1))

    rescue.start()
    with pytest.raises(KeyboardInterrupt):
        run(work())
    rescue.cancel()
    os.close(reader)

    assert read == []


def test_it_ends_an_export_that_nobody_reads(tmp_path):
    likes = "".join(f'{{"type":"songs","id":"{number}","value":1}}\n' for number in range(1, 5_001))
    Path(tmp_path, "likes.ndjson").write_text(likes)
    variables = {**environment(), "LIKEWISE_DATABASE": f"sqlite:///{tmp_path}/likewise.db"}
    for arguments in (["listener", "add", "ada"], ["import", f"{tmp_path}/likes.ndjson"]):
        subprocess.run([*LIKEWISE, *arguments], env=variables, capture_output=True, check=True)

    with subprocess.Popen(
        [*LIKEWISE, "export"], env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)  # more than the pipe holds follows
        process.send_signal(signal.SIGINT)

        assert process.wait(60) == 1
        assert process.stderr.read().strip() == b"stopped"


def test_it_ends_a_pull_into_a_database_from_a_server_that_does_not_answer(tmp_path):
    variables = {**environment(), "LIKEWISE_DATABASE": f"sqlite:///{tmp_path}/likewise.db"}
    subprocess.run([*LIKEWISE, "listener", "add", "ada"], env=variables, capture_output=True, check=True)
    with socket.create_server(("127.0.0.1", 0)) as server:
        variables["LIKEWISE_URL"] = f"http://127.0.0.1:{server.getsockname()[1]}"
        variables |= {"LIKEWISE_DEVELOPER_TOKEN": "developer", "LIKEWISE_USER_TOKEN": "user"}
        with subprocess.Popen(
            [*LIKEWISE, "pull", "--listener", "ada"], env=variables, stderr=subprocess.PIPE
        ) as process:
            connection, _ = server.accept()
            with connection:
                connection.recv(1)
                began = time.monotonic()
                process.send_signal(signal.SIGINT)

                assert process.wait(60) == 1
                assert time.monotonic() - began < Limits().silence_seconds_max
                assert process.stderr is not None
                assert process.stderr.read().strip() == b"stopped"


def test_afterwards_it_is_as_it_was():
    async def work():
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(60)

    with pytest.raises(KeyboardInterrupt):
        run(work())

    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


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
