"""What travels about fundings; the rest is in `models`."""

# N815: members have the names that they travel under
# ruff: noqa: N815

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from agent_runtime.http.models import Amount, Hex


class FundingWish(BaseModel):
    """What is to be collected; other members are ignored."""

    model_config = ConfigDict(strict=True)

    amount: Annotated[
        str, StringConstraints(pattern=r"^[0-9]{1,24}(\.[0-9]{1,24})?$", max_length=49)
    ] = Field(description="in whole tokens, a plain decimal above zero")
    token: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9.]{0,15}$")] = Field(
        description="symbol, one of NEAR_FT_CONTRACTS"
    )


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
