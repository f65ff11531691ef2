"""Simulations small enough to read: a loop, a network, and what happened in which order."""

import asyncio
from random import Random

from cutover.simulator.kernel.host import Host
from cutover.simulator.kernel.loop import SimulationLoop
from cutover.simulator.kernel.network import Network
from cutover.simulator.kernel.run import run
from cutover.simulator.kernel.weather import Weather


def networked(play):
    """Run `play(network)` on a loop of its own with a network of seed 1."""

    async def main():
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulationLoop)
        network = loop.network = Network(loop, Weather(Random(1)))
        return await play(network)

    return run(main())


class Ear(asyncio.Protocol):
    """Notes what a connection tells, and when."""

    def __init__(self):
        self.heard, self.at, self.ended, self.error = [], [], False, None
        self.transport = None

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.heard.append(data)
        self.at.append(asyncio.get_running_loop().time())

    def eof_received(self):
        self.ended = True

    def connection_lost(self, exc):
        self.ended, self.error = True, exc

    @property
    def text(self):
        return b"".join(self.heard)


class Wire:
    """A connection between a client's host and a server's."""

    def __init__(self, network):
        self.network = network
        self.near_host, self.far_host = Host("near"), Host("far")
        self.ears = []

    def ear(self):
        self.ears.append(Ear())
        return self.ears[-1]

    async def open(self):
        await self.far_host.start(self._listen())
        await self.near_host.start(self._connect())
        await asyncio.sleep(0.01)
        self.far = self.ears[-1]
        return self

    async def _listen(self):
        self.network.listen(self.ear, "far", 80)

    async def _connect(self):
        loop = asyncio.get_running_loop()
        self.transport, self.near = await loop.create_connection(Ear, "far", 80)
