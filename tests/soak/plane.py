"""One plane: the real program in a process of its own, started again whenever it dies."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections import Counter, deque
from pathlib import Path

import httpx

PROGRAM = Path(__file__).with_name("doomed.py")
KEY = "soak-key"
START_SECONDS, ANSWER_SECONDS = 30, 20


class Plane:
    """A runtime under a keeper.

    Args:
        name: of the plane.
        environ: what the runtime is told.
        lives: for each life at which step it ends; after that it lives.
    """

    def __init__(self, name, environ, lives, folder):
        self.name, self.db = name, folder / f"{name}.db"
        self._environ = {
            **environ,
            "HOST": "127.0.0.1",
            "PORT": "0",
            "PLANE_ID": name,
            "AGENT_SERVER_API_KEY": KEY,
            "AGENT_DAILY_PAYOUT_AMOUNT": "1000000",
            "PAYMENTS_DB": str(self.db),
            "AGENT_LOG_DIR": str(folder / "logs"),
            "DSTACK_ENDPOINT": str(folder / "no.sock"),
            "SOAK_DIED": str(folder / f"{name}.died"),
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),  # another build can be tried by it
        }
        self._died = folder / f"{name}.died"
        self._lives = deque(lives)
        self._up = asyncio.Event()
        self._process = None
        self._keeper = None
        self.said = deque(maxlen=40)
        self._client = None
        self.deaths, self.events = Counter(), Counter()

    @contextlib.asynccontextmanager
    async def living(self):
        limits = httpx.Limits(max_keepalive_connections=32)
        async with httpx.AsyncClient(
            timeout=ANSWER_SECONDS, trust_env=False, limits=limits
        ) as self._client:
            self._keeper = asyncio.create_task(self._keep())
            try:
                yield self
            finally:
                await self._end()

    async def ask(self, text, key):
        """The answer to one request, asked again as a caller does who never heard one."""
        body, headers = {"text": text, "author": "soak"}, {"x-agent-api-key": KEY}
        while True:
            base = await self._base()
            try:
                answer = await self._client.post(
                    base + "/process", json=body, headers={**headers, "idempotency-key": key}
                )
            except httpx.HTTPError:
                await asyncio.sleep(0.01)
                continue
            if answer.status_code != 503:
                assert answer.status_code == 200, (answer.status_code, answer.text)
                return answer.json()["response"]

    async def _base(self):
        waiting = asyncio.create_task(self._up.wait())
        await asyncio.wait({waiting, self._keeper}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._keeper.done():
            self._keeper.result()
            raise AssertionError(f"nobody keeps {self.name} alive")
        return self._url

    async def _keep(self):
        while True:
            at = self._lives.popleft() if self._lives else 0
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                PROGRAM,
                env={**self._environ, "SOAK_DIE_AT": str(at)},
                stderr=asyncio.subprocess.PIPE,
            )
            async with asyncio.timeout(START_SECONDS):
                await self._read(until="serving")
            await self._read()
            self._up.clear()
            status = await self._process.wait()
            if status != -signal.SIGKILL or not self._died.exists():
                raise AssertionError(f"{self.name} ended with {status}:\n" + "\n".join(self.said))
            self.deaths[self._died.read_text("utf-8")] += 1
            self._died.unlink()

    async def _read(self, until=""):
        while line := (await self._process.stderr.readline()).decode():
            self.said.append(line.rstrip())
            said = json.loads(line) if line.startswith("{") else {}
            self.events[(said.get("event"), said.get("state"))] += 1
            if said.get("event") == "serving":
                self._url = f"http://127.0.0.1:{said['port']}"
                self._up.set()
            if until and said.get("event") == until:
                return

    async def _end(self):
        self._keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError, AssertionError):
            await self._keeper
        if self._process and self._process.returncode is None:
            self._process.terminate()
            await self._process.communicate()
