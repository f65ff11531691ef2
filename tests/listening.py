"""A server for test doubles that leaves nothing open when it stops.

asyncio's own server cannot promise that: who was accepted and has not begun, and who is still being
written to, outlives it. The collector finds such a connection during a later test and fails it.
"""

import asyncio
import contextlib
import socket

GONE = (ConnectionError, asyncio.IncompleteReadError)
"""What a handler may raise, because its client went away."""


class Listening:
    """Runs `serve(reader, writer)` for each connection to a port on loopback.

    `stop` ends every connection by force, waits for its end, and raises what handlers raised.
    """

    def __init__(self, serve, tls=None):
        self._serve, self._tls = serve, tls
        self._begun = []
        self.port = 0

    @property
    def url(self):
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    async def start(self, port=0):
        self._socket = socket.create_server(("127.0.0.1", port), backlog=512)
        self._socket.setblocking(False)
        self.port = self._socket.getsockname()[1]
        asyncio.get_running_loop().add_reader(self._socket, self._accept)
        return self

    async def stop(self):
        if self._socket.fileno() < 0:  # it has stopped before
            return
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        begun, self._begun = self._begun, []
        for _, task in begun:
            task.cancel()
        ends = await asyncio.gather(*(task for _, task in begun), return_exceptions=True)
        for connection, _ in begun:
            connection.close()
        wrong = [end for end in ends if isinstance(end, Exception) and not isinstance(end, GONE)]
        if wrong:
            raise ExceptionGroup("handlers of a test server failed", wrong)

    async def __aenter__(self):
        return await self.start()

    async def __aexit__(self, *_):
        await self.stop()

    def _accept(self):
        with contextlib.suppress(BlockingIOError, ConnectionAbortedError):  # it left already
            connection, _ = self._socket.accept()
            connection.setblocking(False)
            self._begun.append((connection, asyncio.create_task(self._talk(connection))))

    async def _talk(self, connection):
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol, connection, ssl=self._tls
        )
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        try:
            await self._serve(reader, writer)
            writer.close()
            await writer.wait_closed()  # what was written last arrives
        finally:
            transport.abort()
            with contextlib.suppress(OSError):  # the way it ended is no news by now
                await writer.wait_closed()
