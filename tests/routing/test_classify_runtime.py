"""The gateway and the runtime read one text alike, or the gateway is the more careful one."""

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


def test_the_leading_intents_are_read_alike():
    """What a stage names a share for, both read as the same command in every example."""
    for form in forms():
        if form.intent in {Intent.ANALYZE, Intent.CREATE, Intent.PAY}:
            assert MEANS[type(grammar.read(form.example))] is form.intent
