"""A small load generator for where wrk is not installed: 64 connections, the same requests."""

import asyncio
import json
import random
import sys
import time

import httptools
import uvloop

VERBS = ["analyze"] * 80 + ["create split for"] * 15 + ["pay 1 USDC to"] * 5


def requests(key: str, *, ids: bool) -> list[bytes]:
    draw = random.Random(7)
    made = []
    for number in range(4000):
        text = f"@gitsplits {draw.choice(VERBS)} near/repository-{draw.randrange(1000)}"
        said = {"text": text, "author": f"u{draw.randrange(10000)}"}
        body = json.dumps(said | {"type": "web", "pad": "x" * 840}).encode()
        head = f"POST /process HTTP/1.1\r\nhost: gateway\r\nx-agent-api-key: {key}\r\n"
        head += f"x-request-id: request-{number:08d}\r\n" if ids else ""
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        made.append(head.encode() + body)
    return made


class Connection(asyncio.Protocol):
    made: list[bytes]
    next = 0
    errors = 0
    waits: list[float] = []  # noqa: RUF012 (one list for all connections is meant)
    running = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.parser = httptools.HttpResponseParser(self)
        self.ask()

    def ask(self) -> None:
        Connection.next += 1
        self.at = time.perf_counter()
        self.transport.write(self.made[self.next % len(self.made)])  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        if self.running:
            self.waits.append(time.perf_counter() - self.at)
            Connection.errors += self.parser.get_status_code() != 200
            self.ask()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio names it)
        Connection.errors += self.running


async def main(url: str, key: str, seconds: float, *, ids: bool) -> None:
    Connection.made = requests(key, ids=ids)
    host, _, port = url.removeprefix("http://").partition(":")
    loop = asyncio.get_running_loop()
    start = time.perf_counter()
    for _ in range(64):
        await loop.create_connection(Connection, host, int(port))
    await asyncio.sleep(seconds)
    Connection.running = False
    micros = (time.perf_counter() - start) * 1e6
    waits = sorted(Connection.waits)
    p50, p99 = (waits[int(len(waits) * q)] * 1e6 for q in (0.5, 0.99))
    print(f"RESULT {len(waits)} {micros:.0f} {Connection.errors} {p50:.0f} {p99:.0f}")


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), ids=sys.argv[4:] == ["ids"]))
