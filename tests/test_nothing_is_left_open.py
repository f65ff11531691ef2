"""A test that leaves something open fails itself, and the test server leaves nothing."""

import asyncio
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from listening import Listening

LEAK = """
import socket

def test_that_leaks():
    ring = [socket.socket()]
    ring.append(ring)

def test_that_comes_after():
    pass
"""


def test_a_leak_is_blamed_on_the_test_that_leaked(tmp_path):
    """Also when only the collector can find it."""
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    (tmp_path / "test_leak.py").write_text(LEAK)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rE", "-p", "no:cacheprovider", "-p", "no:asyncio"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    blamed = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("ERROR ")]
    assert blamed == ["test_leak.py::test_that_leaks"]
    assert "2 passed, 1 error" in done.stdout


def ends(client):
    """Whether the other side has ended a connection; raises TimeoutError while it has not."""
    client.settimeout(20)
    try:
        while client.recv(1 << 20):
            pass
    except ConnectionError:
        pass
    return True


async def test_an_answer_that_nobody_takes_keeps_no_connection_open():
    """The handler is cancelled, and the connection is gone when `stop` returns."""
    stuck = asyncio.Event()

    async def serve(_, writer):
        writer.write(b"x" * 50_000_000)
        stuck.set()
        await writer.drain()

    server = await Listening(serve).start()
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        await stuck.wait()
        await server.stop()
        assert ends(client)


async def test_a_connection_that_has_only_been_accepted_is_ended():
    """Its handler never began."""
    begun = []

    async def serve(_, writer):
        begun.append(writer)

    server = await Listening(serve).start()
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        server._accept()
        await server.stop()
        assert ends(client)
    assert begun == []


async def test_what_a_handler_raises_is_raised_by_stop():
    """An assertion in a test's server is not lost; that a client left is no failure."""

    async def serve(reader, _):
        assert await reader.readexactly(1) == b"a"

    server = await Listening(serve).start()
    for sent in (b"", b"a", b"b"):
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            await asyncio.to_thread(ends, client)
    with pytest.raises(ExceptionGroup) as caught:
        await server.stop()
    assert [type(error) for error in caught.value.exceptions] == [AssertionError]
