"""Whose answer it is: the operator's signature, checked offline."""

from dataclasses import replace

import pytest

from agent_runtime.rails.eigen_proof import Statement, shown, signer_of
from agent_runtime.rails.eigenai import sign_personal
from sandbox.ethereum import Account, encode_defunct

OPERATOR = Account.from_key("0x" + "11" * 32)
RAW = "<|channel|>analysis<|message|>think<|end|>Hello, dear friend, welcome today!"
STATEMENT = Statement("1", "gpt-oss-120b-f16", "Say hello in exactly 5 words.", RAW)


def signature():
    text = STATEMENT.chain_id + STATEMENT.model + STATEMENT.prompt + STATEMENT.output
    return OPERATOR.sign_message(encode_defunct(text=text)).signature.hex().removeprefix("0x")


def test_the_signer_of_the_very_statement_is_recovered():
    assert signer_of(STATEMENT, signature()) == OPERATOR.address.lower()
    assert signer_of(STATEMENT, "0x" + signature()) == OPERATOR.address.lower()


@pytest.mark.parametrize("part", ["chain_id", "model", "prompt", "output"])
def test_one_more_character_anywhere_is_another_signer(part):
    other = replace(STATEMENT, **{part: getattr(STATEMENT, part) + "."})
    assert signer_of(other, signature()) != OPERATOR.address.lower()


@pytest.mark.parametrize(
    "text", ["", "0xmocksignature", "00" * 65, "ff" * 65, "1" * 129, "zz" * 65]
)
def test_what_is_no_signature_has_no_signer(text):
    assert signer_of(STATEMENT, text) is None


def test_our_personal_signature_is_the_librarys():
    key = "22" * 32
    theirs = Account.from_key("0x" + key).sign_message(encode_defunct(text="grant\nme ü"))
    assert sign_personal(key, "grant\nme ü") == "0x" + theirs.signature.hex().removeprefix("0x")


def test_readers_see_the_answer_without_the_models_own_notes():
    assert shown(RAW) == "Hello, dear friend, welcome today!"
