"""Intents a second of the runtime with stand-in rails, beside a bare echo on the same framework.

Runtime and echo share one core, each in its turn; load and stand-ins have the other. So `help` says
what our surface costs over the framework's own, `pending` adds a read of the ledger, and `analyze`
and `pay` are bound by the stand-ins as well: they call other systems, and a payment waits until its
transaction is final on a chain that makes a hundred blocks a second.
"""

import asyncio
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab import HERE, LOAD_CORE, SUBJECT_CORE, family, pinned, python, running
from pressure import Load, Patience, Series, measured, ratio

NAME = "runtime"
KEY = "bench-key"
ECHO = "FastAPI echo"
PROGRAM = Path(sys.executable).with_name("agent-runtime")
START_SECONDS = 30.0


@dataclass(frozen=True)
class Case:
    """What is asked, by how many at once."""

    name: str
    text: str
    connections: int


CASES = (
    Case("help", "help", 16),
    Case("pending (reads the ledger)", "pending near/near-sdk-rs", 16),
    Case("analyze (GitHub, NEAR, EigenAI)", "analyze acme/widgets", 16),
    Case("pay (until final)", "pay 0.01 USDC to acme/widgets", 16),
)


def run(quick: bool) -> dict[str, object]:
    """Medians, extremes, and ratios to the echo of the same round."""
    return asyncio.run(_run(*((2, 1.0, 4.0) if quick else (4, 2.0, 30.0))))


async def _run(rounds: int, seconds: float, patience_seconds: float) -> dict[str, object]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        world, rails_pid = _sandbox(stack, folder)
        echo, echo_pid = _echo(stack, folder)
        ours, our_pid = _runtime(stack, folder, world)
        own = [os.getpid(), rails_pid, echo_pid, our_pid]
        patience = Patience(patience_seconds)
        series = {name: Series(name) for name in (ECHO, *(case.name for case in CASES))}
        for _ in range(rounds):
            load = _load(echo, echo_pid, own, seconds, CASES[0])
            series[ECHO].runs.append(await patience.cleanest(echo, load))
            for case in CASES:
                load = _load(ours, our_pid, own, seconds, case)
                series[case.name].runs.append(await patience.cleanest(ours, load))
    return {
        "repeated because of other work on the machine": patience.repeated,
        "rows": [_row(one, series[ECHO]) for one in series.values()],
    }


def _load(
    url: str, pid: int, own: list[int], seconds: float, case: Case
) -> Callable[[], "asyncio.Future[Load]"]:
    command = [python(), str(HERE / "intents.py"), url, KEY, str(seconds)]
    command += [str(case.connections), case.text]
    return lambda: asyncio.ensure_future(measured(command, family(pid), own))


def _row(ours: Series, echo: Series) -> dict[str, object]:
    rates, seen = ours.rates(), ratio(ours, echo)
    return {
        "name": ours.name,
        "a_second": round(statistics.median(rates)),
        "range": [round(min(rates)), round(max(rates))],
        "p50_ms": round(ours.median("p50_us") / 1000, 2),
        "p99_ms": round(ours.median("p99_us") / 1000, 2),
        "cpu_us_each": round(ours.us_per_request()),
        "of_echo": round(statistics.median(seen.values), 3),
        "of_echo_range": [round(min(seen.values), 3), round(max(seen.values), 3)],
        "undisturbed": seen.clean,
        "failed": sum(run.errors for run in ours.runs),
    }


def _sandbox(stack: contextlib.ExitStack, folder: Path) -> tuple[dict[str, str], int]:
    """The stand-ins; the environment of a plane, and their pid."""
    command = [python(), "-m", "sandbox.main", "serve", "--state-dir", str(folder)]
    command += ["--block-seconds", "0.01"]
    log = stack.enter_context((folder / "sandbox.log").open("w"))
    process = stack.enter_context(running(*pinned(LOAD_CORE, *command), stdout=log, stderr=log))
    world = folder / "world.json"
    _wait(world.exists, "the sandbox", folder / "sandbox.log")
    found: dict[str, str] = json.loads(world.read_text())["planes"]["phala"]["env"]
    return found, process.pid


def _echo(stack: contextlib.ExitStack, folder: Path) -> tuple[str, int]:
    log = folder / "echo.log"
    command = [python(), "-m", "uvicorn", "echo:app", "--app-dir", str(HERE), "--port", "0"]
    command += ["--loop", "uvloop", "--http", "httptools", "--no-access-log"]
    out = stack.enter_context(log.open("w"))
    process = stack.enter_context(running(*pinned(SUBJECT_CORE, *command), stdout=out, stderr=out))
    _wait(lambda: "running on http://" in log.read_text(), "the echo", log)
    port = log.read_text().partition("running on http://127.0.0.1:")[2].split()[0]
    return f"http://127.0.0.1:{port}", process.pid


def _runtime(stack: contextlib.ExitStack, folder: Path, world: dict[str, str]) -> tuple[str, int]:
    log = folder / "runtime.log"
    environ = {
        **world,
        "HOST": "127.0.0.1",
        "PORT": "0",
        "AGENT_SERVER_API_KEY": KEY,
        "PAYMENTS_DB": str(folder / "payments.db"),
        "AGENT_LOG_DIR": str(folder / "logs"),
        "AGENT_DAILY_PAYOUT_AMOUNT": "1000000",
        "PATH": os.environ.get("PATH", ""),
    }
    out = stack.enter_context(log.open("w"))
    process = stack.enter_context(
        running(*pinned(SUBJECT_CORE, str(PROGRAM)), stdout=out, stderr=out, env=environ)
    )
    _wait(lambda: '"event": "serving"' in log.read_text(), "the runtime", log)
    line = next(line for line in log.read_text().splitlines() if '"serving"' in line)
    return f"http://127.0.0.1:{json.loads(line)['port']}", process.pid


def _wait(there: Callable[[], bool], what: str, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while not there():
        if time.monotonic() > until:
            raise RuntimeError(f"{what} did not start; it said: {log.read_text()[-500:]}")
        time.sleep(0.02)


if __name__ == "__main__":
    print(json.dumps(run(quick=False), indent=1))
