"""What a worker does from its first client to its last; it needs no process of its own for that."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from cutover.gateway.board import Board
from cutover.gateway.client import Client
from cutover.gateway.ports import Rest
from cutover.gateway.surface import Surface

SWEEP_SECONDS: Final = 0.05
CONNECTIONS_SWEEP_SECONDS: Final = 1.0
FAREWELL_SECONDS: Final = 0.5
"""For clients to take their last answers; it is part of the supervisor's grace."""


class Listening(Protocol):
    """What takes the clients' connections."""

    def close(self) -> None:
        """Take no more."""
        ...


Listen = Callable[[Callable[[], Client]], Awaitable[Listening]]
"""Begin to take connections, each with a client that the given factory makes."""


async def serve(board: Board, listen: Listen, stop: asyncio.Event, rest: Rest) -> None:
    """Answer clients until told to stop, then finish what is in hand.

    Args:
        board: the worker's state.
        listen: called once.
        stop: that the worker is to end.
        rest: between two sweeps; as long as there is anything to be swept, `SWEEP_SECONDS`.
    """
    board.standing()
    surface = Surface()
    server = await listen(lambda: Client(board, surface))
    async with asyncio.TaskGroup() as tasks:
        sweeping = tasks.create_task(_sweep(board, rest))
        await stop.wait()
        server.close()
        await _drain(board)
        sweeping.cancel()
    for client in list(board.clients):
        client.dismiss()
    await asyncio.sleep(0)  # for the transports to tell them


async def _sweep(board: Board, rest: Rest) -> None:
    rounds = round(CONNECTIONS_SWEEP_SECONDS / SWEEP_SECONDS)
    while True:
        for _ in range(rounds):
            await rest()
            board.sweep()
        board.sweep_connections()


async def _drain(board: Board) -> None:
    """Finish what is in hand; whatever is not finished then is told and counted as given up."""
    board.draining = True
    board.flush()
    for client in list(board.clients):
        client.interrupt()
    give_up = board.loop.time() + board.limits.drain_seconds
    # ASYNC110: an event would cost something at every request
    while _busy(board) and (board.loop.time() < give_up or board.money_waits()):  # noqa: ASYNC110
        await asyncio.sleep(SWEEP_SECONDS / 5)
    board.give_up()
    give_up = board.loop.time() + FAREWELL_SECONDS
    while _writing(board) and board.loop.time() < give_up:  # noqa: ASYNC110 (as above)
        await asyncio.sleep(SWEEP_SECONDS / 5)


def _busy(board: Board) -> bool:
    return board.in_flight > 0 or any(client.busy() for client in board.clients)


def _writing(board: Board) -> bool:
    return any(client.writing() for client in board.clients)
