"""A runtime on a port of its own, as it is shipped."""

import asyncio
import contextlib
from dataclasses import dataclass

from agent_runtime.main import Server
from agent_runtime.settings import Settings
from agent_runtime.wiring import build

KEY = "plane-key"


@dataclass(frozen=True)
class Running:
    """A plane that serves."""

    url: str
    key: str


def told(scratch, name, rails):
    """What a plane is told: its name, its rails, and where to write."""
    return {
        "HOST": "127.0.0.1",
        "PORT": "0",
        "PLANE_ID": name,
        "BUILD_REVISION": "r1",
        "AGENT_SERVER_API_KEY": KEY,
        "PAYMENTS_DB": str(scratch / f"{name}.db"),
        "AGENT_LOG_DIR": str(scratch / name),
        "DSTACK_ENDPOINT": str(scratch / "no.sock"),
        **rails,
    }


@contextlib.asynccontextmanager
async def running(environ):
    """Serve until left."""
    server = Server(build(Settings.from_environ(environ)))
    task = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(10):
            while not server.started:
                assert not task.done()
                await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Running(f"http://127.0.0.1:{port}", KEY)
    finally:
        server.should_exit = True
        await task
