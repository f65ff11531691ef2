"""`agent-runtime fund` asks the running plane to collect; `agent-runtime fundings` lists them.

`fund` goes through the plane, because one process at a time writes its ledger. `fundings` only
reads the file, beside a running plane or without one.
"""

import argparse
import asyncio
import contextlib
import secrets
import sqlite3
from pathlib import Path
from typing import Any

from agent_runtime import wire
from agent_runtime.errors import ApiError, RailError, RailUnknown
from agent_runtime.funding.book import FundingBook
from agent_runtime.funding.desk import wish_of
from agent_runtime.funding.document import document
from agent_runtime.funding.model import Funding, FundingState, Wish, id_for
from agent_runtime.settings import Settings

PLANE_SECONDS = 30.0
SHOWN_MAX = 1_000
ANYWHERE = ("0.0.0.0", "::")


class FundUsageError(Exception):
    """The arguments, or the environment, cannot be asked for; the text says what would be."""


def add_arguments(fund: argparse.ArgumentParser) -> None:
    """What `fund` is told."""
    fund.add_argument("amount", help="in whole tokens, such as 250 or 0.5")
    fund.add_argument("token", help="symbol, one of NEAR_FT_CONTRACTS")
    fund.add_argument("--key", default="", help="Idempotency-Key; say it again to ask again")
    fund.add_argument("--url", default="", help="the plane, instead of the one at PORT here")
    fund.add_argument("--dry-run", action="store_true", help="show what would be asked, ask nobody")


def fund(asked: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Ask to be paid; the funding, whose page is for the payer.

    Raises:
        FundUsageError: it cannot be asked for like this; nothing was.
        RailError: it did not come to a page for a payer; the text says under which key to go on.
    """
    try:
        wish = wish_of(settings, asked.amount, asked.token.upper())
    except ApiError as error:
        raise FundUsageError(error.text) from None
    key = asked.key or secrets.token_hex(16)
    if asked.dry_run:
        return {"did": "nothing; this would be asked", **_would(wish, asked.key)}
    found = asyncio.run(_ask(_plane(asked.url, settings), settings.api_key, key, asked))
    if found["page"] is None and found["arrival"] is None:
        raise RailUnknown(
            "hotpay", f"{found['id']} is {found['state']}: {found['detail']}; --key {key}"
        )
    return {"did": "asked to be paid", "key": key, **found}


def fundings(asked: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """All of this plane's fundings, the newest first, as they stood when last looked at.

    Raises:
        FundUsageError: there is no ledger.
        sqlite3.Error: it cannot be read.
    """
    found = _stored(settings.payments_db)
    if asked.json:
        return {"fundings": [document(one, settings) for one in found]}
    return {one.id: _line(document(one, settings)) for one in found} or {"fundings": "none"}


def _would(wish: Wish, key: str) -> dict[str, Any]:
    return {
        "token": wish.token,
        "contract": wish.contract,
        "units": str(wish.units),
        "account": wish.account or "unset: NEAR_ACCOUNT_ID",
        "memo": id_for(key) if key else "a new one",
    }


def _plane(url: str, settings: Settings) -> str:
    """Where the plane is."""
    if url:
        return url.rstrip("/")
    if settings.attested:
        raise FundUsageError(
            "this plane speaks TLS under an attested key, which this command does not judge: POST"
            " /fundings with a client that pins that key, or say --url of a plane that is not"
        )
    if not settings.port:
        raise FundUsageError("PORT is 0, so nobody knows where the plane is; say --url")
    host = "127.0.0.1" if settings.host in ANYWHERE else settings.host
    return f"http://{host}:{settings.port}"


async def _ask(plane: str, api_key: str, key: str, asked: argparse.Namespace) -> dict[str, Any]:
    client = wire.new_client()
    try:
        answer = await wire.ask(
            client,
            "plane",
            "POST",
            plane + "/fundings",
            deadline_seconds=PLANE_SECONDS,
            headers={
                "content-type": "application/json",
                "idempotency-key": key,
                **({"x-agent-api-key": api_key} if api_key else {}),
            },
            content=wire.encode({"amount": asked.amount, "token": asked.token.upper()}),
        )
        found: dict[str, Any] = answer.expect(200).json()
    except RailUnknown as error:
        said = f"{error.said}; whether it was asked for is not known: go on with --key {key}"
        raise RailUnknown(error.service, said) from None
    finally:
        await client.aclose()
    if not {"id", "state", "detail", "page", "arrival"} <= found.keys():
        raise RailError("plane", f"what answers at {plane} is no plane of this build")
    return found


def _stored(path: str) -> list[Funding]:
    if not Path(path).is_file():
        raise FundUsageError(f"there is no ledger at {path}; set PAYMENTS_DB to the plane's own")
    address = f"{Path(path).resolve().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(address, uri=True, timeout=5.0)) as db:
        asked = "SELECT 1 FROM sqlite_master WHERE type='table' AND name='fundings'"
        if db.execute(asked).fetchone() is None:
            return []  # a ledger of an older build, which has collected nothing
        return FundingBook(db, made=True).all(SHOWN_MAX)


def _line(found: dict[str, Any]) -> str:
    """A funding in one line."""
    amount = f"{found['asked']['amount']} {found['token']['symbol']}"
    if found["state"] == FundingState.ARRIVED:
        return f"arrived: {amount} by {found['arrival']['transaction']}"
    more = (found["detail"], found["page"])
    return f"{found['state']}: {amount}; " + "; ".join(part for part in more if part)
