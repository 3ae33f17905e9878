"""What serving does when the socket cannot be had after all; the rest is in e2e."""

import asyncio
import signal

import pytest
from granian.server.embed import Server

from likewise.errors import BadSetting
from likewise.serving import Port, free_address, serve


async def nothing(_scope, _receive, _send):
    raise AssertionError("nobody asks")


async def test_a_server_that_ends_by_itself_is_a_failure(monkeypatch):
    port = free_address("127.0.0.1", 0)

    async def end(_server):
        knocked = asyncio.Event()

        async def answer(_reader, writer):
            writer.close()
            knocked.set()

        async with await asyncio.start_server(answer, port.host, port.port):
            await knocked.wait()

    monkeypatch.setattr(Server, "serve", end)

    with pytest.raises(RuntimeError, match="ended without being told"):
        await serve(nothing, port, shutdown_seconds_max=1, on_listening=lambda: None)


async def test_a_server_that_fails_to_start_raises_and_leaves_the_signals_alone(monkeypatch):
    async def fail(_server):
        raise OSError("the address is gone")

    monkeypatch.setattr(Server, "serve", fail)

    with pytest.raises(BadSetting, match=r"http://127.0.0.1:1 cannot be served") as refusal:
        await serve(nothing, Port("127.0.0.1", 1), shutdown_seconds_max=1, on_listening=lambda: None)
    assert str(refusal.value.__cause__) == "the address is gone"

    assert not asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
