"""Deciding a payment: who gets how much. Pure; nothing is read or sent here (contract §7)."""

from dataclasses import dataclass, field

from agent_runtime import amounts
from agent_runtime.allocation import WHOLE, divide
from agent_runtime.errors import Refusal
from agent_runtime.grammar import Pay
from agent_runtime.near.contract import Row, Split
from agent_runtime.near.token import recipients_max
from agent_runtime.parsing import Token, is_near_account
from agent_runtime.payments import Leg, Plan, Share
from agent_runtime.rails.github import is_system_login
from agent_runtime.settings import Settings

BOT_SHARE_MAX = WHOLE // 2
OUTLIER_SHARE = WHOLE * 95 // 100


class PolicyBlock(Refusal):
    """A rule forbids the payment; `reasons` are for the user.

    Attributes:
        reasons: one clause each.
        answer: the whole text for the user, in the contract's words for that kind of rule.
    """

    opening = "🛑 Policy blocked pay: "

    def __init__(self, reasons: list[str]) -> None:
        super().__init__(" | ".join(reasons))
        self.reasons = reasons
        self.answer = self.opening + " | ".join(reasons)


class SafetyBlock(PolicyBlock):
    """The split itself looks wrong; a person must look at it before anything is paid."""

    opening = "🛑 Safety review required before payout: "


class StrictBlock(PolicyBlock):
    """Everybody must be verified before anybody is paid (`AGENT_STRICT_PAY`)."""

    opening = "❌ Strict mode enabled: "


@dataclass(frozen=True)
class Sorted:
    """The rows of a split by what can be done for them.

    Attributes:
        eligible: with their wallets.
        unverified: who is owed.
        persons: numbers of GitHub accounts by lower-case login, as far as they are known.
        notes: lines for the user about who is left out.
    """

    eligible: tuple[tuple[Row, str], ...]
    unverified: tuple[Row, ...]
    persons: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def check_policy(asked: Pay, settings: Settings) -> tuple[Token, int]:
    """The token and the amount in its smallest unit.

    Raises:
        PolicyBlock: naming every rule that forbids it.
        Refusal: the amount is none.
    """
    if asked.token not in settings.allowed_tokens:
        allowed = ", ".join(settings.allowed_tokens)
        raise PolicyBlock([f"token {asked.token} is not allowed (allowed: {allowed})"])
    token = settings.ft_contracts[asked.token]
    units = amounts.to_units(asked.amount, token.decimals)
    reasons = []
    if units <= 0:
        reasons.append("the amount must be above zero")
    most = settings.limit_of(token.symbol).each
    if units > amounts.to_units(most, token.decimals):
        reasons.append(f"amount {asked.amount} is above the limit of {most}")
    reasons.extend(_canary_rules(asked, units, token, settings))
    if reasons:
        raise PolicyBlock(reasons)
    return token, units


def _canary_rules(asked: Pay, units: int, token: Token, settings: Settings) -> list[str]:
    if not (settings.canary_only_pay and settings.production):
        return []
    reasons = []
    if asked.repo.slug.lower() not in {repo.lower() for repo in settings.canary_repos}:
        reasons.append(f"only canary repositories may be paid, {asked.repo.slug} is none")
    if units > amounts.to_units(settings.pay_max, token.decimals):
        reasons.append(f"amount {asked.amount} is above the canary limit of {settings.pay_max}")
    return reasons


def sort_rows(split: Split, wallets: dict[str, str]) -> Sorted:
    """Verified people with a NEAR wallet, and the rest; programs are never eligible.

    Raises:
        Refusal: the split's rows do not make a whole.
    """
    if not split.rows:
        raise Refusal(f"split {split.id} has no contributors yet; create it again first")
    if sum(row.units for row in split.rows) != WHOLE:
        raise Refusal(f"split {split.id} does not sum to 100 % on chain")
    eligible, unverified = [], []
    for row in split.rows:
        wallet = wallets.get(row.login.lower(), "")
        if is_system_login(row.login):
            continue
        if is_near_account(wallet):
            eligible.append((row, wallet))
        else:
            unverified.append(row)
    return Sorted(tuple(eligible), tuple(unverified))


def safety_flags(split: Split, found: Sorted) -> tuple[str, ...]:
    """Flags that are shown.

    Raises:
        PolicyBlock: a flag that blocks.
    """
    programs = sum(row.units for row in split.rows if is_system_login(row.login))
    if programs >= BOT_SHARE_MAX:
        raise SafetyBlock(["BOT_HEAVY: programs hold half of the split or more"])
    flags = []
    shares = [row.units for row, _ in found.eligible]
    if len(shares) >= 3 and max(shares) >= OUTLIER_SHARE:
        flags.append("OUTLIER_SHARE")
    if found.unverified:
        flags.append("MISSING_WALLETS")
    return tuple(flags)


def make_plan(asked: Pay, token: Token, units: int, split: Split, found: Sorted) -> Plan:
    """Turn shares of 10^23 into units of the token that sum exactly.

    Raises:
        Refusal: nobody to pay, or an amount too small to divide.
    """
    if not found.eligible:
        why = "".join("\n" + line for line in found.notes)
        raise Refusal(f"No payout-eligible verified contributors; nothing was sent{why}")
    weights = [row.units for row, _ in found.eligible] + [row.units for row in found.unverified]
    payable = units * sum(weights) // WHOLE
    try:
        parts = divide(payable, weights, minimum=1)
    except ValueError as error:
        raise Refusal(f"{asked.amount} {token.symbol} is too little to divide") from error
    paid = [
        Share(row.login, wallet, part, found.persons.get(row.login.lower(), 0))
        for (row, wallet), part in zip(found.eligible, parts, strict=False)
    ]
    owed = [
        Share(row.login, "", part, found.persons.get(row.login.lower(), 0))
        for row, part in zip(found.unverified, parts[len(paid) :], strict=True)
    ]
    return Plan(
        asked.repo.url,
        split.id,
        token.symbol,
        token.decimals,
        units,
        tuple(paid),
        tuple(owed),
        safety_flags(split, found),
        found.notes,
    )


def legs_of(plan: Plan, contract: str, recipients: int) -> tuple[Leg, ...]:
    """Cut a plan into transactions, in the order of its recipients.

    Args:
        plan: who gets what; somebody does.
        contract: the token's account.
        recipients: the most that one transaction should pay, 1 or more.
    """
    wrap = plan.token == "NEAR"  # noqa: S105 - a token's symbol
    most = min(recipients, recipients_max(wrap=wrap))
    transfers = tuple((share.account, share.units) for share in plan.paid)
    starts = range(0, len(transfers), most)
    return tuple(
        Leg(number, contract, wrap, transfers[at : at + most])
        for number, at in enumerate(starts, start=1)
    )
