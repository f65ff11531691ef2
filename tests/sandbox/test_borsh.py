"""Transaction bytes are NEAR's: the published vector, and every byte accounted for."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.near import borsh
from sandbox.near.keys import KeyPair, encode, verify

VECTOR = (
    "DgAAAHNlbmRlci50ZXN0bmV0AOrmAai64SZOv9e/naX4W15pJx0GAap35wTT1T/DwcbbDwAAAAAAAAAQAAAAcmVjZWl2"
    "ZXIudGVzdG5ldNMnL7URB1cxPOu3G8jTqlEwlcasagIbKlAJlF5ywVFLAQAAAAMAAACh7czOG8LTAAAAAAAAAGQcOG03"
    "xVSFQFjoagOb4NBBqWhERnnz45LY4+52JgZhm1iQKz7qAdPByrGFDQhQ2Mfga8RlbysuQ8D8LlA6bQE="
)


def test_the_published_transaction_decodes_to_what_the_documentation_says():
    signed = borsh.decode_base64(VECTOR)
    transaction = signed.transaction
    assert (transaction.signer_id, transaction.receiver_id) == (
        "sender.testnet",
        "receiver.testnet",
    )
    assert transaction.nonce == 15
    assert transaction.actions == (borsh.Transfer(10**24),)
    assert encode(transaction.block_hash) == "FDFgVM4mjcrnf2zanGDKu57hBYJXa5iqcgcBriipAd7g"
    assert signed.hash == "6zgh2u9DqHHiXzdy9ouTP7oGky2T4nugqzqt9wJZwNFm"
    assert verify(transaction.public_key, signed.digest, signed.signature)


def test_encoding_the_published_transaction_gives_its_bytes_back():
    raw = base64.b64decode(VECTOR)
    assert borsh.encode_transaction(borsh.decode_signed(raw).transaction) == raw[:-65]


@given(cut=st.integers(min_value=1, max_value=150))
def test_bytes_cut_short_are_refused(cut):
    with pytest.raises(borsh.DecodeError):
        borsh.decode_signed(base64.b64decode(VECTOR)[:-cut])


def test_bytes_left_over_are_refused():
    with pytest.raises(borsh.DecodeError, match="1 bytes follow"):
        borsh.decode_signed(base64.b64decode(VECTOR) + b"\0")


@given(at=st.integers(min_value=0, max_value=200), bit=st.integers(0, 7))
def test_any_changed_bit_loses_the_signature_or_the_form(at, bit):
    raw = bytearray(base64.b64decode(VECTOR))
    raw[at % len(raw)] ^= 1 << bit
    try:
        signed = borsh.decode_signed(bytes(raw))
    except borsh.DecodeError:
        return
    assert not verify(signed.transaction.public_key, signed.digest, signed.signature)


_ids = st.text(min_size=2, max_size=20)
_u128 = st.integers(0, 2**128 - 1)
_key = st.binary(min_size=32, max_size=32)
_permission = st.builds(
    borsh.FunctionCallPermission,
    allowance=st.none() | _u128,
    receiver_id=_ids,
    method_names=st.lists(_ids, max_size=3).map(tuple),
)
_actions = st.one_of(
    st.builds(borsh.Transfer, _u128),
    st.builds(borsh.FunctionCall, _ids, st.binary(max_size=40), st.integers(0, 2**64 - 1), _u128),
    st.builds(borsh.AddKey, _key, st.none() | _permission),
    st.builds(borsh.DeleteKey, _key),
)


@given(
    st.builds(
        borsh.Transaction,
        signer_id=_ids,
        public_key=_key,
        nonce=st.integers(0, 2**64 - 1),
        receiver_id=_ids,
        block_hash=_key,
        actions=st.lists(_actions, max_size=4).map(tuple),
    )
)
def test_what_is_signed_is_what_is_read(transaction):
    signed = borsh.decode_signed(borsh.sign(transaction, KeyPair.from_seed(bytes(32))))
    assert signed.transaction == transaction
