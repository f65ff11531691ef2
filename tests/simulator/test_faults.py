"""The grammar of schedules: what it reads, what it writes, and what it says of a bad file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutover.crashpoint import POINTS
from cutover.decision.command import Command
from cutover.decision.run import Run
from cutover.errors import ConfigurationError
from cutover.simulator.accidents import BEGIN
from cutover.simulator.chance import WEIGHTS
from cutover.simulator.faults import DETAILS, VERBS, WORDS, Fault, Kind, document, read
from cutover.simulator.world.operators import order
from cutover.simulator.world.texts import CHECKS
from simulator.paths import swift

WHERE = {
    "": "", "process": "gateway-1", "plane": "hetzner", "candidate": "phala", "pair": "conductor~*",
}  # fmt: skip
DETAIL = {
    "": "", "milliseconds": "200", "percent": "30", "seconds": "-86400", "check": "github",
    "crash point": "journal.commit.after", "verb": "disarm not-ready",
}  # fmt: skip


def example(kind):
    word = WORDS[kind]
    return Fault(kind, 1500, 700 if word.lasts else 0, WHERE[word.where], DETAIL[word.detail])


def faults(kind):
    word = WORDS[kind]
    lasts = st.integers(1, 10**7) if word.lasts else st.just(0)
    name = st.text("abcxyz0189-_.", min_size=1, max_size=12)
    pairs = st.tuples(name, name).map("~".join)
    where = {"": st.just(""), "pair": pairs}.get(word.where, name)
    detail = {
        "": st.just(""),
        "milliseconds": st.integers(0, 10**6).map(str),
        "percent": st.integers(1, 100).map(str),
        "seconds": st.integers(-(10**6), 10**6).map(str),
        "check": st.sampled_from(sorted(CHECKS)),
        "crash point": st.sampled_from(sorted(POINTS)),
        "verb": st.sampled_from(VERBS),
    }[word.detail]
    return st.builds(Fault, st.just(kind), st.integers(0, 10**9), lasts, where, detail)


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_a_word_an_accident_a_weight_and_reads_back(kind):
    """What is missing in one of the places cannot be played, or never is."""
    fault = example(kind)
    assert read(document((fault,), 7), "it.toml") == ((fault,), 7)
    assert kind in BEGIN
    assert WEIGHTS[kind] > 0
    assert WORDS[kind].text


def test_every_meaning_of_a_detail_can_be_checked():
    """No detail is taken on trust."""
    assert {word.detail for word in WORDS.values()} == {"", *DETAILS}


@given(
    st.lists(st.sampled_from(Kind).flatmap(faults), max_size=8),
    st.integers(0, 2**40),
    st.text(st.characters(exclude_categories=("Cs",))),
)
def test_what_is_written_reads_back(schedule, seed, says):
    """Any schedule, any seed, any words about it; in order of time."""
    ordered = tuple(sorted(schedule, key=lambda fault: fault.at_ms))
    assert read(document(tuple(schedule), seed, says), "x") == (ordered, seed)


def test_a_file_may_leave_out_seed_and_words():
    """They are for people and for reproduction."""
    assert read('faults = [{ what = "disk_full", at = "2s", lasts = "1m" }]', "x") == (
        (Fault(Kind.DISK_FULL, 2000, 60_000),),
        None,
    )
    assert read("faults = []", "x") == ((), None)


GOOD = '{ what = "order", at = "1s", detail = "hold" }'
BAD = {
    "no TOML": ("faults = [", ""),
    "no faults": ("seed = 1", "faults"),
    "faults are no list": ("faults = 7", "faults"),
    "the seed is a text": (f'seed = "7"\nfaults = [{GOOD}]', "seed"),
    "the seed is a truth value": (f"seed = true\nfaults = [{GOOD}]", "seed"),
    "says is no text": (f"says = 7\nfaults = [{GOOD}]", "says"),
    "a word at the top": (f"faluts = 1\nfaults = [{GOOD}]", "faluts"),
}
BAD_FAULT = {
    "no table": ("7", "7"),
    "no time": ('{ what = "disk_full", lasts = "1s" }', "at"),
    "no kind": ('{ at = "1s" }', "what"),
    "unknown kind": ('{ what = "flood", at = "1s" }', "flood"),
    "a kind that is no text": ('{ what = 7, at = "1s" }', "what"),
    "unknown word": ('{ what = "disk_full", at = "1s", lasts = "1s", wehre = "x" }', "wehre"),
    "a time without a unit": ('{ what = "disk_full", at = "15", lasts = "1s" }', "at"),
    "a number for a time": ('{ what = "disk_full", at = 15, lasts = "1s" }', "at"),
    "a bad length": ('{ what = "disk_full", at = "1s", lasts = "soon" }', "lasts"),
    "a length of zero": ('{ what = "disk_full", at = "1s", lasts = "0ms" }', "lasts"),
    "no length": ('{ what = "disk_full", at = "1s" }', "lasts"),
    "a length too many": ('{ what = "wall_jump", at = "1s", lasts = "1s", detail = "5" }', "lasts"),
    "no place": ('{ what = "crash", at = "1s", lasts = "1s" }', "process"),
    "a place too many": ('{ what = "disk_full", at = "1s", lasts = "1s", where = "x" }', "where"),
    "a place that is no text": ('{ what = "crash", at = "1s", lasts = "1s", where = 7 }', "where"),
    "one place for a pair": ('{ what = "reset", at = "1s", where = "phala" }', "where"),
    "three places for a pair": ('{ what = "reset", at = "1s", where = "a~b~c" }', "where"),
    "half a pair": ('{ what = "reset", at = "1s", where = "a~" }', "where"),
    "a pair for one place": ('{ what = "hang", at = "1s", lasts = "1s", where = "a~b" }', "where"),
    "no detail": ('{ what = "wall_jump", at = "1s" }', "seconds"),
    "a detail too many": ('{ what = "torn_write", at = "1s", detail = "x" }', "detail"),
    "no number": ('{ what = "wall_jump", at = "1s", detail = "later" }', "later"),
    "no percentage": (
        '{ what = "lose", at = "1s", lasts = "1s", where = "a~b", detail = "101" }', "101",
    ),
    "a negative delay": (
        '{ what = "slow", at = "1s", lasts = "1s", where = "a~b", detail = "-5" }', "-5",
    ),
    "unknown crash point": (
        '{ what = "crash_at", at = "1s", where = "conductor", detail = "table.serve" }',
        "table.serve",
    ),
    "unknown check": (
        '{ what = "third_party_down", at = "1s", lasts = "1s", detail = "gitlab" }', "gitlab",
    ),
    "unknown order": ('{ what = "order", at = "1s", detail = "stop" }', "stop"),
    "an order with too much": ('{ what = "order", at = "1s", detail = "abort now" }', "abort now"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_named_with_the_word_that_is_wrong(name):
    """Before anything is played."""
    text, word = BAD[name]
    with pytest.raises(ConfigurationError) as caught:
        read(text, "storm.toml")
    assert str(caught.value).startswith("storm.toml: ")
    assert word in str(caught.value)


@pytest.mark.parametrize("name", BAD_FAULT)
def test_a_bad_fault_is_named_by_its_number_and_its_word(name):
    """The second of two here; the first is sound."""
    text, word = BAD_FAULT[name]
    with pytest.raises(ConfigurationError) as caught:
        read(f"faults = [\n{GOOD},\n{text}]", "storm.toml")
    assert str(caught.value).startswith("storm.toml: fault 2: ")
    assert word in str(caught.value).removeprefix("storm.toml: fault 2: ")


@pytest.mark.parametrize("verb", VERBS[:-1])
def test_every_order_that_a_file_may_name_can_be_given(verb):
    """`waive` needs a check of the run's own, so the world's operators are asked for the rest."""
    said = f"{verb} gateway-1" if verb == "forget" else verb
    assert isinstance(order(said, "ann", swift(), Run(id="r")), Command)


def test_faults_come_in_order_of_time():
    """A file need not be sorted."""
    text = f'faults = [{{ what = "torn_write", at = "3s" }}, {GOOD}]'
    schedule, _ = read(text, "x")
    assert [fault.at_ms for fault in schedule] == [1000, 3000]
