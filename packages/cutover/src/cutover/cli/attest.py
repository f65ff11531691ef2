"""`cutover attest`: fetch a plane's evidence, verify it offline, explain it, draft a policy."""

import os
import secrets
from pathlib import Path
from typing import Annotated, Any

import typer

from cutover.attestation import services
from cutover.cli.options import Actor, Json, Why
from cutover.cli.output import fail, say, show_json

attest = typer.Typer(
    help="Fetch a plane's attestation, verify it offline, explain it, draft a policy.",
    no_args_is_help=True,
)
VERIFIED, DEGRADED, NOT_VERIFIED = 0, 3, 4

QuoteFile = Annotated[Path | None, typer.Option("--quote", help="The quote, raw or hex.")]
CollateralFile = Annotated[
    Path | None, typer.Option("--collateral", help="Collateral (JSON, QuoteCollateralV3).")
]
EventLogFile = Annotated[Path | None, typer.Option("--event-log", help="The event log (JSON).")]
ComposeFile = Annotated[
    Path | None, typer.Option("--app-compose", help="The app-compose file, byte for byte.")
]
StatementFile = Annotated[
    Path | None, typer.Option("--statement", help="The statement that the quote binds.")
]
KeysFile = Annotated[Path | None, typer.Option("--keys", help="The keys part (JSON).")]
Evidence = Annotated[
    Path | None,
    typer.Option("--evidence", help="A folder that `attest fetch` wrote, in place of the files."),
]
RootFile = Annotated[
    Path | None,
    typer.Option(
        "--root", help="UNSAFE: another root than Intel's (DER); every verdict is marked."
    ),
]
PolicyFile = Annotated[
    Path | None,
    typer.Option("--policy", help="What must be proved (TOML); without it, only what is given."),
]
At = Annotated[
    int | None,
    typer.Option("--at", help="Judge for this moment, Unix seconds.", show_default="now"),
]


@attest.command()
def verify(
    quote: QuoteFile = None,
    collateral: CollateralFile = None,
    event_log: EventLogFile = None,
    app_compose: ComposeFile = None,
    statement: StatementFile = None,
    keys: KeysFile = None,
    evidence: Evidence = None,
    root: RootFile = None,
    policy: PolicyFile = None,
    at: At = None,
    *,
    json: Json = False,
) -> None:
    """Judge evidence offline: every step with what was seen and expected.

    Exit code 0: verified; 3: degraded; 4: any other verdict; 2: a file cannot be used.
    JSON: verdict, tcb_status, advisory_ids, reasons, measurements, compose_hash, app_id, deadline,
    and marks that must stand beside the verdict.
    """
    files = (quote, collateral, event_log, app_compose, statement, keys)
    found = _judge(files, evidence, root, policy, at)
    if json:
        show_json(_document(found))
    else:
        for reason in found.reasons:
            say(str(reason))
        for mark in found.marks():
            say(f"MARK: {mark}")
        say(f"{found.verdict}, good until {found.deadline}")
    _leave(found)


@attest.command()
def explain(
    quote: QuoteFile = None,
    collateral: CollateralFile = None,
    event_log: EventLogFile = None,
    app_compose: ComposeFile = None,
    statement: StatementFile = None,
    keys: KeysFile = None,
    evidence: Evidence = None,
    root: RootFile = None,
    policy: PolicyFile = None,
    at: At = None,
) -> None:
    """Say for a reader what this evidence proves, what it does not, and what no quote can.

    Exit codes as for `verify`.
    """
    from cutover.attestation.explain import report  # noqa: PLC0415 - only this verb needs it

    files = (quote, collateral, event_log, app_compose, statement, keys)
    found = _judge(files, evidence, root, policy, at)
    for line in report(found):
        say(line)
    _leave(found)


@attest.command()
def fetch(
    url: Annotated[str, typer.Argument(help="Base address of the plane.")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
    pccs: Annotated[
        list[str], typer.Option("--pccs", help="Collateral service; may be given several times.")
    ] = list(services.DEFAULT),  # noqa: B006 - typer copies it
    root: RootFile = None,
    deadline: Annotated[int, typer.Option("--deadline", help="Seconds.", min=1, max=600)] = 30,
    json: Json = False,
) -> None:
    """Ask a plane with a fresh nonce, find collateral, and keep both for `verify --evidence`.

    Nothing is judged. Exit code 1: the plane or every collateral service gave nothing.
    """
    import asyncio  # noqa: PLC0415 - only this verb needs it

    from cutover.attestation.gather import gather  # noqa: PLC0415 - only this verb needs it
    from cutover.clock import SystemClock  # noqa: PLC0415 - only this verb needs it

    gathered = asyncio.run(
        gather(
            url, pccs, output, SystemClock(), secrets.token_bytes, bytes_of(root), deadline * 1000
        )
    )
    if json:
        show_json({"files": [str(path) for path in gathered.files], "troubles": gathered.troubles})
    else:
        for path in gathered.files:
            say(f"{path}: written")
        for trouble in gathered.troubles:
            say(f"trouble: {trouble}")
    if not gathered.complete:
        raise typer.Exit(1)


@attest.command()
def pin(
    *,
    plane: Annotated[str, typer.Option("--plane", help="The plane, as its statement names it.")],
    evidence: Annotated[
        Path, typer.Option("--evidence", help="A folder that `attest fetch` wrote.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The policy to write.")],
    root: RootFile = None,
    at: At = None,
    actor: Actor,
    why: Why,
) -> None:
    """Draft a policy from a first deployment that you approve by hand: trust on first use.

    It is written only if that deployment passes it. Exit code 4: it does not.
    """
    from cutover.attestation.pinning import Refused, drafted  # noqa: PLC0415 - only this verb needs it

    text = drafted(plane, evidence, bytes_of(root), _moment(at), actor, why)
    if isinstance(text, Refused):
        for line in text.reasons:
            say(line)
        fail("this deployment proves too little to be pinned; nothing was written", NOT_VERIFIED)
    try:
        with output.open("x", encoding="utf-8") as file:  # never over a policy that is there
            file.write(text)
    except OSError as error:
        fail(f"{output} cannot be written: {error}", 2)
    say(f"{output}: written; the registers are trusted on first use until they are recomputed")


@attest.command()
def lint(
    policies: Annotated[list[Path], typer.Argument(help="Policies (TOML).")],
) -> None:
    """Check policies; exit code 1 if one cannot be used."""
    from cutover.attestation.policy_file import lint_policy  # noqa: PLC0415 - only this verb needs it
    from cutover.runbook.finding import Severity  # noqa: PLC0415 - only this verb needs it

    errors = 0
    for path in policies:
        findings = lint_policy(_text(path), str(path))
        for finding in findings:
            say(str(finding))
        wrong = sum(one.severity is Severity.ERROR for one in findings)
        say(f"{path}: {wrong} errors, {len(findings) - wrong} warnings")
        errors += wrong
    if errors:
        raise typer.Exit(1)


@attest.command()
def schema() -> None:
    """Print the JSON Schema of a policy, for editors."""
    from cutover.attestation.policy_file import json_schema  # noqa: PLC0415 - only this verb needs it

    show_json(json_schema())


def _judge(
    files: tuple[Path | None, ...],
    evidence: Path | None,
    root: Path | None,
    policy: Path | None,
    at: int | None,
) -> Any:
    from cutover.attestation import folder  # noqa: PLC0415 - half a second that only these need
    from cutover.attestation.bundle import Asked, Bundle  # noqa: PLC0415 - likewise
    from cutover.attestation.policy_file import load_policy  # noqa: PLC0415 - likewise
    from cutover.attestation.verifier import verify as judge  # noqa: PLC0415 - likewise

    rules = None if policy is None else load_policy(_text(policy), str(policy))
    quote, collateral, *parts = files
    if evidence is not None:
        if any(files):
            fail("--evidence has every part; leave out the files", 2)
        bundle, found, recorded = folder.read_folder(evidence)
        asked = folder.asked_then(recorded, _moment(at), bytes_of(root))
        return judge(bundle, found, rules, asked)
    if quote is None:
        fail("nothing to judge: give --quote or --evidence", 2)
    log, compose, statement, keys = (None if p is None else folder.read_file(p) for p in parts)
    bundle = Bundle(folder.read_quote(quote), log, compose, statement, keys)
    papers = None if collateral is None else folder.read_collateral(collateral)
    asked = Asked(now=_moment(at), live=False, root=bytes_of(root))
    return judge(bundle, papers, rules, asked)


def _document(found: Any) -> dict[str, Any]:
    import msgspec  # noqa: PLC0415 - only with --json

    return {**msgspec.to_builtins(found), "marks": list(found.marks())}


def _leave(found: Any) -> None:
    from cutover.evidence.observation import Verdict  # noqa: PLC0415 - only these verbs need it

    codes = {Verdict.VERIFIED: VERIFIED, Verdict.DEGRADED: DEGRADED}
    raise typer.Exit(codes.get(found.verdict, NOT_VERIFIED))


def _moment(at: int | None) -> int:
    from cutover.clock import SystemClock  # noqa: PLC0415 - only these verbs need it

    return SystemClock().wall_ms() // 1000 if at is None else at


def bytes_of(path: Path | None) -> bytes | None:
    """What a file holds; None without one."""
    if path is None:
        return None
    from cutover.attestation.folder import read_file  # noqa: PLC0415 - only these verbs need it

    return read_file(path)


def _text(path: Path) -> str:
    from cutover.attestation.folder import read_file  # noqa: PLC0415 - only these verbs need it

    try:
        return read_file(path).decode("utf-8")
    except UnicodeDecodeError as error:
        fail(f"{os.fspath(path)} is not UTF-8: {error}", 2)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.add_typer(attest, name="attest")
