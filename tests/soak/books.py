"""The chain's books and ours, read by somebody who trusts neither, and compared to the unit."""

import json
import sqlite3
from collections import Counter, defaultdict
from contextlib import closing
from dataclasses import dataclass, field

from sandbox.near import genesis, state
from sandbox.near.token import Token

CONTRACTS = {"USDC": genesis.USDC, "NEAR": genesis.WRAP}


@dataclass
class Ours:
    """What one plane's ledger says, straight from its file.

    `moved` is what is to have left for each payment that is paid, or whose legs are paid in part:
    token and units by account. `hashes` are the transactions that did it, `legs` how many there
    are.
    """

    states: dict = field(default_factory=dict)
    moved: dict = field(default_factory=dict)
    hashes: dict = field(default_factory=lambda: defaultdict(set))
    legs: dict = field(default_factory=dict)
    odd: list = field(default_factory=list)
    stored: set = field(default_factory=set)
    attempts: Counter = field(default_factory=Counter)


def read(path):
    ours = Ours()
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        ours.stored = {row[0] for row in db.execute("SELECT tx_hash FROM transactions")}
        ours.attempts.update(row[0] for row in db.execute("SELECT state FROM transactions"))
        ours.legs = dict(db.execute("SELECT payment_id, COUNT(*) FROM legs GROUP BY payment_id"))
        landed = _landed_legs(db)
        asked = "SELECT id, state, plan, tx_hash FROM payments"
        for payment_id, found, plan, tx_hash in db.execute(asked).fetchall():
            ours.states[payment_id] = found
            decided, legs = json.loads(plan), landed.get(payment_id, {})
            ours.hashes[payment_id] = {one for one, _ in legs.values()}
            shares = {share["account"]: share["units"] for share in decided["paid"]}
            sent = {to: units for _, transfers in legs.values() for to, units in transfers}
            if legs:
                ours.moved[payment_id] = (CONTRACTS[decided["token"]], sent)
            ours.odd += _oddities(payment_id, found, shares == sent, bool(legs))
            if found == "paid" and set(tx_hash.split()) != ours.hashes[payment_id]:
                ours.odd.append(f"{payment_id} names {tx_hash}, not what paid it")
    return ours


def _landed_legs(db):
    """Payment -> leg -> the one transaction that landed, and what it was to transfer."""
    found = defaultdict(dict)
    asked = (
        "SELECT l.payment_id, l.number, t.tx_hash, l.transfers FROM legs l JOIN transactions t"
        " ON t.owner = l.payment_id AND t.leg = l.number AND t.state = 'landed' AND t.fences = ''"
    )
    for payment_id, number, tx_hash, transfers in db.execute(asked):
        assert number not in found[payment_id], f"leg {number} of {payment_id} landed twice"
        found[payment_id][number] = (tx_hash, json.loads(transfers))
    return found


def _oddities(payment_id, state, whole, some):
    """A payment is paid if all of it landed, and for a person if a part did; else nothing did."""
    should = "paid" if whole else "review" if some else None
    if should and state != should:
        return [f"{payment_id} ended as {state}, not {should}"]
    if not should and state not in {"failed", "declined"}:
        return [f"{payment_id} ended as {state}, and nothing of it landed"]
    return []


def balances(chain):
    """(contract, account) -> units, NEAR under the name `near`."""
    found = {("near", name): held for name, held in state.near_balances(chain.store).items()}
    for contract, token in chain.contracts.items():
        if isinstance(token, Token):
            held = chain.store.under("contract", contract, "balance")
            found |= {(contract, key[-1]): value for key, value in held}
    return found


@dataclass
class Theirs:
    """What the chain says that our account did: by memo what moved, and by which transactions."""

    moved: dict
    by_memo: dict
    gas: int
    yoctos: int
    hashes: set


def chain_says(chain):
    moved, by_memo = defaultdict(Counter), defaultdict(set)
    gas, yoctos, hashes = 0, 0, set()
    for record in chain.records.values():
        transaction = record.signed.transaction
        if transaction.signer_id != genesis.AGENT:
            continue
        hashes.add(record.signed.hash)
        gas += record.conversion.gas * state.GAS_PRICE
        for receipt in record.receipts:
            assert receipt.outcome is not None, "the chain has not come to rest"
            for line in [] if receipt.outcome.failed else receipt.outcome.logs:
                event = json.loads(line.removeprefix("EVENT_JSON:"))
                for row in event["data"] if event["event"] == "ft_transfer" else []:
                    yoctos += 1
                    moved[row["memo"]][receipt.receiver, row["new_owner_id"]] += int(row["amount"])
                    by_memo[row["memo"]].add(record.signed.hash)
    return Theirs(moved, by_memo, gas, yoctos, hashes)


def compare(chain, before, planes):
    """Every way in which the books differ, in words; none is what is hoped for."""
    theirs, wrong = chain_says(chain), []
    paid, hashes = {}, {}
    for ours in planes:
        wrong += [f"{one} is paid on two planes" for one in paid.keys() & ours.moved.keys()]
        wrong += ours.odd
        paid |= ours.moved
        hashes |= ours.hashes
    expected = {
        one: Counter({(contract, account): units for account, units in shares.items()})
        for one, (contract, shares) in paid.items()
    }
    for one in expected.keys() | theirs.moved.keys():
        if expected.get(one) != theirs.moved.get(one):
            wrong.append(f"{one}: ours {expected.get(one)}, the chain's {theirs.moved.get(one)}")
        elif theirs.by_memo[one] != hashes[one]:
            wrong.append(f"{one}: ours {hashes[one]}, the chain's {theirs.by_memo[one]}")
    unknown = theirs.hashes - set().union(*(ours.stored for ours in planes))
    wrong += [f"{one} is on the chain and was never stored" for one in unknown]
    return wrong + _differences(chain, before, expected, theirs)


def _differences(chain, before, expected, theirs):
    """Every account's balance that is not what our payments make of the one before."""
    should = Counter(before)
    for moved in expected.values():
        for (contract, account), units in moved.items():
            should[contract, account] += units
            wraps = contract == genesis.WRAP
            should["near", genesis.WRAP] += units * wraps
            should["near" if wraps else contract, genesis.AGENT] -= units
            should["near", contract] += 1
    should["near", genesis.AGENT] -= theirs.gas + theirs.yoctos
    now = balances(chain)
    return [
        f"{key}: {now.get(key)} instead of {should.get(key)}"
        for key in should.keys() | now.keys()
        if now.get(key) != should.get(key)
    ]
