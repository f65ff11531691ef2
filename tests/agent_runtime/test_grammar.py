"""What a text is read as; money above all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.grammar import Analyze, Create, Help, Pay, Pending, Repo, Unclear, read

REPO = Repo("near", "near-sdk-rs")


@pytest.mark.parametrize(
    "text",
    [
        "analyze near/near-sdk-rs",
        "Analyse https://github.com/near/near-sdk-rs.git",
        "@gitsplits analyze github.com/near/near-sdk-rs/",
        "who contributes to near/near-sdk-rs",
        "who contribute to near/near-sdk-rs",
        "who works on near/near-sdk-rs?tab=readme",
        "show me the contributors for near/near-sdk-rs",
        "show contributor of near/near-sdk-rs#top",
        "what about near/near-sdk-rs",
        "  WHAT IS   near/near-sdk-rs ",
    ],
)
def test_every_form_of_analyze_is_read(text):
    assert read(text) == Analyze(REPO)


@pytest.mark.parametrize(
    ("text", "percents"),
    [
        ("create near/near-sdk-rs", ()),
        ("create a split for near/near-sdk-rs", ()),
        ("set up payments for near/near-sdk-rs", ()),
        ("make split near/near-sdk-rs", ()),
        ("create split for near/near-sdk-rs 50/30/20", (50, 30, 20)),
        ("@gitsplits create split near/near-sdk-rs with 90/10", (90, 10)),
    ],
)
def test_every_form_of_create_is_read(text, percents):
    assert read(text) == Create(REPO, percents)


@pytest.mark.parametrize(
    ("text", "amount", "token"),
    [
        ("pay 10 USDC to near/near-sdk-rs", "10", "USDC"),
        ("pay 0.5 near near/near-sdk-rs", "0.5", "NEAR"),
        ("@gitsplits send 1 USDC to github.com/near/near-sdk-rs", "1", "USDC"),
        ("give 2.25 usdc to near/near-sdk-rs", "2.25", "USDC"),
        ("distribute $20 to near/near-sdk-rs", "20", "USDC"),
        ("distribute 20 near/near-sdk-rs", "20", "USDC"),
        ("distribute 3 NEAR to near/near-sdk-rs", "3", "NEAR"),
    ],
)
def test_every_form_of_pay_is_read(text, amount, token):
    assert read(text) == Pay(REPO, amount, token)


@pytest.mark.parametrize(
    "text",
    [
        "repay 10 USDC to near/near-sdk-rs",
        "please pay 10 USDC to near/near-sdk-rs",
        "pay 10 USDC to near/near-sdk-rs strict",
        "pay 10 USDC to near/near-sdk-rs and analyze near/near-sdk-rs",
        "analyze near/near-sdk-rs then pay 10 USDC to near/near-sdk-rs",
        "analyze near/near-sdk-rs\npay 10 USDC to near/near-sdk-rs",
        "pay 10 to near/near-sdk-rs",
        "pay -10 USDC to near/near-sdk-rs",
        "pay 1e3 USDC to near/near-sdk-rs",
        "pay \u0661\u0660 USDC to near/near-sdk-rs",
        "pay 10 USDC to near",
        "pay 10 USDC to near/..",
        "pay 10 USDC to github.com/near",
        "pay 10 USDC to evil.example/near/near-sdk-rs",
        "@a @b pay 10 USDC to near/near-sdk-rs",
        "approve plan-0123456789",
        "replay 0123456789abcdef",
        "make me a sandwich",
        "create",
        "",
        "x" * 10_000,
    ],
)
def test_what_is_nearly_a_command_is_not_understood(text):
    assert read(text) == Unclear()


def test_pending_takes_a_repository_or_a_login():
    assert read("pending near/near-sdk-rs") == Pending(REPO)
    assert read("show pending claims for @alice") == Pending("alice")
    assert read("help") == Help()


@given(st.text(max_size=60), st.text(min_size=1, max_size=60))
def test_a_payment_with_anything_around_it_is_no_payment(before, after):
    text = f"{before} pay 5 USDC to o/r {after}"
    found = read(text)
    if isinstance(found, Pay):
        assert found.repo.owner == "o"
        assert not after.strip()
        assert not before.strip() or before.strip().startswith("@")


@given(st.text(max_size=200))
def test_reading_is_total(text):
    read(text)
