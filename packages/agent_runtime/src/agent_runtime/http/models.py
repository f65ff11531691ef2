"""What travels, as OpenAPI describes it; requests are checked against it, answers are built to it.

Members may be added to answers; those here stay (contract §1, §2, §6).
"""

# N815: members have the names that they travel under
# ruff: noqa: N815

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints


def _unicode(text: str) -> str:
    """Half a pair of surrogates is JSON, and no text: it can be neither stored nor sent on."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("no valid Unicode text") from error
    return text


NAME_MAX_CHARS = 256
Plain = Annotated[str, AfterValidator(_unicode)]
Nonce = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[Plain, StringConstraints(max_length=NAME_MAX_CHARS)]
Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Units = Annotated[str, StringConstraints(pattern=r"^[0-9]+$")]


class Fault(BaseModel):
    """Every error of every route."""

    error: str = Field(description="a sentence for people")
    code: str = Field(description="a slug for programs", pattern=r"^[a-z_]+$")


def _given(member: str) -> dict[str, Any]:
    return {"required": [member], "properties": {member: {"type": "string", "pattern": r"\S"}}}


class Text(BaseModel):
    """A request of a person; other members are ignored."""

    model_config = ConfigDict(
        strict=True, json_schema_extra={"oneOf": [_given("text"), _given("plan")]}
    )

    text: Plain | None = Field(
        None, description="one command, whole; a mention in front is dropped; this or `plan`"
    )
    plan: Plain | None = Field(None, description="the same, to be planned and not carried out")
    author: Name | None = Field(None, description="the caller's own id in its channel")
    type: Name | None = Field(None, description="the channel: `web`, `cast`, `dm`; `web` if absent")
    wallet_address: Plain | None = Field(None, alias="walletAddress")
    near_account_id: Plain | None = Field(None, alias="nearAccountId")
    evm_address: Plain | None = Field(None, alias="evmAddress")


class Said(BaseModel):
    """The answer to a text; failures of the business are texts too."""

    response: str
    intent: str
    plane: str
    build: str
    paymentId: str | None = Field(None, description="of the payment that was made or found")
    eventId: str | None = Field(None, description="for `replay`")
    final: Literal[False] | None = Field(
        None, description="false while the outcome is open: ask again with the same key"
    )


class Index(BaseModel):
    """What this is and where to ask."""

    name: str
    version: str
    description: str
    endpoints: dict[str, str]


class Readiness(BaseModel):
    """Whether this plane can do its work."""

    ready: bool
    reasons: list[str]


class Ready(Readiness):
    """The same, with how each service is."""

    services: dict[str, str]


class Counters(BaseModel):
    """Since the start of this process."""

    requests: int
    errors: int


class CanaryAge(BaseModel):
    """How old the evidence is that the services rest on."""

    at: str | None
    ageSeconds: int | None
    fresh: bool


class Health(BaseModel):
    """How this plane is (contract §2)."""

    status: Literal["healthy", "unhealthy"]
    timestamp: str
    uptime: int = Field(description="milliseconds")
    version: str
    plane: str
    build: str
    services: dict[str, str]
    compute: str
    technologyStack: dict[str, str]
    readiness: Readiness
    metrics: Counters
    canary: CanaryAge


class Check(BaseModel):
    """One system, asked just now."""

    ok: bool
    details: str


class CanaryResult(BaseModel):
    """One round of the canary."""

    at: str
    ok: bool
    checks: dict[str, Check]


class Newest(BaseModel):
    """The newest round; none before the first."""

    result: CanaryResult | None
    logFile: str = Field(description="the log's name; where it is, is this machine's business")


class Taken(BaseModel):
    """A delivery was taken."""

    ok: Literal[True]


class TakenOnce(Taken):
    """A delivery was taken, now or before."""

    duplicate: bool = Field(description="it was taken before; nothing is done again")


class TakenCast(BaseModel):
    """A cast was taken, now or before."""

    success: Literal[True]
    duplicate: bool = Field(description="it was taken before; nothing is done again")


class Amount(BaseModel):
    """An amount in the smallest unit, and for people."""

    units: Units
    amount: str


class Token(BaseModel):
    """A token."""

    symbol: str
    decimals: int


class Payment(BaseModel):
    """A payment: its state, what was signed for it, and what is final on chain."""

    model_config = ConfigDict(extra="allow")

    id: str
    rail: Literal["near", "pingpay"]
    state: Literal["planned", "unknown", "paid", "failed", "declined", "review"]
    settled: bool
    needsPerson: bool
    detail: str
    repository: str
    split: str
    token: Token
    asked: Amount
    total: Amount
    paid: list[dict[str, Any]]
    owed: list[dict[str, Any]]
    flags: list[str]
    transaction: str | None = Field(description="only beside final evidence of it")
    transactions: list[str] = Field(description="of the legs, in their order; likewise")
    createdAt: str
    updatedAt: str
    legs: list[dict[str, Any]]


class Run(BaseModel):
    """A run of the conductor; the nonce is its secret, so it is in no address."""

    model_config = ConfigDict(strict=True)

    nonce: Nonce


class Presence(BaseModel):
    """Whether a variable has a value, its own or a default."""

    set: bool


class Marked(Presence):
    """The same, with the fingerprint of that value."""

    fingerprint: Hex


class Parity(BaseModel):
    """What may be compared with the other plane's."""

    v: Literal[1]
    plane: str
    build: str
    keyedBy: Literal["PARITY_KEY", "AGENT_SERVER_API_KEY"]
    keyCheck: Hex = Field(description="equal on both planes if both hold the same key")
    same: dict[str, Marked] = Field(description="must be equal on both planes")
    own: dict[str, Presence] = Field(description="may differ")


class Guest(BaseModel):
    """Who the guest agent says we are; no proof."""

    app: str
    instance: str


class Signer(BaseModel):
    """Who signs on NEAR."""

    network: str
    account: str
    contract: str
    publicKey: str


class Identity(BaseModel):
    """Which deployment this is."""

    v: Literal[1]
    nonce: Nonce = Field(description="the caller's")
    plane: str
    version: str
    build: str
    mode: str
    imageDigest: str = Field(description="as deployed, empty if it was not told; no proof")
    guest: Guest | None
    near: Signer | None
    ingressOwner: str
    tlsSpki: str = Field(description="SHA-256 of the TLS key, empty with AGENT_TLS=off")
