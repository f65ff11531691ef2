"""What state the world of collateral is in; the control endpoint takes and shows exactly this."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

TcbStatus = Literal[
    "UpToDate",
    "SWHardeningNeeded",
    "ConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded",
    "OutOfDate",
    "OutOfDateConfigurationNeeded",
    "Revoked",
]
PlatformStatus = TcbStatus | Literal["NoMatchingLevel"]
DAY: Final = 86_400
_SPAN: Final = 20 * 366 * DAY
Seconds = Annotated[int, Field(ge=-_SPAN, le=_SPAN)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Dates(_Settings):
    """When a signed document was issued, and how long it holds.

    Attributes:
        age_seconds: before the service's reference time; negative: not yet issued.
        life_seconds: from issue to next update.
    """

    age_seconds: Seconds = 3600
    life_seconds: Seconds = 30 * DAY


class EvaluationSet(_Settings):
    """One TCB evaluation data set: what Intel thinks of the platform's patch levels.

    Attributes:
        number: tcbEvaluationDataNumber of TCB info and QE identity.
        status: of the platform's level; `NoMatchingLevel` lists only higher ones.
        module_status: of the TDX module's level.
        qe_status: of the quoting enclave's level.
        advisories: advisory ids of the platform's level.
        tcb_date: Unix seconds of that level, None: 90 days before the document was issued.
    """

    number: Annotated[int, Field(ge=1, le=1_000_000)] = 20
    status: PlatformStatus = "UpToDate"
    module_status: TcbStatus = "UpToDate"
    qe_status: TcbStatus = "UpToDate"
    advisories: tuple[Annotated[str, Field(max_length=64)], ...] = ()
    tcb_date: Annotated[int, Field(ge=0, le=4_000_000_000)] | None = None


class Collateral(_Settings):
    """Everything that can be wrong with collateral without being forged.

    Attributes:
        standard: the set that verifiers get by default.
        early: the set that will become standard; None: there is no newer one.
        revoked: names of certificates: platforms, `tcb-signer`, `pck-platform-ca`.
        frozen_at: Unix seconds that the service takes for now, for ever: a stale copy.
    """

    standard: EvaluationSet = EvaluationSet()
    early: EvaluationSet | None = None
    tcb_info: Dates = Dates()
    qe_identity: Dates = Dates()
    pck_crl: Dates = Dates()
    root_crl: Dates = Dates(life_seconds=365 * DAY)
    revoked: tuple[Annotated[str, Field(max_length=64)], ...] = ()
    frozen_at: Annotated[int, Field(ge=0, le=4_000_000_000)] | None = None

    def set_of(self, update: Literal["early", "standard"]) -> EvaluationSet:
        """Return the set that an `update` parameter asks for."""
        return self.early if update == "early" and self.early is not None else self.standard

    def promoted(self) -> "Collateral":
        """Return the settings after the early set has become the standard one.

        Raises:
            ValueError: there is no early set.
        """
        if self.early is None:
            raise ValueError("there is no early set to promote; set `early` first")
        return self.model_copy(update={"standard": self.early, "early": None})
