"""The operator's commands beside the server: hand a ledger over, fence a key, ask to be paid.

They read the same environment as the server. Exit codes: 0 done, or nothing was left to do; 1
refused, or not known to be done, and the text says what to do; 2 the arguments or the environment
are wrong, or the ledger is in use.
"""

import argparse
import asyncio
import contextlib
import hmac
import json
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from agent_runtime import wire
from agent_runtime.errors import RailError, Refusal, SettingsError
from agent_runtime.funding import verbs as funding
from agent_runtime.handover import document, export, merge, seal
from agent_runtime.handover.bonds import Bonds
from agent_runtime.handover.errors import HandoverRefusal, HandoverUnknown
from agent_runtime.handover.fence import KeyFence
from agent_runtime.handover.tables import make_tables
from agent_runtime.migrations import migrate
from agent_runtime.near.keys import Key
from agent_runtime.near.ledger import TransactionLedger
from agent_runtime.near.rpc import Rpc
from agent_runtime.payouts import verbs as payouts
from agent_runtime.settings import Settings
from agent_runtime.store import StoreHeldError, StoreSealedError, open_store

DONE, NOT_DONE, WRONG = 0, 1, 2
Result = dict[str, Any]


class _UsageError(Exception):
    """The arguments do not make a command."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _UsageError(f"{self.prog}: {message}; see {self.prog} --help")


def run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Carry out one command; its exit code."""
    as_json = "--json" in argv
    try:
        asked = _parser().parse_args(argv)
        settings = Settings.from_environ(environ)
        result: Result = asked.act(asked, settings)
    except SystemExit as leaving:  # --help
        return int(leaving.code or 0)
    except SettingsError as error:
        return _complain("correct the environment: " + "; ".join(error.faults), WRONG, as_json)
    except (_UsageError, funding.FundUsageError, StoreHeldError, StoreSealedError) as error:
        return _complain(str(error), WRONG, as_json)
    except (HandoverRefusal, HandoverUnknown, RailError, Refusal) as error:
        return _complain(str(error), NOT_DONE, as_json)
    except (OSError, sqlite3.Error) as error:
        return _complain(f"nothing was done: {error}", NOT_DONE, as_json)
    _show(result, as_json)
    return DONE


def _parser() -> argparse.ArgumentParser:
    whole = _Parser(
        prog="agent-runtime",
        description="Serve, hand the ledger over, fence a key, ask to be paid, close an order."
        " Without a command it serves. All read the environment of the plane they run for.",
    )
    nouns = whole.add_subparsers(required=True, metavar="COMMAND")
    server = nouns.add_parser("serve", help="run the server (the same as no command)")
    server.set_defaults(act=_serve)
    ledger = nouns.add_parser("ledger", help="hand the payment ledger over")
    verbs = ledger.add_subparsers(required=True, metavar="VERB")
    out = _verb(verbs, "export", _export, "seal this plane's ledger and write it to a file")
    out.add_argument("file", type=Path, help="new file, readable by its owner alone")
    out.add_argument(
        "--snapshot",
        action="store_true",
        help="only look, beside a running server: seals nothing, and only a dry run imports it",
    )
    into = _verb(verbs, "import", _import, "take another plane's ledger in, all of it or nothing")
    into.add_argument("file", type=Path, help="what `ledger export` wrote")
    into.add_argument("--digest", default="", help="the digest that the export said")
    into.add_argument(
        "--dry-run", action="store_true", help="say what would happen, change nothing"
    )
    back = _verb(verbs, "reopen", _reopen, "take a hand-over back that was imported nowhere")
    back.add_argument("--yes", action="store_true", help="nobody imported the export")
    keys = nouns.add_parser("key", help="take a signer key off the account")
    verbs = keys.add_subparsers(required=True, metavar="VERB")
    off = _verb(verbs, "fence", _fence, "delete the other plane's signer key on chain, for good")
    off.add_argument("--key", required=True, help="its public key, ed25519:...")
    off.add_argument("--yes", action="store_true", help="send it: a deleted key must never return")
    off.add_argument(
        "--dry-run", action="store_true", help="show what would be sent, change nothing"
    )
    off.add_argument(
        "--unseen-signatures",
        action="store_true",
        help="even if it signed what this ledger does not know; what is bound to it then waits",
    )
    _add_funding(nouns)
    _add_orders(nouns)
    return whole


def _add_funding(nouns: Any) -> None:
    ask = "ask to be paid through HOT Pay: a page for whoever tops up the account that pays"
    funding.add_arguments(_verb(nouns, "fund", funding.fund, ask))
    _verb(nouns, "fundings", funding.fundings, "list what was asked for, and what has arrived")


def _add_orders(nouns: Any) -> None:
    _verb(nouns, "orders", _orders, "list the payout orders that are not settled")
    order = nouns.add_parser("order", help="end a payout order that Ping does not end")
    verbs = order.add_subparsers(required=True, metavar="VERB")
    close = _verb(verbs, "close", _close, "end it by hand: as one for a person, never as paid")
    close.add_argument("id", help="as `orders` lists it")
    close.add_argument("--reason", required=True, help="what Ping said, one line")
    close.add_argument("--yes", action="store_true", help="Ping was asked what became of it")


def _verb(verbs: Any, name: str, act: Any, says: str) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = verbs.add_parser(name, help=says, description=says)
    made.add_argument("--json", action="store_true", help="print one JSON object")
    made.set_defaults(act=act)
    return made


def _serve(_: argparse.Namespace, __: Settings) -> Result:
    raise _UsageError("serve takes nothing more; it reads the environment")


def _export(asked: argparse.Namespace, settings: Settings) -> Result:
    key = _own_key(settings)
    origin = export.Origin(
        settings.plane_id, settings.build, settings.near_network, settings.near_account, key.text
    )
    if asked.file.exists():
        raise HandoverRefusal(f"{asked.file} is there already; name a new file")
    take = export.snapshot if asked.snapshot else export.hand_over
    found = take(settings.payments_db, origin)
    raw = export.write(found, asked.file)
    return {
        "did": "snapshot written; nothing was handed over" if asked.snapshot else "handed over",
        "file": str(asked.file),
        "digest": document.digest_of(raw),
        "plane": settings.plane_id,
        "public_key": key.text,
        "sealed": not asked.snapshot,
        "rows": {name: len(rows) for name, rows in found.rows.items() if rows},
    }


def _import(asked: argparse.Namespace, settings: Settings) -> Result:
    key = _own_key(settings)
    if asked.file.stat().st_size > document.BYTES_MAX:
        raise HandoverRefusal(f"{asked.file} is larger than {document.BYTES_MAX} bytes: no export")
    raw = asked.file.read_bytes()
    found, digest = document.decode(raw), document.digest_of(raw)
    if asked.digest and not hmac.compare_digest(asked.digest.encode(), digest.encode()):
        raise HandoverRefusal(
            f"this file's digest is {digest}, not the one given; take the file that was exported"
        )
    if not found.about.sealed and not asked.dry_run:
        raise HandoverRefusal(
            "this is a snapshot of a ledger that may still pay: only a dry run takes it; stop that"
            " plane and export without --snapshot"
        )
    home = merge.Home(settings.near_network, settings.near_account, key.text)
    with _ledger(settings, dry_run=asked.dry_run) as db:
        taken = merge.take(db, found, digest, home)
    did = "would take" if asked.dry_run else "took"
    return {
        "did": "nothing: this export was taken before" if taken.again else f"{did} it in",
        "digest": digest,
        "plane": found.about.plane,
        "public_key": found.about.public_key,
        "added": taken.added,
        "open": taken.open,
        "bound": taken.bound,
        "next": f"agent-runtime key fence --key {found.about.public_key} --dry-run",
    }


def _reopen(asked: argparse.Namespace, settings: Settings) -> Result:
    if not asked.yes:
        raise _UsageError(
            "say --yes if no plane imported the export; if one did, both could pay one plan"
        )
    if not Path(settings.payments_db).is_file():
        raise HandoverRefusal(f"there is no ledger at {settings.payments_db}; set PAYMENTS_DB")
    with contextlib.closing(open_store(settings.payments_db, sealed_too=True)) as db:
        did = seal.reopen(db)
    return {"did": "reopened: this plane may pay again" if did else "nothing: it was not sealed"}


def _fence(asked: argparse.Namespace, settings: Settings) -> Result:
    key = _own_key(settings)
    if asked.yes == asked.dry_run:
        raise _UsageError("say --dry-run to see what would be sent, or --yes to send it")
    with _ledger(settings, dry_run=asked.dry_run) as db:
        return asyncio.run(_fence_with(db, settings, key, asked))


async def _fence_with(
    db: sqlite3.Connection, settings: Settings, key: Key, asked: argparse.Namespace
) -> Result:
    client = wire.new_client()
    try:
        rpc = Rpc(client, settings.near_nodes, settings.near_archival, settings.near_headers)
        fence = KeyFence(rpc, TransactionLedger(db), Bonds(db), settings.near_account, key)
        act = fence.rehearse if asked.dry_run else fence.fence
        found = await act(asked.key, unseen_too=asked.unseen_signatures)
    finally:
        await client.aclose()
    return found if asked.dry_run else {"did": "fenced", **found}


def _orders(_: argparse.Namespace, settings: Settings) -> Result:
    return payouts.listed(settings)


def _close(asked: argparse.Namespace, settings: Settings) -> Result:
    if not asked.yes:
        raise _UsageError("say --yes if Ping was asked: nobody looks the order up after this")
    with _ledger(settings, dry_run=False) as db:
        return payouts.close(db, asked.id, asked.reason)


@contextlib.contextmanager
def _ledger(settings: Settings, *, dry_run: bool) -> Iterator[sqlite3.Connection]:
    """The ledger with all of its tables; for a dry run a copy in memory, which is forgotten."""
    path = settings.payments_db
    if not dry_run:
        with contextlib.closing(open_store(path)) as store:
            make_tables(store)
            yield store
        return
    with contextlib.closing(sqlite3.connect(":memory:")) as copy:
        if Path(path).exists():
            with contextlib.closing(export.read_only(path)) as there:
                there.backup(copy)
        if seal.sealed_at(copy) is not None:
            raise StoreSealedError(f"{path} was handed over to another plane; use a new file")
        migrate(copy)
        copy.execute("PRAGMA foreign_keys=ON")
        make_tables(copy)
        yield copy


def _own_key(settings: Settings) -> Key:
    if not settings.near_key:
        raise SettingsError(
            ["NEAR_ACCOUNT_ID and NEAR_PRIVATE_KEY: unset; a hand-over is between signer keys"]
        )
    try:
        return Key.parse(settings.near_key)
    except ValueError as error:
        raise SettingsError([f"NEAR_PRIVATE_KEY: {error}"]) from None


def _show(result: Result, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(result, sort_keys=True) + "\n")
        return
    for name, value in result.items():
        shown = json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else value
        sys.stdout.write(f"{name}: {shown}\n")


def _complain(text: str, code: int, as_json: bool) -> int:
    if as_json:
        sys.stdout.write(json.dumps({"error": text, "exit": code}) + "\n")
    sys.stderr.write(f"agent-runtime: {text}\n")
    return code
