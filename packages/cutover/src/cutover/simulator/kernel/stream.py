"""One connection: two ends that are asyncio transports for each other."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, cast

from cutover.simulator.kernel.host import Host

if TYPE_CHECKING:
    from cutover.simulator.kernel.network import Network

Place = tuple[str, Host | None]
END = b""
"""What is delivered when the other end has said all it had to say."""


class Stream(asyncio.Transport):
    """One end of a connection.

    What is written is delivered in order, each piece after the delay of the network at that
    moment; what is on its way when a cut begins waits for its end.
    """

    def __init__(self, network: "Network", here: Place, there: Place) -> None:
        super().__init__({"peername": (there[0], 0), "sockname": (here[0], 0)})
        self._network = network
        self._here, self._there = here[0], there[0]
        self._context = here[1].context() if here[1] is not None else copy_context()
        self._protocol: asyncio.Protocol | None = None
        self._peer: Stream = self
        self._closing = False
        self._lost = False
        self._reading = True
        self._arrived: deque[bytes] = deque()
        self._sent: deque[bytes] = deque()  # on the way to the peer
        self._underway = False
        if here[1] is not None:
            here[1].on_death(self._died)

    @classmethod
    def pair(cls, network: "Network", near: Place, far: Place) -> tuple["Stream", "Stream"]:
        """Both ends of a new connection."""
        one, other = cls(network, near, far), cls(network, far, near)
        one._peer, other._peer = other, one
        return one, other

    def begin(self, protocol: asyncio.BaseProtocol) -> None:
        """Give it to its protocol, now."""
        self._protocol = cast("asyncio.Protocol", protocol)
        protocol.connection_made(self)
        self._read()

    def accept(self, factory: Callable[[], asyncio.BaseProtocol]) -> None:
        """Have the listening host take it when it gets round to it."""
        self._soon(lambda: self.begin(factory()))

    def between(self, one: str, other: str) -> bool:
        """Whether it connects two hosts."""
        return {self._here, self._there} == {one, other}

    # asyncio's side

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who is told what arrives."""
        return cast("asyncio.BaseProtocol", self._protocol)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Tell somebody else from now on."""
        self._protocol = cast("asyncio.Protocol", protocol)

    def is_closing(self) -> bool:
        """Whether it is at its end."""
        return self._closing

    def is_reading(self) -> bool:
        """Whether it is told what arrives."""
        return self._reading and not self._closing

    def pause_reading(self) -> None:
        """Keep what arrives."""
        self._reading = False

    def resume_reading(self) -> None:
        """Tell it now."""
        self._reading = True
        self._soon(self._read)

    def get_write_buffer_size(self) -> int:
        """Bytes that have not arrived yet."""
        return sum(map(len, self._sent))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """No limit: what is said in a simulation is small."""

    def write(self, data: Any) -> None:
        """Send."""
        if not self._closing and data:
            self._sent.append(bytes(data))
            self._move()

    def can_write_eof(self) -> bool:
        """It can say that no more comes."""
        return True

    def write_eof(self) -> None:
        """Say that no more comes."""
        self._sent.append(END)
        self._move()

    def close(self) -> None:
        """End it once everything is sent."""
        if not self._closing:
            self._closing = True
            self._sent.append(END)
            self._move()
            self._soon(lambda: self._lose(None))

    def abort(self) -> None:
        """End it at once; what is on its way is lost."""
        if not self._closing:
            self._closing = True
            self._sent.clear()
            self._peer.broken()
            self._soon(lambda: self._lose(None))

    # the network's side

    def reset(self) -> None:
        """Break it for both."""
        self.broken()
        self._peer.broken()

    def broken(self) -> None:
        """The other side is gone: no end was said."""
        if not self._lost:
            self._closing = True
            error = ConnectionResetError(104, f"{self._there} reset the connection")
            self._soon(lambda: self._lose(error))

    def retry(self) -> None:
        """The weather has changed."""
        self._move()
        self._peer._move()  # noqa: SLF001 - the other half of the same connection

    def _died(self) -> None:
        """Our process is gone; the machine resets what it had open."""
        if not self._lost:
            self._lost = self._closing = True
            self._sent.clear()
            self._peer.broken()

    def _soon(self, callback: Callable[[], None]) -> None:
        self._loop().call_soon(callback, context=self._context)

    def _move(self) -> None:
        """Send the next piece on its way, if none is and the way is open."""
        weather = self._network.weather
        if self._underway or not self._sent or weather.cut(self._here, self._there):
            return
        self._underway = True
        delay = weather.delay_s(self._here, self._there)
        self._loop().call_later(delay, self._deliver, context=Context())

    def _deliver(self) -> None:
        self._underway = False
        if not self._sent or self._network.weather.cut(self._here, self._there):
            return
        pieces, ended = [], False
        while self._sent and not ended:
            piece = self._sent.popleft()
            ended = piece == END
            pieces.append(piece)
        if pieces[0] != END and self._network.weather.halved(self._here, self._there):
            whole = b"".join(pieces)
            self._peer._arrive([whole[: len(whole) // 2]])  # noqa: SLF001 - as above
            self.reset()
            return
        self._peer._arrive(pieces)  # noqa: SLF001 - as above
        self._move()

    def _arrive(self, pieces: list[bytes]) -> None:
        self._arrived.extend(pieces)
        self._soon(self._read)

    def _read(self) -> None:
        protocol = self._protocol
        while self._arrived and self._reading and protocol is not None and not self._lost:
            piece = self._arrived.popleft()
            if piece != END:
                protocol.data_received(piece)
            elif not protocol.eof_received():
                self.close()

    def _lose(self, error: Exception | None) -> None:
        if self._lost:
            return
        self._lost = True
        self._arrived.clear()
        if self._protocol is not None:
            self._protocol.connection_lost(error)

    def _loop(self) -> asyncio.AbstractEventLoop:
        return self._network.loop
