"""Load on a runtime: some connections, each of which asks again as soon as it has its answer."""

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field

import httptools
import uvloop


@dataclass
class Load:
    """What all connections share."""

    text: str
    key: str
    keyed: bool
    name: str
    asked: int = 0
    failed: int = 0
    waits: list[float] = field(default_factory=list)
    running: bool = True

    def message(self) -> bytes:
        self.asked += 1
        body = json.dumps({"text": self.text, "author": "bench", "type": "web"}).encode()
        head = f"POST /process HTTP/1.1\r\nhost: a\r\nx-agent-api-key: {self.key}\r\n"
        if self.keyed:
            head += f"idempotency-key: {self.name}-{self.asked}\r\n"
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        return head.encode() + body


class Connection(asyncio.Protocol):
    def __init__(self, load: Load) -> None:
        self.load = load

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.parser = httptools.HttpResponseParser(self)
        self.ask()

    def ask(self) -> None:
        self.body = b""
        self.at = time.perf_counter()
        self.transport.write(self.load.message())  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        if not self.load.running:
            return
        self.load.waits.append(time.perf_counter() - self.at)
        said = json.loads(self.body).get("response", "")
        good = self.parser.get_status_code() == 200 and said and said[0] not in "❌🛑"
        self.load.failed += not good
        self.ask()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio names it)
        self.load.failed += self.load.running


async def main(url: str, key: str, seconds: float, connections: int, text: str) -> None:
    load = Load(text, key, text.startswith("pay"), f"bench-{time.time_ns()}")
    host, _, port = url.removeprefix("http://").partition(":")
    loop = asyncio.get_running_loop()
    start = time.perf_counter()
    for _ in range(connections):
        await loop.create_connection(lambda: Connection(load), host, int(port))
    await asyncio.sleep(seconds)
    load.running = False
    micros = (time.perf_counter() - start) * 1e6
    waits = sorted(load.waits) or [seconds]
    p50, p99 = (waits[int(len(waits) * q)] * 1e6 for q in (0.5, 0.99))
    print(f"RESULT {len(load.waits)} {micros:.0f} {load.failed} {p50:.0f} {p99:.0f}")


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]), sys.argv[5]))
