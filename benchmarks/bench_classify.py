"""What reading a text and picking a plane cost, beside parsing the body that brought the text.

The three are timed in turn within each round, so that whatever else the machine does hits all of
them; a ratio compares values of the same round.
"""

import json
from collections.abc import Callable
from statistics import median
from time import perf_counter_ns

from cutover.routing.classify import classify
from cutover.routing.pick import pick
from cutover.routing.table import Route, RoutingTable
from cutover.runbook.intent import Intent

NAME = "classify"
BODY_BYTES = 1024
TEXTS = (
    "@gitsplits analyze near/near-sdk-rs",
    "@gitsplits analyze https://github.com/near/near-sdk-rs",
    "@gitsplits create a split for near/near-sdk-rs with 50/30/20",
    "@gitsplits pay 10 USDC to near/near-sdk-rs",
    "@gitsplits pending claims for @octocat",
    "@gitsplits verify @octocat",
    "@gitsplits is @octocat eligible?",
    "@gitsplits hello, who gets what?",
)
KEYS = ("1234", "alice.near", "0x52908400098527886e0f7030069857d2e4169ee7", "web_user")
TABLE = RoutingTable(
    generation=1,
    term=1,
    run="bench",
    salt="bench",
    fallback="hetzner",
    candidate="phala",
    active="hetzner",
    stage="50% mixed",
    routes={intent: Route(candidate_bp=5_000) for intent in Intent},
)


def body() -> bytes:
    """A request as the web client sends it, filled up to 1 KB."""
    fields = {"text": TEXTS[1], "author": "web_user", "type": "web", "walletAddress": ""}
    fields["nearAccountId"] = "x" * (BODY_BYTES - len(json.dumps(fields | {"nearAccountId": ""})))
    return json.dumps(fields).encode()


def classify_all() -> int:
    for text in TEXTS:
        classify(text)
    return len(TEXTS)


def pick_all() -> int:
    for key in KEYS:
        pick(TABLE, Intent.ANALYZE, key)
    return len(KEYS)


def parse(raw: bytes) -> int:
    json.loads(raw)
    return 1


def micros(job: Callable[[], int], repeats: int) -> float:
    """Microseconds of one operation; the job says how many it does a call."""
    done = 0
    start = perf_counter_ns()
    for _ in range(repeats):
        done += job()
    return (perf_counter_ns() - start) / done / 1_000


def row(name: str, values: list[float], parses: list[float]) -> dict[str, str | float]:
    return {
        "name": name,
        "value": round(median(values), 3),
        "unit": "us/op",
        "ratio": round(median(a / b for a, b in zip(values, parses, strict=True)), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
    }


def run(quick: bool) -> dict[str, object]:
    """Median, extremes and the ratio to `json.loads` of a 1 KB body, in the same rounds."""
    rounds, repeats = (7, 200) if quick else (25, 2_000)
    raw = body()
    assert len(raw) == BODY_BYTES
    jobs: dict[str, tuple[Callable[[], int], int]] = {
        "json.loads, 1 KB body": (lambda: parse(raw), repeats),
        "classify": (classify_all, repeats // 4),
        "pick": (pick_all, repeats // 4),
    }
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, (job, count) in jobs.items():
            times[name].append(micros(job, count))
    parses = times["json.loads, 1 KB body"]
    return {"name": NAME, "rows": [row(name, values, parses) for name, values in times.items()]}


if __name__ == "__main__":
    print(json.dumps(run(quick=False), indent=1))
