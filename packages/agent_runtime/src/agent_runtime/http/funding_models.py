"""What travels about fundings; the rest is in `models`."""

# N815: members have the names that they travel under
# ruff: noqa: N815

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from agent_runtime.http.models import Amount, Hex, Plain
from agent_runtime.parsing import Token


class FundingWish(BaseModel):
    """What is to be collected; other members are ignored."""

    model_config = ConfigDict(strict=True)

    amount: Plain = Field(description="in whole tokens, a plain decimal above zero")
    token: Plain = Field(description="symbol, one of NEAR_FT_CONTRACTS")


def pattern_of(token: Token) -> str:
    """How an amount of a token is written: at most 24 digits, then at most its decimals."""
    fraction = rf"(?:\.[0-9]{{1,{token.decimals}}})?" if token.decimals else ""
    return rf"^(?=.*[1-9])[0-9]{{1,24}}{fraction}$"


def wish_schema(tokens: Iterable[Token]) -> dict[str, Any]:
    """What a wish may be on this plane, token by token."""
    kinds = [
        {
            "properties": {
                "amount": {"type": "string", "pattern": pattern_of(token)},
                "token": {"enum": [token.symbol]},
            }
        }
        for token in tokens
    ]
    return {**FundingWish.model_json_schema(), **({"oneOf": kinds} if kinds else {})}


class FundingToken(BaseModel):
    """A token, and the contract that tells of it."""

    symbol: str
    contract: str
    decimals: int


class Arrival(BaseModel):
    """What NEAR told: final, and credited to the account."""

    transaction: str
    signer: str
    blockHash: str
    blockHeight: int
    credited: Amount
    providers: list[str]
    digest: Hex
    seenAt: str


class Funding(BaseModel):
    """A request to be paid."""

    id: str = Field(description="also the memo by which HOT knows it")
    state: Literal["asked", "open", "unknown", "arrived", "closed", "review"]
    settled: bool
    needsPerson: bool
    detail: str
    token: FundingToken
    asked: Amount
    account: str = Field(description="that it is for")
    page: str | None = Field(description="where a payer pays")
    item: str | None = Field(description="HOT's invoice; no transaction")
    arrival: Arrival | None = Field(description="only beside final evidence")
    createdAt: str
    updatedAt: str
    lookedAt: str | None
