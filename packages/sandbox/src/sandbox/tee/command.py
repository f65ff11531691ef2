"""The verbs `tee`, `pccs` and `front` of `cutover-sandbox`."""

import argparse
import asyncio
import os
import secrets
import sys
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from sandbox.files import write_json_atomically
from sandbox.processes import stop_event
from sandbox.tee.boot import Boot
from sandbox.tee.events import Style
from sandbox.tee.front import Front
from sandbox.tee.machine import Machine
from sandbox.tee.pccs import Pccs
from sandbox.tee.pki import Pki
from sandbox.tee.platform import FMSPC, Platform
from sandbox.tee.serve import Served, ServedMachine, ServedPccs, Where
from sandbox.tee.settings import Collateral, EvaluationSet, PlatformStatus, TcbStatus

_STATUSES = (*get_args(TcbStatus), "NoMatchingLevel")


def add_tee_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `tee`."""
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--uds", type=Path, help="path of the Unix socket to listen on")
    where.add_argument("--port", type=int, help="TCP port on 127.0.0.1 instead; 0: any")
    parser.add_argument("--name", default="phala", help="name of the app; decides its app id")
    parser.add_argument("--disk", default="disk-1", help="decides the instance id, with the app")
    parser.add_argument("--compose", type=Path, help="app-compose file, taken byte for byte")
    parser.add_argument("--style", choices=get_args(Style), default="0.5", help="age of the agent")
    parser.add_argument("--platform", default="platform-1", help="name of the processor")
    parser.add_argument("--gone-file", type=Path, help="while it exists, nothing is answered")
    _add_common(parser)


def add_pccs_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `pccs`."""
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1; 0: any")
    parser.add_argument("--fmspc", default=FMSPC, help="of the platforms it knows")
    parser.add_argument("--status", choices=_STATUSES, default="UpToDate", help="of the platform")
    parser.add_argument("--number", type=int, default=20, help="of the evaluation data set")
    parser.add_argument("--frozen-at", type=int, metavar="UNIX", help="take this for now, for ever")
    _add_common(parser)


def add_front_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `front`."""
    parser.add_argument("--upstream", type=_address, required=True, metavar="HOST:PORT")
    parser.add_argument("--name", default="localhost", help="what a swapped certificate says")
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1; 0: any")
    parser.add_argument("--control-port", type=int, default=0, help="0: any")
    parser.add_argument("--state-file", type=Path, help="gets addresses and control token")


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise argparse.ArgumentTypeError(f"HOST:PORT is expected, not {text!r}")
    return host, int(port)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seed", help="all keys follow from it; give `tee` and `pccs` the same; random if absent"
    )
    parser.add_argument("--control-port", type=int, default=0, help="0: any")
    parser.add_argument("--state-file", type=Path, help="gets addresses, control token and seed")
    parser.add_argument("--root-file", type=Path, help="gets the test root certificate, DER")


def run_tee(arguments: argparse.Namespace) -> int:
    """Serve a guest agent until SIGTERM; 2 when an option or a file is wrong."""
    seed = arguments.seed or secrets.token_hex(16)
    boot: dict[str, Any] = {
        "app": arguments.name,
        "disk": arguments.disk,
        "style": arguments.style,
        "platform": arguments.platform,
    }
    try:
        if arguments.compose is not None:
            # Read as bytes: universal newlines would change what is hashed.
            boot["compose"] = arguments.compose.read_bytes().decode()
        machine = Machine(seed.encode(), Boot(**boot))
        where = _where(arguments, uds=arguments.uds, gone_file=arguments.gone_file)
        served = ServedMachine(machine, where)
        return asyncio.run(_run(served, where, seed, machine.platform, arguments))
    except (OSError, ValueError) as error:
        return _refuse("tee", error)


def run_pccs(arguments: argparse.Namespace) -> int:
    """Serve collateral until SIGTERM; 2 when an option or a file is wrong."""
    seed = arguments.seed or secrets.token_hex(16)
    try:
        status: PlatformStatus = arguments.status
        standard = EvaluationSet(number=arguments.number, status=status)
        settings = Collateral(standard=standard, frozen_at=arguments.frozen_at)
        platform = Platform(Pki(seed.encode()), fmspc=arguments.fmspc.upper())
        where = _where(arguments)
        served = ServedPccs(Pccs(platform, settings), where)
        return asyncio.run(_run(served, where, seed, platform, arguments))
    except (OSError, ValueError) as error:
        return _refuse("pccs", error)


def run_front(arguments: argparse.Namespace) -> int:
    """Stand before a plane until SIGTERM; 2 when an address or a file is wrong."""
    front = Front(
        arguments.upstream,
        secrets.token_hex(32),
        name=arguments.name,
        port=arguments.port,
        control_port=arguments.control_port,
    )
    try:
        return asyncio.run(_run_front(front, arguments.state_file))
    except (OSError, ValueError) as error:
        return _refuse("front", error)


async def _run_front(front: Front, state_file: Path | None) -> int:
    stop = stop_event()
    async with front.running():
        where = {"url": front.url, "control": front.control, "control_token": front.token}
        await _listening(state_file, where, stop)
    return 0


async def _listening(state_file: Path | None, where: dict[str, str], stop: asyncio.Event) -> None:
    if state_file is not None:
        write_json_atomically(state_file, {"pid": os.getpid(), **where})
    sys.stdout.write(f"listening at {where['url']}\n")
    sys.stdout.flush()
    await stop.wait()


def _refuse(verb: str, error: Exception) -> int:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        sys.stderr.write(f"cutover-sandbox {verb}: {first['loc']}: {first['msg']}\n")
    else:
        sys.stderr.write(f"cutover-sandbox {verb}: {error}\n")
    return 2


def _where(
    arguments: argparse.Namespace, *, uds: Path | None = None, gone_file: Path | None = None
) -> Where:
    return Where(
        token=secrets.token_hex(32),
        port=arguments.port or 0,
        control_port=arguments.control_port,
        uds=uds,
        gone_file=gone_file,
    )


async def _run(
    served: Served, where: Where, seed: str, platform: Platform, arguments: argparse.Namespace
) -> int:
    stop = stop_event()
    root = platform.pki.root.der
    async with served.running():
        if arguments.root_file is not None:
            arguments.root_file.write_bytes(root)
        state = {
            "url": served.url,
            "control": served.control,
            "control_token": where.token,
            "seed": seed,
            "fmspc": platform.fmspc,
            "root_der": root.hex(),
        }
        await _listening(arguments.state_file, state, stop)
    return 0
