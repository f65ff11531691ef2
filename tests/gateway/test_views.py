"""Pages and receipts, as a browser gets them through the gateway."""

import pytest
import pytest_asyncio

from gateway.doubles import Conductor, Node, Plane, Raw, config, request, table, until, whole

pytestmark = pytest.mark.asyncio(loop_scope="module")
ID = "0" * 32


def page(status="200 OK", media="text/html; charset=utf-8"):
    more = "set-cookie: a=b\r\nx-own: 1\r\ncontent-length: 4\r\n"
    return f"HTTP/1.1 {status}\r\ncontent-type: {media}\r\n{more}\r\npage".encode()


class World:
    """Two planes that show a page, and a client of a node that the tests of this file share."""

    def __init__(self):
        self.hetzner, self.phala, self.conductor = Plane(), Plane(), Conductor()

    async def get(self, path, headers=(), key=None, method="GET"):
        await self.client.send(request(method, path, headers=headers, key=key))
        return await self.client.answer()

    async def apply(self, new):
        self.conductor.offer(new)
        await until(
            lambda: (last := self.conductor.last()) and last.generation == new.generation,
            what=f"generation {new.generation}",
        )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory):
    found = World()
    servers = (found.hetzner, found.phala, found.conductor)
    for server in servers:
        await server.start()
    planes = {"hetzner": found.hetzner, "phala": found.phala}
    made = config(tmp_path_factory.mktemp("views"), planes, found.conductor.url)
    node = await Node(made, {}).start()
    found.client = await Raw.open(node.url)
    yield found
    await found.client.wait_closed()
    node.kill()
    node.process.stderr.close()
    for server in servers:
        await server.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def shown(world):
    if not world.conductor.reports or not world.conductor.last().generation:
        await world.apply(table())
    for plane in (world.hetzner, world.phala):
        plane.seen.clear()
        plane.answer = page()
    return world


async def test_without_a_table_nothing_is_shown(world):
    """The first of this file: there is a table from the next one on."""
    for path in ("/app", f"/receipts/phala-{ID}"):
        assert (await world.get(path)).json()["code"] == "no_table"


async def test_the_page_comes_from_the_active_plane_and_a_receipt_from_its_own(shown):
    for path, plane in (
        ("/app", shown.hetzner),
        ("/app/app.js", shown.hetzner),
        ("/app/style.css", shown.hetzner),
        (f"/receipts/phala-{ID}", shown.phala),
        (f"/receipts/hetzner-{ID}", shown.hetzner),
    ):
        before = len(plane.seen)
        answer = await shown.get(path)
        assert (answer.status, answer.body) == (200, b"page"), path
        assert plane.seen[-1].line == f"GET {path} HTTP/1.1"
        assert len(plane.seen) == before + 1
    await shown.apply(table(2, active="phala"))
    await shown.get("/app")
    assert shown.phala.seen[-1].line == "GET /app HTTP/1.1"
    await shown.apply(table(3))


async def test_nothing_of_the_browser_goes_along_and_no_key_does(shown):
    sent = [("Cookie", "a=b"), ("Authorization", "x"), ("Accept", "application/json, */*")]
    await shown.get("/app", sent, key="client-key")
    (seen,) = shown.hetzner.seen
    assert {name for name, _ in seen.headers} == {"host", "accept"}
    assert seen.header("accept") == ["application/json"]
    assert seen.body == b""


async def test_what_a_browser_may_do_with_it_is_said_by_the_gateway(shown):
    answer = await shown.get(f"/receipts/phala-{ID}")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src")
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in answer.headers
    assert "x-own" not in answer.headers


UNKNOWN = (
    "/app/",
    "/app?x",
    "/app/app.js?x",
    "/app/other.js",
    "/app/../process",
    "/receipts/",
    f"/receipts/other-{ID}",
    f"/receipts/phala-{ID}?x",
    f"/receipts/phala-{ID}0",
    f"/receipts/../phala-{ID}",
    "/receipts/phala-" + "G" * 32,
    "/receipts/pay-0123456789",
)


async def test_every_other_path_is_unknown_and_asks_nobody(shown):
    for path in UNKNOWN:
        answer = await shown.get(path)
        assert (answer.status, answer.json()["code"]) == (404, "not_found"), path
    answer = await shown.get("/app", method="POST")
    assert (answer.status, answer.headers["allow"]) == (405, "GET")
    assert shown.hetzner.seen == shown.phala.seen == []


async def test_a_planes_failure_is_told_and_what_is_no_page_is_not_passed_on(shown):
    shown.hetzner.answer = whole(b'{"error":"x","code":"not_found"}', "404 Not Found")
    assert (await shown.get(f"/receipts/hetzner-{ID}")).status == 404
    for media in ("image/svg+xml", "text/html; charset=utf-7", "text/xml"):
        shown.hetzner.answer = page(media=media)
        answer = await shown.get("/app")
        assert (answer.status, answer.json()["code"]) == (502, "plane_error"), media
    await shown.hetzner.stop()
    answer = await shown.get("/app")
    assert (answer.status, answer.json()["code"]) == (502, "not_sent")
