"""The network of a simulation: streams of bytes, and calls with an answer, between named hosts.

Streams are asyncio transports, so that protocols of the product run over them unchanged. Calls are
for what the product has behind a port of its own: a request, its handling on the other host, an
answer. Both take time, break when a host dies, and wait while the weather keeps them apart.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from cutover.simulator.kernel.host import HOST, Host
from cutover.simulator.kernel.loop import SimulationLoop
from cutover.simulator.kernel.stream import Stream
from cutover.simulator.kernel.weather import Weather

T = TypeVar("T")
OUTSIDE: Final = "outside"
"""Where code runs that belongs to no host: clients on the internet."""


class Listener:
    """A name that can be connected to."""

    def __init__(self, network: "Network", factory: Callable[[], asyncio.BaseProtocol],
                 address: tuple[str, int]) -> None:  # fmt: skip
        self.factory = factory
        self.host = HOST.get()
        self._network = network
        self._address = address
        if self.host is not None:
            self.host.on_death(self.close)

    def close(self) -> None:
        """Take no more connections."""
        self._network.forget(self._address, self)

    async def wait_closed(self) -> None:
        """Nothing to wait for."""

    async def serve_forever(self) -> None:
        """Serve until cancelled."""
        await self._network.loop.create_future()


class Handshake(Protocol):
    """What of a TLS context matters here."""

    def compare(self, presented: str) -> None:
        """Accept the key that the other end presents, or raise an `OSError`."""
        ...


_DEMANDED: ContextVar[Handshake | None] = ContextVar("demanded", default=None)


@contextlib.contextmanager
def demanding(tls: Handshake) -> Iterator[None]:
    """Open no connection meanwhile but to who passes this handshake.

    For clients that are not given TLS of their own: who answers is settled when a connection is
    made, and a key that was looked at before that says nothing about it.
    """
    token = _DEMANDED.set(tls)
    try:
        yield
    finally:
        _DEMANDED.reset(token)


@dataclass(frozen=True)
class Between:
    """Somebody who answers in another's place.

    Attributes:
        key: TLS key that he presents.
        factory: what hears whoever speaks to him.
    """

    key: str
    factory: Callable[[], asyncio.BaseProtocol]


class Network:
    """Everything that is between hosts.

    Args:
        loop: of the simulation.
        weather: what happens to messages.

    Attributes:
        keys: which TLS key a host presents now, by its name; one that is not here speaks no TLS.
        between: who answers in a host's place, by its name.
    """

    def __init__(self, loop: SimulationLoop, weather: Weather) -> None:
        self.weather = weather
        self.loop = loop
        self._listeners: dict[tuple[str, int], Listener] = {}
        self._streams: list[Stream] = []
        self._changed = asyncio.Event()
        self._calls: dict[str, dict[asyncio.Future[Any], Callable[[], None]]] = {}
        self.keys: dict[str, Callable[[], str]] = {}
        self.between: dict[str, Between] = {}

    def handshake(self, name: str, tls: Handshake) -> None:
        """Compare the TLS key that whoever answers under a name presents; nothing is said before.

        Raises:
            OSError: as the handshake has it, or because nobody there speaks TLS.
        """
        between = self.between.get(name)
        if between is None and name not in self.keys:
            raise ConnectionResetError(104, f"{name} speaks no TLS")
        tls.compare(between.key if between is not None else self.keys[name]())

    def break_calls(self, name: str) -> None:
        """Let everybody who waits for an answer from there ask again."""
        for died in list(self._calls.get(name, {}).values()):
            died()

    def listen(self, factory: Callable[[], asyncio.BaseProtocol], name: str, port: int) -> Listener:
        """Take connections under a name.

        Raises:
            OSError: somebody does already.
        """
        address = (name, port)
        if address in self._listeners:
            raise OSError(98, f"{name}:{port} is taken")
        listener = self._listeners[address] = Listener(self, factory, address)
        return listener

    def forget(self, address: tuple[str, int], listener: Listener) -> None:
        """A listener has closed."""
        if self._listeners.get(address) is listener:
            del self._listeners[address]

    async def connect(
        self,
        factory: Callable[[], asyncio.BaseProtocol],
        name: str,
        port: int,
        tls: Handshake | None = None,
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """Connect from the current host, with a handshake if one is asked for.

        Raises:
            ConnectionRefusedError: nobody listens there.
            OSError: the handshake failed: the other end learns nothing.
        """
        here = _here()
        await self.pass_between(here, name)
        listener = self._listeners.get((name, port))
        if listener is None or (listener.host is not None and not listener.host.alive):
            raise ConnectionRefusedError(111, f"nobody listens at {name}:{port}")
        if tls is not None:
            await self.pass_between(name, here)
            self.handshake(name, tls)
        elif (demanded := _DEMANDED.get()) is not None:
            self.handshake(name, demanded)
        between = self.between.get(name)
        near, far = Stream.pair(self, (here, HOST.get()), (name, listener.host))
        self._streams = [known for known in self._streams if not known.is_closing()]
        self._streams.append(near)
        far.accept(between.factory if between is not None else listener.factory)
        await asyncio.sleep(self.weather.delay_s(name, here))
        if near.is_closing():
            raise ConnectionResetError(104, f"{name}:{port} closed the connection at once")
        protocol = factory()
        near.begin(protocol)
        return near, protocol

    async def pass_between(self, one: str, other: str) -> None:
        """Take as long as a message takes; for ever while the two are cut off."""
        while self.weather.cut(one, other):
            await self._changed.wait()
        await asyncio.sleep(self.weather.delay_s(one, other))

    def weather_changed(self) -> None:
        """Let what was cut off try again."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        for stream in list(self._streams):
            stream.retry()

    def reset_between(self, one: str, other: str) -> None:
        """Break every connection between two hosts."""
        for stream in list(self._streams):
            if stream.between(one, other):
                stream.reset()

    async def call(self, host: Host | None, name: str, ask: Callable[[], Awaitable[T]]) -> T:
        """Have something done on another host and wait for what comes of it.

        Args:
            host: that does it; None while nobody runs there.
            name: of the place.
            ask: is run there, in its own task.

        Raises:
            ConnectionRefusedError: nobody runs there.
            ConnectionResetError: it died meanwhile, or the message was lost.
        """
        here = _here()
        await self.pass_between(here, name)
        if host is None or not host.alive:
            raise ConnectionRefusedError(111, f"nobody listens at {name}")
        if self.weather.lost(here, name):
            raise ConnectionResetError(104, f"the request to {name} was lost")
        if self.weather.copied(here, name):
            host.start(_alone(ask), f"a copy of a call from {here}")
        answer: T = await self._on(host, name, ask)
        await self.pass_between(name, here)
        if self.weather.lost(here, name):
            raise ConnectionResetError(104, f"the answer of {name} was lost")
        return answer

    async def ask(self, host: Host | None, name: str, ask: Callable[[], Awaitable[T]]) -> T:
        """As `call`, for what changes nothing there: nobody minds if it ends with who asked.

        It is done by the caller's own task instead of one on the other host, and never twice.

        Raises:
            ConnectionRefusedError: nobody runs there.
            ConnectionResetError: it died meanwhile, or the message was lost.
        """
        here = _here()
        await self.pass_between(here, name)
        if _gone(host):
            raise ConnectionRefusedError(111, f"nobody listens at {name}")
        if self.weather.lost(here, name):
            raise ConnectionResetError(104, f"the request to {name} was lost")
        answer = await ask()
        await self.pass_between(name, here)
        if _gone(host) or self.weather.lost(here, name):
            raise ConnectionResetError(104, f"{name} closed the connection, or its answer was lost")
        return answer

    async def _on(self, host: Host, name: str, ask: Callable[[], Awaitable[T]]) -> T:
        done: asyncio.Future[T] = self.loop.create_future()

        def died() -> None:
            if not done.done():
                done.set_exception(ConnectionResetError(104, f"{name} closed the connection"))

        host.on_death(died)
        host.start(_into(done, ask), f"call from {_here()}")
        calls = self._calls.setdefault(name, {})
        calls[done] = died
        try:
            return await done
        finally:
            del calls[done]


async def _into(done: "asyncio.Future[T]", ask: Callable[[], Awaitable[T]]) -> None:
    try:
        answer = await ask()
    except Exception as error:  # noqa: BLE001 - it is the caller's to deal with
        if not done.done():
            done.set_exception(error)
    else:
        if not done.done():
            done.set_result(answer)


async def _alone(ask: Callable[[], Awaitable[Any]]) -> None:
    # Nobody asked for a copy, so nobody hears how it ended.
    with contextlib.suppress(Exception):
        await ask()


def _gone(host: Host | None) -> bool:
    return host is None or not host.alive


def _here() -> str:
    host = HOST.get()
    return host.name if host is not None else OUTSIDE
