"""A plane for benchmarks where there is no C compiler: same answers, same signal, slower."""

import asyncio
import json
import signal
import sys
import time

import httptools
import uvloop

ANSWER = json.dumps(
    {
        "response": "📊 Analysis for github.com/near/near-sdk-rs\nTotal commits: 1234\n"
        "Contributors: 56\nTop contributors:\n1. alice: 400 commits (32%)\n"
        "2. bob: 300 commits (24%)\n3. carol: 200 commits (16%)\n4. dave: 100 commits (8%)\n"
        "Verification coverage (top 4): 3/4 verified"
    }
).encode()
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
    len(ANSWER), ANSWER,
)  # fmt: skip


class Responder(asyncio.Protocol):
    total = 0
    last_ns = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        Responder.total += 1
        Responder.last_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        self.transport.write(WHOLE)  # type: ignore[attr-defined]  # a stream transport


def tell() -> None:
    print(Responder.total, Responder.last_ns, flush=True)


async def main(port: int) -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, tell)
    server = await loop.create_server(Responder, "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
