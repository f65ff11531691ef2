"""Switchable faults: which call fails, how, how often, and for whom.

A rule is data that the control endpoint accepts. Rules are tried in order; the first that matches
a call and wins its (seeded) draw is applied. `after = true` lets the stand-in do its work first and
spoils only the answer: the case in which a caller must say "unknown", never "failed".
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

Kind = Literal["status", "latency_ms", "hang", "reset", "half", "torn", "wrong"]

VARIANTS: Mapping[str, tuple[str, ...]] = {
    "github": ("not_found", "bad_credentials", "rate_limited"),
    "near": (
        *("failed_receipt", "silent_drop", "accept_then_timeout", "unknown", "html"),
        *("expired", "invalid_nonce", "not_enough_balance"),
    ),
    "ping": (
        *("not_found", "failed", "no_reference", "less", "pending", "failed_after"),
        *("made_up_hash", "other_hash", "bare_hash", "no_hash", "strange_word"),
    ),
    "hot": (
        *("html", "unauthorized", "no_item", "unfiltered"),
        *("made_up_hash", "item_as_hash", "foreign_hash", "no_hash"),
    ),
    "eigenai": ("success_false", "no_grant", "bad_signature"),
    "neynar": ("unauthorized", "html", "no_hash"),
    "guest": (
        *("other_app", "other_compose", "other_instance", "other_image", "other_size"),
        *("other_kms", "local_keys", "debug", "sept_ve_enabled"),
        *("bad_signature", "patched_report_data", "uncertified_key", "foreign_pck", "foreign_root"),
        *("forged_compose", "foreign_event_type", "reordered_log", "truncated_log", "empty_log"),
        *("measured_twice", "measured_late", "unasked_report_data", "replayed"),
        *("no_quote", "oversized", "html"),
    ),
    "pccs": (
        *("not_found", "bad_signature", "foreign_root", "other_fmspc", "sgx", "no_chain"),
        *("oversized", "html"),
    ),
}
"""What `wrong` can mean per service; the first one is the default."""


@dataclass(frozen=True, slots=True)
class Call:
    """What a stand-in is asked to do, and by which marks the caller can be told apart.

    `marks` holds what the call itself carries: `public_key`, `api_key`, `account_id`, and by the
    marked address that it came through, `plane` and `provider` (see `standin`).
    """

    service: str
    operation: str
    marks: Mapping[str, str] = field(default_factory=dict)


class Rule(BaseModel):
    """One fault. `rate` is the share of matching calls hit, `count` how many calls at most.

    `retry_after` (seconds) goes with a `status`, as the header of that name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    service: Literal["github", "near", "ping", "hot", "eigenai", "neynar", "guest", "pccs"]
    operation: str = "*"
    kind: Kind
    plane: str | None = None
    match: dict[str, str] = Field(default_factory=dict)
    rate: Annotated[float, Field(ge=0, le=1)] = 1.0
    count: Annotated[int, Field(ge=1)] | None = None
    seed: int = 0
    after: bool = False
    status: Annotated[int, Field(ge=400, le=599)] = 503
    retry_after: Annotated[int, Field(ge=0, le=86_400)] | None = None
    latency_ms: Annotated[int, Field(ge=1, le=600_000)] = 1000
    variant: str | None = None

    @model_validator(mode="after")
    def _variant_is_known(self) -> Self:
        known = VARIANTS[self.service]
        if self.variant is not None and self.kind != "wrong":
            raise ValueError(f"variant belongs to kind 'wrong', this rule is {self.kind!r}")
        if self.variant is not None and self.variant not in known:
            raise ValueError(f"{self.service} knows {', '.join(known)}, not {self.variant!r}")
        if self.retry_after is not None and self.kind != "status":
            raise ValueError(f"retry_after belongs to kind 'status', this rule is {self.kind!r}")
        return self

    @property
    def wrong(self) -> str | None:
        """The service's own misbehaviour to show, or None for faults of the transport."""
        if self.kind != "wrong":
            return None
        return self.variant or VARIANTS[self.service][0]


RULES = TypeAdapter(list[Rule])


@dataclass(slots=True)
class _Armed:
    rule: Rule
    draw: random.Random
    required: Mapping[str, str]
    hits: int = 0

    def takes(self, call: Call) -> bool:
        rule = self.rule
        if rule.service != call.service or rule.operation not in {"*", call.operation}:
            return False
        if any(call.marks.get(name) != value for name, value in self.required.items()):
            return False
        if rule.count is not None and self.hits >= rule.count:
            return False
        return self.draw.random() < rule.rate


class Faults:
    """The rules in force.

    Args:
        planes: for each plane, the NEAR public key that only this plane signs with. A rule for a
            plane hits calls that carry this key, and calls made through the plane's marked address.
    """

    def __init__(self, planes: Mapping[str, str]) -> None:
        self._planes = dict(planes)
        self._armed: list[_Armed] = []

    def replace(self, rules: Sequence[Rule]) -> None:
        """Put exactly these rules in force, their counts at zero.

        Raises:
            ValueError: a rule names a plane that this world does not have.
        """
        for rule in rules:
            if rule.plane is not None and rule.plane not in self._planes:
                known = ", ".join(sorted(self._planes))
                raise ValueError(f"unknown plane {rule.plane!r}; this world has {known}")
        self._armed = [_Armed(rule, random.Random(rule.seed), dict(rule.match)) for rule in rules]

    def clear(self) -> None:
        """Let everything work again."""
        self._armed = []

    def pick(self, call: Call) -> Rule | None:
        """Return the rule that hits this call, counting the hit, or None."""
        seen = self._with_plane(call)
        for armed in self._armed:
            plane = armed.rule.plane
            if plane is not None and seen.marks.get("plane") != plane:
                continue
            if armed.takes(seen):
                armed.hits += 1
                return armed.rule
        return None

    def state(self) -> list[dict[str, Any]]:
        """Return the rules in force and how often each has hit."""
        return [{**a.rule.model_dump(exclude_none=True), "hits": a.hits} for a in self._armed]

    def _with_plane(self, call: Call) -> Call:
        if call.marks.get("plane") in self._planes:
            return call
        key = call.marks.get("public_key")
        for plane, public_key in self._planes.items():
            if key == public_key:
                return Call(call.service, call.operation, {**call.marks, "plane": plane})
        return call
