"""What a client's text asks for, and with it how much harm a wrong route does.

Rules:

1. A text is recognised only if it matches one form completely, from its first letter to its last.
   Everything else is `UNKNOWN`, which carries the risk of money and goes where `pay` goes.
2. No text that a runtime could read as a payment is ever called low or state risk, whether that
   runtime anchors its grammar as ours does or searches for a command anywhere in the text, inside
   other words too, as older ones do (contract §4, §11 number 24).
3. Likewise no text that such a runtime could read as a change of state is called low risk.
4. The answer depends on the text alone: no clock, no state, no exception, bounded work.

Theory. A form is a row of `grammar.FORMS`: literal words, blanks, parts in capitals (`REPO`,
`LOGIN`, ...). A word of a low or state form is never a riskier verb, so whatever could mislead a
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
from typing import Final, TypeAlias

from cutover.routing.grammar import FORMS, MONEY_VERBS, PARTS, STATE_VERBS, Form
from cutover.runbook.intent import RISK_OF, Intent, Risk

TEXT_CHARS_MAX: Final = 1_000
"""Longer texts are `UNKNOWN` unread; the longest sensible command has about 400 characters."""

_AROUND: Final = " \t\r\n"

_Match: TypeAlias = Callable[[str], re.Match[str] | None]
_Guard: TypeAlias = Callable[[str], bool]
_Rule: TypeAlias = tuple[_Match, Intent, _Guard]


def forms() -> tuple[Form, ...]:
    """Every form, in the order in which forms of one first word are tried; docs print it."""
    return FORMS


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
    for matches, intent, misleads in _BY_LEAD.get(lead[0], ()) if lead else ():
        if matches(words) is not None:
            return Intent.UNKNOWN if misleads(said) else intent
    return Intent.UNKNOWN


def _compiled(pattern: str) -> _Match:
    """A matcher for the whole of a lower-cased text, out of a form's pattern."""
    grouped = pattern.replace("(", "(?:").replace(" ", r"[ \t]+")
    return re.compile(
        re.sub("[A-Z]{2,}", lambda part: f"(?:{PARTS[part[0]].regex})", grouped)
    ).fullmatch


_MENTION: Final = re.compile(r"(?:@[a-z0-9._-]{1,64}[:,]?[ \t\r\n]+){1,2}").match
_ABOVE_STATE: Final = rf"approve|(?:{'|'.join(MONEY_VERBS)})[\s$0-9]"
_ABOVE_LOW: Final = rf"{_ABOVE_STATE}|(?:{'|'.join(STATE_VERBS)})\s"


def _guard(verbs: tuple[str, ...], misleading: str) -> _Guard:
    """A test whether a text may be read as something riskier than its form.

    Looking for the verbs first costs a quarter of the search, and few texts have one.
    """
    search = re.compile(misleading).search
    return lambda said: any(map(said.__contains__, verbs)) and search(said) is not None


_MISLEADS: Final = MappingProxyType(
    {
        Risk.LOW: _guard(MONEY_VERBS + STATE_VERBS, _ABOVE_LOW),
        Risk.STATE: _guard(MONEY_VERBS, _ABOVE_STATE),
        Risk.MONEY: lambda _: False,  # nothing is riskier
    }
)


def _by_lead() -> dict[str, tuple[_Rule, ...]]:
    """The forms, compiled, under each first word that they can have."""
    rules: dict[str, tuple[_Rule, ...]] = {}
    for form in FORMS:
        rule = (_compiled(form.pattern), form.intent, _MISLEADS[RISK_OF[form.intent]])
        for lead in form.leads:
            rules[lead] = (*rules.get(lead, ()), rule)
    return rules


_BY_LEAD: Final = _by_lead()
