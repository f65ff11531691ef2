"""Texts to classify: a corpus with answers, made by hand, and strategies that hide verbs."""

from pathlib import Path

from hypothesis import strategies as st

from cutover.routing.classify import forms
from cutover.runbook.intent import Intent

CORPUS = Path(__file__).parent / "corpus"


def corpus():
    lines = []
    for file in sorted(CORPUS.glob("*.tsv")):
        for number, line in enumerate(file.read_text("ascii").split("\n"), start=1):
            if line and not line.startswith("#"):
                intent, text = line.split("\t")
                decoded = text.encode("ascii").decode("unicode_escape")
                lines.append((f"{file.stem}:{number}", Intent(intent), decoded))
    return lines


LINES = corpus()
RECOGNISED = sorted({text for _, intent, text in LINES if intent is not Intent.UNKNOWN})
COMMANDS = sorted({form.example for form in forms()})


BLANK = st.sampled_from([" ", "  ", "\t", "\n", "\u00a0", "\u2028", "+", "%20", ""])
WORDS = """
    analyze analyse who contributes to works on show me the contributors for of what about is create
    a split set up payments make with 50/50 pay send give distribute 5 $5 10.5 USDC NEAR pending
    claims verify link connect my github @octocat octocat reputation eligible trusted erc8004 status
    mode draft experience hands off approve plan-01ab cancel replay help info split-1-1 splits o/r
    pay/send o/pay repay prepay5 https://github.com/o/r?x=y#z o/r?pay=5 @gitsplits @pay ; and then
    . ? ! $ p\u0430y s\u200bend \u017fend \uff11 \u202e
"""
SNIPPETS = "a B 7 - _ . pay SEND give distribute approve cancel replay create verify o/ / ? # 5"
WORD = st.sampled_from(WORDS.split())
SOUP = st.lists(st.tuples(WORD, BLANK), max_size=9).map(
    lambda pieces: "".join(word + blank for word, blank in pieces)
)
NAME = st.lists(st.sampled_from(SNIPPETS.split()), min_size=1, max_size=5).map("".join)
# The Kelvin sign is the one foreign letter that lower-cases into ASCII.
FOREIGN = st.one_of(st.characters(min_codepoint=0x80), st.sampled_from("\u212a\u0130\u017f"))
FRAME = st.sampled_from(
    [
        "analyze {0}/{1}",
        "@{0} analyze o/{1}",
        "who works on github.com/{0}/{1}",
        "what about o/r?{0}#{1}",
        "create a split for {0}/{1} with 50/50",
        "make {0}/{1} 5/95",
        "set up {0}/{1}\t9/91",
        "pending {0}",
        "verify my github @{0}",
        "is {0} eligible",
        "erc8004 for {0}",
        "show splits for {0}/{1}",
    ]
)
FRAMED = st.builds(str.format, FRAME, NAME, NAME)
SPLICED = st.builds(
    lambda text, at, more: text[: at % (len(text) + 1)] + more + text[at % (len(text) + 1) :],
    st.sampled_from(RECOGNISED),
    st.integers(0, 99),
    SOUP,
)
TEXT = st.one_of(SOUP, FRAMED, SPLICED, st.text(max_size=60))
