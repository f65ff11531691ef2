"""A browser before a gateway, two runtimes and their world: everything is real but the rails."""

import contextlib
import os
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, async_playwright

from agent_runtime.near import death, sender
from browser.finder import Browser, find
from browser.runtime import running, told
from cutover.gateway.config import PlaneEndpoint
from gateway.doubles import CLIENT_KEY, Conductor, Node, config, table, until
from sandbox.faults import Rule
from sandbox.near import ledger
from sandbox.world import Options, World

# As root there is no sandbox to be had; and nothing may call home.
ARGUMENTS = ("--disable-gpu", "--disable-background-networking", "--disable-component-update")


@dataclass
class Stage:
    """What the tests of a file share."""

    origin: str
    world: World
    planes: dict[str, Any]
    browser: Any
    complaints: list[str] = field(default_factory=list)

    async def open(self, path="/app") -> Page:
        """A page of a visitor of its own; whatever the browser complains of is kept."""
        context = await self.browser.new_context(base_url=self.origin)
        page = await context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        await page.goto(path)
        return page

    def _heard(self, message):
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    async def with_key(self) -> Page:
        """A page whose visitor has given the key."""
        page = await self.open()
        await page.evaluate("document.getElementById('key-row').hidden = false")
        await page.get_by_label("Key of this service").fill(CLIENT_KEY)
        return page

    def fault(self, *rules):
        self.world.faults.replace([Rule(**rule) for rule in rules])

    def heal(self):
        self.world.faults.clear()

    def usdc(self, account):
        found = ledger.dump(self.world.chain)["tokens"][self.world.describe()["near"]["usdc"]]
        return int(found["balances"].get(account, 0))


@pytest.fixture(scope="session")
def found_browser() -> Browser:
    """The browser; to have none is an error. Says which it is."""
    browser = find()
    print(f"browser: {browser}")  # noqa: T201 - for whoever reads a failure
    return browser


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory, found_browser):
    """Low risk and money go to phala, the page comes from hetzner, which is active still."""
    scratch = tmp_path_factory.mktemp("stage")
    async with contextlib.AsyncExitStack() as held:
        world = World(Options(block_seconds=0.01, rpc_wait_seconds=2.0))
        await held.enter_async_context(world.running())
        planes = {
            name: await held.enter_async_context(
                running(told(scratch, name, world.describe()["planes"][name]["env"]))
            )
            for name in ("hetzner", "phala")
        }
        origin = await held.enter_async_context(_gateway(scratch, planes))
        browser = await held.enter_async_context(_started(found_browser))
        yield Stage(origin, world, planes, browser)


@pytest.fixture(autouse=True)
def _hurried(monkeypatch):
    """What waits for a chain that says nothing does not wait long."""
    for module, name in ((sender, "SEND"), (sender, "RESOLVE"), (sender, "CLEAR"), (death, "LOOK")):
        monkeypatch.setattr(module, f"{name}_SECONDS", 0.5)


@contextlib.asynccontextmanager
async def _gateway(scratch, planes):
    conductor = await Conductor().start()
    doubles = {name: SimpleNamespace(url=plane.url) for name, plane in planes.items()}
    ends = {name: PlaneEndpoint(plane.url, plane.key) for name, plane in planes.items()}
    node = await Node(config(scratch, doubles, conductor.url, planes=ends), {}).start()
    conductor.offer(table(share=10_000, pay=10_000))
    await until(lambda: (last := conductor.last()) and last.generation == 1, what="the table")
    try:
        yield node.url
    finally:
        node.kill()
        await conductor.stop()


@contextlib.asynccontextmanager
async def _started(found: Browser):
    sandbox = os.geteuid() != 0
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=found.path, args=list(ARGUMENTS), chromium_sandbox=sandbox
        )
        try:
            yield browser
        finally:
            await browser.close()
