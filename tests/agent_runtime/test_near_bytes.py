"""Transaction bytes, against a vector that others signed, and keys."""

import base64
import hashlib

import base58
import pytest
from nacl.signing import SigningKey, VerifyKey

from agent_runtime.near.keys import Key
from agent_runtime.near.transaction import AddKey, Call, DeleteKey, Draft, Transfer, encode, sign
from sandbox.near import borsh

# From NEAR's RPC documentation: a transfer of one NEAR, signed by somebody else.
DOCUMENTED = base64.b64decode(
    "DgAAAHNlbmRlci50ZXN0bmV0AOrmAai64SZOv9e/naX4W15pJx0GAap35wTT1T/DwcbbDwAAAAAAAAAQAAAAcmVjZWl2"
    "ZXIudGVzdG5ldNMnL7URB1cxPOu3G8jTqlEwlcasagIbKlAJlF5ywVFLAQAAAAMAAACh7czOG8LTAAAAAAAAAGQcOG03"
    "xVSFQFjoagOb4NBBqWhERnnz45LY4+52JgZhm1iQKz7qAdPByrGFDQhQ2Mfga8RlbysuQ8D8LlA6bQE="
)
PUBLIC = DOCUMENTED[19:51]
DRAFT = Draft(
    signer="sender.testnet",
    receiver="receiver.testnet",
    nonce=15,
    block_hash="FDFgVM4mjcrnf2zanGDKu57hBYJXa5iqcgcBriipAd7g",
    actions=(Transfer(10**24),),
)


def test_our_bytes_are_the_documented_ones():
    body = encode(DRAFT, PUBLIC)
    assert body + b"\x00" + DOCUMENTED[-64:] == DOCUMENTED


def test_the_hash_of_our_bytes_is_the_documented_one_and_its_signature_verifies():
    digest = hashlib.sha256(encode(DRAFT, PUBLIC)).digest()
    assert base58.b58encode(digest).decode() == "6zgh2u9DqHHiXzdy9ouTP7oGky2T4nugqzqt9wJZwNFm"
    VerifyKey(PUBLIC).verify(digest, DOCUMENTED[-64:])


def test_signing_twice_gives_the_same_bytes_and_another_nonce_another_hash():
    key = Key.parse("ed25519:" + base58.b58encode(bytes(range(32))).decode())
    first, again = sign(DRAFT, key), sign(DRAFT, key)
    other = sign(Draft("a.near", "b.near", 16, DRAFT.block_hash, DRAFT.actions), key)
    assert first == again
    assert first.tx_hash != other.tx_hash


def test_a_function_call_is_laid_out_by_the_rules():
    call = Call("m", b"{}", gas=7, deposit=1)
    body = encode(Draft("a.near", "b.near", 1, DRAFT.block_hash, (call,)), PUBLIC)
    expected = (
        b"\x01\0\0\0\x02\x01\0\0\0m\x02\0\0\0{}" + (7).to_bytes(8, "little") + b"\x01" + b"\0" * 15
    )
    assert body.endswith(expected)


def test_keys_are_added_with_full_access_and_taken_away_as_the_chain_reads_it():
    key = Key.parse("ed25519:" + base58.b58encode(bytes(range(32))).decode())
    draft = Draft("a.near", "a.near", 1, DRAFT.block_hash, (AddKey(PUBLIC), DeleteKey(key.public)))
    read = borsh.decode_signed(sign(draft, key).raw).transaction
    assert read.actions == (borsh.AddKey(PUBLIC, None), borsh.DeleteKey(key.public))


def test_a_key_is_read_from_a_seed_and_from_seed_with_public_half():
    signing = SigningKey(bytes(range(32)))
    public = bytes(signing.verify_key)
    short = Key.parse("ed25519:" + base58.b58encode(bytes(range(32))).decode())
    long = Key.parse("ed25519:" + base58.b58encode(bytes(range(32)) + public).decode())
    assert short.public == long.public == public
    assert short.text == "ed25519:" + base58.b58encode(public).decode()


def test_a_public_half_of_another_key_is_refused():
    wrong = base58.b58encode(bytes(range(32)) + b"\x01" * 32).decode()
    with pytest.raises(ValueError, match="does not belong"):
        Key.parse("ed25519:" + wrong)


def test_a_key_never_shows_its_secret():
    key = Key.parse("ed25519:" + base58.b58encode(b"\x07" * 32).decode())
    assert "SigningKey" not in repr(key)
    assert "_signing" not in repr(key)
