"""The gateway and the runtime read one text alike, or the gateway is the more careful one."""

from typing import get_args

from hypothesis import example, given, settings

from agent_runtime import grammar
from cutover.routing.classify import classify, forms
from cutover.runbook.intent import RISK_OF, Intent, Risk
from routing.texts import LINES, TEXT

MEANS = {
    grammar.Analyze: Intent.ANALYZE,
    grammar.Create: Intent.CREATE,
    grammar.Pay: Intent.PAY,
    grammar.Pending: Intent.PENDING,
    grammar.VerifyRepo: Intent.VERIFY,
    grammar.VerifyLogin: Intent.VERIFY,
    grammar.Reputation: Intent.REPUTATION,
    grammar.SetMode: Intent.MODE,
    grammar.SetExperience: Intent.MODE,
    grammar.Approve: Intent.PLAN,
    grammar.Cancel: Intent.PLAN,
    grammar.Replay: Intent.PLAN,
    grammar.ShowSplit: Intent.HELP,
    grammar.ShowSplits: Intent.HELP,
    grammar.Help: Intent.HELP,
}


def careful(text):
    """Whether the gateway's intent is the runtime's, or has the highest risk, or is not served."""
    read = grammar.read(text)
    said = classify(text)
    if isinstance(read, grammar.Unclear):
        return True
    return said is MEANS[type(read)] or RISK_OF[said] is Risk.MONEY


def test_over_the_corpus():
    """No line of the corpus means more to our own runtime than the gateway says."""
    assert [where for where, _, text in LINES if not careful(text)] == []


@given(TEXT)
@example("pay 10 USDC\nto o/r")
@settings(max_examples=800, deadline=None)
def test_over_any_text(text):
    """No text means more to our own runtime than the gateway says."""
    assert careful(text)


def test_every_form_of_the_gateway_is_read_alike():
    """Whatever form the gateway knows, the runtime answers, and as the same intent."""
    for form in forms():
        assert MEANS[type(grammar.read(form.example))] is form.intent, form.name


def test_every_request_of_the_runtime_is_in_this_table():
    """A request that is added without a meaning here would escape the tests above."""
    assert set(MEANS) == set(get_args(grammar.Request)) - {grammar.Unclear}
