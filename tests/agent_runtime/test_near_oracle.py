"""Transaction bytes, against NEAR's own Rust primitives: both our codecs say what they say.

The runtime signs money with one codec and the stand-in chain reads it with another; if both had the
same fault, each would agree with the other, and no test between them could see it.
"""

import hashlib
import typing

import base58
import py_near_primitives as oracle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.near import transaction as ours
from agent_runtime.near.keys import Key
from sandbox.near import borsh
from sandbox.near.keys import KeyPair

U64, U128 = st.integers(0, 2**64 - 1), st.integers(0, 2**128 - 1)
ACCOUNTS = st.from_regex(r"[a-z0-9]{2,20}(\.[a-z0-9]{1,12}){0,3}", fullmatch=True)
METHODS = st.text(min_size=1, max_size=24)
BYTES32 = st.binary(min_size=32, max_size=32)
PERMISSIONS = st.builds(
    borsh.FunctionCallPermission,
    allowance=U128 | st.none(),
    receiver_id=ACCOUNTS,
    method_names=st.lists(METHODS, max_size=3).map(tuple),
)
TRANSFERS = st.builds(borsh.Transfer, U128)
CALLS = st.builds(borsh.FunctionCall, METHODS, st.binary(max_size=80), U64, U128)
DELETIONS = st.builds(borsh.DeleteKey, BYTES32)
FULL = st.builds(borsh.AddKey, BYTES32, st.none())
LIMITED = st.builds(borsh.AddKey, BYTES32, PERMISSIONS)
ACTIONS = st.one_of(TRANSFERS, CALLS, DELETIONS, FULL, LIMITED)


def transactions(actions):
    return st.builds(
        borsh.Transaction,
        signer_id=ACCOUNTS,
        public_key=st.just(b""),
        nonce=U64,
        receiver_id=ACCOUNTS,
        block_hash=BYTES32,
        actions=st.lists(actions, min_size=1, max_size=6).map(tuple),
    )


def as_the_oracle_has_it(action):
    match action:
        case borsh.Transfer(deposit):
            return oracle.TransferAction(deposit)
        case borsh.FunctionCall(method, args, gas, deposit):
            return oracle.FunctionCallAction(method, args, gas, deposit)
        case borsh.DeleteKey(public_key):
            return oracle.DeleteKeyAction(public_key)
        case borsh.AddKey(public_key, None):
            full = oracle.AccessKeyPermissionFieldless.FullAccess
            return oracle.AddKeyAction(public_key, oracle.AccessKey(0, full))
        case borsh.AddKey(public_key, some):
            limited = oracle.FunctionCallPermission(
                some.receiver_id, list(some.method_names), some.allowance
            )
            return oracle.AddKeyAction(public_key, oracle.AccessKey(0, limited))
    raise AssertionError(action)


def as_the_runtime_has_it(action):
    match action:
        case borsh.Transfer(deposit):
            return ours.Transfer(deposit)
        case borsh.FunctionCall(method, args, gas, deposit):
            return ours.Call(method, args, gas, deposit)
        case borsh.DeleteKey(public_key):
            return ours.DeleteKey(public_key)
        case borsh.AddKey(public_key, None):
            return ours.AddKey(public_key)
    raise AssertionError(action)


def the_truth(drawn, key):
    """The unsigned bytes, their hash and the signed bytes, as the oracle makes them."""
    transaction = oracle.Transaction(
        drawn.signer_id,
        key.public_raw,
        drawn.nonce,
        drawn.receiver_id,
        drawn.block_hash,
        [as_the_oracle_has_it(action) for action in drawn.actions],
    )
    signed = transaction.to_vec(bytes(key.signing) + key.public_raw)
    return bytes(transaction.serialize()), bytes(transaction.get_hash()), bytes(signed)


@given(drawn=transactions(ACTIONS), seed=BYTES32)
def test_the_stand_ins_bytes_hash_and_signature_are_the_oracles(drawn, seed):
    key = KeyPair.from_seed(seed)
    mine = borsh.Transaction(
        drawn.signer_id,
        key.public_raw,
        drawn.nonce,
        drawn.receiver_id,
        drawn.block_hash,
        drawn.actions,
    )
    unsigned, digest, signed = the_truth(drawn, key)
    assert borsh.encode_transaction(mine) == unsigned
    assert borsh.sign(mine, key) == signed
    read = borsh.decode_signed(signed)
    assert (read.transaction, read.digest, read.signature) == (mine, digest, signed[-64:])


@given(drawn=transactions(st.one_of(TRANSFERS, CALLS, DELETIONS, FULL)), seed=BYTES32)
def test_the_runtimes_bytes_hash_and_signature_are_the_oracles(drawn, seed):
    key = KeyPair.from_seed(seed)
    draft = ours.Draft(
        drawn.signer_id,
        drawn.receiver_id,
        drawn.nonce,
        base58.b58encode(drawn.block_hash).decode(),
        tuple(as_the_runtime_has_it(action) for action in drawn.actions),
    )
    unsigned, digest, signed = the_truth(drawn, key)
    assert ours.encode(draft, key.public_raw) == unsigned
    made = ours.sign(draft, Key.parse(key.secret))
    assert made.raw == signed
    assert base58.b58decode(made.tx_hash) == digest == hashlib.sha256(unsigned).digest()


def test_every_action_that_either_codec_knows_is_asked_about():
    """An action added to a codec and not to this test would be money signed unchecked."""
    drawn = {borsh.Transfer, borsh.FunctionCall, borsh.AddKey, borsh.DeleteKey}
    assert set(typing.get_args(borsh.Action)) == drawn
    key = bytes(32)
    samples = [borsh.Transfer(1), borsh.FunctionCall("m", b"", 1, 0)]
    samples += [borsh.AddKey(key, None), borsh.DeleteKey(key)]
    made = {type(as_the_runtime_has_it(sample)) for sample in samples}
    assert set(typing.get_args(ours.Action)) == made


def test_a_number_that_does_not_fit_is_refused_by_our_codecs_and_by_the_oracle():
    too_much = 2**128
    with pytest.raises(OverflowError):
        oracle.TransferAction(too_much)
    draft = ours.Draft("a.near", "b.near", 1, "1" * 32, (ours.Transfer(too_much),))
    with pytest.raises(OverflowError):
        ours.encode(draft, bytes(32))
    with pytest.raises(OverflowError):
        borsh.encode_transaction(
            borsh.Transaction(
                "a.near", bytes(32), 1, "b.near", bytes(32), (borsh.Transfer(too_much),)
            )
        )
