"""Balancers that mix current nodes with lagging ones: no death that is none, and each that is one.

The chain and its providers are the stand-in's, asked without a socket in between, so that many
seeds take no time; the chain goes on by a block with every question.
"""

from collections import Counter

import pytest
from nacl.signing import SigningKey

from agent_runtime.near import absence
from agent_runtime.near.absence import Absence, Found, Unproven
from agent_runtime.near.death import Alive, Dead, Undecided
from agent_runtime.near.keys import Key
from agent_runtime.near.ledger import Attempt, State
from agent_runtime.near.outcome import Open
from agent_runtime.near.rpc import Block, Rpc, error_of
from agent_runtime.near.transaction import Draft, Transfer, sign
from agent_runtime.near.witnesses import Witnesses
from sandbox.near import state
from sandbox.near.borsh import decode_signed
from sandbox.near.chain import Chain
from sandbox.near.provider import Provider
from sandbox.near.query import block_of, query, show_block
from sandbox.near.refusals import RpcError, handler
from sandbox.near.view import LAG_MAX, Balanced, View

SIGNING = SigningKey(b"\x01" * 32)
KEY = Key(bytes(SIGNING.verify_key), SIGNING)
ALICE, BOB = "alice.near", "bob.near"
NONCE = 10**12
SEEDS = 25
NODES = ("a", "b")
CURRENT = View()
LOOKS_MAX = 400


class Asked(Rpc):
    """The real client, whose questions meet the stand-in at once."""

    def __init__(self, chain):
        super().__init__(None, NODES)
        self.chain = chain

    async def call(self, node, method, params, deadline_seconds):
        self.chain.produce()
        provider = Provider(self.chain, self.chain.views[node].of_call())
        try:
            return answer(provider, method, params)
        except RpcError as error:
            told = {"name": error.name, "cause": {"name": error.cause, "info": error.info}}
            raise error_of(told) from error


def answer(provider, method, params):
    match method:
        case "query":
            return query(provider, params)
        case "block":
            return show_block(provider, block_of(provider, params))
    record = provider.record(params["tx_hash"])
    if record is None:
        raise handler("UNKNOWN_TRANSACTION")
    return record.show(provider.now)


class Scene:
    """A transaction of ours, executed or not, that the next one of its key has overtaken."""

    def __init__(self, view, *, executed):
        self.chain = Chain({})
        for account in (ALICE, BOB):
            state.set_balance(self.chain.store, account, 10**27)
        state.set_access_key(self.chain.store, ALICE, KEY.public, state.AccessKey(NONCE - 1, None))
        for _ in range(LAG_MAX + 5):
            self.chain.produce()
        named = self.chain.final
        ours, other = (self._signed(named, NONCE + n) for n in range(2))
        for signed in (ours, other) if executed else (other,):
            self.chain.submit(decode_signed(signed.raw))
        for _ in range(5):
            self.chain.produce()
        self.chain.views = {name: view(name) for name in NODES}
        self.attempt = Attempt(
            ours.tx_hash, "pay-1", 1, "transfer", "", NONCE, BOB, named.hash, named.height,
            ours.raw, State.UNKNOWN, "", 0.0,
        )  # fmt: skip
        self.witnesses = Witnesses(Asked(self.chain), ALICE, KEY.text)

    @staticmethod
    def _signed(named, nonce):
        return sign(Draft(ALICE, BOB, nonce, named.hash, (Transfer(1),)), KEY)

    async def end(self):
        for _ in range(LOOKS_MAX):
            found = await self.witnesses.examine(self.attempt)
            if isinstance(found, Dead | Found):
                break
        return found


def mixed(lag, order, seed):
    def view(name):
        nodes = (CURRENT, View(lag=lag))
        return Balanced(nodes=nodes, order=order, seed=2 * seed + NODES.index(name))

    return view


@pytest.mark.parametrize("order", ["drawn", "round"])
@pytest.mark.parametrize("lag", [1, 7, LAG_MAX])
async def test_an_executed_transaction_is_found_or_open_but_never_dead(order, lag):
    for seed in range(SEEDS):
        found = await Scene(mixed(lag, order, seed), executed=True).end()
        assert isinstance(found, Found | Alive | Undecided), (seed, found)


@pytest.mark.parametrize("order", ["drawn", "round"])
async def test_nodes_further_behind_than_the_margin_are_found_out_by_asking(monkeypatch, order):
    monkeypatch.setattr(absence, "MARGIN_BLOCKS", 5)
    for seed in range(SEEDS):
        found = await Scene(mixed(LAG_MAX, order, seed), executed=True).end()
        assert not isinstance(found, Dead), seed


@pytest.mark.parametrize("lag", [0, 1, LAG_MAX])
async def test_what_never_executed_is_dead_in_the_end_however_the_nodes_are_mixed(lag):
    for seed in range(SEEDS):
        found = await Scene(mixed(lag, "drawn", seed), executed=False).end()
        assert isinstance(found, Dead), (seed, found)
        assert found.proof.startswith("overtaken: ")


async def test_a_provider_whose_nodes_stay_far_apart_leaves_it_open_and_is_named(monkeypatch):
    monkeypatch.setattr(absence, "HEADS", 40)  # so that every look meets the one behind
    scene = Scene(mixed(LAG_MAX, "drawn", 1), executed=False)
    monkeypatch.setattr(absence, "MARGIN_BLOCKS", 1)
    found = [await scene.witnesses.examine(scene.attempt) for _ in range(30)]
    said = {one.reason for one in found if isinstance(one, Undecided)}
    assert any("mixes nodes" in text and "NEAR_NODE_URL" in text for text in said), said


async def test_other_heights_of_the_nodes_do_not_hinder_a_death():
    def view(name):
        return View(height_offset=200_000) if name == "a" else CURRENT

    scene = Scene(view, executed=False)
    assert isinstance(await scene.witnesses.examine(scene.attempt), Undecided)
    scene.chain.views = {"a": CURRENT, "b": View(height_offset=-200_000)}
    assert isinstance(await scene.end(), Dead)


class Scripted:
    """A provider one of whose answers comes from another node than all others: `odd` says which."""

    def __init__(self, odd):
        self.odd = odd
        self.asked = Counter()

    def _is_odd(self, kind):
        self.asked[kind] += 1
        return (kind, self.asked[kind]) == self.odd

    async def height_of(self, block_hash, node):
        return 1_000

    async def final_block(self, node):
        return Block("H", 1_000 + absence.MARGIN_BLOCKS - self._is_odd("head"))

    async def ask(self, attempt, node):
        if self._is_odd("hash"):
            return Open("pending")
        raise error_of({"cause": {"name": "UNKNOWN_TRANSACTION"}})


async def look(odd):
    told = Scripted(odd)
    attempt = Scene(lambda _: CURRENT, executed=False).attempt
    return await Absence(told, told.ask).look(attempt, {"a": Block("F", 1_000)})


@pytest.mark.parametrize("nth", range(1, 1 + 5))
async def test_one_look_up_of_all_that_knows_it_is_enough(nth):
    assert isinstance(await look(("hash", nth)), Found)


@pytest.mark.parametrize("nth", range(1, 1 + 8))
async def test_one_node_of_all_that_is_behind_is_enough(nth):
    assert isinstance(await look(("head", nth)), Unproven)


async def test_absence_is_every_look_up_unknown_and_every_node_past_the_margin():
    assert await look(("nothing", 1)) is None
