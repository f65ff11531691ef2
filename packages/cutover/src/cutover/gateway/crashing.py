"""Crash points of a gateway node: who may be armed, and where a worker's points are.

A worker's way of a request has no call for a crash point: its methods are wrapped when one is
armed, so that a request that nobody wants to die pays nothing at all.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from cutover.crashpoint import Process, arm_by_environment, crashpoint
from cutover.gateway.config import GatewayConfig
from cutover.gateway.exchange import Exchange, IntentExchange
from cutover.gateway.upstream import Upstream

Method = Callable[..., None]


def arm_node(config: GatewayConfig) -> None:
    """Arm the supervisor, or have it hand a worker's point down, if the environment asks for it.

    Raises:
        ConfigurationError: a plane is not on this machine, or there is no such point.
    """
    arm_by_environment(Process.NODE, _unfit(config))


def arm_worker(config: GatewayConfig) -> None:
    """Arm a worker, if its supervisor handed a point down.

    Raises:
        ConfigurationError: a plane is not on this machine, or there is no such point.
    """
    if arm_by_environment(Process.WORKER, _unfit(config)):
        _wrap()


@contextmanager
def instrumented() -> Iterator[None]:
    """Have the points of workers passed inside the block: for a simulator, with its own hook."""
    before = _wrap()
    try:
        yield
    finally:
        for (owner, name), method in before.items():
            setattr(owner, name, method)


def _unfit(config: GatewayConfig) -> str:
    hosts = {name: urlsplit(end.url).hostname or "" for name, end in config.planes.items()}
    away = sorted(f"{name} ({host})" for name, host in hosts.items() if not _is_loopback(host))
    return f"{', '.join(away)} are not on loopback, so this is no rehearsal" if away else ""


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _wrap() -> dict[tuple[type, str], Method]:
    """Wrap every method that has a point; returns what was there before."""
    before = {(owner, name): getattr(owner, name) for owner, name in _WRAPPERS}
    for (owner, name), method in before.items():
        setattr(owner, name, _wrapped(_WRAPPERS[owner, name], method))
    return before


def _wrapped(wrapper: Callable[..., None], method: Method) -> Method:
    @wraps(method)
    def passing(self: Any, *args: Any) -> None:
        wrapper(method, self, *args)

    return passing


def _carry(method: Method, upstream: Upstream, *args: Any) -> None:
    crashpoint("worker.carry.before")
    method(upstream, *args)
    _when_written("worker.carry.after")


def _answered(method: Method, exchange: Exchange, *args: Any) -> None:
    if exchange.done:
        method(exchange, *args)
        return
    crashpoint("worker.answer.before")
    method(exchange, *args)
    _when_written("worker.answer.after")


def _counted(method: Method, exchange: IntentExchange, *args: Any) -> None:
    crashpoint("worker.count.before")
    method(exchange, *args)
    crashpoint("worker.count.after")


_WRAPPERS: Final[dict[tuple[type, str], Callable[..., None]]] = {
    (Upstream, "carry"): _carry,
    (Exchange, "answered"): _answered,
    (IntentExchange, "settle_answer"): _counted,
}


def _when_written(name: str) -> None:
    """Pass a point once what is in the worker's outbox is the kernel's business.

    The outbox is emptied after the events at hand, and uvloop writes at the end of that round: so
    it is certain in the round after the next.
    """
    loop = asyncio.get_running_loop()
    loop.call_soon(loop.call_soon, loop.call_soon, crashpoint, name)
