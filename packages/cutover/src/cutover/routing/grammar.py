"""The grammar of a client's texts as data (contract §4): forms, and the parts that vary in them.

Patterns are read over lower-cased text and always over the whole of it; `classify` compiles them,
the docs print them. Adding a row here is all it takes to add a form, but see the theory in
`classify` first: a low or state form must not contain a riskier verb.
"""

from types import MappingProxyType
from typing import Final, NamedTuple

from cutover.runbook.intent import Intent

MONEY_VERBS: Final = ("pay", "send", "give", "distribute", "approve", "cancel", "replay")
STATE_VERBS: Final = ("create", "make", "verify", "link", "connect")
"""`set up` is left out: in a form of lower risk nothing can stand before a word `up`."""

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
_TAIL = rf"(?:[?\#](?!\S*(?:{'|'.join(MONEY_VERBS)}))[a-z0-9._~=&/?\#-]{{0,200}})?"

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

FORMS: Final = (
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
    Form("help", Intent.HELP, ("help", "help?", "help!", "help."), "help[?!.]?", "help"),
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
