"""The one place that wires: settings and runbook in, running conductor or gateway out."""

import asyncio
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import httpx

from cutover.archiving import key_of, seal, sealing_order, secret_values
from cutover.clock import SystemClock, suspended_ms
from cutover.conductor.address import conductor_url, url_of
from cutover.conductor.api import build_api
from cutover.conductor.assembly import Outside, assemble
from cutover.conductor.attested_plane import AttestedPlane
from cutover.conductor.attester import ReportedAttester
from cutover.conductor.chain_lookup import NearChain
from cutover.conductor.cleanse import Cleanser
from cutover.conductor.config import GatewayAccess
from cutover.conductor.credentials import (
    GATEWAY_FILE,
    Tokens,
    read_or_make,
    read_token,
)
from cutover.conductor.inspector import PlaneInspector
from cutover.conductor.listener import listen, port_before
from cutover.conductor.log import Log, flush, say
from cutover.conductor.plane_client import HttpPlane, connections
from cutover.conductor.postchecks import PostChecks
from cutover.conductor.recovery import adopted, recover
from cutover.conductor.reference import HttpReference
from cutover.conductor.sealer import Sealer
from cutover.conductor.service import serve
from cutover.crashpoint import Process, arm_by_environment, crashpoint
from cutover.decision.fact import Entry
from cutover.decision.run import TERMINAL, Phase, Run
from cutover.errors import ConfigurationError, CutoverError, UnreachableError
from cutover.evidence.observation import PostCheckSeen, PreconditionSeen
from cutover.fit import attesting_of, check_fit
from cutover.gateway import node
from cutover.gateway.config import DEADLINES_MS, GatewayConfig, PlaneEndpoint
from cutover.journal import schema
from cutover.journal.store import Journal
from cutover.preflight import asked_planes, preconditions_of, preflight, refuse_failing
from cutover.runbook.document import Runbook
from cutover.runbook.gate import Check
from cutover.runbook.intent import Intent
from cutover.runbook.load import load_text
from cutover.settings import GatewaySettings, Settings
from cutover.verifying import Attested, attested_candidate
from cutover.versions import versions

JOURNAL_FILE = "journal.db"
ARCHIVE_FILE = "archive.zip"
"""The record of a run that is over; those made before bear the number of their last entry."""

JustSeen = Mapping[Check, PreconditionSeen]


def load_runbook(path: Path) -> Runbook:
    """Read and check a runbook.

    Raises:
        ConfigurationError: it cannot be read, or breaks a rule of the linter.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
    return load_text(text, str(path))


@dataclass(frozen=True)
class Outcome:
    """How a conductor's work ended.

    Attributes:
        run: the state it left.
        phase: where the run stands.
        archive: the sealed record of a run that is over, and the journal's head in it; None if a
            signal stopped the conductor, and the run goes on with the next start.
    """

    run: Run
    phase: Phase
    archive: tuple[Path, str] | None


def run_conductor(runbook: Runbook, settings: Settings) -> Outcome:
    """Carry a runbook out, or go on with it; returns when the run is over or a signal came.

    A new run is begun only if no precondition definitely fails; it waits for what is unknown.

    Raises:
        CutoverError: it cannot start, or the journal cannot be written.
    """
    check_fit(runbook, settings)
    unfit = "" if runbook.rehearsal else f"runbook {runbook.name!r} is no rehearsal"
    arm_by_environment(Process.CONDUCTOR, unfit)
    data = settings.conductor.data
    path = data / JOURNAL_FILE
    just_seen = {} if schema.begun(path) else _fit_to_begin(runbook, settings)
    tokens = read_or_make(data)
    journal = Journal.open(path, None if schema.begun(path) else _fresh())
    crashpoint("start.opened")
    try:
        run = asyncio.run(_conduct(runbook, settings, journal, tokens, just_seen))
    except BaseExceptionGroup as group:
        known = group.subgroup(CutoverError)
        if known is None:
            raise
        raise _first(known) from group
    finally:
        journal.close()
        flush()
    if run.phase not in TERMINAL:
        return Outcome(run, run.phase, None)
    crashpoint("archive.seal.before")
    archive = seal(path, settings, data / ARCHIVE_FILE)
    crashpoint("archive.seal.after")
    return Outcome(run, run.phase, archive)


def _first(group: BaseExceptionGroup[CutoverError]) -> CutoverError:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, CutoverError)  # noqa: S101 - the group holds nothing else
    return found


def _fit_to_begin(runbook: Runbook, settings: Settings) -> JustSeen:
    found = preflight(runbook, settings)
    refuse_failing(found, runbook)
    return found.seen()


async def _conduct(
    runbook: Runbook, settings: Settings, journal: Journal, tokens: Tokens, just_seen: JustSeen
) -> Run:
    conductor = settings.conductor
    with closing(Sealer(lambda: sealing_order(journal.path, settings))) as sealer:
        async with connections() as client, AsyncExitStack() as stack:
            attested = _attested(runbook, settings)
            if attested is not None:
                stack.push_async_callback(attested.connections.aclose)
            outside = _outside(runbook, settings, client, sealer, attested, just_seen)
            parts = assemble(runbook, journal, outside)
            api = build_api(
                parts.loop, parts.desk, tokens, lambda after: _entries(journal.path, after)
            )
            listener = listen(conductor.host, conductor.port, journal.path.parent)
            await serve(parts, api, listener, conductor.data)
    return parts.loop.engine.run


def _attested(runbook: Runbook, settings: Settings) -> Attested | None:
    """The conductor's side of a candidate that must prove what it is; None where it need not."""
    attesting = attesting_of(runbook, settings)
    if attesting is None:
        return None
    plane = settings.planes[runbook.candidate]
    said: Mapping[str, object] = {
        "plane": runbook.candidate, "policy": str(attesting.path), "root": attesting.root_name(),
        "marks": attesting.marks(), "services": [service.url for service in attesting.services],
    }  # fmt: skip
    say("attestation_configured", **said)
    data = settings.conductor.data
    return attested_candidate(attesting, data, plane.url, key_of(plane), secrets.token_bytes)


def _outside(
    runbook: Runbook,
    settings: Settings,
    client: httpx.AsyncClient,
    sealer: Sealer,
    attested: Attested | None,
    just_seen: JustSeen,
) -> Outside:
    """The real world, as the deployment's file describes it."""
    keys = {name: key_of(plane) for name, plane in settings.planes.items()}
    planes = asked_planes(runbook, settings, client, attested)
    chain, url = _chain(settings, client), settings.conductor.reference_url
    believed, second = runbook.attestation_gate().evidence, planes[1]
    return Outside(
        clock=SystemClock(),
        suspended_ms=suspended_ms,
        fresh=_fresh,
        planes=planes,
        attester=attested.attester if attested is not None else ReportedAttester(second, believed),
        reference=HttpReference(url, client) if url else None,
        chain=chain,
        inspector=_inspector(runbook, settings, planes, attested, client, chain, sealer, just_seen),
        texts=settings.texts(),
        cleanse=Cleanser(secret_values(settings)),
        watch=Log(runbook).entries,
        keys=keys,
        versions=versions(),
        follow=attested.follow if attested is not None else lambda _: None,
    )


def _inspector(
    runbook: Runbook,
    settings: Settings,
    planes: Sequence[HttpPlane | AttestedPlane],
    attested: Attested | None,
    client: httpx.AsyncClient,
    chain: NearChain | None,
    sealer: Sealer,
    just_seen: JustSeen,
) -> Callable[[Callable[[], Run]], PlaneInspector]:
    before = preconditions_of(runbook, settings, planes, client, attested)
    wall_ms = SystemClock().wall_ms

    def made(run: Callable[[], Run]) -> PlaneInspector:
        post = PostChecks(
            runbook, run, _gateway_access(settings.gateway), client, chain,
            settings.texts()[Intent.PAY], sealer, wall_ms,
        )  # fmt: skip
        return PlaneInspector(before, post, wall_ms, just_seen)

    return made


def _fresh() -> str:
    return secrets.token_hex(8)


def _chain(settings: Settings, client: httpx.AsyncClient) -> NearChain | None:
    rpc = settings.conductor.near_rpc
    return NearChain(rpc, client, settings.conductor.near_sender) if rpc else None


def post_checks(runbook: Runbook, settings: Settings) -> list[PostCheckSeen]:
    """Carry out the post-cutover checks beside a run, from its journal's state.

    Raises:
        CutoverError: there is no journal, or it cannot be trusted.
    """
    check_fit(runbook, settings)
    path = settings.conductor.data / JOURNAL_FILE
    with Journal.open_read_only(path) as reader:
        run = recover(reader, runbook)

    async def carry_out() -> list[PostCheckSeen]:
        async with connections() as client:
            checks = PostChecks(
                runbook, lambda: run, _gateway_access(settings.gateway), client,
                _chain(settings, client), settings.texts()[Intent.PAY],
                lambda: seal(path, settings), SystemClock().wall_ms,
            )  # fmt: skip
            return [await checks.carry_out(check.name) for check in runbook.post_checks]

    return asyncio.run(carry_out())


def _entries(path: Path, after: int) -> Iterator[Entry]:
    with Journal.open_read_only(path) as reader:
        yield from reader.entries(after)


def _gateway_access(gateway: GatewaySettings | None) -> GatewayAccess | None:
    if gateway is None or gateway.key is None:
        return None
    url = gateway.url or url_of(gateway.host, gateway.port)
    secret = gateway.webhook_secret.get_secret_value() if gateway.webhook_secret else ""
    return GatewayAccess(url, gateway.key.get_secret_value(), secret)


def gateway_config(settings: Settings, runbook_planes: tuple[str, ...] = ()) -> GatewayConfig:
    """A node's configuration from the deployment's file.

    Raises:
        ConfigurationError: there is no gateway section, or no conductor to be found.
    """
    gateway = settings.gateway
    if gateway is None or gateway.key is None or gateway.state is None:
        raise ConfigurationError("the configuration has no [gateway] section: add one")
    data = settings.conductor.data
    names = runbook_planes or tuple(settings.planes)
    return GatewayConfig(
        node=gateway.node,
        host=gateway.host,
        port=gateway.port,
        workers=gateway.workers,
        client_keys=(gateway.key.get_secret_value(),),
        planes={
            name: PlaneEndpoint(settings.planes[name].url, key_of(settings.planes[name]))
            for name in names
        },
        conductor_url=gateway.conductor or _conductor_known(settings),
        gateway_token=read_token(data / GATEWAY_FILE),
        state_dir=gateway.state,
        report_every_ms=gateway.report_every_ms,
        accept_run=gateway.accept_run,
        deadlines_ms={**DEADLINES_MS, **gateway.deadlines_ms},
    )


def _conductor_known(settings: Settings) -> str:
    """Where a node finds the conductor, also while none runs: it goes on alone meanwhile.

    Raises:
        ConfigurationError: none ever ran here, and no address is configured.
    """
    conductor = settings.conductor
    port = conductor.port or port_before(conductor.data)
    try:
        return conductor_url(conductor.data)
    except UnreachableError as error:
        if port:
            return url_of(conductor.host, port)
        raise ConfigurationError(f"{error}; or configure gateway.conductor") from error


def remembered(data: Path) -> tuple[Runbook, Run]:
    """What a run's journal tells, without a conductor.

    Raises:
        CutoverError: there is no journal, or it cannot be trusted.
    """
    with Journal.open_read_only(data / JOURNAL_FILE) as reader:
        begun = adopted(reader)
        if begun is None:
            raise ConfigurationError(f"{reader.path} is empty: no run was begun there")
        runbook = load_text(begun.runbook, "the adopted runbook")
        return runbook, recover(reader, runbook)


def run_gateway(settings: Settings) -> int:
    """Be a gateway node until a signal says stop; returns the exit code."""
    if sys.platform != "linux":
        raise ConfigurationError("a gateway node needs Linux (shared listening ports)")
    return node.run(gateway_config(settings))
