"""A receipt as HTML for people: no script, nothing from elsewhere, every value escaped. Pure."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

AGAIN_SECONDS = 15
"""After which the page of an open payment asks again, without a script."""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
{again}<title>{word}: {title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/app/style.css">
</head>
<body>
<main>
<h1>{heading}</h1>
<p class="state {state}" role="status"><strong>{word}.</strong> {said}</p>
{body}
</main>
</body>
</html>
"""


def page(found: Mapping[str, Any]) -> str:
    """The page of a receipt.

    Args:
        found: from `receipt`.
    """
    symbol = found["token"]["symbol"]
    parts = [
        _rows("Payment", _payment(found)),
        _shares("Recipients", ("login", "account"), found["paid"], symbol),
        _shares("Waiting for verification", ("login", "claim"), found["owed"], symbol),
        *_transactions(found),
        _attempts(found),
        _rows("Plane", _plane(found)),
        f"<p>{escape(found['attestation']['said'])}</p>",
    ]
    again = f'<meta http-equiv="refresh" content="{AGAIN_SECONDS}">\n'
    return _PAGE.format(
        again="" if found["settled"] else again,
        title=f"Receipt for {escape(found['repository'])}",
        heading=f"Receipt for {escape(found['repository']).replace('/', '/<wbr>')}",
        state=escape(found["state"]),
        word=escape(found["word"]),
        said=escape(found["said"]),
        body="\n".join(part for part in parts if part),
    )


def _payment(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    token = found["token"]
    return [
        ("Payment", _code(found["payment"])),
        ("For the recipients", _amount(found["total"], token["symbol"])),
        ("Asked for", _amount(found["asked"], token["symbol"])),
        ("Split", escape(found["split"])),
        ("Leaves by", escape(found["rail"])),
        ("Ordered as", ", ".join(_code(one["id"]) for one in found["orders"])),
        ("Detail", escape(found["detail"])),
        ("Safety flags", escape(", ".join(found["flags"]))),
        ("Planned", _when(found["createdAt"])),
        ("Last change", _when(found["updatedAt"])),
    ]


def _transactions(found: Mapping[str, Any]) -> list[str]:
    """What proves each leg; a payment of one leg does not speak of legs."""
    if not found["proofs"]:
        return [_rows("Transaction", [("Transaction", "none with final evidence")])]
    several = found["legs"] > 1
    return [
        _rows(
            f"Transaction of leg {proof['leg']} of {found['legs']}" if several else "Transaction",
            _transaction(proof),
        )
        for proof in found["proofs"]
    ]


def _transaction(proof: Mapping[str, Any]) -> list[tuple[str, str]]:
    block = proof["block"]
    link = (
        f'<a href="{escape(proof["explorer"])}" rel="noreferrer">{_code(proof["transaction"])}</a>'
    )
    return [
        ("Transaction", link),
        ("Finality", escape(proof["finality"])),
        ("Signer", escape(proof["signer"])),
        ("Block", f"{_code(block['hash'])} {escape(_height(block['height']))}".strip()),
        ("Receipts that took effect", _effects(proof)),
        ("Transfers told by the token", _transfers(proof)),
        ("Told by", _many(proof["providers"], "provider of the chain", "providers of the chain")),
        ("Seen", _when(proof["seenAt"])),
        ("Digest of this evidence", _code(proof["digest"])),
    ]


def _plane(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    plane, shown = found["plane"], found["attestation"]
    return [
        ("Plane", escape(plane["name"])),
        ("Build", escape(plane["build"])),
        ("Showed of itself", f"teeWallet {escape(shown['teeWallet'])}, unverified"),
        ("App", _code(shown["appId"])),
        ("Instance", _code(shown["instanceId"])),
        ("Receipt written", _when(found["writtenAt"])),
    ]


def _attempts(found: Mapping[str, Any]) -> str:
    """The transactions that were signed, if the receipt does not simply prove each."""
    if len(found["attempts"]) + len(found["orders"]) == len(found["proofs"]):
        return ""
    rows = [(escape(one["state"]), _code(one["hash"])) for one in found["attempts"]]
    return _rows("What was signed", rows) if rows else ""


def _shares(
    title: str, names: tuple[str, str], shares: Iterable[Mapping[str, str]], symbol: str
) -> str:
    rows = "\n".join(
        f'<tr><th scope="row">{escape(share[names[0]])}</th><td>{_code(share[names[1]])}</td>'
        f"<td>{_amount(share, symbol)}</td></tr>"
        for share in shares
    )
    if not rows:
        return ""
    heads = "".join(f'<th scope="col">{name}</th>' for name in (*names, "amount"))
    return (
        f"<table>\n<caption>{escape(title)}</caption>\n<thead><tr>{heads}</tr></thead>\n"
        f"<tbody>\n{rows}\n</tbody>\n</table>"
    )


def _rows(title: str, rows: Iterable[tuple[str, str]]) -> str:
    """A titled list of what is known; a row without a value is left out. Values are HTML."""
    told = "\n".join(f"<dt>{escape(name)}</dt><dd>{value}</dd>" for name, value in rows if value)
    return f"<section>\n<h2>{escape(title)}</h2>\n<dl>\n{told}\n</dl>\n</section>"


def _effects(proof: Mapping[str, Any]) -> str:
    told = proof["receipts"]
    return f"{sum(one['ok'] for one in told)} of {len(told)}"


def _transfers(proof: Mapping[str, Any]) -> str:
    lines = [
        f"<li>{escape(one['units'])} units to {escape(one['to'])}</li>"
        for one in proof["transfers"]
    ]
    return f"<ul>{''.join(lines)}</ul>" if lines else "none"


def _amount(found: Mapping[str, str], symbol: str) -> str:
    units = escape(found["units"])
    return f"{escape(found['amount'])} {escape(symbol)} <small>({units} units)</small>"


def _many(count: int, one: str, more: str) -> str:
    return f"{count} {one if count == 1 else more}"


def _height(height: int | None) -> str:
    return "" if height is None else f"at height {height}"


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>" if text else ""


def _when(text: str) -> str:
    """A moment that `isoformat` wrote, in UTC, as people write it."""
    day, _, rest = text.partition("T")
    return f'<time datetime="{escape(text)}">{escape(day)} {escape(rest[:8])} UTC</time>'
