"""What a client's text asks for, and with it how much harm a wrong route does.

Rules:

1. A text is recognised only if it matches one form completely, from its first letter to its last.
   Everything else is `UNKNOWN`, which carries the risk of money and goes where `pay` goes.
2. No text that a runtime could read as a payment is ever called low or state risk, whether that
   runtime anchors its grammar as ours does or searches for a command anywhere in the text, inside
   other words too, as older ones do (contract §4, §11 number 24).
3. Likewise no text that such a runtime could read as a change of state is called low risk.
4. The answer depends on the text alone: no clock, no state, no exception, bounded work.

Theory. A form is a row in `_FORMS`: literal words, blanks and parts in capitals (`REPO`, `LOGIN`,
...). A literal word of a low or state form is never a riskier verb, so whatever could mislead a
searching runtime must sit in a part, or in the mention in front. Parts take ASCII without blanks;
a searching runtime needs a blank, a currency sign or a digit after `pay`, `send`, `give` or
`distribute`. Thus two cheap steps suffice: anchor the form, then refuse a recognised text in which
a riskier verb is followed by one of those. `approve` needs nothing after it and is refused
wherever it occurs. A repository named `o/pay` is fine: nothing follows its name.

Why plain ASCII: look-alike letters, invisible and direction-changing characters, exotic blanks and
digits, which a runtime may fold or ignore, all lie outside it. Why no `%`, `+` or money verb in
the query of an address: they could spell a blank, and with it a command, to whoever decodes them.
A second command, a second line or a trailing word leaves the form, hence is `UNKNOWN`.
"""

import re
from collections.abc import Callable
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

from cutover.runbook.intent import RISK_OF, Intent, Risk

TEXT_CHARS_MAX: Final = 1_000
"""Longer texts are `UNKNOWN` unread; the longest sensible command has about 400 characters."""

_AROUND: Final = " \t\r\n"
_MONEY_WORDS: Final = "pay|send|give|distribute|approve|cancel|replay"
_STATE_WORDS: Final = "create|make|set[ \t]+up|verify|link|connect"
# Words of the grammar that a form cut short would otherwise take for somebody's name.
_NOT_A_LOGIN: Final = "for|of|to|my|github|claims?|contributors?|status"


class Form(NamedTuple):
    """One thing a client may say.

    Attributes:
        name: unique, for people and tests.
        intent: what it asks for.
        leads: every first word it can have; the dispatch looks no further.
        pattern: words, with a blank for one or more blanks, `(…)?` for what may be left out, `|`
            for or, and parts in capitals (see `PARTS`).
        example: a text that has this form.
    """

    name: str
    intent: Intent
    leads: tuple[str, ...]
    pattern: str
    example: str


class Part(NamedTuple):
    """A variable piece of a form.

    Attributes:
        regex: what it matches, over lower-cased ASCII.
        meaning: the same, for people.
    """

    regex: str
    meaning: str


_LOGIN = r"(?=[a-z0-9_-]{1,39}(?![a-z0-9_-]))[a-z0-9]+(?:[_-][a-z0-9]+)*"
_NAME = r"(?!\.{0,2}(?:\.git)?(?![a-z0-9._-]))[a-z0-9._-]{1,100}"
_TAIL = rf"(?:[?\#](?!\S*(?:{_MONEY_WORDS}))[a-z0-9._~=&/?\#-]{{0,200}})?"

PARTS: Final = MappingProxyType(
    {
        "REPO": Part(
            rf"(?:(?:https?://)?(?:www\.)?github\.com/)?{_LOGIN}/{_NAME}/?{_TAIL}",
            "`owner/name`, `github.com/owner/name` or its http(s) address; `.git`, a slash, a"
            " plain query or fragment may follow; never `%`, `+` or a money verb in the latter",
        ),
        "LOGIN": Part(
            rf"(?!(?:{_NOT_A_LOGIN})(?![a-z0-9_-])){_LOGIN}",
            "a GitHub login: 1 to 39 letters and digits, single `-` or `_` between them;"
            " no word of this grammar",
        ),
        "AMOUNT": Part(r"[0-9]{1,24}(?:\.[0-9]{1,24})?", "digits, with digits after a point"),
        "TOKEN": Part(
            r"(?!(?:to|for|of|and)[ \t])[a-z][a-z0-9.]{0,15}",
            "a token's symbol; no preposition",
        ),
        "PERCENTS": Part(r"[0-9]{1,3}(?:/[0-9]{1,3}){1,49}", "`n/n`, up to 50 numbers"),
        "SPLIT": Part(r"split-[a-z0-9-]{1,64}", "the id of a split"),
        "PLAN": Part(r"plan-[0-9a-f]{1,64}", "the id of a plan"),
        "EVENT": Part(r"[0-9a-z][0-9a-z_-]{0,63}", "the id of an event"),
    }
)

_FORMS: Final = (
    Form(
        "analyze",
        Intent.ANALYZE,
        ("analyze", "analyse"),
        "analy[sz]e REPO",
        "analyze near/nearcore",
    ),
    Form(
        "who-contributes",
        Intent.ANALYZE,
        ("who",),
        "who contributes? to REPO",
        "who contributes to github.com/near/nearcore",
    ),
    Form(
        "who-works", Intent.ANALYZE, ("who",), "who works? on REPO", "who works on near/nearcore?"
    ),
    Form(
        "show-contributors",
        Intent.ANALYZE,
        ("show",),
        "show( me)?( the)? contributors? (for|of) REPO",
        "show me the contributors of near/nearcore",
    ),
    Form(
        "what-about", Intent.ANALYZE, ("what",), "what (about|is) REPO", "what about near/nearcore"
    ),
    Form(
        "create",
        Intent.CREATE,
        ("create", "make"),
        "(create|make)( a)?( split)?( for)? REPO(( with)? PERCENTS)?",
        "create a split for near/nearcore with 60/40",
    ),
    Form(
        "set-up",
        Intent.CREATE,
        ("set",),
        "set up( payments?)?( for)? REPO(( with)? PERCENTS)?",
        "set up payments for near/nearcore",
    ),
    Form(
        "pay",
        Intent.PAY,
        ("pay", "send", "give"),
        "(pay|send|give) AMOUNT TOKEN( to)? REPO",
        "pay 10 USDC to near/nearcore",
    ),
    Form(
        "distribute",
        Intent.PAY,
        ("distribute",),
        "distribute [$]?AMOUNT( TOKEN)?( to)? REPO",
        "distribute $20 to near/nearcore",
    ),
    Form(
        "pending",
        Intent.PENDING,
        ("pending", "show"),
        "(show )?pending( claims?)?( for)? (REPO|@?LOGIN)",
        "pending claims for @octocat",
    ),
    Form(
        "verify-repo",
        Intent.VERIFY,
        ("verify",),
        "verify contributors? (for|of) REPO",
        "verify contributors for near/nearcore",
    ),
    Form(
        "verify-login",
        Intent.VERIFY,
        ("verify", "link", "connect"),
        "(verify|link|connect)( my)?( github)? @?LOGIN",
        "link my github @octocat",
    ),
    Form(
        "reputation",
        Intent.REPUTATION,
        ("reputation",),
        "reputation( for)? @?LOGIN",
        "reputation for @octocat",
    ),
    Form(
        "is-eligible",
        Intent.REPUTATION,
        ("is",),
        "is @?LOGIN (eligible|trusted|reputable)[?]?",
        "is @octocat eligible?",
    ),
    Form(
        "erc8004",
        Intent.REPUTATION,
        ("erc8004",),
        "erc8004( status)?( for)? @?LOGIN",
        "erc8004 status for octocat",
    ),
    Form(
        "mode",
        Intent.MODE,
        ("set", "mode"),
        "(set )?mode (advisor|draft|execute)",
        "set mode draft",
    ),
    Form(
        "experience",
        Intent.MODE,
        ("set", "experience"),
        "(set )?experience (guided|hands[_-]off|hands off)",
        "experience hands_off",
    ),
    Form("approve", Intent.PLAN, ("approve",), "approve( PLAN)?", "approve plan-0123456789"),
    Form("cancel", Intent.PLAN, ("cancel",), "cancel", "cancel"),
    Form("replay", Intent.PLAN, ("replay",), "replay EVENT", "replay 0123456789abcdef"),
    Form("help", Intent.HELP, ("help",), "help[?!.]?", "help"),
    Form("what-can-you-do", Intent.HELP, ("what",), "what can you do[?!.]?", "what can you do?"),
    Form("show-split", Intent.HELP, ("show",), "show split SPLIT", "show split split-123456-1"),
    Form("info", Intent.HELP, ("info",), "info for SPLIT", "info for split-123456-1"),
    Form(
        "show-splits",
        Intent.HELP,
        ("show",),
        "show splits for REPO",
        "show splits for near/nearcore",
    ),
)

_Search: TypeAlias = Callable[[str], re.Match[str] | None]
_Rule: TypeAlias = tuple[_Search, Intent, _Search | None]


def forms() -> tuple[Form, ...]:
    """Every form, in the order in which forms of one first word are tried; docs print it."""
    return _FORMS


def classify(text: str) -> Intent:
    """Say what `text` asks for; `UNKNOWN` unless the whole of it is one form (contract §4).

    Case, blanks around and between the words, and up to two mentions in front (the web proxy adds
    one to whatever the user typed) make no difference. Total: every string has an answer.
    """
    if len(text) > TEXT_CHARS_MAX or not text.isascii():
        return Intent.UNKNOWN
    said = text.strip(_AROUND).lower()
    start = 0
    if said.startswith("@") and (mention := _MENTION(said)) is not None:
        start = mention.end()
    words = said[start:]
    lead = words.split(None, 1)
    for matches, intent, riskier in _BY_LEAD.get(lead[0], ()) if lead else ():
        if matches(words) is not None:
            misleading = riskier is not None and riskier(said) is not None
            return Intent.UNKNOWN if misleading else intent
    return Intent.UNKNOWN


def _compiled(pattern: str) -> _Search:
    """A matcher for the whole of a lower-cased text, out of a form's pattern."""
    grouped = pattern.replace("(", "(?:").replace(" ", r"[ \t]+")
    return re.compile(
        re.sub("[A-Z]{2,}", lambda part: f"(?:{PARTS[part[0]].regex})", grouped)
    ).fullmatch


_MENTION: Final = re.compile(r"(?:@[a-z0-9._-]{1,64}[:,]?[ \t\r\n]+){1,2}").match
_ABOVE_STATE: Final = rf"approve|(?:{_MONEY_WORDS})[\s$0-9]"
_RISKIER: Final = MappingProxyType(
    {
        Risk.LOW: re.compile(rf"{_ABOVE_STATE}|(?:{_STATE_WORDS})\s").search,
        Risk.STATE: re.compile(_ABOVE_STATE).search,
        Risk.MONEY: None,
    }
)


def _by_lead() -> dict[str, tuple[_Rule, ...]]:
    """The forms, compiled, under each first word that they can have."""
    rules: dict[str, tuple[_Rule, ...]] = {}
    for form in _FORMS:
        rule = (_compiled(form.pattern), form.intent, _RISKIER[RISK_OF[form.intent]])
        for lead in form.leads:
            rules[lead] = (*rules.get(lead, ()), rule)
    return rules


_BY_LEAD: Final = _by_lead()
