"""What benchmarks share: pinned processes that end with us, CPU time, planes, a conductor.

Everything listens on loopback, and only processes started here are ever stopped.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from cutover.evidence.wire import Grant, NodeReport
from cutover.routing.table import Route, RoutingTable
from cutover.runbook.intent import Intent

HERE = Path(__file__).parent
BUILD = HERE.parent / "build"
TICKS = os.sysconf("SC_CLK_TCK")
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
LOAD_CORE, SUBJECT_CORE = CORES[0], CORES[-1]
GRANT_MS = 600_000
TOKEN = "bench-token"  # noqa: S105 (of a loopback double)


def pinned(core: int, *command: str) -> list[str]:
    """The command, kept on one core where that is possible."""
    if shutil.which("taskset") and len(CORES) > 1:
        return ["taskset", "-c", str(core), *command]
    return list(command)


@contextlib.contextmanager
def running(*command: str, **options: object) -> Iterator[subprocess.Popen[str]]:
    """A process that is ended, politely and then not, when the block is left."""
    process = subprocess.Popen(command, text=True, **options)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(12)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def family(pid: int) -> list[int]:
    """A process and its children."""
    pids = [pid]
    for parent in pids:
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{parent}/task/{parent}/children").read_text()
            pids += [int(child) for child in text.split()]
    return pids


def cpu_seconds(pids: list[int]) -> float:
    """User and system time of processes so far; 0 where /proc is not there."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / float(TICKS)


def busy_seconds() -> float:
    """CPU time used by the whole machine so far."""
    with contextlib.suppress(OSError):
        fields = [int(f) for f in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
        return (sum(fields) - fields[3] - fields[4]) / TICKS
    return 0.0


class BenchConductor:
    """Hands out one table at a time; knows when it was handed out and when it was adopted."""

    def __init__(self) -> None:
        self.url = ""
        self.handed_ns = 0
        self.adopted = 0
        self.counted = 0
        self._cells: dict[tuple[object, ...], int] = {}
        self._table: RoutingTable | None = None
        self._changed = asyncio.Event()

    async def start(self) -> "BenchConductor":
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return self

    async def apply(self, table: RoutingTable) -> None:
        """Offer a table and wait until it is in force on every worker."""
        self._table = table
        self._changed.set()
        end = time.monotonic() + 10
        while self.adopted != table.generation:
            if time.monotonic() > end:
                raise TimeoutError(f"generation {table.generation} was not adopted in 10 s")
            await asyncio.sleep(0.002)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        over = (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError)
        with contextlib.suppress(*over):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = head.partition("content-length: ")[2].split("\r\n")[0]
                body = await reader.readexactly(int(length or 0))
                if head.startswith("post"):
                    self._take(body)
                    writer.write(self._answer(Grant("bench", 1, GRANT_MS)))
                else:
                    await self._hand_out(head, writer)
        writer.close()

    def _take(self, body: bytes) -> None:
        report = msgspec.json.decode(body, type=NodeReport)
        self.adopted = report.generation
        for c in report.counts:
            self._cells[c.generation, c.intent, c.plane, c.outcome] = c.n
        self.counted = sum(self._cells.values())

    async def _hand_out(self, head: str, writer: asyncio.StreamWriter) -> None:
        has = int(head.partition("generation=")[2].split("&")[0])
        while self._table is None or self._table.generation <= has:
            self._changed.clear()
            await self._changed.wait()
        answer = self._answer(self._table)
        self.handed_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        writer.write(answer)

    @staticmethod
    def _answer(value: Grant | RoutingTable) -> bytes:
        body = msgspec.json.encode(value)
        return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def table(generation: int, analyze_bp: int, *, everything: bool = False) -> RoutingTable:
    """A table of the planes `old` and `new`."""
    share = {i: analyze_bp if everything or i is Intent.ANALYZE else 0 for i in Intent}
    return RoutingTable(
        generation=generation, term=1, run="bench", salt="", fallback="old", candidate="new",
        active="old", stage="bench", routes={i: Route(bp) for i, bp in share.items()},
    )  # fmt: skip


class Responder:
    """A plane for benchmarks: the C program where a compiler is, else the Python one."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        program = compiled("upstream")
        command = [str(program)] if program else [python(), str(HERE / "upstream.py")]
        self.process = stack.enter_context(
            running(*pinned(LOAD_CORE, *command, "0"), stdout=subprocess.PIPE)
        )
        self.port = int(self._line())
        self.url = f"http://127.0.0.1:{self.port}"

    def seen(self) -> tuple[int, int]:
        """Requests so far, and the CLOCK_MONOTONIC nanoseconds of the last."""
        self.process.send_signal(signal.SIGUSR1)
        total, last = self._line().split()
        return int(total), int(last)

    def _line(self) -> str:
        if self.process.stdout is None:
            raise AssertionError("stdout is a pipe")
        return self.process.stdout.readline()


def python() -> str:
    """The interpreter we run on."""
    return sys.executable


def compiled(name: str) -> Path | None:
    """A C program of this directory, built if there is a compiler; None otherwise."""
    compiler = shutil.which("cc")
    if compiler is None or not Path("/proc").exists():
        return None
    source, program = HERE / f"{name}.c", BUILD / name
    BUILD.mkdir(exist_ok=True)
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        subprocess.run([compiler, "-O2", "-o", str(program), str(source)], check=True)
    return program
