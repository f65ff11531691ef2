"""`cutover-sandbox traffic`: run the clients, keep the summary file fresh, say how it went."""

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Final

from sandbox.files import write_json_atomically
from sandbox.processes import stop_event
from sandbox.traffic.check import Route
from sandbox.traffic.load import IN_FLIGHT_MAX, RATE_MAX, TOTAL_MAX, Load, Plan
from sandbox.traffic.texts import ROUTES, Conversations, Mix

SUMMARY_SECONDS: Final = 0.5
_REPOSITORIES: Final = "acme/widgets,demo/alpha,demo/beta,demo/gamma,near/near-sdk-rs"
_PAY_REPOSITORIES: Final = "acme/widgets," + ",".join(f"demo/pay-{n}" for n in range(1, 9))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--url", required=True, help="the gateway's base URL")
    parser.add_argument("--key", help="the clients' key; or set TRAFFIC_KEY", default=None)
    parser.add_argument("--rate", type=float, default=20.0, help=f"a second, up to {RATE_MAX:.0f}")
    parser.add_argument("--seconds", type=float, default=None, help="default: until SIGTERM")
    parser.add_argument("--total", type=int, default=TOTAL_MAX, help="requests at most")
    parser.add_argument("--in-flight", type=int, default=IN_FLIGHT_MAX, help="open at once at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mix", type=_mix, default=_mix("analyze=70,create=20,pay=10"))
    parser.add_argument("--repos", default=_REPOSITORIES, help="comma separated")
    parser.add_argument("--pay-repos", default=_PAY_REPOSITORIES, help="comma separated")
    parser.add_argument("--planes", default="", help="plane names to accept; default: any")
    parser.add_argument(
        "--routes", type=_routes, default=ROUTES, help="process,agent (default) or one of them"
    )
    parser.add_argument("--json-out", type=Path, default=None, help="summary file")


def _mix(text: str) -> Mix:
    try:
        return Mix.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _routes(text: str) -> tuple[Route, ...]:
    routes = tuple(route for route in ROUTES if route in _names(text))
    if not routes or len(routes) != len(_names(text)):
        raise argparse.ArgumentTypeError(f"{', '.join(ROUTES)} are known, not {text!r}")
    return routes


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def run(arguments: argparse.Namespace) -> int:
    """Run the clients; 0 if every answer was right or a clear refusal and at least one came."""
    key = arguments.key or os.environ.get("TRAFFIC_KEY", "")
    if not key or arguments.rate <= 0:
        sys.stderr.write("traffic: --key (or TRAFFIC_KEY) and a --rate above 0 are needed\n")
        return 2
    plan = Plan(
        url=arguments.url,
        key=key,
        rate=arguments.rate,
        seconds=arguments.seconds,
        total_max=arguments.total,
        in_flight_max=arguments.in_flight,
        known_planes=frozenset(_names(arguments.planes)),
    )
    conversations = Conversations(
        arguments.seed,
        arguments.mix,
        _names(arguments.repos),
        _names(arguments.pay_repos),
        arguments.routes,
    )
    load = Load(plan, conversations)
    asyncio.run(_run(load, arguments.json_out))
    summary = load.tally.summary(done=True)
    sys.stdout.write(json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
    return 0 if summary["failed"] == 0 and summary["total"] > 0 else 1


async def _run(load: Load, path: Path | None) -> None:
    stop = stop_event()
    writer = asyncio.create_task(_keep_written(load, path))
    try:
        await load.run(stop)
    finally:
        writer.cancel()
        await asyncio.wait([writer])
        if path is not None:
            write_json_atomically(path, load.tally.summary(done=True))


async def _keep_written(load: Load, path: Path | None) -> None:
    while path is not None:
        write_json_atomically(path, load.tally.summary(done=False))
        await asyncio.sleep(SUMMARY_SECONDS)
