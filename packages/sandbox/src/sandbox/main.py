"""`cutover-sandbox`: serve a world or a confidential machine, send traffic, cut links.

Exit codes: 0 done as asked; 1 traffic met a failed answer; 2 the command line or a file is wrong.
"""

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from sandbox import relay
from sandbox.processes import stop_event
from sandbox.tee import command as tee
from sandbox.traffic import command as traffic
from sandbox.world import SERVICES, Options, World


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(name)s %(levelname)s %(message)s")
    arguments = _parser().parse_args(argv)
    try:
        match arguments.verb:
            case "serve":
                return asyncio.run(_serve(arguments))
            case "traffic":
                return traffic.run(arguments)
            case "tee":
                return tee.run_tee(arguments)
            case "pccs":
                return tee.run_pccs(arguments)
            case "front":
                return tee.run_front(arguments)
            case _:
                return relay.run(arguments)
    except OSError as error:
        sys.stderr.write(f"cutover-sandbox {arguments.verb}: {error}\n")
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cutover-sandbox", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    serve = verbs.add_parser("serve", help="all services of one world")
    serve.add_argument("--state-dir", type=Path, required=True, help="where world.json goes")
    serve.add_argument("--host", default="127.0.0.1")
    names = ", ".join((*SERVICES, "control"))
    serve.add_argument(
        "--port",
        action="append",
        default=[],
        metavar="SERVICE=N",
        type=_port,
        help=f"fix a port ({names}); the system chooses the others",
    )
    serve.add_argument("--block-seconds", type=float, default=0.1, help="0: only on demand")
    serve.add_argument("--finality-lag", type=int, default=2, help="blocks, 1 or more")
    traffic.add_arguments(verbs.add_parser("traffic", help="clients that check every answer"))
    relay.add_arguments(verbs.add_parser("relay", help="a link that can be cut or falsified"))
    tee.add_tee_arguments(
        verbs.add_parser("tee", help="a guest agent whose quotes verify under a test root")
    )
    tee.add_pccs_arguments(verbs.add_parser("pccs", help="the collateral for these quotes"))
    tee.add_front_arguments(verbs.add_parser("front", help="a way to a plane that can swap keys"))
    return parser


def _port(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if name not in (*SERVICES, "control") or not number.isdigit():
        raise argparse.ArgumentTypeError(f"SERVICE=N is expected, not {text!r}")
    return name, int(number)


async def _serve(arguments: argparse.Namespace) -> int:
    stop = stop_event()
    options = Options(
        host=arguments.host,
        ports=dict(arguments.port),
        block_seconds=arguments.block_seconds,
        finality_lag=max(1, arguments.finality_lag),
    )
    arguments.state_dir.mkdir(parents=True, exist_ok=True)
    async with World(options).running() as world:
        path = world.write(arguments.state_dir)
        sys.stdout.write(f"the world is up: {path}\n")
        sys.stdout.flush()
        await stop.wait()
        path.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
