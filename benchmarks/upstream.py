"""A plane for benchmarks where there is no C compiler: same answers, same signal, slower."""

import asyncio
import json
import signal
import sys
import time

import httptools
import uvloop

ANALYSIS = json.dumps(
    {
        "response": "📊 Analysis for github.com/near/near-sdk-rs\nTotal commits: 1234\n"
        "Contributors: 56\nTop contributors:\n1. alice: 400 commits (32%)\n"
        "2. bob: 300 commits (24%)\n3. carol: 200 commits (16%)\n4. dave: 100 commits (8%)\n"
        "Verification coverage (top 4): 3/4 verified"
    }
).encode()
PAYMENT = json.dumps(
    {
        "response": "✅ Distributed 1 USDC to 4 contributors!\n1. alice: 0.40 USDC\n"
        "2. bob: 0.30 USDC\n"
        "3. carol: 0.20 USDC\n4. dave: 0.10 USDC\n"
        "🔗 Transaction: 9xPdQtoMHFSHyzd1RUpBbYvpzZ4bFxXuT1bTqHnA4xEr"
    }
).encode()
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"


class Responder(asyncio.Protocol):
    total = 0
    last_ns = 0
    body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        Responder.total += 1
        Responder.last_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        answer = PAYMENT if b'"@gitsplits pay ' in self.body else ANALYSIS
        self.body = b""
        self.transport.write(HEAD % len(answer) + answer)  # type: ignore[attr-defined]  # a stream transport


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
