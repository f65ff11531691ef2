"""The policy's TOML as pydantic models: one section, `[attestation]`, in the operator's words.

Nothing has a default, as in a runbook: what is not written is a fault.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from cutover.attestation.measurement import ConfigId, Source
from cutover.runbook.fields import Duration, Name

Text = Annotated[str, Field(strict=True, min_length=1, max_length=200)]


Hash = Annotated[str, Field(strict=True, pattern="^[0-9a-f]{64}$")]
Register = Annotated[str, Field(strict=True, pattern="^[0-9a-f]{96}$")]
Id = Annotated[str, Field(strict=True, pattern="^[0-9a-f]{40}$")]
RootKey = Annotated[str, Field(strict=True, pattern="^0[23][0-9a-f]{64}$")]
Spki = Annotated[str, Field(strict=True, pattern="^([0-9a-f]{2})*$", max_length=400)]


class Part(BaseModel):
    """A table of the document: closed, so that a misspelt key is found, and frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LimitsPart(Part):
    """How old things may be."""

    evidence: Duration = Field(description="how long a verdict says anything")
    nonce: Duration = Field(description="longest time between question and answer")
    collateral: Duration = Field(description="greatest age of Intel's documents")


class TcbPart(Part):
    """Which levels of the platform are acceptable beside `UpToDate`."""

    hardening_advisories: tuple[Text, ...] = Field(
        description="advisories that a SWHardeningNeeded platform may have"
    )
    rejected_advisories: tuple[Text, ...] = Field(description="advisories that are never accepted")
    out_of_date_grace: Duration = Field(
        description="how long an out-of-date platform is held before it is left"
    )


class AppPart(Part):
    """Which app, and which code of it."""

    id: Id = Field(description="app-id, 40 hex digits")
    instances: tuple[Id, ...] = Field(
        description="known instance-ids; empty: any instance of the app"
    )
    compose_hashes: tuple[Hash, ...] = Field(
        description="SHA-256 of each allowed app-compose file, of its raw bytes"
    )
    services: tuple[Text, ...] = Field(description="services of the compose file")
    allowed_envs: tuple[Text, ...] = Field(
        description="variables that may be set from outside; they are not measured"
    )
    scripts: tuple[Hash, ...] = Field(
        description="SHA-256 of each known pre_launch_script and init_script"
    )
    events: tuple[Text, ...] = Field(description="events that the app may add to the log")
    mr_config_id: ConfigId = Field(description="whether the platform must set mr_config_id")


class KeyProviderPart(Part):
    """Who gives keys to the plane."""

    name: Literal["kms", "local-sgx", "tpm"] = Field(description="as the event log has it")
    id: Spki = Field(description="for kms: SubjectPublicKeyInfo of its root CA, hex")


class WalletPart(Part):
    """Which keys the plane must show."""

    kms_root: RootKey = Field(description="compressed secp256k1 root of the signature chains")
    purposes: tuple[Text, ...] = Field(description="purposes; exactly one key for each")


class ImagePart(Part):
    """One allowed image on one size of machine."""

    label: Text = Field(description="image version and machine size, for people")
    source: Source = Field(
        description="recomputed from the image, or first_use: seen once and approved by a person"
    )
    mrtd: Register = Field(description="firmware")
    rtmr0: Register = Field(description="hardware shape")
    rtmr1: Register = Field(description="kernel")
    rtmr2: Register = Field(description="command line and initrd")


class PolicyPart(Part):
    """What one plane must prove."""

    plane: Name = Field(description="the plane's name in the runbook")
    release: Text = Field(description="the release that the plane's statement must name")
    unsafe_test_root_sha256: Hash | None = Field(
        default=None,
        description="REHEARSALS ONLY: SHA-256 of a root certificate that anybody may hold the key "
        "of; every verdict under it is marked",
    )
    limits: LimitsPart = Field(description="how old things may be")
    tcb: TcbPart = Field(description="acceptable levels of the platform")
    app: AppPart = Field(description="which app, and which code of it")
    key_provider: KeyProviderPart = Field(description="who gives keys to the plane")
    wallet: WalletPart | None = Field(
        default=None, description="which keys it must show; no table: the plane holds none"
    )
    image: tuple[ImagePart, ...] = Field(description="allowed measurements")


class PolicyDocument(Part):
    """A policy file, or the section of one."""

    attestation: PolicyPart = Field(description="what the plane must prove")


def json_schema() -> dict[str, Any]:
    """The policy's JSON Schema (2020-12), for editors and `cutover attest schema`."""
    schema = PolicyDocument.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
