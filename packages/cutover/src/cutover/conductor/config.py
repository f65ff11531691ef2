"""What a conductor is told at its start; secrets never show in its representation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cutover.runbook.intent import Intent


@dataclass(frozen=True)
class PlaneAccess:
    """How a plane is reached.

    Attributes:
        url: base address.
        key: its `x-agent-api-key`.
        image: image reference by the deployment record; empty when not declared.
        record: what that record is, for people.
        service: the service in its compose file that is the runtime.
        changes: what its compose file changes of what the image runs, in words.
        inspected: reads the engine's record anew at every look; None when there is no such file.
            It raises OSError when the file cannot be read, and MalformedError when it is no record.
    """

    url: str
    key: str = field(repr=False)
    image: str = ""
    record: str = "its deployment record"
    service: str = "agent"
    changes: tuple[str, ...] = ()
    inspected: Callable[[], bytes] | None = None


@dataclass(frozen=True)
class GatewayAccess:
    """How the conductor, as a client, reaches the gateway for the post-cutover checks."""

    url: str
    client_key: str = field(repr=False)
    webhook_secret: str = field(repr=False, default="")


@dataclass(frozen=True)
class ConductorConfig:
    """Everything a conductor needs beside the runbook.

    Attributes:
        data: directory of this run: journal, tokens, address.
        host: where the control API listens.
        port: 0 for one of the system's choice, written to `data/conductor.json`.
        planes: by the runbook's names.
        gateway: for post-cutover checks; None when not configured.
        texts: what a live intent says.
        near_rpc: where transactions are looked up; empty when not configured.
        reference_url: our own connectivity; empty when not configured.
    """

    data: Path
    host: str
    port: int
    planes: Mapping[str, PlaneAccess]
    gateway: GatewayAccess | None
    texts: Mapping[Intent, str]
    near_rpc: tuple[str, ...] = ()
    reference_url: str = ""
