"""A world for each test: two planes, a conductor, nodes that are gone afterwards."""

import pytest

from cutover.runbook.intent import Intent
from gateway.doubles import Conductor, Node, Plane, Raw, config, table, until


class World:
    def __init__(self, tmp_path):
        self.tmp_path = tmp_path
        self.hetzner, self.phala, self.conductor = Plane(), Plane(), Conductor()
        self.nodes = []
        self.clients = []

    @property
    def planes(self):
        return {"hetzner": self.hetzner, "phala": self.phala}

    async def node(self, environment=None, **changes):
        made = config(self.tmp_path, self.planes, self.conductor.url, **changes)
        node = Node(made, environment or {})
        self.nodes.append(node)
        return await node.start()

    async def apply(self, new):
        """Offer a table and wait until the node says that it is in force."""
        self.conductor.offer(new)
        await until(
            lambda: (last := self.conductor.last()) and last.generation == new.generation
            and last.term == new.term,
            what=f"generation {new.generation}",
        )  # fmt: skip
        if new.routes[Intent.PAY].candidate_bp:  # its acknowledgement must be there, too
            said = len(self.conductor.reports)
            await until(lambda: len(self.conductor.reports) > said, what="one more report")

    async def client(self, node):
        client = await Raw.open(node.url)
        self.clients.append(client)
        return client

    async def serving(self, **changes):
        """A node with a table that keeps everything on hetzner, and a client of it."""
        node = await self.node(**changes)
        await self.apply(table())
        return node, await self.client(node)


@pytest.fixture
async def world(tmp_path):
    made = World(tmp_path)
    await made.hetzner.start()
    await made.phala.start()
    await made.conductor.start()
    yield made
    for client in made.clients:
        await client.wait_closed()
    for node in made.nodes:
        if node.process.poll() is None:
            node.kill()
        node.process.stderr.close()
    for server in (made.hetzner, made.phala, made.conductor):
        await server.stop()
