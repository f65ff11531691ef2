"""A gateway's worker without a process: the real board and protocols in a `Host` of their own.

It sweeps as a real one does while there is anything to be swept. Otherwise it rests until a client
or a table comes: in nine days of virtual time there are fifteen million sweeps of nothing.
"""

import asyncio
import logging
import signal
from collections.abc import Callable
from dataclasses import dataclass

from cutover.clock import Clock
from cutover.gateway.board import Board
from cutover.gateway.client import Client
from cutover.gateway.config import GatewayConfig
from cutover.gateway.page import Page
from cutover.gateway.serving import SWEEP_SECONDS, Listening, serve
from cutover.simulator.kernel.host import Host

log = logging.getLogger("cutover.simulator.gateway_worker")


@dataclass(frozen=True)
class Birth:
    """What a worker is given.

    Attributes:
        config: of the node.
        number: of its block in the page.
        page_fd: of the shared page.
        clock: of its machine.
        ids_prefix: of the request ids that it gives.
        stirred: called when it has something to do, and when it has ended.
    """

    config: GatewayConfig
    number: int
    page_fd: int
    clock: Clock
    ids_prefix: bytes
    stirred: Callable[[], None]


class SimulatedWorker:
    """A worker's process, as the crew sees one (`cutover.gateway.ports.Process`).

    Attributes:
        host: it, for the network and for faults.
        returncode: how it ended; None while it runs.
        at_rest: it does nothing until somebody comes, so nobody need look at it.
    """

    def __init__(self, birth: Birth, incarnation: int) -> None:
        self.returncode: int | None = None
        self.at_rest = False
        self._birth = birth
        self._stop = asyncio.Event()
        self._woken = asyncio.Event()
        self._board: Board | None = None
        self.host = Host(birth.config.host, incarnation)
        self.host.on_death(self._died)
        self.host.start(self._main(), f"worker {birth.number}")

    # as the crew sees it

    def poll(self) -> int | None:
        """How it ended; None while it runs."""
        return self.returncode

    def terminate(self) -> None:
        """Ask it to finish what it has in hand; while it is paused it does not hear that."""
        loop = asyncio.get_running_loop()
        loop.call_soon(self._stop.set, context=self.host.context())

    def kill(self) -> None:
        """End it here and now."""
        self.host.kill()

    def wait(self) -> int:
        """How it ended.

        Raises:
            AssertionError: it has not, and never would while the one thread waited for it.
        """
        if self.returncode is None:
            raise AssertionError(f"{self.host} is waited for without having been killed")
        return self.returncode

    def hang_up(self) -> None:
        """There is no pipe to let go of."""

    # what makes it do something

    def wake(self) -> None:
        """A client or a table has come."""
        board = self._board
        if self.at_rest and board is not None:
            self.at_rest = False
            board.now = board.loop.time()  # as the sweep that was left out would have set it
            self._woken.set()
            self._birth.stirred()

    # its life

    async def _main(self) -> None:
        code = 1
        try:
            await self._serve()
            code = 0
        except Exception as error:  # as in any process, it ends there; the loop's keeper is told
            if not self.host.alive:
                raise  # its memory is being freed: it has ended long ago, and this is not why
            log.exception("%r ends with a defect", self.host)
            told = {"message": f"{self.host!r} ended with a defect", "exception": error}
            asyncio.get_running_loop().call_exception_handler(told)
        self.returncode = code
        self.host.kill()

    async def _serve(self) -> None:
        birth, loop = self._birth, asyncio.get_running_loop()
        config = birth.config
        page = Page(birth.page_fd, config.workers)
        board = Board(config, page, birth.number, loop, birth.clock, birth.ids_prefix)
        self._board = board

        def let_in(factory: Callable[[], Client]) -> Client:
            self.wake()
            return factory()

        async def listen(factory: Callable[[], Client]) -> Listening:
            several = config.workers > 1
            return await loop.create_server(
                lambda: let_in(factory), config.host, config.port, reuse_port=several
            )

        await serve(board, listen, self._stop, self._rest)

    async def _rest(self) -> None:
        if self._board is not None and self._board.at_rest():
            self.at_rest = True
            self._woken.clear()
            await self._woken.wait()
        await asyncio.sleep(SWEEP_SECONDS)

    def _died(self) -> None:
        if self.returncode is None:
            self.returncode = -signal.SIGKILL
        self.at_rest = False
        self._birth.stirred()
