"""What a text is read as; money above all."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.grammar import (
    Analyze,
    Approve,
    Cancel,
    Create,
    Help,
    Pay,
    Pending,
    Replay,
    Repo,
    Reputation,
    SetExperience,
    SetMode,
    ShowSplit,
    ShowSplits,
    Unclear,
    VerifyLogin,
    VerifyRepo,
    read,
)

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
        ("@gitsplits @gitsplits pay 1 USDC to near/near-sdk-rs", "1", "USDC"),
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
        "@a @b @c pay 10 USDC to near/near-sdk-rs",
        "approve plan-xyz",
        "approve plan-0123456789 now",
        "cancel plan-0123456789",
        "replay",
        "verify contributors",
        "verify @octo--cat",
        "mode god",
        "please approve",
        "show split 7",
        "make me a sandwich",
        "create",
        "",
        "x" * 10_000,
    ],
)
def test_what_is_nearly_a_command_is_not_understood(text):
    assert read(text) == Unclear()


# The contract's own writing (contract §4): `[ ]` optional, `|` or; R, X, A and T are filled in.
FORMS = {
    "analyze R": Analyze(REPO),
    "who contribute[s] to R": Analyze(REPO),
    "who work[s] on R": Analyze(REPO),
    "show [me ][the ]contributor[s] (for|of) R": Analyze(REPO),
    "what (about|is) R": Analyze(REPO),
    "create [a ][split ][for ]R": Create(REPO),
    "set up [payment[s] ][for ]R": Create(REPO),
    "make [a ][split ][for ]R": Create(REPO),
    "create R [with ]40/30/20/10": Create(REPO, (40, 30, 20, 10)),
    "(pay|send|give) 1.5 near [to ]R": Pay(REPO, "1.5", "NEAR"),
    "distribute [$]2 [usdc ][to ]R": Pay(REPO, "2", "USDC"),
    "[show ]pending [claim[s] ][for ]R": Pending(REPO),
    "[show ]pending [claim[s] ][for ][@]octo-cat": Pending("octo-cat"),
    "verify contributor[s] (for|of) R": VerifyRepo(REPO),
    "(verify|link|connect) [my ][github ][@]octo-cat": VerifyLogin("octo-cat"),
    "reputation [for ][@]octo-cat": Reputation("octo-cat"),
    "is [@]octo-cat (eligible|trusted|reputable)": Reputation("octo-cat"),
    "erc8004 [status ][for ][@]octo-cat": Reputation("octo-cat"),
    "[set ]mode advisor": SetMode("advisor"),
    "[set ]mode draft": SetMode("draft"),
    "[set ]mode execute": SetMode("execute"),
    "[set ]experience guided": SetExperience("guided"),
    "[set ]experience hands(_off|-off| off)": SetExperience("hands_off"),
    "approve": Approve(""),
    "approve plan-0123abcdef": Approve("plan-0123abcdef"),
    "replay 0123456789abcdef": Replay("0123456789abcdef"),
}
_CHOICE = re.compile(r"\[([^][()]*)\]|\(([^][()]*)\)")


def spelled(form):
    """Every text that a form allows."""
    choice = _CHOICE.search(form)
    if choice is None:
        return {form}
    options = ["", choice[1]] if choice[1] is not None else choice[2].split("|")
    ways = (form[: choice.start()] + one + form[choice.end() :] for one in options)
    return set().union(*map(spelled, ways))


@pytest.mark.parametrize("form", FORMS)
def test_every_spelling_of_every_form_of_the_contract_is_read(form):
    """In any case, in front of it the web's mention; with a word behind it, it is none."""
    for text in spelled(form):
        for repo in (
            "near/near-sdk-rs",
            "github.com/near/near-sdk-rs",
            "https://github.com/near/near-sdk-rs",
        ):
            said = text.replace("R", repo, 1) if "R" in text else text
            assert read(f"@gitsplits {said}") == FORMS[form], said
            assert read(f"{said} strict") == Unclear(), said


MINOR_FORMS = [
    ("verify contributors for near/near-sdk-rs", VerifyRepo(REPO)),
    ("verify contributor of github.com/near/near-sdk-rs", VerifyRepo(REPO)),
    ("verify @octo-cat", VerifyLogin("octo-cat")),
    ("link my github octocat", VerifyLogin("octocat")),
    ("connect github @OctoCat", VerifyLogin("OctoCat")),
    ("reputation for @octocat", Reputation("octocat")),
    ("is octocat eligible?", Reputation("octocat")),
    ("ERC8004 status for octocat", Reputation("octocat")),
    ("mode draft", SetMode("draft")),
    ("Set Mode ADVISOR", SetMode("advisor")),
    ("experience guided", SetExperience("guided")),
    ("set experience hands off", SetExperience("hands_off")),
    ("experience hands-off", SetExperience("hands_off")),
    ("approve", Approve("")),
    ("Approve plan-0123ABCDEF", Approve("plan-0123abcdef")),
    ("cancel", Cancel()),
    ("replay 0123456789ABCDEF", Replay("0123456789abcdef")),
    ("show split split-123456-1", ShowSplit("split-123456-1")),
    ("info for split-123456-1", ShowSplit("split-123456-1")),
    ("show splits for near/near-sdk-rs", ShowSplits(REPO)),
    ("what can you do?", Help()),
]


@pytest.mark.parametrize("mentions", ["", "@gitsplits ", "@gitsplits @gitsplits "])
@pytest.mark.parametrize(("text", "means"), MINOR_FORMS)
def test_every_minor_form_is_read_behind_up_to_two_mentions(mentions, text, means):
    assert read(mentions + text) == means


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
        assert all(word.startswith("@") for word in before.split())


@given(st.text(max_size=200))
def test_reading_is_total(text):
    read(text)
