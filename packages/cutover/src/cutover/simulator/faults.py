"""What can go wrong, where, when and for how long: the grammar of schedules.

A schedule is data (TOML, see docs/reference/simulation.md) and the same words serve files, random
schedules, traces and the smallest schedule that still fails. What each word does to the world is in
`accidents`; this module knows words and numbers alone.
"""

import json
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec

from cutover.crashpoint import POINTS
from cutover.errors import ConfigurationError
from cutover.runbook.units import LONGEST_MS, parse_duration
from cutover.simulator.world.texts import CHECKS


class Kind(StrEnum):
    """What goes wrong."""

    CRASH = "crash"
    CRASH_AT = "crash_at"
    PAUSE = "pause"
    TAKEOVER = "takeover"
    CUT = "cut"
    SLOW = "slow"
    LOSE = "lose"
    COPY = "copy"
    HALVE = "halve"
    RESET = "reset"
    WALL_JUMP = "wall_jump"
    DISK_FULL = "disk_full"
    TORN_WRITE = "torn_write"
    NOT_READY = "not_ready"
    CANARY_FAILS = "canary_fails"
    THIRD_PARTY_DOWN = "third_party_down"
    PAYMENTS_FAIL = "payments_fail"
    HANG = "hang"
    RESTART = "restart"
    REDEPLOY = "redeploy"
    BLACKOUT = "blackout"
    KEY_ROTATION = "key_rotation"
    COLLATERAL_DOWN = "collateral_down"
    TCB_RECOVERY = "tcb_recovery"
    GUEST_GONE = "guest_gone"
    OTHER_QUOTE = "other_quote"
    REPLAYED_QUOTE = "replayed_quote"
    INTRUDER = "intruder"
    CHAIN_DOWN = "chain_down"
    REFERENCE_DOWN = "reference_down"
    ORDER = "order"


class Word(msgspec.Struct, frozen=True):
    """What a kind of fault needs to be said.

    Attributes:
        where: kinds of place: `process`, `conductor`, `gateway`, `plane`, `candidate`, `pair`, or
            empty when there is only one.
        lasts: whether it has an end of its own.
        detail: what `detail` means; empty when there is none.
        text: what happens, for people.
    """

    where: str
    lasts: bool
    detail: str
    text: str


WORDS: Final[dict[Kind, Word]] = {
    Kind.CRASH: Word("process", True, "", "the process dies and is started again after `lasts`"),
    Kind.CRASH_AT: Word("process", False, "crash point", "it dies at the next passing of a point"),
    Kind.PAUSE: Word("process", True, "", "it is stopped where it stands and goes on later"),
    Kind.TAKEOVER: Word(
        "", True, "", "the conductor is paused, loses its lease to the standby, and wakes later"
    ),
    Kind.CUT: Word("pair", True, "", "nothing passes between two hosts"),
    Kind.SLOW: Word("pair", True, "milliseconds", "every message takes so much longer"),
    Kind.LOSE: Word("pair", True, "percent", "calls lose their request or their answer"),
    Kind.COPY: Word("pair", True, "percent", "calls arrive twice"),
    Kind.HALVE: Word("pair", True, "percent", "answers break off in the middle"),
    Kind.RESET: Word("pair", False, "", "every connection between two hosts breaks"),
    Kind.WALL_JUMP: Word("", False, "seconds", "the conductor's wall clock jumps"),
    Kind.DISK_FULL: Word("", True, "", "the journal's file cannot grow"),
    Kind.TORN_WRITE: Word("", False, "", "power fails in the middle of the next commit"),
    Kind.NOT_READY: Word("plane", True, "", "`/ready` says 503"),
    Kind.CANARY_FAILS: Word("plane", True, "check", "a check of the canary fails"),
    Kind.THIRD_PARTY_DOWN: Word("", True, "check", "a check of the canary fails on both planes"),
    Kind.PAYMENTS_FAIL: Word("plane", True, "", "payments are refused by the rail"),
    Kind.HANG: Word("plane", True, "", "it takes connections and answers nothing"),
    Kind.RESTART: Word("plane", True, "", "it ends and comes back as another instance"),
    Kind.REDEPLOY: Word("candidate", True, "", "it ends and comes back as another composition"),
    Kind.BLACKOUT: Word("", True, "", "both planes end, and come back as other instances"),
    Kind.KEY_ROTATION: Word("candidate", False, "", "it goes on under another TLS key"),
    Kind.COLLATERAL_DOWN: Word("", True, "", "the source of collateral does not answer"),
    Kind.TCB_RECOVERY: Word("", True, "", "the vendor calls the machine out of date"),
    Kind.GUEST_GONE: Word("", True, "", "no guest agent gives a quote"),
    Kind.OTHER_QUOTE: Word("", True, "", "the quote is another app's"),
    Kind.REPLAYED_QUOTE: Word("", True, "", "the quote is an old one"),
    Kind.INTRUDER: Word(
        "candidate", True, "", "a person in the middle answers in its place, under another TLS key"
    ),
    Kind.CHAIN_DOWN: Word("", True, "", "no RPC provider answers"),
    Kind.REFERENCE_DOWN: Word("", True, "", "our own connectivity fails its look"),
    Kind.ORDER: Word("", False, "verb", "an operator gives an order"),
}


class Fault(msgspec.Struct, frozen=True):
    """One thing that goes wrong.

    Attributes:
        what: kind.
        at_ms: when, simulated milliseconds.
        lasts_ms: how long; 0 where the kind has no end.
        where: a host, or two joined by `~`.
        detail: see the kind's word.
    """

    what: Kind
    at_ms: int
    lasts_ms: int = 0
    where: str = ""
    detail: str = ""

    def __str__(self) -> str:
        """One line of TOML, which reads back as the same fault."""
        parts = [f'what = "{self.what}"', f'at = "{self.at_ms}ms"']
        parts += [f'lasts = "{self.lasts_ms}ms"'] if self.lasts_ms else []
        parts += [f'where = "{self.where}"'] if self.where else []
        parts += [f'detail = "{self.detail}"'] if self.detail else []
        return "{ " + ", ".join(parts) + " }"


Schedule = tuple[Fault, ...]

_PLACE: Final = re.compile(r"[\w.*-]+", re.ASCII)

VERBS: Final = ("hold", "resume", "promote", "abort", "retry", "disarm", "forget", "waive")
"""Orders; the last three may be followed by a rule, a node or a check."""


def _number(said: str, least: int, most: int) -> bool:
    digits = said.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) < 16 and least <= int(said) <= most


def _is_order(said: str) -> bool:
    verb, space, what = said.partition(" ")
    if verb not in VERBS or bool(space) != bool(what):
        return False
    return not what or (verb in VERBS[5:] and _PLACE.fullmatch(what) is not None)


DETAILS: Final[Mapping[str, tuple[Callable[[str], bool], str]]] = {
    "crash point": (POINTS.__contains__, "a crash point, see docs/operating/crash-points.md"),
    "milliseconds": (lambda said: _number(said, 0, LONGEST_MS), 'milliseconds, such as "200"'),
    "percent": (lambda said: _number(said, 1, 100), "a whole percentage from 1 to 100"),
    "seconds": (
        lambda said: _number(said, -LONGEST_MS // 1000, LONGEST_MS // 1000),
        'seconds, such as "-60"',
    ),
    "check": (CHECKS.__contains__, f"one of {', '.join(CHECKS)}"),
    "verb": (_is_order, f"an order: {', '.join(VERBS)}"),
}
"""For what a word's `detail` means: whether a text is one, and what is expected."""


def document(schedule: Schedule, seed: int, says: str = "") -> str:
    """A schedule as a file that `read` takes."""
    quoted = json.dumps(says, ensure_ascii=False).replace("\x7f", "\\u007f")
    lines = [f"says = {quoted}"] if says else []
    lines += [f"seed = {seed}", "faults = ["]
    return "\n".join([*lines, *(f"  {fault}," for fault in schedule), "]"]) + "\n"


def read(text: str, name: str) -> tuple[Schedule, int | None]:
    """Read a file of faults.

    Args:
        text: TOML: `faults` as an array of tables, `seed` and `says` if wanted.
        name: of the file, for people.

    Returns:
        The faults in order of time, and the seed if the file has one.

    Raises:
        ConfigurationError: naming the first thing that is wrong.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{name}: {error}") from error
    if unknown := sorted(set(data) - {"says", "seed", "faults"}):
        raise ConfigurationError(f"{name}: unknown words {unknown}; expected says, seed, faults")
    seed, faults = data.get("seed"), data.get("faults")
    if not isinstance(faults, list) or type(seed) not in (int, type(None)):
        raise ConfigurationError(f"{name}: expected `faults = [...]` and a whole number as `seed`")
    if not isinstance(data.get("says", ""), str):
        raise ConfigurationError(f"{name}: expected a text as `says`")
    found = [_fault(one, f"{name}: fault {number}") for number, one in enumerate(faults, 1)]
    return tuple(sorted(found, key=lambda fault: fault.at_ms)), seed


def _fault(said: Any, place: str) -> Fault:
    if not isinstance(said, dict) or "what" not in said or "at" not in said:
        raise ConfigurationError(f"{place}: seen {said!r}, expected a table with `what` and `at`")
    if unknown := sorted(set(said) - {"what", "at", "lasts", "where", "detail"}):
        raise ConfigurationError(f"{place}: unknown words {unknown}")
    kind = _kind(said["what"], place)
    at = 0 if said["at"] in ("0ms", "0s") else _duration(said["at"], f"{place}: `at`")
    lasts = _duration(said["lasts"], f"{place}: `lasts`") if "lasts" in said else 0
    word = WORDS[kind]
    if word.lasts != bool(lasts):
        wanted = "how long it `lasts`" if word.lasts else "no `lasts`: it has no end"
        raise ConfigurationError(f"{place}: `{kind}` needs {wanted}")
    where, detail = said.get("where", ""), said.get("detail", "")
    for name, value, wanted in (("where", where, word.where), ("detail", detail, word.detail)):
        if not isinstance(value, str) or bool(value) != bool(wanted):
            seen = f"`{name} = {value!r}`"
            raise ConfigurationError(f"{place}: `{kind}`: seen {seen}, expected {wanted or 'none'}")
    _check_where(word, where, f"{place}: `{kind}`")
    fits, expected = DETAILS.get(word.detail, (bool, ""))
    if detail and not fits(detail):
        seen = f"`detail = {detail!r}`"
        raise ConfigurationError(f"{place}: `{kind}`: seen {seen}, expected {expected}")
    return Fault(kind, at, lasts, where, detail)


def _kind(said: Any, place: str) -> Kind:
    try:
        return Kind(said)
    except ValueError as error:
        known = ", ".join(Kind)
        raise ConfigurationError(f"{place}: `what = {said!r}`, expected one of {known}") from error


def _check_where(word: Word, where: str, place: str) -> None:
    places = where.split("~") if where else []
    wanted = {"": 0, "pair": 2}.get(word.where, 1)
    if len(places) != wanted or not all(map(_PLACE.fullmatch, places)):
        shape = (
            'two places as in "conductor~phala"' if wanted == 2 else f"the name of a {word.where}"
        )
        raise ConfigurationError(f"{place}: seen `where = {where!r}`, expected {shape}")


def _duration(said: Any, place: str) -> int:
    try:
        return parse_duration(said)
    except ValueError as error:
        raise ConfigurationError(f"{place}: seen {said!r}, expected {error}") from error


def check_planes(schedule: Schedule, planes: Sequence[str], candidate: str) -> None:
    """Refuse a fault of planes elsewhere, and one of processes at a plane.

    Args:
        schedule: that is to be played.
        planes: of the runbook.
        candidate: one of them.

    Raises:
        ConfigurationError: naming the fault, and what is expected.
    """
    for fault in schedule:
        match WORDS[fault.what].where:
            case "plane" if fault.where not in planes:
                raise ConfigurationError(f"{fault}: expected one of {', '.join(planes)}")
            case "candidate" if fault.where != candidate:
                raise ConfigurationError(f"{fault}: expected the candidate, {candidate}")
            case "process" if fault.where in (*planes, "*", "outside"):
                raise ConfigurationError(f"{fault}: expected a conductor or a gateway")
