"""Whose answer it is: the operator's signature, checked offline."""

import json
from dataclasses import replace

import pytest

from agent_runtime import wire
from agent_runtime.errors import RailError
from agent_runtime.rails.eigen_proof import Statement, shown, signer_of
from agent_runtime.rails.eigenai import EigenAi, address_of, sign_personal
from agent_runtime.settings import Settings
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


KEY = "11" * 32
ASKED = [{"role": "user", "content": "P"}]


def signed(model, says):
    """An answer that names `model`, signed over `says` as if it had been that one."""
    signature = sign_personal(KEY, f"1{says}Pout").removeprefix("0x")
    choices = [{"message": {"content": "out"}}]
    return {"choices": choices, "model": model, "signature": signature}


def client():
    told = {"EIGENAI_WALLET_PRIVATE_KEY": KEY, "EIGENAI_WALLET_ADDRESS": address_of(KEY)}
    settings = Settings.from_environ(told)
    return EigenAi(None, replace(settings, eigenai_operators=(address_of(KEY),)))


async def test_the_model_that_is_signed_is_the_one_that_the_answer_names():
    assert client()._verified(signed("another", "another"), ASKED).text == "out"
    with pytest.raises(RailError, match="not signed by an allowed operator"):
        client()._verified(signed("another", "gpt-oss-120b-f16"), ASKED)


async def test_a_grant_that_is_refused_is_signed_anew_once(monkeypatch):
    """The message may have changed; a second refusal is an answer."""
    refusals, asked = [401, 200, 403, 403], []

    async def ask(eigen, service, method, url, **more):
        asked.append(method)
        if method == "GET":
            return wire.Answer("eigenai", 200, {}, b'{"success": true, "message": "m"}')
        return wire.Answer("eigenai", refusals.pop(0), {}, json.dumps(signed("m", "m")).encode())

    monkeypatch.setattr(wire, "ask", ask)
    assert (await client().explain(ASKED)).text == "out"
    with pytest.raises(RailError, match="403"):
        await client().explain(ASKED)
    assert asked == ["GET", "POST", "GET", "POST"] * 2
