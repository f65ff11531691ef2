"""Texts are recognised whole or not at all, and money is never taken for less.

The oracle below is written apart from the grammar under test. It reads as older runtimes do: a
command anywhere, inside other words too, blanks optional where that makes more texts a payment.
"""

import re
import unicodedata
from urllib.parse import unquote_plus

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from cutover.routing.classify import TEXT_CHARS_MAX, classify, forms
from cutover.runbook.intent import RISK_OF, Intent, Risk
from routing.texts import COMMANDS, FOREIGN, LINES, RECOGNISED, TEXT

RISE = {Risk.LOW: 0, Risk.STATE: 1, Risk.MONEY: 2}

ANYWHERE_MONEY = (
    r"(?:pay|send|give)\s*\$?\s*\d",
    r"distribute\s*\$?\s*\d",
    r"approve",
    r"replay\s+\S",
    r"\A\s*(?:@\S+\s+)*cancel\s*\Z",
)
ANYWHERE_STATE = (
    r"(?:create|make)\s+(?:a\s+)?(?:split\s+)?(?:for\s+)?\S",
    r"set\s+up\s+(?:payments?\s+)?(?:for\s+)?\S",
    r"(?:verify|link|connect)\s+(?:my\s+)?(?:github\s+)?@?\w",
)


FILLING = {
    "REPO": "near/nearcore",
    "LOGIN": "octocat",
    "AMOUNT": "10.5",
    "TOKEN": "usdc",
    "PERCENTS": "60/40",
    "SPLIT": "split-123-4",
    "PLAN": "plan-0123456789",
    "EVENT": "0123456789abcdef",
}


def risk(text):
    return RISK_OF[classify(text)]


def readings(text):
    """What a careless reader may take the text for before it searches."""
    bare = "".join(char for char in text if unicodedata.category(char) not in {"Cf", "Mn", "Cc"})
    return {text, unicodedata.normalize("NFKC", text), bare, unquote_plus(text)}


def oracle(text):
    """The highest risk of any command that occurs anywhere in any reading of the text."""
    seen = readings(text)
    if any(re.search(form, one, re.IGNORECASE) for form in ANYWHERE_MONEY for one in seen):
        return Risk.MONEY
    if any(re.search(form, one, re.IGNORECASE) for form in ANYWHERE_STATE for one in seen):
        return Risk.STATE
    return Risk.LOW


@pytest.mark.parametrize(("where", "intent", "text"), LINES, ids=[where for where, _, _ in LINES])
def test_corpus(where, intent, text):
    """Every line of the corpus is classified as it says."""
    assert classify(text) is intent


def test_corpus_is_whole():
    """The corpus is large, has no text twice, and shows every intent and every form."""
    texts = [text for _, _, text in LINES]
    assert len(texts) >= 400
    assert sorted(texts) == sorted(set(texts))
    assert {intent for _, intent, _ in LINES} == set(Intent)


@pytest.mark.parametrize("form", forms(), ids=lambda form: form.name)
def test_form_example(form):
    """A form's example has the form's intent, in either case and behind a mention."""
    for said in (form.example, form.example.upper(), f"@gitsplits {form.example}"):
        assert classify(said) is form.intent


@pytest.mark.parametrize("form", forms(), ids=lambda form: form.name)
def test_every_wording_of_a_form_is_found(form):
    """Whatever may be left out or said otherwise in a form, the dispatch by first word finds it."""
    filled = re.sub("[A-Z]{2,}", lambda part: re.escape(FILLING[part[0]]), form.pattern)

    @given(st.from_regex(filled, fullmatch=True))
    @settings(max_examples=40, deadline=None)
    def found(text):
        assert classify(text) is form.intent

    found()


def test_forms_have_distinct_names():
    """A form is named once, and no form stands for `unknown`."""
    names = [form.name for form in forms()]
    assert len(names) == len(set(names))
    assert {form.intent for form in forms()} == set(Intent) - {Intent.UNKNOWN}


@given(TEXT)
@settings(max_examples=300, deadline=None)
def test_total(text):
    """Every string has an answer, and always the same."""
    assert classify(text) is classify(text)
    assert classify(text) in Intent


@given(st.text(st.characters(), max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_characters(text):
    """Lone surrogates, controls and unassigned characters have an answer too."""
    assert classify(text) in Intent
    assert text.isascii() or classify(text) is Intent.UNKNOWN


@given(TEXT, st.text(" \t\r\n", max_size=5), st.text(" \t\r\n", max_size=5))
@settings(max_examples=400, deadline=None)
def test_blanks_around_make_no_difference(text, before, after):
    """Blanks and line ends around a text change nothing."""
    assert classify(before + text + after) is classify(text)


@given(TEXT, st.sampled_from(["@gitsplits ", "@GitSplits: ", "@gitsplits,\t", "  @gitsplits \n"]))
@settings(max_examples=400, deadline=None)
def test_the_proxys_mention_makes_no_difference(text, mention):
    """The mention that the web proxy adds changes nothing, whatever the user typed."""
    assume(text.count("@") < 2)  # two mentions in front are the limit
    assert classify(mention + text) is classify(text)


@given(TEXT)
@example("analyze a/b pay 5 USDC to c/d")
@example("create a/pay 5/95")
@example("create o/approve")
@example("analyze o/pay5")
@example("analyze o/r?q=pay%205%20usdc%20to%20o/r")
@example("analyze o/r?q=p%61y%205%20usdc%20to%20o/r")
@example("analyze o/r?q=p%61y+5+usdc+to+o/r")
@example("repay 10 USDC to o/r")
@example("@replay pending octocat")
@settings(max_examples=1500, deadline=None)
def test_what_anybody_may_read_as_money_is_money(text):
    """Where the searching oracle finds a payment in any reading, the risk is money."""
    if oracle(text) is Risk.MONEY:
        assert risk(text) is Risk.MONEY


@given(TEXT)
@example("is verify trusted")
@example("@create analyze o/r")
@settings(max_examples=1500, deadline=None)
def test_risk_is_never_under_the_oracles(text):
    """Where the searching oracle finds a change of state, the risk is at least that."""
    assert RISE[risk(text)] >= RISE[oracle(text)]


def test_corpus_against_the_oracle():
    """No hand-made expectation is itself under the oracle's risk."""
    under = [where for where, intent, text in LINES if RISE[RISK_OF[intent]] < RISE[oracle(text)]]
    assert under == []


@given(TEXT)
@example("pending pay")
@example("create pay/x with 50/50")
@settings(max_examples=1200, deadline=None)
def test_a_money_verb_outside_a_name_is_money(text):
    """A text of low or state risk has a money verb as a token only within a name.

    A token is a run of letters and digits. A name is a word with a slash (a repository, without
    query or fragment) or a login, which then ends the text. Within it the verb must not end the
    word while more words follow: that blank is what a searching runtime would need. `approve`
    needs nothing after it, so it is nowhere.
    """
    if risk(text) is Risk.MONEY:
        return
    said = text.strip().lower()
    assert "approve" not in said
    words = said.split()
    for place, word in enumerate(words):
        for token in re.finditer("[a-z0-9]+", word):
            if token[0] in {"pay", "send", "give", "distribute", "cancel", "replay"}:
                last = place == len(words) - 1
                assert "/" in word or last or word.startswith("@")
                assert last or token.end() < len(word)
                assert not re.search("[?#]", word[: token.start()])


@given(
    st.sampled_from(RECOGNISED),
    st.sampled_from(
        [" ", "\n", "\r\n", "\n\n", " and ", "; ", ";", ", ", " then ", " && ", " | ", " - ", "\t"]
    ),
    st.sampled_from(COMMANDS),
)
@settings(max_examples=1000, deadline=None)
def test_two_commands_are_none(text, between, command):
    """A second command, before or after, makes any recognised text unknown."""
    assert classify(text + between + command) is Intent.UNKNOWN
    assert classify(command + between + text) is Intent.UNKNOWN or text.startswith("@")


@given(st.sampled_from(RECOGNISED), st.integers(0, 200), FOREIGN)
@settings(max_examples=500, deadline=None)
def test_one_foreign_character_is_enough(text, at, char):
    """Any character outside ASCII, anywhere, makes any recognised text unknown."""
    at %= len(text) + 1
    assert classify(text[:at] + char + text[at:]) is Intent.UNKNOWN


@given(
    st.sampled_from(RECOGNISED),
    st.integers(0, 200),
    st.sampled_from("\x00\x07\x08\x0b\x0c\x1b\x1c\x1f\x7f"),
)
@settings(max_examples=300, deadline=None)
def test_one_control_character_is_enough(text, at, char):
    """Any control character but tab and line ends makes any recognised text unknown."""
    at %= len(text) + 1
    assert classify(text[:at] + char + text[at:]) is Intent.UNKNOWN


def test_length_is_bounded():
    """A text at the limit is read, one character more is unknown."""
    text = "analyze near/nearcore"
    assert classify(text.rjust(TEXT_CHARS_MAX)) is Intent.ANALYZE
    assert classify(text.rjust(TEXT_CHARS_MAX + 1)) is Intent.UNKNOWN


@pytest.mark.parametrize(
    "text",
    [
        "analyze " + "a-" * 495,
        "analyze " + "a/" * 490,
        "analyze o/" + "." * 980,
        "create o/r " + "5/" * 490 + "x",
        "@a " * 333,
        "analyze o/r?" + "?#" * 490 + "%",
        "show" + " " * 980 + "x",
        "pay " + "1" * 990,
        "who contributes to " + "github.com/" * 80,
        "pay " * 249,
    ],
    ids=lambda text: text[:24],
)
def test_work_is_bounded(text):
    """Texts made to send a matcher back and forth are refused in far under a millisecond."""
    from time import perf_counter

    def once():
        start = perf_counter()
        assert classify(text) is Intent.UNKNOWN
        return perf_counter() - start

    assert min(once() for _ in range(20)) < 0.001
