"""`pending`: what waits in our own ledger for people who are not verified yet."""

from collections import defaultdict

from agent_runtime import amounts
from agent_runtime.claims import Claims, totals
from agent_runtime.grammar import Pending, Repo
from agent_runtime.parsing import Token
from agent_runtime.payments import Claim
from agent_runtime.requests import Reply


def pending(asked: Pending, open_claims: Claims, tokens: dict[str, Token]) -> Reply:
    """List open claims by person and token; amounts of different tokens are never added up."""
    if isinstance(asked.target, Repo):
        name, claims = asked.target.url, open_claims.of_repo(asked.target.url)
    else:
        name, claims = f"@{asked.target}", open_claims.of_login(asked.target)
    if not claims:
        return Reply(f"No pending claims for {name}", "pending")
    lines = [f"⏳ Pending claims for {name}", f"Claims: {len(claims)}"]
    lines.extend(
        f"Total: {_amount(units, tokens.get(token))} {token}"
        for token, units in totals(claims).items()
    )
    lines.extend(_lines(claims, tokens))
    return Reply("\n".join(lines), "pending")


def _lines(claims: list[Claim], tokens: dict[str, Token]) -> list[str]:
    sums: dict[tuple[str, str], list[int]] = defaultdict(list)
    for claim in claims:
        sums[claim.login, claim.token].append(claim.units)
    return [
        f"- {login}: {len(units)} claim(s), {_amount(sum(units), tokens.get(token))} {token}"
        for (login, token), units in sums.items()
    ]


def _amount(units: int, token: Token | None) -> str:
    return amounts.to_text(units, token.decimals) if token else f"{units} smallest units of"
